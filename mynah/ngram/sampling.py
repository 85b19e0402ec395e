"""Draw from n-gram models: the next token, and the next, until a sentence ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mynah.errors import ConfigError
from mynah.ngram.backoff import BackoffModel
from mynah.ngram.kernels import LN10

Floats = npt.NDArray[np.float64]
#: So many draws from a shorter context may fall on what the longer one has before that one is taken for all there is.
_MOST_REFUSED = 1000


@dataclass(frozen=True)
class Drawing:
    """How the next token is drawn.

    Raises:
        ConfigError: if a number is out of range.
    """

    #: 1 draws as the model says, 0 takes the most likely token each time
    temperature: float = 1.0
    #: draw among the k most likely, 0: all
    top_k: int = 0
    #: draw among the likeliest that hold this share
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ConfigError(f"temperature {self.temperature:g}: expected 0 or more")
        if self.top_k < 0:
            raise ConfigError(f"top-k {self.top_k}: expected 0 or more")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top-p {self.top_p:g}: expected more than 0, at most 1")

    @property
    def plain(self) -> bool:
        """Whether tokens are drawn just as the model says."""
        return self.temperature == 1 and self.top_k == 0 and self.top_p == 1

    def narrowed(self, probabilities: Floats) -> Floats:
        """Return a distribution, (V,), sharpened or flattened and cut; it sums to 1."""
        result = np.zeros_like(probabilities)
        if self.temperature < 1e-4:  # so near to the limit that the powers would all be 0
            result[int(np.argmax(probabilities))] = 1.0
            return result
        if 0 < self.top_k < len(probabilities):
            indices = np.argpartition(probabilities, -self.top_k)[-self.top_k :]
        else:
            indices = np.arange(len(probabilities))
        kept = probabilities[indices] / probabilities.max()
        if self.temperature != 1:
            kept = kept ** (1 / self.temperature)
        kept = kept / kept.sum()
        if self.top_p < 1:  # nucleus sampling (Holtzman et al. 2020): while the share before is below top_p
            order = np.argsort(-kept, kind="stable")
            before = np.cumsum(kept[order]) - kept[order]
            kept[order[before >= self.top_p]] = 0.0
        result[indices] = kept / kept.sum()
        return result


def sample(
    model: BackoffModel,
    context: Sequence[int],
    ends: Collection[int],
    max_tokens: int,
    rng: np.random.Generator,
    drawing: Drawing,
    proper: bool = True,
) -> list[int]:
    """Continue a context until one of `ends` is drawn, or by `max_tokens`; `proper`: what the model gives sums to 1."""
    # A walk down the orders does not touch the whole vocabulary; what it needs is a proper back-off model.
    walk = _Walk(model, rng) if drawing.plain and proper and not model.uniform else None
    top = _Top(model, drawing.top_k) if drawing.top_k and not model.uniform else None
    tokens, made = list(context), list[int]()
    rows = model.contexts(tokens)
    while len(made) < max_tokens:
        if walk is not None:
            token = walk.draw([(n, row) for n, row in enumerate(rows, start=1) if row is not None])
        else:
            if top is not None:
                indices, shares = top.of(rows)
            else:
                shares = model.distribution(tokens)
                indices = np.arange(len(shares))
            narrowed = drawing.narrowed(shares)
            drawn = int(np.searchsorted(np.cumsum(narrowed), rng.random(), side="right"))
            token = int(indices[min(drawn, len(indices) - 1)])
        if token in ends:
            break
        made.append(token)
        tokens.append(token)
        rows = model.advance(rows, token)
    return made


class _Top:
    """Finds the likeliest tokens without looking at the whole vocabulary: what follows the contexts, or is frequent."""

    def __init__(self, model: BackoffModel, count: int) -> None:
        self.model, self.count = model, count
        self.logs = model.tables[0].log_probs.range(0, model.vocab_size).astype(np.float64)
        self.frequent = np.argsort(-self.logs, kind="stable")

    def of(self, rows: list[int | None]) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return tokens that hold the likeliest after contexts, and the probabilities of them."""
        tokens: list[npt.NDArray[np.int64]] = []
        logs: list[Floats] = []
        beyond = 0.0  # what the longer contexts pass on
        for order, row in reversed(list(enumerate(rows, start=1))):
            if row is None:
                continue
            table = self.model.tables[order]
            low, high = table.children(row)
            tokens.append(table.tokens.range(low, high))
            logs.append(table.log_probs.range(low, high).astype(np.float64) + beyond)
            beyond += float(self.model.tables[order - 1].backoffs.range(row, row + 1)[0])
        # So many of the frequent ones that enough are left when those above are taken out.
        more = self.frequent[: self.count + sum(map(len, tokens))]
        every = np.concatenate([*tokens, more])
        # Of a token that stands here more than once the first, that after the longest context, counts.
        distinct, first = np.unique(every, return_index=True)
        return distinct, np.exp(LN10 * np.concatenate([*logs, self.logs[more] + beyond])[first])


class _Walk:
    """Draws as a back-off model says: among what follows the longest context, or else after the shorter one."""

    def __init__(self, model: BackoffModel, rng: np.random.Generator) -> None:
        self.model, self.rng = model, rng
        self.unigrams = np.cumsum(model.distribution(()))

    def draw(self, rows: list[tuple[int, int]]) -> int:
        """Return the next token after contexts, each the order and the id of one that is in the model."""
        if not rows:
            point = self.rng.random() * self.unigrams[-1]
            return min(int(np.searchsorted(self.unigrams, point, side="right")), len(self.unigrams) - 1)
        order, row = rows[-1]
        table = self.model.tables[order]
        low, high = table.children(row)
        if low == high:
            return self.draw(rows[:-1])
        shares = np.cumsum(np.exp(LN10 * table.log_probs.range(low, high).astype(np.float64)))
        passes_on = np.isfinite(self.model.tables[order - 1].backoffs.range(row, row + 1)[0])
        point = self.rng.random() * (1.0 if passes_on else shares[-1])
        if point >= shares[-1]:
            for _ in range(_MOST_REFUSED):
                token = self.draw(rows[:-1])
                if table.child(row, token) is None:
                    return token
            point = self.rng.random() * shares[-1]
        index = low + min(int(np.searchsorted(shares, point, side="right")), high - low - 1)
        return table.tokens.one(index)
