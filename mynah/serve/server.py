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
            http=_protocol(config.read_seconds, config.send_seconds),
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


def _protocol(read_seconds: float, send_seconds: float) -> type[asyncio.Protocol]:
    """Return HTTP/1.1 over connections that are closed when the head of a request does not arrive in time.

    Those on which what was sent is not taken in time are cut off.
    """

    class Patient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _full: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._timer, self._full):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            # Cut off, not closed: that would wait for what is never taken.
            self._full = self.loop.call_later(send_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            if self._full is not None:
                self._full.cancel()
            super().resume_writing()

        def _wait(self) -> None:
            self._timer = self.loop.call_later(read_seconds, self._look, self.cycle)

        def _look(self, before: object) -> None:
            """Close it if no request has come since the last look, and none is being answered."""
            idle = self.cycle is None or self.cycle.response_complete
            if not idle or self.cycle is not before:
                self._wait()
            elif not self.transport.is_closing():
                self.transport.close()
                self._timer = self.loop.call_later(send_seconds, self.transport.abort)

    return Patient
