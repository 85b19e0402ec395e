"""The engine: token ids in, token ids out. It knows nothing of text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from mynah.errors import ConfigError
from mynah.generate.copies import Runs
from mynah.generate.drafts import PASS, Drafter, Speculation, draw_along
from mynah.generate.sampling import Constraint, Drawn, Sampler
from mynah.generate.settings import SamplingConfig
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer

#: Bytes that keys and values of all rows decoded at once may take, and rows at most.
CACHE_BYTES, MOST_ROWS = 1 << 28, 32


@dataclass(frozen=True)
class Request:
    """A prompt, and how it goes on."""

    prompt: Sequence[int]
    config: SamplingConfig
    #: ids that end it, and are not part of it
    stop: Collection[int] = ()
    #: ids that are never drawn
    forbid: Collection[int] = ()
    #: give log-probabilities, and those of so many of the likeliest tokens; None: give none
    likeliest: int | None = None
    #: a token that would copy a run of them is not drawn; None: any may be
    copies: Runs | None = None
    #: is added to the logits of these tokens
    bias: Mapping[int, float] | None = None
    #: makes what says which tokens may come, anew for each time that it is decoded; None: any may
    constraint: Callable[[], Constraint] | None = None
    #: makes what guesses how it goes on, which changes how fast it comes and not what comes; None: nothing is guessed
    drafters: Callable[[], Sequence[Drafter]] | None = None

    def speculation(self) -> Speculation:
        """Return what guesses its tokens."""
        return Speculation(self.drafters() if self.drafters is not None else ())

    def sampler(self, device: torch.device) -> Sampler:
        """Return what draws its tokens."""
        return Sampler(
            self.config,
            self.forbid,
            device=device,
            likeliest=self.likeliest,
            copies=self.copies,
            bias=self.bias,
            constraint=self.constraint() if self.constraint is not None else None,
        )


@dataclass
class _Running:
    """A request whose row is being decoded."""

    number: int
    request: Request
    sampler: Sampler
    #: tokens that may still come
    left: int


def decode(
    model: Transformer, requests: Iterable[Request], at_once: int | None = None
) -> Iterator[tuple[int, Drawn]]:
    """Decode many requests side by side: one that is done makes room for the next (continuous batching).

    Args:
        model: in evaluation mode.
        requests: any number; each is taken when there is room for it.
        at_once: rows at most; None: as many as `CACHE_BYTES` hold.

    Yields:
        The number of a request and its next token; the tokens of one come in order.

    Raises:
        ConfigError: if a prompt is empty or leaves no room in the context.
        GenerationError: if the model's logits are not numbers.
    """
    waiting = enumerate(requests)
    rows = at_once or rows_at_once(model)
    state, running = DecodingState(model), list[_Running]()
    logits = torch.empty(0, model.config.vocab_size)
    while True:
        taken = [_begin(model, number, request) for number, request in islice(waiting, rows - len(running))]
        if taken:
            fresh = state.add([row.request.prompt for row in taken])
            logits = torch.cat((logits, fresh)) if running else fresh
            running += taken
        if not running:
            return
        going, drawn = [], []
        for index, row in enumerate(running):
            token = row.sampler.draw(logits[index], state.tokens[index])
            if token.token in row.request.stop:
                continue
            row.left -= 1
            if row.left:
                going.append(index)
                drawn.append([token.token])
            yield row.number, token
        running = [running[index] for index in going]
        state.keep(going)
        logits = state.append(drawn) if going else logits[:0]


def _begin(model: Transformer, number: int, request: Request) -> _Running:
    return _Running(number, request, request.sampler(model.device), room_for(model, request))


def room_for(model: Transformer, request: Request) -> int:
    """Return how many tokens may follow a prompt.

    Raises:
        ConfigError: if it is empty or leaves no room in the context.
    """
    T, context = len(request.prompt), model.config.context_length
    if not 0 < T < context:
        raise ConfigError(f"the prompt has {T} tokens, expected 1 to {context - 1} (context {context})")
    return min(request.config.max_tokens, context - T)


def rows_at_once(model: Transformer, length: int | None = None) -> int:
    """Return how many rows of so many tokens, of a full context if not given, may be decoded at once."""
    length = length or model.config.context_length
    return max(1, min(MOST_ROWS, CACHE_BYTES // (bytes_a_token(model) * length)))


def bytes_a_token(model: Transformer) -> int:
    """Return what the keys and values of a token take."""
    config = model.config
    return 2 * config.n_layer * config.n_kv_head * config.head_dim * model.dtype.itemsize


def generate(model: Transformer, request: Request, state: DecodingState | None = None) -> Iterator[Drawn]:
    """Yield the tokens that follow a prompt, one by one, until a stop token, the limit or the end of the context.

    The stop token that was drawn is not yielded.

    Args:
        model: in evaluation mode.
        request: what to go on from.
        state: of an earlier prompt, of which this one may be the continuation: what they share is not read again.

    Raises:
        ConfigError, GenerationError: as `decode`.
    """
    running, guesses = _begin(model, 0, request), request.speculation()
    state = state if state is not None else DecodingState(model)
    logits, draft = state.go_on(request.prompt), list[int]()
    while True:
        tokens = state.tokens[0]
        agreed = draw_along(running.sampler, logits, tokens, draft, request.stop, running.left)
        guesses.fared(len(draft), agreed.accepted)
        state.truncate(0, len(tokens) - len(draft) + agreed.accepted)
        running.left -= len(agreed.drawn)
        yield from agreed.drawn
        if agreed.error is not None:
            raise agreed.error
        if agreed.stopped or not running.left:
            return
        last = agreed.drawn[-1].token
        draft = guesses.draft([*state.tokens[0], last], min(PASS, running.left) - 1)
        [logits] = state.read([[last, *draft]])


def generate_all(
    model: Transformer, requests: Sequence[Request], at_once: int | None = None
) -> list[list[int]]:
    """Return what follows each of many prompts, decoded side by side.

    Raises:
        ConfigError, GenerationError: as `decode`.
    """
    results: list[list[int]] = [[] for _ in requests]
    # None of them may grow longer: the context of an open base is far longer than a reply ever gets.
    longest = max((len(request.prompt) + room_for(model, request) for request in requests), default=None)
    for number, drawn in decode(model, requests, at_once or rows_at_once(model, longest)):
        results[number].append(drawn.token)
    return results
