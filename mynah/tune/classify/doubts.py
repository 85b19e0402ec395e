"""Labels that look wrong: a model that has not seen the row is sure of another class (Northcutt et al. 2021).

A row is doubtful if the class that it is told to be of is less probable than what that class usually gets from rows of
its own, and another is more probable than what that one usually gets: "confident learning", section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.data.records import Labelled
from mynah.tune.classify.labels import Labels
from mynah.tune.classify.linear import Floats

#: The other class must have at least this probability, and this many times that of the label.
SURE, TIMES = 0.5, 5.0


@dataclass(frozen=True)
class Doubt:
    """A row whose label is doubted."""

    #: file and line
    place: str
    text: str
    label: str
    #: what it looks like, and how probable that is
    looks_like: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        """Return it for the report."""
        return asdict(self)


def doubts(
    rows: Sequence[Labelled], labels: Labels, asked: npt.NDArray[np.int64], said: Floats
) -> list[Doubt]:
    """Return the rows whose label looks wrong, the surest first.

    Args:
        rows: all of them.
        labels: their classes.
        asked: (M,) numbers of the rows that were asked about.
        said: (M, K) probabilities by models that had not seen them.
    """
    numbers = labels.numbers([rows[int(n)] for n in asked])
    own = said[np.arange(len(numbers)), numbers]
    usual = np.array([own[numbers == k].mean() if (numbers == k).any() else 1.0 for k in range(len(labels))])
    confident = np.where(said >= usual, said, 0.0)
    other = confident.argmax(axis=1)
    probability = said[np.arange(len(numbers)), other]
    doubted = (other != numbers) & (confident.max(axis=1) >= SURE) & (probability >= TIMES * own)
    found = [
        Doubt(
            rows[int(asked[n])].place,
            rows[int(asked[n])].text,
            labels.names[numbers[n]],
            labels.names[other[n]],
            float(probability[n]),
        )
        for n in np.flatnonzero(doubted)
    ]
    return sorted(found, key=lambda doubt: (-doubt.probability, doubt.place))
