"""Who may not pass, and how a service holds out against those who try."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from services import KEY, serving, with_key
from uvicorn.server import ServerState

from mynah.config import build_config
from mynah.errors import ConfigError
from mynah.serve.config import ServeConfig
from mynah.serve.guard import Guard, depth_of
from mynah.serve.server import _protocol

ROUTES = [
    ("GET", "/v1/models"), ("GET", "/v1/models/own"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/"),
    ("GET", "/nothing"), ("POST", "/v1/chat/completions"), ("POST", "/v1/completions"), ("POST", "/v1/embeddings"),
]  # fmt: skip


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    with serving(**with_key()) as found:
        yield found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(max_body=4000, max_header=2000, max_depth=8, read_seconds=0.5) as found:
        yield found


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_its_key_nothing_is_told(locked: str, method: str, path: str) -> None:
    basic = b64encode(f"me:{KEY}".encode()).decode()
    for wrong in (
        "",
        "Bearer",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Token {KEY}",
        "Basic !",
        f"Basic {basic}AAAA",
    ):
        response = httpx.request(method, locked + path, headers={"Authorization": wrong} if wrong else {})
        assert response.status_code == 401
        assert "Bearer" in response.headers["WWW-Authenticate"]
    for right in (f"Bearer {KEY}", f"bearer  {KEY}", f"Basic {basic}"):
        assert httpx.request(method, locked + path, headers={"Authorization": right}).status_code != 401
    assert httpx.get(f"{locked}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "a:b:c",
     "localhost/", "localhost:99999999", "*"],
)  # fmt: skip
def test_by_another_name_it_does_not_answer(address: str, host: str) -> None:
    assert httpx.get(f"{address}/v1/models", headers={"Host": host}).status_code in (400, 403)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
@settings(max_examples=500, deadline=None)
def test_a_name_is_known_or_refused(host: str) -> None:
    guard = Guard(None, ServeConfig(hosts=("bot.example",)))  # type: ignore[arg-type]
    name = host.rsplit(":", 1)[0] if host.rsplit(":", 1)[-1].isdigit() else host
    known = name.lower().strip("[]") in ("localhost", "127.0.0.1", "::1", "bot.example")
    assert not guard.is_called(host.encode()) or known


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:80", b"127.0.0.1:8080", b"[::1]:1", b"bot.example"]
)
def test_its_own_names_are_known(host: bytes) -> None:
    assert Guard(None, ServeConfig(hosts=("bot.example",))).is_called(host)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://{}", True), ("https://{}", True), ("null", False), ("http://evil.example", False), ("file://", False),
        ("http://{}.evil.example", False), ("http://{}@evil.example", False), ("http://{}/x", False),
        ("http://[", False), ("http://127.0.0.1:1", False),
    ],
)  # fmt: skip
def test_pages_of_other_origins_may_not_ask(address: str, origin: str, passes: bool) -> None:
    own = address.removeprefix("http://")
    response = httpx.get(f"{address}/v1/models", headers={"Origin": origin.format(own)})
    assert response.status_code == (200 if passes else 403)
    assert "access-control-allow-origin" not in response.headers
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_too_much_is_refused_before_it_is_read(address: str) -> None:
    url = f"{address}/v1/completions"
    assert httpx.post(url, content=b"x" * 5000).status_code == 413
    assert httpx.post(url, content=iter([b"x" * 3000] * 3)).status_code == 413
    assert httpx.get(f"{address}/v1/models", headers={"X": "y" * 2500}).status_code == 431
    assert httpx.get(f"{address}/v1/models?{'y' * 2500}").status_code == 431
    deep = httpx.post(url, content=b"[" * 2000)
    assert (deep.status_code, deep.json()["error"]["code"]) == (400, "too_deep")
    assert httpx.get(f"{address}/health").status_code == 200


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_depth_is_that_of_the_brackets_outside_strings(value: Any) -> None:
    def deep(value: Any) -> int:
        if isinstance(value, dict):
            value = list(value.values())
        return 1 + max(map(deep, value), default=0) if isinstance(value, list) else 0

    assert depth_of(json.dumps(value).encode()) == deep(value)


def connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_whoever_is_slow_is_let_go(address: str) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n"
    nothing, half_head, half_body = connected(address), connected(address), connected(address)
    half_head.sendall(head[:40])
    half_body.sendall(head + b"\r\n{")
    begun = time.monotonic()
    assert nothing.recv(1000) == b""
    assert half_head.recv(1000) == b""
    assert half_body.recv(1000).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 5
    # Neither does one that has asked once before.
    again = connected(address)
    again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    told = b""
    while b'"ok"}' not in told:
        told += again.recv(4000)
    again.sendall(b"G")
    begun = time.monotonic()
    assert again.recv(1000) == b""
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("takes", [False, True])
def test_whoever_takes_nothing_is_cut_off(takes: bool) -> None:
    async def talk() -> Any:
        config = uvicorn.Config(lambda: None, log_config=None)
        config.load()
        protocol: Any = _protocol(10, 0.05)
        found = protocol(config=config, server_state=ServerState(), app_state={})
        transport = MagicMock()
        found.connection_made(transport)
        found.pause_writing()
        if takes:
            found.resume_writing()
        await asyncio.sleep(0.2)
        found.connection_lost(None)
        return transport

    assert asyncio.run(talk()).abort.called is not takes


def test_who_is_refused_is_counted(locked: str) -> None:
    httpx.get(f"{locked}/v1/models", headers={"Host": "evil.example"})
    httpx.get(f"{locked}/v1/models")
    told = httpx.get(f"{locked}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    assert 'mynah_requests_total{route="none",status="403"}' in told
    assert 'mynah_requests_total{route="none",status="401"}' in told


def test_a_body_that_hides_its_brackets_in_another_encoding_is_refused(address: str) -> None:
    body = json.dumps({"model": "text", "prompt": "∀" + "["}, ensure_ascii=False).encode("utf-16")
    response = httpx.post(
        f"{address}/v1/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "not_utf_8")


def test_numbers_that_are_none_and_bodies_that_are_no_json(address: str) -> None:
    url = f"{address}/v1/completions"
    for body in (
        b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"\x00", b'{"model":"text","prompt":"x","temperature":NaN}',
        b'{"model":"text","prompt":"x","temperature":1e999}', b'{"model":"text","prompt":"x","max_tokens":-1}',
        b'{"model":"text","prompt":"x","max_tokens":99999999999999999999999}', b'{"model":"text","prompt":[-1]}',
        b'{"model":"text","prompt":[4000000000]}', b'{"model":"text","prompt":[[]]}', b'{"model":1}',
        b'{"model":"text","prompt":"x","seed":1e400}', b'{"model":"../text","prompt":"x"}',
        b'{"model":"text","prompt":"x","n":0}', b'{"model":"text","prompt":"x","stop":""}',
    ):  # fmt: skip
        response = httpx.post(url, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 404), body
        assert "error" in response.json()
    fine = {"model": "text", "prompt": "a\x00b", "max_tokens": 2}
    assert httpx.post(url, json=fine).status_code == 200


SOME = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SOME, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3)
)
FIELDS = (
    "model", "messages", "prompt", "input", "temperature", "top_p", "n", "stop", "seed", "max_tokens", "logit_bias",
    "stream", "logprobs", "top_logprobs", "response_format", "answers", "regex", "top_k", "echo",
)  # fmt: skip


@given(
    st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_asked_the_service_does_not_break(
    address: str, path: str, changed: dict[str, Any]
) -> None:
    plain: dict[str, Any] = {
        "/v1/chat/completions": {
            "model": "own",
            "messages": [{"role": "user", "content": "x"}],
            "max_tokens": 2,
        },
        "/v1/completions": {"model": "text", "prompt": "x", "max_tokens": 2},
        "/v1/embeddings": {"model": "text", "input": "x"},
    }[path]
    body = json.dumps({**plain, **changed}).encode()
    response = httpx.post(
        address + path, content=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert response.status_code in (200, 400, 404, 413)


def test_other_machines_need_a_key() -> None:
    with pytest.raises(ConfigError, match=r"can be reached from other machines; expected a key"):
        build_config(ServeConfig, {"host": "0.0.0.0"}, "serve")
    with pytest.raises(ConfigError, match="key_hashes"):
        build_config(ServeConfig, {"key_hashes": ("a plain key",)}, "serve")
    assert build_config(ServeConfig, {"host": "127.0.0.2"}, "serve").is_local
    assert not build_config(ServeConfig, with_key(host="bot.example"), "serve").is_local
