"""Which examples that a network has learned from are nearest to a text: in words, and in what they taught it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mynah.explain.trace import blocks_of
from mynah.model.transformer import IGNORE, Transformer

#: Blocks, the last ones, whose gradients are compared: those before cost as much and say little else.
_BLOCKS = 1


@dataclass(frozen=True)
class Nearest:
    """An example."""

    place: str
    text: str
    #: cosine of TF-IDF over runs of characters, 0 to 1
    words: float
    #: cosine of the gradients of both, -1 to 1: above 0, learning it made the text likelier
    gradient: float | None = None


def nearest_in_words(texts: Sequence[str], asked: str, count: int) -> list[tuple[int, float]]:
    """Return the numbers of the most similar texts and how similar they are, the nearest first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not texts or not asked.strip():
        return []
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    table = vectors.fit_transform([*texts, asked])
    likeness = (table[:-1] @ table[-1].T).toarray()[:, 0]
    best = likeness.argsort()[::-1][:count]
    return [(int(n), float(likeness[n])) for n in best]


def nearest_in_gradient(
    model: Transformer,
    asked: tuple[Sequence[int], int],
    examples: Sequence[tuple[Sequence[int], int]],
    told: Callable[[float], None] | None = None,
) -> list[float]:
    """Return how much learning each example has moved the network towards a text.

    The cosine of the gradients of both losses (Pruthi et al. 2020, "TracIn", at the last checkpoint; of unit length as
    Barshan et al. 2020 take them, or long examples are near everything).

    Args:
        model: in evaluation mode, its weights as they were trained.
        asked: tokens of the text, and from where on they count.
        examples: the same of each example.
        told: is told what share is done, from 0 to 1.
    """
    weights = _compared(model)
    before = [weight.requires_grad for weight in weights]
    for weight in weights:
        weight.requires_grad_(True)
    try:
        wanted = _gradient(model, weights, *asked)
        found = []
        for number, example in enumerate(examples):
            found.append(_cosine(wanted, _gradient(model, weights, *example)))
            if told is not None:
                told((number + 1) / len(examples))
        return found
    finally:
        for weight, asks in zip(weights, before, strict=True):
            weight.requires_grad_(asks)


def _compared(model: Transformer) -> list[nn.Parameter]:
    blocks = blocks_of(model)[-_BLOCKS:]
    return [parameter for block in blocks for parameter in block.parameters() if parameter.ndim == 2]


def _gradient(
    model: Transformer, weights: Sequence[nn.Parameter], tokens: Sequence[int], begin: int
) -> list[Tensor]:
    ids = torch.tensor([list(tokens)[: model.config.context_length]], device=model.device)
    targets = ids[:, 1:].clone()
    targets[:, : max(0, begin - 1)] = IGNORE
    prior: Any = None
    if model.prior is not None:
        known = torch.from_numpy(model.prior.log_probs(model.prior.contexts(ids[0].numpy())))

        def prior(positions: Tensor) -> Tensor:
            return known[positions]

    with torch.enable_grad():
        loss = model.loss(model(ids[:, :-1]), targets, prior)
        return list(torch.autograd.grad(loss, weights))


def _cosine(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    def product(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
        return float(sum((x.float() * y.float()).sum() for x, y in zip(a, b, strict=True)))

    length = (product(one, one) * product(other, other)) ** 0.5
    return product(one, other) / length if length > 0 else 0.0
