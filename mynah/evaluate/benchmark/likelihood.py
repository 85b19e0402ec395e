"""How likely a model finds texts after what stands before them; what texts have in common is read once.

B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from mynah.generate.prefixes import shared
from mynah.generate.state import DecodingState, KeptRow
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens that are read in one pass, by the kind of device: more leave a CPU's caches.
AT_ONCE = {"cpu": 512, "cuda": 16_384}
#: What stands before texts may differ by so many tokens in one pass; then texts of about one length are together.
_ALIKE = 32
#: A common beginning of so many tokens is read once.
_COMMON = 16


@dataclass(frozen=True)
class Likely:
    """How likely a text is after what stands before it."""

    #: natural logarithm, summed over its tokens
    log_prob: float
    tokens: int
    #: whether each of its tokens was the likeliest one
    greedy: bool


def encode_pair(tokenizer: Tokenizer, context: str, text: str) -> tuple[list[int], list[int]]:
    """Return the tokens of what stands before a text, and those of the text, as they are when both are one text.

    Spaces at the end of what stands before belong to the text, as most tokenizers have a word begin with its space
    (EleutherAI's lm_eval does the same). Something always stands before it: at least what begins a text.
    """
    kept = context.rstrip()
    text = context[len(kept) :] + text
    if not kept:  # what begins a text may differ from what stands before one that is not empty
        return tokenizer.begin(""), tokenizer.encode(text)
    before, whole = tokenizer.begin(kept), tokenizer.begin(kept + text)
    return before, whole[len(before) :]


def log_likelihoods(
    model: Transformer,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    told: Callable[[float], None] | None = None,
) -> list[Likely]:
    """Return how likely the second of each pair is after the first.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        pairs: what stands before, and the text; what is too long for the context loses its beginning.
        told: is told what share is done, from 0 to 1.
    """
    encoded = [encode_pair(tokenizer, context, text) for context, text in pairs]
    return score_tokens(model, encoded, told)


@torch.inference_mode()
def score_tokens(
    model: Transformer,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    told: Callable[[float], None] | None = None,
) -> list[Likely]:
    """As `log_likelihoods`, of tokens."""
    found: dict[int, Likely] = {n: Likely(0.0, 0, True) for n, (_, text) in enumerate(pairs) if not text}
    after: dict[tuple[int, ...], list[int]] = {}
    for n, (before, text) in enumerate(pairs):
        if text:
            room = max(1, model.config.context_length - (len(text) - 1))
            after.setdefault(tuple(before[-room:]), []).append(n)
    texts = [tuple(text)[: model.config.context_length] for _, text in pairs]
    begin = _begin_of_all(model, list(after))
    for some in _batches(after, texts, AT_ONCE.get(model.device.type, 4096)):
        for (row, place), likely in _scored(
            model, some, [[texts[n] for n in after[before]] for before in some], begin
        ):
            found[after[some[row]][place]] = likely
        if told is not None:
            told(len(found) / len(pairs))
    return [found[n] for n in range(len(pairs))]


def _batches(
    after: dict[tuple[int, ...], list[int]], texts: Sequence[tuple[int, ...]], at_once: int
) -> Iterator[list[tuple[int, ...]]]:
    """Yield what is read in one pass, of about one length, which needs little padding."""
    longest = {before: max(len(texts[n]) for n in of) for before, of in after.items()}
    some: list[tuple[int, ...]] = []
    rows = length = text = 0  # of a batch: texts, the longest of what stands before, the longest text
    for before in sorted(after, key=lambda one: (-(len(one) // _ALIKE), -longest[one], -len(one))):
        now = rows + len(after[before]), max(length, len(before)), max(text, longest[before])
        if some and max((len(some) + 1) * now[1], now[0] * now[2]) > at_once:
            yield some
            some, now = [], (len(after[before]), len(before), longest[before])
        some.append(before)
        rows, length, text = now
    if some:
        yield some


def _begin_of_all(model: Transformer, befores: Sequence[tuple[int, ...]]) -> KeptRow | None:
    """Read what all texts begin with, such as worked examples; None: too little."""
    if len(befores) < 2:
        return None
    common = min(shared(befores[0], other) for other in befores)
    common = min(
        common, *(len(before) - 1 for before in befores)
    )  # of each one token is read, for its logits
    if common < _COMMON:
        return None
    state = DecodingState(model)
    state.add([befores[0][:common]])
    return state.copy(0)


def _scored(
    model: Transformer,
    befores: Sequence[tuple[int, ...]],
    texts: Sequence[Sequence[tuple[int, ...]]],
    begin: KeptRow | None,
) -> Iterator[tuple[tuple[int, int], Likely]]:
    """Yield how likely each of the texts is after what stands before it, by the numbers of both."""
    state = DecodingState(model)
    if begin is None:
        logits = state.add(befores)  # (B, V), after the last token of each
    else:
        known = len(begin.tokens)
        for _ in befores:
            state.restore(begin, known)
        logits = state.append([before[known:] for before in befores])
    rows = [row for row, of in enumerate(texts) for _ in of]
    state.keep(rows)
    scores = iter(
        state.score(logits[torch.tensor(rows, device=logits.device)], [one for of in texts for one in of])
    )
    for row, of in enumerate(texts):
        for n, tokens in enumerate(of):
            log_probs, hits = next(scores)
            yield (row, n), Likely(float(log_probs.sum()), len(tokens), bool(hits.all()))
