"""How the probability of what was never seen is found: Kneser-Ney, and the plainer ways that it is compared with.

Each takes the counts of all that follows a context and says what share each of these tokens has by itself (`own`),
and with what weight the context passes on to the shorter one. An interpolated method adds the weighted lower order
to what was seen, too; the others use it for unseen tokens only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mynah.ngram.config import NGramConfig

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
#: Where the closed form of the discounts says nothing (KenLM's --discount_fallback has the same).
FALLBACK = (0.5, 1.0, 1.5)


class Smoothing(Protocol):
    """One way to estimate."""

    #: whether lower orders count different left neighbours instead of occurrences
    adjusted: bool
    #: whether the lower order adds to what was seen, too
    interpolated: bool
    #: whether the lower order is the uniform distribution, and not the context without its oldest token
    uniform: bool

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Look at how many n-grams of an order have a count of 1, 2, 3 and 4; called before `share` for each order."""

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """Return (M,) what each n-gram has by itself, and (C,) the weight of the lower order after each context.

        Args:
            counts: (M,) float64; those of one context lie together.
            starts: (C,) int64: where each context begins; each has n-grams, though perhaps none with a count.
            vocab_size: tokens that can follow.
        """


@dataclass
class KneserNey:
    """Interpolated modified Kneser-Ney (Chen & Goodman 1998, section 3).

        own = (c - D(c)) / c(h.)        weight = (D1 N1(h.) + D2 N2(h.) + D3+ N3+(h.)) / c(h.)

    with N_k(h.) the number of tokens that follow h with a count of k.
    """

    adjusted = interpolated = True
    uniform = False
    #: D1, D2, D3+ of each order that was prepared
    discounts: list[tuple[float, float, float]] = field(default_factory=list)
    #: the orders for which the closed form is undefined or out of range
    fell_back: list[int] = field(default_factory=list)

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Find the discounts of an order."""
        found = discounts_of(counts_of_counts)
        if found is None:
            self.fell_back.append(order)
        self.discounts.append(found or FALLBACK)

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """See `Smoothing.share`."""
        discount = np.array([0.0, *self.discounts[-1]])
        taken = discount[np.minimum(counts, 3).astype(np.intp)]
        total, freed = np.add.reduceat(counts, starts), np.add.reduceat(taken, starts)
        seen = total > 0
        total[~seen] = 1.0
        return (counts - taken) / _repeat(total, starts, len(counts)), np.where(seen, freed / total, 1.0)


def discounts_of(counts_of_counts: Sequence[int]) -> tuple[float, float, float] | None:
    """Return D1, D2, D3+ (Chen & Goodman 1998, equation 26), or None where they are undefined or out of range.

    With n_k the number of n-grams whose count is k and Y = n1 / (n1 + 2 n2), D_k = k - (k + 1) Y n_(k+1) / n_k.
    """
    n1, n2, n3, n4 = map(float, counts_of_counts)
    if not (n1 > 0 and n2 > 0 and n3 > 0):
        return None
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if all(0 <= d <= k for k, d in enumerate(found, start=1)) else None


@dataclass
class WittenBell:
    """Witten & Bell 1991, method C, interpolated: as many unseen events as there were first ones.

    own = c / (c(h.) + T(h))        weight = T(h) / (c(h.) + T(h))        T(h): different tokens after h
    """

    adjusted = uniform = False
    interpolated = True

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Nothing is needed."""

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """See `Smoothing.share`."""
        types = np.add.reduceat((counts > 0).astype(np.float64), starts)
        total = np.add.reduceat(counts, starts) + types
        seen = total > 0
        total[~seen] = 1.0
        return counts / _repeat(total, starts, len(counts)), np.where(seen, types / total, 1.0)


@dataclass
class AddK:
    """Lidstone: (c + k) / (c(h.) + k V), in every context by itself; k = 1 is Laplace's rule of succession."""

    k: float = 1.0
    adjusted = False
    interpolated = uniform = True

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Nothing is needed."""

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """See `Smoothing.share`."""
        added = self.k * vocab_size
        total = np.add.reduceat(counts, starts) + added
        return counts / _repeat(total, starts, len(counts)), added / total


@dataclass
class MaximumLikelihood:
    """c / c(h.): nothing for what was not seen after a context that was."""

    adjusted = interpolated = uniform = False

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Nothing is needed."""

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """See `Smoothing.share`."""
        return _relative(counts, starts, 0.0)


@dataclass
class StupidBackoff:
    """Brants et al. 2007: maximum likelihood, and where nothing was seen `alpha` times the shorter context's score.

    Scores, no probabilities: they sum to more than 1. A context that was never seen passes on at full weight, which
    changes no order among tokens.
    """

    alpha: float = 0.4
    adjusted = interpolated = uniform = False

    def prepare(self, order: int, counts_of_counts: Sequence[int]) -> None:
        """Nothing is needed."""

    def share(self, counts: Floats, starts: Places, vocab_size: int) -> tuple[Floats, Floats]:
        """See `Smoothing.share`."""
        return _relative(counts, starts, self.alpha)


def _relative(counts: Floats, starts: Places, weight: float) -> tuple[Floats, Floats]:
    """Return relative frequencies, and a weight for contexts with counts; 1 for those without."""
    total = np.add.reduceat(counts, starts)
    seen = total > 0
    total[~seen] = 1.0
    return counts / _repeat(total, starts, len(counts)), np.where(seen, weight, 1.0)


def _repeat(values: Floats, starts: Places, length: int) -> Floats:
    """Return the value of each n-gram's context, (length,)."""
    return np.repeat(values, np.diff(np.append(starts, length)))


def smoothing_of(config: NGramConfig) -> Smoothing:
    """Return the method that settings ask for."""
    match config.smoothing:
        case "kneser-ney":
            return KneserNey()
        case "witten-bell":
            return WittenBell()
        case "add-k":
            return AddK(config.k)
        case "maximum-likelihood":
            return MaximumLikelihood()
        case "stupid-backoff":
            return StupidBackoff(config.alpha)
