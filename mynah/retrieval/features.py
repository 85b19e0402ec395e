"""What a text is compared by: runs of characters, hashed, so that there is no vocabulary and any script will do.

Runs of two to four characters within a word of scripts with spaces (a word's ends count as a character each), of one
and two of scripts without. They forgive spelling and inflection, and where words end need not be known. All texts are
taken apart at once, as one array of code points.

N texts, L characters of all of them, F features.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: A feature is one of so many numbers.
N_FEATURES = 1 << 20
#: Lengths of a run, of scripts with and without spaces between words.
SPACED, UNSPACED = (2, 3, 4), (1, 2)
#: Code points of scripts without spaces (or whose syllables are written as one character): Thai to Myanmar, kana, Han,
#: Hangul.
_UNSPACED = (
    *((0x0E00, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),
    *((0x3400, 0x9FFF), (0xAC00, 0xD7AF), (0x20000, 0x323AF)),
)
_NO_WORD = re.compile(r"[\W_]+")
_SPACE = 32
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """How often each feature stands in each text: sparse, text by text, features of each in order."""

    #: (M,) int64, numbers of texts
    texts: Numbers
    #: (M,) int64
    features: Numbers
    #: (M,) int64
    counts: Numbers


def count_features(texts: Sequence[str]) -> Counts:
    """Return how often each feature stands in each of N texts."""
    points, owners = _code_points(texts)
    unspaced = np.zeros(len(points), np.bool_)
    for first, last in _UNSPACED:
        unspaced |= (points >= first) & (points <= last)
    points, owners, unspaced = _apart(points, owners, unspaced)
    keys = [
        found
        for sizes, mine in ((SPACED, ~unspaced), (UNSPACED, unspaced))
        for size in sizes
        if len(found := _runs(points, owners, mine, size))
    ]
    if not keys:
        return Counts(*(np.empty(0, np.int64) for _ in range(3)))
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    return Counts(found // N_FEATURES, found % N_FEATURES, counts.astype(np.int64))


def features_of(text: str) -> Numbers:
    """Return the distinct features of a text, (F,) int64, sorted."""
    return count_features([text]).features


def _code_points(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], Numbers]:
    """Return all texts, folded, as code points with one space between words and around each, and whose they are."""
    # One space before and after each word, punctuation left out: "a, b" and "a b" are the same.
    folded = [f" {_NO_WORD.sub(' ', _fold(text)).strip()} " for text in texts]
    lengths = np.fromiter(map(len, folded), np.int64, len(folded))
    # What cannot be written is no character that anybody searches for.
    points = np.frombuffer("".join(folded).encode("utf-32-le", "replace"), np.uint32)
    return points, np.repeat(np.arange(len(texts)), lengths)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _apart(
    points: npt.NDArray[np.uint32], owners: Numbers, unspaced: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint32], Numbers, npt.NDArray[np.bool_]]:
    """Put a space where one kind of script ends and the other begins, so that "A4纸" is a word and a character."""
    changes = (
        np.flatnonzero((unspaced[1:] != unspaced[:-1]) & (points[1:] != _SPACE) & (points[:-1] != _SPACE)) + 1
    )
    if not len(changes):
        return points, owners, unspaced
    return (
        np.insert(points, changes, np.uint32(_SPACE)),
        np.insert(owners, changes, owners[changes]),
        np.insert(unspaced, changes, False),
    )


def _runs(points: npt.NDArray[np.uint32], owners: Numbers, mine: npt.NDArray[np.bool_], size: int) -> Numbers:
    """Return text and feature, as one number, of every run of `size` characters of one kind within a word."""
    count = len(points) - size + 1
    if count <= 0:
        return np.empty(0, np.int64)
    space = points == _SPACE
    good = owners[:count] == owners[size - 1 :]
    if size == 2:
        good &= ~(space[:count] & space[1:])
    for offset in range(size):
        good &= mine[offset : offset + count]
        if 0 < offset < size - 1:
            good &= ~space[offset : offset + count]
    begins = np.flatnonzero(good)
    hashed = np.full(len(begins), size, np.uint64)
    for offset in range(size):
        hashed = (hashed ^ points[begins + offset]) * _MULTIPLIER
        hashed ^= hashed >> np.uint64(29)
    return owners[begins] * N_FEATURES + (hashed % np.uint64(N_FEATURES)).astype(np.int64)
