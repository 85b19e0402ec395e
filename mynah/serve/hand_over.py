"""Telling a person that a conversation waits for them: by a command, or by a service on the same machine."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import urllib.request
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from mynah.answers.bot import Reply
from mynah.data.records import Message
from mynah.errors import ConfigError

log = logging.getLogger(__name__)
#: Seconds that whoever is told may take.
SECONDS = 10.0


class HandOver:
    """Tells of conversations that the bot hands over; whatever comes of it, the user gets the reply.

    Args:
        to: a command, which gets JSON on its standard input, or http://127.0.0.1:PORT/PATH, which gets it by POST.

    Raises:
        ConfigError: if an address is not on this machine, or there is nothing to run.
    """

    def __init__(self, to: str) -> None:
        self._url = to if to.startswith(("http://", "https://")) else None
        self._command = [] if self._url else shlex.split(to)
        if self._url is not None and not _is_here(self._url):
            raise ConfigError(
                "--on-hand-over: found an address elsewhere; expected http://127.0.0.1:PORT/PATH"
            )
        if self._url is None and not self._command:
            raise ConfigError("--on-hand-over: expected a command, or http://127.0.0.1:PORT/PATH")
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, messages: Sequence[Message], reply: Reply) -> None:
        """Begin to tell of a conversation."""
        body = json.dumps(
            {
                "messages": [{"role": message.role, "content": message.content} for message in messages],
                "reply": reply.to_json(),
            },
            ensure_ascii=False,
        ).encode("utf-8", "replace")
        task = asyncio.create_task(self._tell(body))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _tell(self, body: bytes) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await (self._run(body) if self._url is None else asyncio.to_thread(_post, self._url, body))
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("a hand-over could not be told: %s", type(error).__name__)

    async def _run(self, body: bytes) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await process.communicate(body)
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            log.warning("a hand-over could not be told: the command ended with %d", process.returncode)


def _is_here(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    # No proxy of the environment: it is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects).open(
        request, timeout=SECONDS
    ):
        pass


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is on this machine does not send what was said elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""
