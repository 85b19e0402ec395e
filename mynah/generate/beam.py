"""Beam search: what is likeliest to follow a prompt as a whole, and if asked, with given phrases in it.

Sutskever et al. 2014, section 3.2; the length penalty is that of Wu et al. 2016, section 7; phrases are obeyed by
dynamic beam allocation (Post & Vilar 2018): hypotheses that have said as many tokens of them compete with each other
alone, so that those which say them are not crowded out by those which leave them out.

V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mynah.errors import ConfigError, GenerationError
from mynah.generate.engine import rows_at_once
from mynah.generate.settings import BeamConfig
from mynah.generate.state import CHUNK, DecodingState
from mynah.model.transformer import Transformer

#: Hypotheses decoded side by side at most, those of all prompts together.
MOST_ROWS = 128


@dataclass(frozen=True)
class BeamRequest:
    """A prompt, and what must be part of what follows it."""

    prompt: Sequence[int]
    #: tokens at most, what ends it left aside
    max_tokens: int
    #: ids that end it, and are not part of it
    stop: Collection[int] = ()
    #: ids that never follow
    forbid: Collection[int] = ()
    #: each a run of tokens that is said, in any order; none is empty
    phrases: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Hypothesis:
    """What may follow a prompt."""

    tokens: tuple[int, ...] = ()
    #: natural log-probability of the tokens, and of what ends them where it has ended
    log_prob: float = 0.0
    #: numbers of the phrases that are still to be said
    unsaid: tuple[int, ...] = ()
    #: of one of them, its number and how many tokens of it have just been said
    within: tuple[int, int] | None = None

    def score(self, alpha: float) -> float:
        """Return the log-probability over the length penalty, by which hypotheses of all lengths compare."""
        return self.log_prob / length_penalty(len(self.tokens), alpha)


def length_penalty(length: int, alpha: float) -> float:
    """Return ((5 + length) / 6) ^ alpha (Wu et al. 2016, equation 14)."""
    return float(((5 + length) / 6) ** alpha)


@dataclass
class _Search:
    """The search after one prompt."""

    number: int
    request: BeamRequest
    live: list[Hypothesis]
    done: list[Hypothesis] = field(default_factory=list)


def beam_search(
    model: Transformer,
    requests: Sequence[BeamRequest],
    config: BeamConfig,
    told: Callable[[float], None] | None = None,
) -> list[list[Hypothesis]]:
    """Return what follows each prompt, the best first, at most `config.width` each.

    Those of many prompts are sought side by side. Every one of them says all phrases of its request.

    Args:
        model: in evaluation mode.
        requests: what to go on from.
        config: how wide and by which penalty.
        told: is told what share is done, from 0 to 1.

    Raises:
        ConfigError: if a prompt is empty or leaves no room in the context, or phrases do not fit into what follows.
        GenerationError: if the model's logits are not numbers.
    """
    steps = beam_steps(model, requests, config, told)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: list[list[Hypothesis]] = done.value
            return found


def beam_steps(
    model: Transformer,
    requests: Sequence[BeamRequest],
    config: BeamConfig,
    told: Callable[[float], None] | None = None,
) -> Generator[None, None, list[list[Hypothesis]]]:
    """Do the same a token at a time: yield after each, and return what was found."""
    found: list[list[Hypothesis]] = [[] for _ in requests]
    longest = max((len(r.prompt) + r.max_tokens for r in requests), default=1)
    for request in requests:
        _check(model, request)
    rows = min(MOST_ROWS, 4 * rows_at_once(model, min(longest, model.config.context_length)))
    at_once = max(1, rows // max((_width(request, config) for request in requests), default=1))
    # Of about one length together: they end at about the same time.
    order = sorted(range(len(requests)), key=lambda n: len(requests[n].prompt))
    for first in range(0, len(order), at_once):
        for search in _together(model, [(n, requests[n]) for n in order[first : first + at_once]], config):
            if search is None:
                yield
                continue
            ranked = sorted(search.done, key=lambda one: -one.score(config.length_penalty))
            found[search.number] = ranked[: config.width]
        if told is not None:
            told(min(1.0, (first + at_once) / len(order)))
    return found


def _check(model: Transformer, request: BeamRequest) -> None:
    T, context = len(request.prompt), model.config.context_length
    if not 0 < T < context:
        raise ConfigError(f"the prompt has {T} tokens, expected 1 to {context - 1} (context {context})")
    needed = sum(map(len, request.phrases))
    if needed > min(request.max_tokens, context - T):
        raise ConfigError(
            f"the phrases that are asked for take {needed} tokens, more than there is room for after the prompt"
        )


@torch.inference_mode()
def _together(
    model: Transformer, requests: Sequence[tuple[int, BeamRequest]], config: BeamConfig
) -> Iterator[_Search | None]:
    """Search after a few prompts side by side; yield each when it is done, and None after each token."""
    state = DecodingState(model)
    if len(requests) == 1:  # the others wait for no more than a piece of a long prompt
        prompt = requests[0][1].prompt
        logits = state.add([prompt[:CHUNK]])
        for begin in range(CHUNK, len(prompt), CHUNK):
            yield None
            logits = state.append([prompt[begin : begin + CHUNK]])
    else:
        logits = state.add([request.prompt for _, request in requests])
    running = [
        _Search(number, request, [Hypothesis(unsaid=tuple(range(len(request.phrases))))])
        for number, request in requests
    ]
    while running:
        log_probs = _log_probs(logits)
        begin, kept, appended, still = 0, [], [], []
        for search in running:
            rows = log_probs[begin : begin + len(search.live)]
            parents = _advance(search, rows, config, model.config.context_length)
            if search.live:
                still.append(search)
                kept += [begin + parent for parent in parents]
                appended += [[one.tokens[-1]] for one in search.live]
            else:
                yield search
            begin += len(rows)
        running = still
        if running:
            state.keep(kept)
            logits = state.append(appended)
            yield None


def _log_probs(logits: Tensor) -> Tensor:
    if not torch.isfinite(logits.max()):
        raise GenerationError(
            "the model's logits are not numbers: nothing can follow; its weights are damaged, or its training went "
            "wrong"
        )
    return logits.log_softmax(dim=-1)


@dataclass(frozen=True)
class _Candidate:
    """A hypothesis with one token more."""

    parent: int
    token: int
    next: Hypothesis
    #: tokens of phrases that it has said
    met: int


def _is_over(search: _Search, config: BeamConfig, width: int, longest: int) -> bool:
    """Whether what has ended is enough: as many as live; with phrases, none that lives may become better either.

    Those that hurry to say all phrases end first, and badly. A log-probability only falls, and at best the penalty of
    the longest divides it.
    """
    if len(search.done) < width:
        return False
    if not search.request.phrases or not search.live:
        return True
    alpha = config.length_penalty
    best = max(one.score(alpha) for one in search.done)
    return best >= max(one.log_prob for one in search.live) / length_penalty(longest, alpha)


def _width(request: BeamRequest, config: BeamConfig) -> int:
    """Return how many hypotheses live: with phrases two for each count of their tokens, or those that wait are lost."""
    phrases = sum(map(len, request.phrases))
    return max(config.width, 2 * (phrases + 1)) if phrases else config.width


def _advance(search: _Search, log_probs: Tensor, config: BeamConfig, context_length: int) -> list[int]:
    """Take the best hypotheses one token further; those that end are done. Return the parent of each that lives.

    Args:
        search: is changed; when it is over, nothing lives any more.
        log_probs: (H, V) after each of its live hypotheses.
        config: how many live.
        context_length: of the model.
    """
    request, width = search.request, _width(search.request, config)
    length = len(search.live[0].tokens)
    room = min(request.max_tokens, context_length - len(request.prompt)) - length
    if room == 0:
        # What does not end in time has not paid for an end: it stands in only where nothing has ended.
        search.done = search.done or [one for one in search.live if not one.unsaid]
        search.live = []
        return []
    candidates = _candidates(search, log_probs, room, 2 * width)
    going: list[_Candidate] = []
    ranks: Counter[int] = Counter()
    for candidate in candidates:  # the likeliest first
        rank = ranks[candidate.met]
        ranks[candidate.met] += 1
        if candidate.token not in request.stop:
            going.append(candidate)
        elif rank < width:  # an end that would not have been kept is none
            search.done.append(candidate.next)
    chosen = going[:width] if not request.phrases else _spread(going, width)
    search.live = [candidate.next for candidate in chosen]
    if _is_over(search, config, width, length + room):
        search.live = []
    return [candidate.parent for candidate in chosen] if search.live else []


def _candidates(search: _Search, log_probs: Tensor, room: int, count: int) -> list[_Candidate]:
    """Return the likeliest continuations of all hypotheses, and those that phrases ask for, the likeliest first."""
    request = search.request
    if request.forbid:
        log_probs = log_probs.index_fill(
            1, torch.tensor(sorted(request.forbid), device=log_probs.device), float("-inf")
        )
    values, ids = log_probs.topk(min(count, log_probs.shape[1]))
    wanted = {(row, token) for row, one in enumerate(search.live) for token in _asked(one, request.phrases)}
    likely = {
        (row, token): value
        for row, (tokens, of) in enumerate(zip(ids.tolist(), values.tolist(), strict=True))
        for token, value in zip(tokens, of, strict=True)
    }
    likely |= {(row, token): float(log_probs[row, token]) for row, token in wanted}
    found = []
    for (row, token), value in likely.items():
        before = search.live[row]
        if token in request.stop:
            if not before.unsaid and value > float("-inf"):
                ended = Hypothesis(before.tokens, before.log_prob + value)
                found.append(_Candidate(row, token, ended, sum(map(len, request.phrases))))
            continue
        # What is left of the room is only just enough for the phrases: nothing else may follow.
        if value == float("-inf") or (
            _needed(before, request.phrases) >= room and (row, token) not in wanted
        ):
            continue
        after = _said(before, token, value, request.phrases)
        if _needed(after, request.phrases) < room:
            met = sum(map(len, request.phrases)) - _needed(after, request.phrases)
            found.append(_Candidate(row, token, after, met))
    found.sort(key=lambda candidate: -candidate.next.log_prob)
    return found


def _needed(one: Hypothesis, phrases: Sequence[Sequence[int]]) -> int:
    """Return how many tokens of phrases are still to be said."""
    return sum(len(phrases[n]) for n in one.unsaid) - (one.within[1] if one.within else 0)


def _asked(one: Hypothesis, phrases: Sequence[Sequence[int]]) -> set[int]:
    """Return the tokens that go on with a phrase, or begin one if none has begun."""
    if one.within is not None:
        number, said = one.within
        return {phrases[number][said]}
    return {phrases[number][0] for number in one.unsaid}


def _said(one: Hypothesis, token: int, value: float, phrases: Sequence[Sequence[int]]) -> Hypothesis:
    """Return a hypothesis with one token more."""
    tokens, log_prob = (*one.tokens, token), one.log_prob + value
    within = None
    if one.within is not None and phrases[one.within[0]][one.within[1]] == token:
        within = one.within[0], one.within[1] + 1
    else:
        begun = next((number for number in one.unsaid if phrases[number][0] == token), None)
        within = (begun, 1) if begun is not None else None
    unsaid = one.unsaid
    if within is not None and within[1] == len(phrases[within[0]]):
        unsaid = tuple(number for number in unsaid if number != within[0])
        within = None
    return Hypothesis(tokens, log_prob, unsaid, within)


def _spread(candidates: Sequence[_Candidate], width: int) -> list[_Candidate]:
    """Return as many candidates, the best of each count of said tokens in turn, those that have said most first."""
    banks: dict[int, list[_Candidate]] = {}
    for candidate in candidates:
        banks.setdefault(candidate.met, []).append(candidate)
    chosen: list[_Candidate] = []
    rank = 0
    while len(chosen) < width and any(len(bank) > rank for bank in banks.values()):
        chosen += [banks[met][rank] for met in sorted(banks, reverse=True) if len(banks[met]) > rank]
        rank += 1
    return chosen[:width]
