"""The classes of labelled texts: which there are, how even, and whether anything can be learned from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mynah.data.records import Labelled
from mynah.errors import DataError

Integers = npt.NDArray[np.int64]

#: With more classes than this, and fewer rows a class than that on average, a label is free text, not a class.
MOST_CLASSES, FEWEST_ROWS = 200, 4
#: A class with fewer rows cannot be learned and measured: its rows are left out.
LEAST_ROWS = 2
#: Names of classes for what belongs to none, folded to letters.
OUTSIDE = frozenset(
    "oos outofscope outofdomain ood outside none noneoftheabove noneofthese unknown fallback other others "
    "其他 其它 无 未知 范围外".split()
)


@dataclass(frozen=True)
class Labels:
    """The classes of a set of texts, the most frequent first."""

    names: tuple[str, ...]
    #: rows of each
    counts: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[Labelled]) -> Labels:
        """Count classes.

        Raises:
            DataError: if there are none, only one, or thousands that hardly repeat.
        """
        counted = Counter(row.label for row in rows)
        told = f"{len(rows):,} rows"
        if not counted:
            raise DataError(
                "no labelled text: expected rows of a text and its class; say --label-column NAME"
            )
        if len(counted) == 1:
            raise DataError(
                f"all {told} are of one class: expected two classes or more; is another column the label? "
                "(--label-column NAME)"
            )
        if len(counted) > MOST_CLASSES and len(rows) < FEWEST_ROWS * len(counted):
            raise DataError(
                f"{told} have {len(counted):,} labels that hardly repeat: that is text, not a class; "
                "say --label-column NAME, or --rows-are pairs to learn to write it"
            )
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return cls(tuple(name for name, _ in ordered), tuple(n for _, n in ordered))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def imbalance(self) -> float:
        """How many rows the largest class has for each of the smallest."""
        return self.counts[0] / self.counts[-1]

    @property
    def outside(self) -> str | None:
        """The class of what belongs to no other, if one is named so."""
        return next((name for name in self.names if _folded(name) in OUTSIDE), None)

    def numbers(self, rows: Sequence[Labelled]) -> Integers:
        """Return the number of each row's class, (N,); -1 for one that is not known."""
        known = {name: number for number, name in enumerate(self.names)}
        return np.array([known.get(row.label, -1) for row in rows], np.int64)

    def describe(self) -> str:
        """Say it in a line."""
        even = f", from {self.counts[0]:,} to {self.counts[-1]:,} rows each" if self.imbalance > 1 else ""
        return f"{len(self):,} classes{even}"


def _folded(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalpha())


def learnable(rows: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Return the rows whose class has at least `LEAST_ROWS` of them, and the others."""
    counted = Counter(row.label for row in rows)
    kept = [row for row in rows if counted[row.label] >= LEAST_ROWS]
    return kept, [row for row in rows if counted[row.label] < LEAST_ROWS]


def folds_of(numbers: Integers, count: int, seed: int) -> Integers:
    """Return the fold of each row, 0 to count - 1, the rows of each class spread over all of them evenly, (N,)."""
    draw = np.random.default_rng(seed)
    folds = np.empty(len(numbers), np.int64)
    start = 0
    for number in np.unique(numbers):
        mine = draw.permutation(np.flatnonzero(numbers == number))
        folds[mine] = (start + np.arange(len(mine))) % count
        start += len(mine)  # classes of a row or two do not all begin with fold 0
    return folds
