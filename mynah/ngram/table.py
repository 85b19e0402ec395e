"""What a model holds of one order, and the two forms of its logarithms: exact, or on a grid of 16 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.ngram.columns import let_go
from mynah.ngram.packed import PackedInts

Float32s = npt.NDArray[np.float32]
#: The code of what has no logarithm: a probability of 0.
_NEVER = 0
_CODES = 0xFFFF


@dataclass(frozen=True)
class Logs:
    """Logarithms to base 10, (M,): float32, or codes of 16 bits for equal steps between the least and the greatest.

    A code is off by half a step at most: 0.00008 where the logarithms reach from -10 to 0.
    """

    #: (M,) float32, or uint16 codes
    stored: npt.NDArray[Any]
    least: float = 0.0
    step: float = 0.0

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def exact(self) -> bool:
        """Whether these are the logarithms themselves."""
        return self.stored.dtype == np.float32

    def at(self, indices: npt.NDArray[np.integer] | slice) -> Float32s:
        """Return the logarithms at indices, float32."""
        found = self.stored[indices]
        if self.exact:
            return found
        values = (self.least + (found.astype(np.float64) - 1) * self.step).astype(np.float32)
        values[found == _NEVER] = -np.inf
        return values

    def range(self, start: int, stop: int) -> Float32s:
        """Return the logarithms from `start` to `stop`, float32."""
        return self.at(slice(start, stop))

    def rounded(self) -> Logs:
        """Return these in 16 bits each."""
        if not self.exact or not len(self.stored):
            return self
        least, greatest = np.inf, -np.inf
        for start in range(0, len(self), 1 << 20):
            piece = self.range(start, start + (1 << 20))
            least = min(least, float(piece.min(where=np.isfinite(piece), initial=np.inf)))
            greatest = max(greatest, float(piece.max(where=np.isfinite(piece), initial=-np.inf)))
        if least == np.inf:
            least = greatest = 0.0
        step = (greatest - least) / (_CODES - 1) or 1.0
        codes = np.empty(len(self), np.uint16)
        for start in range(0, len(self), 1 << 20):
            piece = self.range(start, start + (1 << 20)).astype(np.float64)
            finite = np.isfinite(piece)
            piece[~finite] = least
            codes[start : start + len(piece)] = np.where(finite, np.rint((piece - least) / step) + 1, _NEVER)
        return Logs(codes, least, step)


@dataclass(frozen=True)
class Table:
    """The n-grams of one order, M of them, sorted by context and among those of one context by last token."""

    #: (M,) the last token of each
    tokens: PackedInts
    #: (M,) log10 of its probability
    log_probs: Logs
    #: (M,) log10 of its back-off weight; empty at the highest order
    backoffs: Logs
    #: (contexts + 1,) where what follows each n-gram of the order below begins
    offsets: PackedInts

    def __len__(self) -> int:
        return len(self.tokens)

    def let_go(self) -> None:
        """Give back memory, if the table lies in a file: it is read again where it is asked for."""
        for array in (self.tokens.words, self.log_probs.stored, self.backoffs.stored, self.offsets.words):
            let_go(array)

    def children(self, context: int) -> tuple[int, int]:
        """Return from where to where the n-grams lie that follow a context."""
        return self.offsets.one(context), self.offsets.one(context + 1)

    def child(self, context: int, token: int) -> int | None:
        """Return the id of the n-gram that a token makes after a context, or None."""
        return find_child(self.offsets, self.tokens, context, token)


def find_child(offsets: PackedInts, tokens: PackedInts, context: int, token: int) -> int | None:
    """Return the index of a token among what follows a context, by bisection; None if it does not."""
    low, end = offsets.one(context), offsets.one(context + 1)
    high = end
    while low < high:
        middle = (low + high) // 2
        if tokens.one(middle) < token:
            low = middle + 1
        else:
            high = middle
    return low if low < end and tokens.one(low) == token else None
