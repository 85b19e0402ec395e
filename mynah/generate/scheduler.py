"""Many requests to a few models at once, from any thread: they join and leave between two steps of one worker.

One thread computes for all, so that nothing waits for another thread's locks and what a request gets does not depend on
timing: in turn it reads a piece of one waiting prompt, takes one decoding step of all running rows, and does one other
piece of work that it was handed (continuous batching with chunked prefill: Yu et al. 2022, "Orca"; Agrawal et al. 2023,
"Sarathi").
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from mynah.errors import MynahError
from mynah.generate.drafts import PASS, Speculation, draw_along
from mynah.generate.engine import CACHE_BYTES, Request, bytes_a_token, room_for
from mynah.generate.prefixes import LEAST, Prefixes, shared
from mynah.generate.sampling import Drawn, Sampler
from mynah.generate.state import CHUNK, DecodingState
from mynah.model.transformer import Transformer

#: Requests and other pieces of work that may wait; rows of a model that are decoded at once, and bytes that their keys
#: and values may take.
MOST_WAITING, MOST_ROWS, ROW_BYTES = 128, 64, 1 << 30

_STOPS = "this service is about to stop"
Made = TypeVar("Made")


class Busy(MynahError):
    """As much waits as may wait: ask again later."""


class Stopped(MynahError):
    """The worker has been told to stop."""


@dataclass(frozen=True)
class Ended:
    """A request's last event."""

    #: stop: a stop token; length: as long as it may be; cancelled: nobody listens any more
    reason: Literal["stop", "length", "cancelled", "failed"]
    #: of its prompt, tokens that were known from an earlier request
    reused: int = 0
    #: what went wrong
    error: Exception | None = None


@dataclass
class Ticket:
    """A request under way."""

    request: Request
    #: is told each token and then how it ended, by the worker's thread: it must not wait for anything
    told: Callable[[Drawn | Ended], None]
    sampler: Sampler
    guesses: Speculation
    #: tokens that may still come
    left: int
    cancelled: bool = False
    reused: int = 0
    #: the guess that was read with its last token
    draft: list[int] = field(default_factory=list)

    def cancel(self) -> None:
        """Give it up: it is out before the next step."""
        self.cancelled = True

    def tell(self, event: Drawn | Ended) -> None:
        """Tell an event; who cannot listen any more is forgotten, and disturbs nobody else."""
        try:
            self.told(event)
        except Exception:
            self.cancelled = True

    def end(self, reason: Literal["stop", "length", "cancelled"]) -> None:
        """Tell that it has ended."""
        self.tell(Ended(reason, self.reused))


def reads_together(model: Transformer) -> bool:
    """Say whether several short prompts are read sooner in one pass: in float32 a CPU is busy with one alone.

    There one after the other is as quick, and gives the first its first token sooner (docs/log.md).
    """
    return model.dtype != torch.float32 or model.device.type != "cpu"


