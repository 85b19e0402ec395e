"""Many requests to a few models at once, from any thread: they join and leave between two steps of one worker.

One thread computes for all, so that nothing waits for another thread's locks and what a request gets does not depend on
timing (but for rounding in fewer bits than float32, which hangs on how many rows are computed at once). In turn it
reads a piece of a waiting prompt, or several short ones, takes one decoding step of all running rows (both are a
lane's), and does one other piece of work that it was handed (continuous batching with chunked prefill: Yu et al. 2022,
"Orca"; Agrawal et al. 2023, "Sarathi").
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from mynah.errors import MynahError
from mynah.generate.engine import CACHE_BYTES, Request, room_for
from mynah.generate.lane import Ended, Lane, Ticket
from mynah.generate.prefixes import Prefixes
from mynah.generate.sampling import Drawn
from mynah.model.transformer import Transformer

#: Requests and other pieces of work that may wait; rows of a model that are decoded at once.
MOST_WAITING, MOST_ROWS = 128, 64

_STOPS = "this service is about to stop"
Made = TypeVar("Made")


class Busy(MynahError):
    """As much waits as may wait: ask again later."""


class Stopped(MynahError):
    """The worker has been told to stop."""


@dataclass(frozen=True)
class Load:
    """What a scheduler has to do just now."""

    running: int
    waiting: int
    #: bytes of what is kept of earlier prompts
    kept_bytes: int


class Scheduler:
    """The worker, and the way to it from other threads.

    Args:
        most_waiting: requests and other pieces of work that may wait; then `Busy` is raised.
        rows: of a model that are decoded at once, at most; fewer where `lane.ROW_BYTES` hold no more.
        kept_bytes: of each model, for what is kept of prompts, to go on from.
    """

    def __init__(
        self, most_waiting: int = MOST_WAITING, rows: int = MOST_ROWS, kept_bytes: int = CACHE_BYTES
    ) -> None:
        self.most_waiting, self._rows, self._kept_bytes = most_waiting, rows, kept_bytes
        self._lanes: dict[int, Lane] = {}
        self._work: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        # Longer work is done one after another: what it keeps in memory between pieces is there once.
        self._longer: deque[tuple[Generator[None, None, Any], Future[Any]]] = deque()
        self._under_way: tuple[Generator[None, None, Any], Future[Any]] | None = None
        self._incoming: deque[tuple[Transformer, Ticket]] = deque()
        self._lock = threading.Condition()
        self._stopping = self._gives_up = False
        self._thread = threading.Thread(target=self._run, name="mynah-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        model: Transformer,
        request: Request,
        told: Callable[[Drawn | Ended], None],
        adapter: int = 0,
    ) -> Ticket:
        """Have a prompt gone on from.

        Args:
            model: in evaluation mode.
            request: what is asked.
            told: is told each token and, last, `Ended`, by the worker's thread: it must not wait for anything.
            adapter: which of several adapters computes it (`multi_lora`); their rows are decoded together.

        Raises:
            ConfigError: if the prompt is empty or leaves no room in the context.
            Busy: if too much waits.
            Stopped: after `stop`.
        """
        with self._lock:
            self._check()  # before anything is made for it
        room = room_for(model, request)
        ticket = Ticket(request, told, request.sampler(model.device), request.speculation(), room, adapter)
        with self._lock:
            self._check()
            self._incoming.append((model, ticket))
            self._lock.notify()
        return ticket

    def call(self, work: Callable[[], Made]) -> Future[Made]:
        """Have something else computed, in one piece, between two steps; cancelling the future takes it out.

        Raises:
            Busy: if too much waits.
            Stopped: after `stop`.
        """
        return self._queued(self._work, work)

    def steps(self, work: Generator[None, None, Made]) -> Future[Made]:
        """Have something longer computed piece by piece, up to where it yields, between steps of the others.

        Of such work one is begun when the last is done.

        Cancelling the future gives it up before its next piece.

        Raises:
            Busy: if too much waits.
            Stopped: after `stop`.
        """
        return self._queued(self._longer, work)

    def _queued(self, queue: deque[Any], work: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            self._check()
            queue.append((work, future))
            self._lock.notify()
        return future

    def load(self) -> Load:
        """Return what there is to do."""
        with self._lock:
            lanes = list(self._lanes.values())
            reading = sum(len(lane.reading[0]) for lane in lanes if lane.reading is not None)
            running = sum(len(lane.running) for lane in lanes) + reading + (self._under_way is not None)
            return Load(running, self._waiting(), sum(lane.prefixes.n_bytes for lane in lanes))

    def stop(self, seconds: float = 0.0) -> None:
        """Take nothing more, finish what is under way for so long, give the rest up, and wait for the worker."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join(seconds)
        with self._lock:
            self._gives_up = True
            for lane in self._lanes.values():
                for ticket in [*lane.waiting, *lane.running, *(lane.reading[0] if lane.reading else [])]:
                    ticket.cancel()
            for _, ticket in self._incoming:
                ticket.cancel()
            for _, future in (*self._work, *self._longer):
                if future.set_running_or_notify_cancel():
                    future.set_exception(Stopped(_STOPS))
            self._work.clear()
            self._longer.clear()
        self._thread.join()

    def _check(self) -> None:
        if self._stopping:
            raise Stopped(_STOPS)
        if (waiting := self._waiting()) >= self.most_waiting:
            raise Busy(f"{waiting} requests wait already; ask again later")

    def _waiting(self) -> int:
        in_lanes = sum(len(lane.waiting) for lane in self._lanes.values())
        return in_lanes + len(self._incoming) + len(self._work) + len(self._longer)

    def _run(self) -> None:
        while self._take():
            for lane in list(self._lanes.values()):
                if lane.busy:
                    try:
                        lane.step()
                    except Exception as error:  # whatever it is, the others must not wait for ever
                        lane.fail(error)
            with self._lock:
                work, future = self._work.popleft() if self._work else (None, None)
            if work is not None and future is not None and future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:
                    future.set_exception(error)
            self._do_a_piece()

    def _do_a_piece(self) -> None:
        """Do a piece of the longer work that is under way, or begin with the next."""
        with self._lock:
            if self._under_way is None and self._longer:
                self._under_way = self._longer.popleft()
            if self._under_way is None:
                return
            work, future = self._under_way
        error: Exception | None = None
        made, done = None, future.cancelled()
        try:
            if not done:
                next(work)
        except StopIteration as stopped:
            made, done = stopped.value, True
        except Exception as raised:
            error, done = raised, True
        with self._lock:
            if not done and not self._gives_up:
                return
            self._under_way = None
        if not done:
            error = Stopped(_STOPS)
        work.close()
        if future.set_running_or_notify_cancel():
            future.set_exception(error) if error is not None else future.set_result(made)

    def _take(self) -> bool:
        """Wait for something to do; return whether there is, or will be."""
        with self._lock:
            while not (
                self._incoming
                or self._work
                or self._longer
                or self._under_way
                or any(lane.busy for lane in self._lanes.values())
            ):
                if self._stopping:
                    return False
                self._lock.wait()
            while self._incoming:
                model, ticket = self._incoming.popleft()
                if id(model) not in self._lanes:
                    self._lanes[id(model)] = Lane(model, self._rows, Prefixes(self._kept_bytes))
                self._lanes[id(model)].waiting.append(ticket)
            return True
