"""Whoever is told of a hand-over is told on this machine, and keeps nobody waiting."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mynah.answers.bot import Reply
from mynah.data.records import Message
from mynah.errors import ConfigError
from mynah.serve.hand_over import HandOver

TALK = [Message("user", "where is my secret order")]
REPLY = Reply("I pass you on.", 0.1, handed_over=True, kind="handed_over")


async def told(to: str, seconds: float = 10) -> None:
    hand_over = HandOver(to)
    await hand_over(TALK, REPLY)
    async with asyncio.timeout(seconds):
        while hand_over._under_way:
            await asyncio.sleep(0.01)


def test_a_command_gets_the_conversation(tmp_path: Path) -> None:
    code = f"import sys; open({str(tmp_path / 'out')!r}, 'w').write(sys.stdin.read())"
    asyncio.run(told(f'{sys.executable} -c "{code}"'))
    found = json.loads((tmp_path / "out").read_text())
    assert found["messages"] == [{"role": "user", "content": TALK[0].content}]
    assert found["reply"]["handed_over"] is True


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_service_on_this_machine_gets_it_and_sends_it_nowhere(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Location", "http://192.0.2.1/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(told(f"http://127.0.0.1:{server.server_port}/x"))
    server.shutdown()
    server.server_close()
    assert json.loads(got[0])["reply"]["text"] == REPLY.text
    assert ("could not be told" in caplog.text) == (status != 200)


@pytest.mark.parametrize("to", ["/no/such/command", f'{sys.executable} -c "exit(3)"', "http://127.0.0.1:1/"])
def test_what_goes_wrong_is_said_without_a_word_of_what_was_said(
    to: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        asyncio.run(told(to))
    assert "a hand-over could not be told" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "to", ["http://example.org/", "https://127.0.0.1.example.org", "http://", "", "http://[x"]
)
def test_other_machines_are_told_nothing(to: str) -> None:
    with pytest.raises(ConfigError, match="on-hand-over"):
        HandOver(to)
