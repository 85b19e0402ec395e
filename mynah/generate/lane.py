"""What is asked of one model, and how it is done a step at a time: prompts are read, rows decoded, places taken anew.

A `Scheduler` has one lane for each model and is the only one to call it, from one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mynah.errors import MynahError
from mynah.generate.drafts import PASS, Speculation, draw_along
from mynah.generate.engine import Request, bytes_a_token
from mynah.generate.prefixes import LEAST, Prefixes, shared
from mynah.generate.sampling import Drawn, Sampler
from mynah.generate.state import CHUNK, DecodingState
from mynah.model.transformer import Transformer

#: Bytes that keys and values of the rows that are decoded at once may take.
ROW_BYTES = 1 << 30


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
    #: which of the model's adapters computes it
    adapter: int = 0
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
class Lane:
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
            prompt, adapter = self.waiting[0].request.prompt, self.waiting[0].adapter
            kept, known = self.prefixes.find(prompt[:-1], adapter)  # one token is read anyway, for its logits
            longest = max(longest, len(prompt) - known)
            if tickets and (
                not reads_together(self.model)
                or (len(tickets) + 1) * longest > CHUNK
                # What it has in common with one before it need not be read twice: it waits for that.
                or any(
                    one.adapter == adapter and shared(prompt, one.request.prompt) >= known + LEAST
                    for one in tickets
                )
            ):
                break
            ticket = self.waiting.popleft()
            tickets.append(ticket)
            self.reading = tickets, state
            ticket.reused = known
            state.begin_row(adapter) if kept is None else state.restore(kept, known)

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
