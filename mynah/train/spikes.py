"""Which losses are spikes: far above the last ones, as after a step that went wrong."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

#: Losses that a new one is held against.
WINDOW = 64
#: How often in a row training goes back before it gives up.
MOST = 3
#: A loss counts as one only if it is so many nats above the mean, too: tiny models have tiny deviations.
LEAST = 0.5


def deviations(loss: float, recent: Sequence[float]) -> float:
    """Return by how many standard deviations a loss is above the mean of the last `WINDOW`; 0 before there are so many.

    Both in nats per token. A loss less than `LEAST` above the mean is 0 deviations above it.
    """
    if len(recent) < WINDOW:
        return 0.0
    mean = statistics.fmean(recent)
    above = loss - mean
    return above / max(1e-6, statistics.pstdev(recent, mean)) if above > LEAST else 0.0


def remembered(loss: float, recent: Sequence[float]) -> list[float]:
    """Return the last losses with one more."""
    return [*recent, loss][-WINDOW:]
