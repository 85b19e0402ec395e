"""How sure a figure is: intervals, and whether two models differ by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Signs drawn for a test, so many at a time.
DRAWN, AT_ONCE = 9_990, 999
#: A difference is told as one where chance would bring it less often than this.
SURE = 0.01


@dataclass(frozen=True)
class Interval:
    """Where a figure lies, with 95 % of certainty."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How two models differ on the same things."""

    #: the first less the second
    mean: float
    interval: Interval | None
    #: how often chance alone would bring so large a difference
    p: float

    @property
    def verdict(self) -> str:
        """What can be said of the first against the second, where less is better."""
        if self.p >= SURE:
            return "cannot be told apart"
        return f"{'better' if self.mean < 0 else 'worse'} with p < {SURE if self.p > 0.001 else 0.001}"


def share_interval(right: int, count: int) -> Interval:
    """Return where a share lies (Wilson 1927)."""
    from scipy.stats import binomtest

    found = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return Interval(float(found.low), float(found.high))


def ratio_interval(above: Sequence[float], below: Sequence[float], seed: int = 0) -> Interval | None:
    """Return where the ratio of two sums lies, such as bits by bytes, by drawing documents anew (Efron 1979).

    Args:
        above: of each document.
        below: of each document.
        seed: of the drawing.

    Returns:
        None of fewer than two documents, of which nothing is known.
    """
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if len(over) < 2:
        return None
    drawn = _drawn(len(over), seed)
    ratios = (drawn @ over) / np.maximum(1e-12, drawn @ under)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(float(low), float(high))


def paired(
    first: Sequence[float], second: Sequence[float], size: Sequence[float], seed: int = 0
) -> Difference:
    """Compare two models on the same documents: by how much, where that lies, and whether chance might bring it.

    The test turns the sign of each document's difference at random (Fisher 1935): were the two alike, that would change
    nothing.

    Args:
        first: of each document, such as its bits.
        second: the same of the other model.
        size: of each document, such as its bytes.
        seed: of what is drawn.
    """
    apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    total = max(1e-12, float(np.sum(size)))
    mean = float(apart.sum()) / total
    if len(apart) < 2 or not apart.any():
        return Difference(mean, None, 1.0)
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(0, DRAWN, AT_ONCE):
        signs = rng.integers(0, 2, (AT_ONCE, len(apart))) * 2 - 1
        as_far += int((np.abs(signs @ apart) >= abs(apart.sum()) - 1e-12).sum())
    return Difference(mean, ratio_interval(apart.tolist(), list(size), seed), (as_far + 1) / (DRAWN + 1))


def paired_right(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """Compare two models on the same questions by those that only one of them gets right (McNemar 1947, exact).

    The mean is of mistakes, so that less is better, as everywhere here.
    """
    from scipy.stats import binomtest

    one, other = np.asarray(first, bool), np.asarray(second, bool)
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    p = float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0
    mean = (only_other - only_one) / max(1, len(one))
    return Difference(mean, ratio_interval((other.astype(float) - one).tolist(), [1.0] * len(one)), p)


def _drawn(count: int, seed: int, times: int = 2_000) -> npt.NDArray[np.float64]:
    """Return how often each of so many documents is drawn, (times, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), times).astype(np.float64)
