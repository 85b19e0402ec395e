"""Scores by document, so that a figure has an interval and two models can be compared on the same ones.

R documents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.evaluate.chance import Interval, ratio_interval
from mynah.evaluate.language_model import TokenScores
from mynah.tokenizer.dataset import TokenSet

#: Where a token stands in its document: up to which it counts to a part.
POSITIONS = (16, 64, 256, 1024)


@dataclass(frozen=True)
class DocumentScores:
    """What a model reaches on each of R documents."""

    #: (R,) bits that a model's code for the counted text takes
    bits: npt.NDArray[np.float64]
    #: (R,) of UTF-8 text; the same for every tokenizer
    bytes: npt.NDArray[np.int64]
    #: (R,) that were predicted
    tokens: npt.NDArray[np.int64]
    #: (R,) of them, those that were the likeliest, and among the five likeliest; None: not looked at
    first: npt.NDArray[np.int64]
    among: npt.NDArray[np.int64] | None
    #: by where tokens stand: bits, and how many
    by_position: tuple[tuple[float, int], ...]

    @property
    def bpb(self) -> float:
        """Bits a byte of all."""
        return float(self.bits.sum()) / max(1, int(self.bytes.sum()))

    @property
    def interval(self) -> Interval | None:
        """Where `bpb` lies."""
        return ratio_interval(self.bits.tolist(), self.bytes.tolist())

    @property
    def perplexity(self) -> float:
        """Of a token: to be compared between models of one tokenizer only."""
        return float(2 ** min(1000.0, float(self.bits.sum()) / max(1, int(self.tokens.sum()))))

    def of(self, which: Sequence[int]) -> tuple[float, int]:
        """Return bits a byte of some documents, and their bytes."""
        n_bytes = int(self.bytes[list(which)].sum())
        return float(self.bits[list(which)].sum()) / max(1, n_bytes), n_bytes

    def to_json(self) -> dict[str, Any]:
        """Return the figures of all documents together."""
        interval, tokens = self.interval, max(1, int(self.tokens.sum()))
        return {
            "documents": len(self.bits),
            "bytes": int(self.bytes.sum()),
            "tokens": int(self.tokens.sum()),
            "bpb": self.bpb,
            "interval": [interval.low, interval.high] if interval is not None else None,
            "perplexity": self.perplexity,
            "accuracy": int(self.first.sum()) / tokens,
            "accuracy_5": int(self.among.sum()) / tokens if self.among is not None else None,
            "bits_a_token_by_position": {
                name: bits / count
                for name, (bits, count) in zip(position_names(), self.by_position, strict=True)
                if count
            },
        }


def position_names() -> list[str]:
    """Return what the parts of `by_position` are called."""
    begins = (1, *(end + 1 for end in POSITIONS))
    return [f"{begin}-{end}" for begin, end in zip(begins, POSITIONS, strict=False)] + [f"{begins[-1]}-"]


def by_document(scores: TokenScores, data: TokenSet, *, replies_only: bool = False) -> DocumentScores:
    """Return the scores of each document; the first token of each is given, not predicted.

    Args:
        scores: of every token.
        data: the documents.
        replies_only: count what the assistant says alone.
    """
    counted = data.reply.copy() if replies_only else np.ones(len(data.tokens), np.bool_)
    counted[data.starts[:-1]] = False
    begins = data.starts[:-1]

    def sums(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.add.reduceat(np.where(counted, values, 0), begins) if len(begins) else np.zeros(0)

    bits = -scores.log_probs / math.log(2)
    lengths = np.diff(data.starts)
    where = np.arange(len(data.tokens)) - np.repeat(begins, lengths)
    part = np.searchsorted(POSITIONS, where)
    positions = []
    for number in range(len(POSITIONS) + 1):
        mine = counted & (part == number)
        positions.append((float(bits[mine].sum()), int(mine.sum())))
    return DocumentScores(
        sums(bits),
        data.n_bytes[:, int(replies_only)].astype(np.int64),
        sums(counted.astype(np.int64)),
        sums(scores.hits.astype(np.int64)),
        sums(scores.among.astype(np.int64)) if scores.among is not None else None,
        tuple(positions),
    )
