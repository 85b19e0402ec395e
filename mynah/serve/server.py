"""A service on a port: begun, told to stop, ended without cutting off what it is saying."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mynah.errors import ConfigError
from mynah.generate.scheduler import Scheduler
from mynah.serve.config import ServeConfig
from mynah.serve.guard import App


def listening(config: ServeConfig) -> socket.socket:
    """Return a socket that is bound.

    Raises:
        ConfigError: if the address is not this machine's, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((config.host, config.port))
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host} port {config.port}: {error.strerror or error}; try another: --port 0"
        ) from None
    return found


class Service:
    """A service on a port.

    Args:
        app: answers.
        config: the limits.
        scheduler: of the app; is stopped with the service.
        bound: from `listening`.
        ready: is told when requests are taken.
    """

    def __init__(
        self,
        app: App,
        config: ServeConfig,
        scheduler: Scheduler,
        bound: socket.socket,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._bound, self._scheduler = bound, scheduler
        settings = uvicorn.Config(
            app,
            http=_protocol(config.read_seconds),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=round(config.grace_seconds) + 5,
            h11_max_incomplete_event_size=2 * config.max_header,
        )
        self._server = _Server(settings, config.grace_seconds, scheduler, ready)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._bound.getsockname()[1])

    def run(self) -> None:
        """Serve until SIGINT, SIGTERM or `stop`; what is under way may end then, in time."""
        try:
            self._server.run(sockets=[self._bound])
        finally:
            self._scheduler.stop()

    def stop(self) -> None:
        """Have it end soon, from any thread."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """A server that ends what is being decoded in time."""

    def __init__(
        self, config: uvicorn.Config, grace: float, scheduler: Scheduler, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._grace, self._scheduler, self._ready = grace, scheduler, ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals as a wish to end, which is then fulfilled: the process ends as it began, with status 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more; after a while streams get their last event."""
        stopping = asyncio.ensure_future(asyncio.to_thread(self._scheduler.stop, self._grace))
        await super().shutdown(sockets)
        await stopping


def _protocol(seconds: float) -> type[asyncio.Protocol]:
    """Return HTTP/1.1 on connections that are closed if no request's head arrives on them in time."""

    class Patient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._seen = self.server_state.total_requests
            self._head = self.loop.call_later(seconds, self._too_late)

        def _too_late(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head.cancel()
            super().connection_lost(exc)

    return Patient
