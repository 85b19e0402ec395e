"""Do two replies say the same? By their words and their numbers, so that another wording is not taken for a mistake.

Two replies agree if they are equal but for case and spaces, or if all numbers of one stand in the other and their runs
of characters are as much alike as those of paraphrases are (docs/log.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mynah.retrieval.features import count_features
from mynah.retrieval.index import hash_of

#: Cosine from which on two replies with the same numbers agree, of scripts with and without spaces between words.
ALIKE, ALIKE_UNSPACED = 0.36, 0.2
#: A time, a price, a date; not the number of an account that is spoken to, nor a part of a name.
NUMBER = re.compile(r"(?<![@A-Za-z0-9_])\d+(?:[.,:/]\d+)*")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class Agreement:
    """Compares replies; how much a run of characters says follows from how many replies of the log hold it.

    Args:
        idf: (F,) float32, of the log's index.
    """

    def __init__(self, idf: npt.NDArray[np.float32]) -> None:
        self._idf = idf
        self._seen: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = {}

    def __call__(self, one: str, other: str) -> bool:
        """Say whether two replies say the same."""
        if hash_of(one) == hash_of(other):
            return True
        first, second = numbers_of(one), numbers_of(other)
        # One may leave out what the other tells too, but neither may tell what the other denies.
        return (first <= second or second <= first) and self.alike(one, other)

    def alike(self, one: str, other: str) -> bool:
        """Say whether two replies are in like words, whatever their numbers."""
        return self.likeness(one, other) >= threshold(one)

    def likeness(self, one: str, other: str) -> float:
        """Return the cosine of two texts' runs of characters, 0 to 1."""
        (first, a), (second, b) = self._weights(one), self._weights(other)
        _, i, j = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        return float(a[i] @ b[j])

    def groups(self, replies: Sequence[str]) -> list[int]:
        """Return for each reply the index of the first that agrees with it."""
        found: list[int] = []
        for number, reply in enumerate(replies):
            same = (first for first in dict.fromkeys(found) if self(replies[first], reply))
            found.append(next(same, number))
        return found

    def _weights(self, text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        if text not in self._seen:
            counts = count_features([text])
            weights: npt.NDArray[np.float64] = (1 + np.log(counts.counts)) * self._idf[
                counts.features
            ].astype(np.float64)
            weights /= max(1e-9, float(np.linalg.norm(weights)))
            self._seen[text] = counts.features, weights
        return self._seen[text]


def threshold(text: str) -> float:
    """Return the cosine from which on a reply and another agree."""
    return ALIKE_UNSPACED if 2 * len(_UNSPACED.findall(text)) > len(text) / 2 else ALIKE


def numbers_of(text: str) -> frozenset[str]:
    """Return the numbers that stand in a text: times, prices, dates."""
    return frozenset(NUMBER.findall(text))
