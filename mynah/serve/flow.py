"""From the worker's thread to a client: tokens as text, stop texts never in part, given up when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from mynah.errors import ConfigError
from mynah.generate.beam import BeamRequest, Hypothesis, beam_steps
from mynah.generate.chat import Until
from mynah.generate.engine import Request, bytes_a_token, room_for
from mynah.generate.lane import ROW_BYTES, Ended, Ticket
from mynah.generate.sampling import Drawn
from mynah.generate.scheduler import Busy, Scheduler, Stopped
from mynah.generate.settings import BeamConfig
from mynah.serve.errors import ApiError
from mynah.serve.served import Served


@dataclass(frozen=True)
class Piece:
    """Some more of a choice."""

    choice: int
    text: str
    #: the tokens that have come since the last piece
    tokens: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Finish:
    """The end of a choice."""

    choice: int
    reason: Literal["stop", "length"]
    prompt_tokens: int
    tokens: int
    #: of the prompt, those that were known from before
    reused: int
    #: tokens that were guessed ahead, and those of them that came
    drafted: int = 0
    accepted: int = 0


class _Choice:
    """A choice that is being made."""

    def __init__(self, served: Served, request: Request, number: int, continues: bool) -> None:
        from tokenizers.decoders import DecodeStream

        self.number, self.request, self._backend = number, request, served.tokenizer.backend
        self._stream = DecodeStream(list(request.prompt) if continues else [], skip_special_tokens=True)
        self._shown = Until(request.config.stop)
        self._pending: list[Drawn] = []
        self.count = 0
        self.ticket: Ticket | None = None

    @property
    def stopped(self) -> bool:
        """Whether a text that ends it has come."""
        return self._shown.stopped

    def piece(self, drawn: Drawn) -> Piece | None:
        """Take a token; return what can be shown now."""
        self.count += 1
        self._pending.append(drawn)
        text = self._shown.feed(self._stream.step(self._backend, drawn.token) or "")
        return self._give(text) if text or self._shown.stopped else None

    def rest(self) -> Piece | None:
        """Return what has waited, at its end."""
        text = self._shown.rest()
        return self._give(text) if text or self._pending else None

    def _give(self, text: str) -> Piece:
        tokens, self._pending = tuple(self._pending), []
        return Piece(self.number, text, tokens)

    def finish(self, reason: Literal["stop", "length"]) -> Finish:
        """Return its end."""
        assert self.ticket is not None
        guesses = self.ticket.guesses
        return Finish(
            self.number,
            reason,
            len(self.request.prompt),
            self.count,
            self.ticket.reused,
            guesses.drafted,
            min(guesses.accepted, self.count),  # not those behind a text that ended it
        )


async def spoken(
    scheduler: Scheduler, served: Served, requests: Sequence[Request], *, continues: bool
) -> AsyncIterator[Piece | Finish]:
    """Yield what follows prompts, as it comes: pieces of all choices, and a `Finish` of each.

    Args:
        scheduler: decodes.
        served: whose words they are.
        requests: one for each choice.
        continues: whether they go on with the prompt's own text; some tokenizers drop a space at a text's beginning.

    Raises:
        ApiError: if a prompt does not fit, too much waits, or decoding fails.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[tuple[int, Drawn | Ended]] = asyncio.Queue()
    choices = [_Choice(served, request, number, continues) for number, request in enumerate(requests)]

    def told(number: int, event: Drawn | Ended) -> None:
        loop.call_soon_threadsafe(events.put_nowait, (number, event))

    try:
        for choice in choices:
            choice.ticket = submitted(scheduler, served, choice.request, partial(told, choice.number))
        left = len(choices)
        while left:
            number, event = await events.get()
            choice = choices[number]
            if isinstance(event, Drawn):
                if choice.stopped:
                    continue
                if (piece := choice.piece(event)) is not None:
                    yield piece
                if choice.stopped:
                    assert choice.ticket is not None
                    choice.ticket.cancel()
                    left -= 1
                    yield choice.finish("stop")
            elif choice.stopped:
                continue
            elif event.reason in ("stop", "length"):
                if (piece := choice.rest()) is not None:
                    yield piece
                left -= 1
                yield choice.finish("stop" if event.reason == "stop" else "length")
            elif event.reason == "cancelled":
                raise ApiError("the service stops", 503, "stopping", retry_after=10)
            else:
                raise ApiError(f"no reply could be made: {event.error}", 500, "generation_failed")
    finally:
        for choice in choices:
            if choice.ticket is not None:
                choice.ticket.cancel()


