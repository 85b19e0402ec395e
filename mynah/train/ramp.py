"""How many rows each step takes: a batch that grows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from mynah.train.config import TrainConfig


@dataclass(frozen=True)
class BatchRamp:
    """The rows of each step, numbered on from step to step.

    From `start` rows the batch grows to `full`, in proportion to the rows that were taken (Brown et al. 2020, appendix
    B: from 32,000 tokens, over the first 4 to 12 billion), always to a multiple of `start`, so that what divided the
    first batch divides the others.
    """

    full: int
    start: int
    #: rows in which it grows
    length: int

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """How many rows were taken after each step of the growth."""
        ends, seen = [], 0
        while seen < self.length:
            wanted = self.start + (self.full - self.start) * seen / self.length
            seen += int(wanted // self.start) * self.start
            ends.append(seen)
        return np.array(ends, np.int64)

    def before(self, step: int) -> int:
        """Return how many rows the steps before a step take."""
        grown = len(self._ends)
        if step > grown:
            return (int(self._ends[-1]) if grown else 0) + (step - grown) * self.full
        return int(self._ends[step - 1]) if step else 0

    def step_of(self, row: int) -> int:
        """Return the first step before which so many rows were taken, or more."""
        grown = int(self._ends[-1]) if len(self._ends) else 0
        if row > grown:
            return len(self._ends) + -(-(row - grown) // self.full)
        return int(np.searchsorted(self._ends, row)) + 1 if row > 0 else 0

    def rows_of(self, step: int) -> range:
        """Return the numbers of a step's rows."""
        return range(self.before(step), self.before(step + 1))


def ramp_of(config: TrainConfig) -> BatchRamp:
    """Return the rows of a run's steps."""
    start = config.batch_start or config.batch_size
    return batch_ramp(config.batch_size, start, config.batch_ramp_tokens // config.context_length)


@lru_cache(maxsize=8)
def batch_ramp(full: int, start: int | None = None, length: int = 0) -> BatchRamp:
    """Return a batch that grows, or does not: `full` rows from the first step on."""
    return BatchRamp(full, start or full, length)
