"""How likely a model finds texts after what stands before them; what texts have in common is read once.

B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens that are read in one pass.
AT_ONCE = 4096


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
    for some in _batches(after, texts):
        for (row, place), likely in _scored(
            model, some, [[texts[n] for n in after[before]] for before in some]
        ):
            found[after[some[row]][place]] = likely
        if told is not None:
            told(len(found) / len(pairs))
    return [found[n] for n in range(len(pairs))]


def _batches(
    after: dict[tuple[int, ...], list[int]], texts: Sequence[tuple[int, ...]]
) -> Iterator[list[tuple[int, ...]]]:
    """Yield what is read in one pass, of about one length, which needs little padding."""
    some: list[tuple[int, ...]] = []
    rows = longest = 0
    for before in sorted(after, key=len, reverse=True):
        texts_of = [texts[n] for n in after[before]]
        most = max(map(len, texts_of))
        if some and (
            (len(some) + 1) * len(some[0]) > AT_ONCE or (rows + len(texts_of)) * max(longest, most) > AT_ONCE
        ):
            yield some
            some, rows, longest = [], 0, 0
        some.append(before)
        rows, longest = rows + len(texts_of), max(longest, most)
    if some:
        yield some


def _scored(
    model: Transformer, befores: Sequence[tuple[int, ...]], texts: Sequence[Sequence[tuple[int, ...]]]
) -> Iterator[tuple[tuple[int, int], Likely]]:
    """Yield how likely each of the texts is after what stands before it, by the numbers of both."""
    state = DecodingState(model)
    logits = state.add(befores)  # (B, V), after the last token of each
    rows = [row for row, of in enumerate(texts) for _ in of]
    state.keep(rows)
    scores = iter(
        state.score(logits[torch.tensor(rows, device=logits.device)], [one for of in texts for one in of])
    )
    for row, of in enumerate(texts):
        for n, tokens in enumerate(of):
            log_probs, hits = next(scores)
            yield (row, n), Likely(float(log_probs.sum()), len(tokens), bool(hits.all()))