@dataclass
class _Lane:
    """What is asked of one model."""

    model: Transformer
    rows: int
    prefixes: Prefixes
    state: DecodingState = field(init=False)
    waiting: deque[Ticket] = field(default_factory=deque)
    #: what is decoded, in the order of the state's rows
    running: list[Ticket] = field(default_factory=list)
    #: of each row, (T, V) after its last token and each of the guess that was read with it
    logits: list[Tensor] = field(default_factory=list)
    #: whose prompts are being read, a long one or several short ones, and what was read of them
    reading: tuple[list[Ticket], DecodingState] | None = None

    def __post_init__(self) -> None:
        self.state = DecodingState(self.model)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.running or self.reading)

    def _fits(self, ticket: Ticket, beside: Sequence[Ticket] = ()) -> bool:
        """Whether there is room for a row more, beside those that are about to come: all are as long as the longest."""
        if not self.running and not beside:
            return True
        needs = [len(tokens) + one.left for tokens, one in zip(self.state.tokens, self.running, strict=True)]
        needs += [len(one.request.prompt) + one.left for one in (*beside, ticket)]
        return len(needs) <= self.rows and len(needs) * max(needs) * bytes_a_token(self.model) <= ROW_BYTES

    def step(self) -> None:
        """Read a piece of a prompt, and decode one token of each running row."""
        self._forget_cancelled()
        self._read()
        if self.running:
            self._decode()

    def _forget_cancelled(self) -> None:
        for ticket in [ticket for ticket in self.waiting if ticket.cancelled]:
            self.waiting.remove(ticket)
            ticket.end("cancelled")
        if self.reading is not None and all(ticket.cancelled for ticket in self.reading[0]):
            for ticket in self.reading[0]:
                ticket.end("cancelled")
            self.reading = None
        gone = {row for row, ticket in enumerate(self.running) if ticket.cancelled}
        for row in gone:
            self.running[row].end("cancelled")
        if gone:
            rows = closed_up(len(self.running), gone)
            self.running = [self.running[row] for row in rows]
            self.logits = [self.logits[row] for row in rows]
            self.state.keep(rows)
            if not rows:  # what memory many long rows took is given back
                self.state = DecodingState(self.model)

    def _begin(self) -> None:
        """Take the next prompt to be read, and short ones behind it that are read in the same pass."""
        # Whatever goes wrong from here on, it is either waiting, being read or running.
        tickets, state, longest = list[Ticket](), DecodingState(self.model), 0
        while self.waiting and self._fits(self.waiting[0], tickets):
            prompt = self.waiting[0].request.prompt
            kept, known = self.prefixes.find(prompt[:-1])  # one token is read in any case, for its logits
            longest = max(longest, len(prompt) - known)
            if tickets and (
                not reads_together(self.model)
                or (len(tickets) + 1) * longest > CHUNK
                # What it has in common with one before it need not be read twice: it waits for that.
                or any(shared(prompt, one.request.prompt) >= known + LEAST for one in tickets)
            ):
                break
            ticket = self.waiting.popleft()
            tickets.append(ticket)
            self.reading = tickets, state
            ticket.reused = known
            state.begin_row() if kept is None else state.restore(kept, known)

    def _read(self) -> None:
        """Read a piece of what is being read, or begin with the next."""
        if self.reading is None:
            self._begin()
            if self.reading is None:
                return
        tickets, state = self.reading
        whole = [ticket.request.prompt for ticket in tickets]
        try:
            logits = state.append(
                [prompt[known : known + CHUNK] for prompt, known in zip(whole, state.lengths, strict=True)]
            )
        except (MynahError, RuntimeError) as error:
            self.reading = None
            for ticket in tickets:
                ticket.tell(Ended("failed", ticket.reused, error))
            return
        if state.lengths != list(map(len, whole)):
            return
        for row, ticket in enumerate(tickets):
            kept = state.copy(row)
            self.prefixes.keep(kept)
            self.state.restore(kept, len(kept.tokens))
            self.logits.append(logits[row : row + 1])
            self.running.append(ticket)
        self.reading = None

    def _decode(self) -> None:
        drawn: dict[int, int] = {}
        for row, ticket in enumerate(self.running):
            tokens, draft = self.state.tokens[row], ticket.draft
            agreed = draw_along(
                ticket.sampler, self.logits[row], tokens, draft, ticket.request.stop, ticket.left
            )
            ticket.guesses.fared(len(draft), agreed.accepted)
            self.state.truncate(row, len(tokens) - len(draft) + agreed.accepted)
            ticket.left -= len(agreed.drawn)
            for token in agreed.drawn:
                ticket.tell(token)
            if agreed.error is not None:  # it is this row's alone
                ticket.tell(Ended("failed", ticket.reused, agreed.error))
            elif agreed.stopped or not ticket.left:
                self._done(row, ticket, "stop" if agreed.stopped else "length")
            else:
                drawn[row] = agreed.drawn[-1].token
        rows = closed_up(len(self.running), set(range(len(self.running))) - drawn.keys())
        self.running = [self.running[row] for row in rows]
        self.state.keep(rows)
        if rows:
            self.logits = self.state.read(self._guessed([drawn[row] for row in rows]))
        else:  # what memory many long rows took is given back
            self.state, self.logits = DecodingState(self.model), []

    def _guessed(self, last: list[int]) -> list[list[int]]:
        """Return the last token of each running row with a guess of what follows; what a pass reads has its limit."""
        most = PASS // len(last) - 1
        for ticket, tokens, token in zip(self.running, self.state.tokens, last, strict=True):
            room = min(most, ticket.left - 1)
            ticket.draft = ticket.guesses.draft([*tokens, token], room) if room > 0 else []
        return [[token, *ticket.draft] for ticket, token in zip(self.running, last, strict=True)]

    def _done(self, row: int, ticket: Ticket, reason: Literal["stop", "length"]) -> None:
        self.prefixes.keep(self.state.copy(row))  # the next turn of the conversation goes on from here
        ticket.end(reason)

    def fail(self, error: Exception) -> None:
        """End all that is under way, and begin anew."""
        reading = self.reading[0] if self.reading is not None else []
        under_way = {id(ticket): ticket for ticket in (*self.waiting, *self.running, *reading)}.values()
        self.waiting.clear()
        self.running, self.reading = [], None
        self.state, self.logits = DecodingState(self.model), []
        for ticket in under_way:
            ticket.tell(Ended("failed", ticket.reused, error))


def closed_up(count: int, gone: Collection[int]) -> list[int]:
    """Return rows without those that have gone, whose places the last ones take: few are moved."""
    rows = list(range(count))
    for place in sorted(gone, reverse=True):
        last = rows.pop()
        if place < len(rows):
            rows[place] = last
    return rows


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
        rows: of a model that are decoded at once, at most; fewer where `ROW_BYTES` hold no more.
        kept_bytes: of each model, for what is kept of prompts, to go on from.
    """

    def __init__(
        self, most_waiting: int = MOST_WAITING, rows: int = MOST_ROWS, kept_bytes: int = CACHE_BYTES
    ) -> None:
        self.most_waiting, self._rows, self._kept_bytes = most_waiting, rows, kept_bytes
        self._lanes: dict[int, _Lane] = {}
        self._work: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        # Longer work is done one after another: what it keeps in memory between pieces is there once.
        self._longer: deque[tuple[Generator[None, None, Any], Future[Any]]] = deque()
        self._under_way: tuple[Generator[None, None, Any], Future[Any]] | None = None
        self._incoming: deque[tuple[Transformer, Ticket]] = deque()
        self._lock = threading.Condition()
        self._stopping = self._gives_up = False
        self._thread = threading.Thread(target=self._run, name="mynah-engine", daemon=True)
        self._thread.start()

    def submit(self, model: Transformer, request: Request, told: Callable[[Drawn | Ended], None]) -> Ticket:
        """Have a prompt gone on from.

        Args:
            model: in evaluation mode.
            request: what is asked.
            told: is told each token and, last, `Ended`, by the worker's thread: it must not wait for anything.

        Raises:
            ConfigError: if the prompt is empty or leaves no room in the context.
            Busy: if too much waits.
            Stopped: after `stop`.
        """
        with self._lock:
            self._check()  # before anything is made for it
        room = room_for(model, request)
        ticket = Ticket(request, told, request.sampler(model.device), request.speculation(), room)
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
                    self._lanes[id(model)] = _Lane(model, self._rows, Prefixes(self._kept_bytes))
                self._lanes[id(model)].waiting.append(ticket)
            return True
