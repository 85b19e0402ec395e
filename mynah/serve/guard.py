"""What every request passes first: who calls, by which name, with which key, how much, and how fast.

Written against ASGI itself, so that a body is counted while it arrives and nothing of it is parsed before.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from mynah.serve.config import ServeConfig
from mynah.serve.errors import ApiError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Open to anybody: it tells that the service lives, and nothing else.
OPEN = frozenset(("/health",))
#: Sent with everything: a page loads nothing from elsewhere, runs no script that is not our file, and is in no frame.
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
#: Of a report, which brings its style and its one switch along: alone in a frame of its own, so to speak.
_REPORT = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "script-src": "'unsafe-inline'",
    "img-src": "data:",
    "sandbox": "allow-scripts",
    "frame-ancestors": "'none'",
}
REPORT = "; ".join(f"{name} {value}" for name, value in _REPORT.items())
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Guard:
    """Refuses what may not pass, and reads the rest whole.

    Args:
        app: gets what passes.
        config: the limits.
    """

    def __init__(self, app: App, config: ServeConfig) -> None:
        self.app, self.config = app, config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"found a connection of type {scope['type']}; expected http")

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ())]
                known = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in HEADERS if name not in known]
                message = {**message, "headers": headers}
            await send(message)

        try:
            self._check(scope)
            body = await self._body(scope, receive)
        except ApiError as error:
            await answer(error, sent)
            return
        passed = False

        async def received() -> MutableMapping[str, Any]:
            nonlocal passed
            if passed:
                return await receive()
            passed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, received, sent)

    def _check(self, scope: Scope) -> None:
        """Raise ApiError unless the request may be looked at."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        size = (
            len(scope["raw_path"] or b"")
            + len(scope["query_string"])
            + sum(len(k) + len(v) for k, v in headers)
        )
        if size > self.config.max_header:
            raise ApiError(
                f"the head of the request has {size} bytes, expected at most {self.config.max_header}", 431
            )
        named = [value for name, value in headers if name == b"host"]
        if len(named) != 1 or not self.is_called(named[0]):
            raise ApiError("the service is not called by this Host; name it with --allow-host", 403, "host")
        for name, value in headers:
            if name == b"origin" and not self._is_own(value, named[0], scope["scheme"]):
                raise ApiError("pages of other origins may not ask", 403, "origin")
        if self.config.key_hashes and scope["path"] not in OPEN and not self._has_key(headers):
            raise ApiError("a key is needed: Authorization: Bearer KEY", 401, "invalid_api_key")

    def is_called(self, host: bytes) -> bool:
        """Whether a Host header names this service (else any page could reach it under a name of its own)."""
        match = _HOST.fullmatch(host.decode("latin-1"))
        return match is not None and match["name"].lower().strip("[]") in self.config.names

    def _is_own(self, origin: bytes, host: bytes, scheme: str) -> bool:
        try:
            parts = urlsplit(origin.decode("latin-1"))
            # Behind a proxy that ends TLS the page has another scheme than the service.
            return (
                parts.scheme in (scheme, "https")
                and parts.netloc.lower() == host.decode("latin-1").lower()
                and not parts.path
                and not parts.query
                and not parts.fragment
            )
        except ValueError:
            return False

    def _has_key(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, value = given[0].partition(b" ")
        key = value.strip()
        if scheme.lower() == b"basic":  # what a browser asks for: the key is the password
            try:
                key = base64.b64decode(key, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != b"bearer":
            return False
        digest = hashlib.sha256(key).hexdigest()
        # All of them are compared, each in constant time: how long it takes tells nothing.
        return sum(hmac.compare_digest(digest, known) for known in self.config.key_hashes) > 0

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole body.

        Raises:
            ApiError: if it is too large, too deep, or takes too long.
        """
        most = self.config.max_body
        too_large = ApiError(f"the body is larger than {most} bytes", 413, "request_too_large")
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or len(value) > 18 or int(value) > most):
                raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.config.read_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError("the client has gone", 408)
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ApiError("the request did not arrive in time", 408, "timeout") from None
        body = b"".join(parts)
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise ApiError("the body is not UTF-8 text", 400, "not_utf_8") from None
        if depth_of(body) > self.config.max_depth:
            raise ApiError(f"the body is nested deeper than {self.config.max_depth}", 400, "too_deep")
        return body


def depth_of(body: bytes) -> int:
    """Return how deep brackets of a JSON text stand in one another, those in strings left aside."""
    deepest = depth = 0
    for byte in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


async def answer(error: ApiError, send: Send) -> None:
    """Send an error, whole."""
    body = json.dumps(error.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers]
    headers.append((b"connection", b"close"))  # of what else was sent nothing is read
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