async def sought(
    scheduler: Scheduler,
    served: Served,
    requests: Sequence[Sequence[Request]],
    config: BeamConfig,
    *,
    continues: bool,
) -> AsyncIterator[Piece | Finish]:
    """Yield the likeliest texts that follow prompts, each whole, by beam search.

    Args:
        scheduler: decodes, a token of all at a time.
        served: whose words they are.
        requests: of each prompt one for each choice; `config.width` at most.
        config: how they are sought.
        continues: as `spoken`.

    Raises:
        ApiError: if a prompt does not fit, too much waits, or decoding fails.
    """
    number = 0
    for of_prompt in requests:
        first = of_prompt[0]
        try:
            room = room_for(served.model, first)
            length = len(first.prompt) + room
            if config.width * length * bytes_a_token(served.model) > ROW_BYTES:
                raise ConfigError(f"{config.width} beams of {length} tokens take more memory than they may")
            asked = BeamRequest(first.prompt, room, first.stop, first.forbid)
            steps = beam_steps(served.model, [asked], config)
            [found] = await asyncio.wrap_future(scheduler.steps(steps))
        except ConfigError as error:
            raise ApiError(str(error), 400, "context_length_exceeded") from None
        except (Busy, Stopped) as error:
            raise too_busy(error) from None
        except Exception as error:
            raise ApiError(f"no reply could be made: {error}", 500, "generation_failed") from None
        for place, request in enumerate(of_prompt):
            choice = _Choice(served, request, number, continues)
            best = found[min(place, len(found) - 1)] if found else Hypothesis()
            for token in best.tokens:
                if (piece := choice.piece(Drawn(token))) is not None:
                    yield piece
                if choice.stopped:
                    break
            if (piece := choice.rest()) is not None:
                yield piece
            reason: Literal["stop", "length"] = "length" if len(best.tokens) == room else "stop"
            yield Finish(number, "stop" if choice.stopped else reason, len(first.prompt), choice.count, 0)
            number += 1


def submitted(scheduler: Scheduler, served: Served, request: Request, told: partial[None]) -> Ticket:
    """Submit a request, errors as a client is told them."""
    try:
        model, adapter = served.beside or (served.model, 0)
        return scheduler.submit(model, request, told, adapter)
    except ConfigError as error:
        raise ApiError(str(error), 400, "context_length_exceeded") from None
    except (Busy, Stopped) as error:
        raise too_busy(error) from None


def too_busy(error: Busy | Stopped) -> ApiError:
    """Return what a client is told."""
    return ApiError(str(error), 503, "busy" if isinstance(error, Busy) else "stopping", retry_after=5)


@dataclass
class Usage:
    """What a request has taken."""

    prompts: dict[int, int] = field(default_factory=dict)
    reused: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0

    def add(self, prompt: int, finish: Finish) -> None:
        """Count a choice to a prompt; a prompt counts once, however many choices follow it."""
        self.prompts[prompt] = finish.prompt_tokens
        self.reused = max(self.reused, finish.reused)
        self.tokens += finish.tokens
        self.drafted += finish.drafted
        self.accepted += finish.accepted

    def to_json(self) -> dict[str, object]:
        """Return it as the interface has it."""
        asked = sum(self.prompts.values())
        return {
            "prompt_tokens": asked,
            "completion_tokens": self.tokens,
            "total_tokens": asked + self.tokens,
            "prompt_tokens_details": {"cached_tokens": min(self.reused, asked)},
            "completion_tokens_details": {
                "accepted_prediction_tokens": self.accepted,
                "rejected_prediction_tokens": self.drafted - self.accepted,
            },
        }
