"""A text taken apart once for all rules that ask about it: words, lines, paragraphs."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property, lru_cache
from itertools import count, filterfalse

import numpy as np
import numpy.typing as npt

from mynah.data.preprocess import segmenter

_MIX, _MULTIPLY, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD), np.uint64(32)


class Measured:
    """One text and what rules count in it; each figure is worked out when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def chinese(self) -> bool:
        """Whether a third or more of its characters (white space aside) are Han."""
        if self.text.isascii():
            return False
        sample = self.text[:4000]
        solid = len(sample) - sample.count(" ") - sample.count("\n")
        codes = np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        han = int(np.count_nonzero((codes >= 0x3400) & (codes <= 0x9FFF)))  # twice as fast as a pattern
        return 3 * han >= solid > 0

    @cached_property
    def words(self) -> list[str]:
        """Its words with their punctuation as white space cuts them; in Chinese, as a segmenter does."""
        if self.chinese:
            return list(filterfalse(str.isspace, segmenter()(self.text)))
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """Its lines that are not blank, white space at both ends removed."""
        return [line for raw in self.text.splitlines() if (line := raw.strip())]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What blank lines cut it into."""
        return [part.strip() for part in re.split(r"\n\s*\n", self.text) if part.strip()]

    @cached_property
    def _numbered(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        """The different words, and (N,) int64: which of them each word is."""
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        ids = np.fromiter(map(numbers.__getitem__, self.words), dtype=np.int64, count=len(self.words))
        return list(numbers), ids

    @property
    def different(self) -> list[str]:
        """Its words, each once, in the order in which they come first."""
        return self._numbered[0]

    @cached_property
    def word_counts(self) -> npt.NDArray[np.int64]:
        """How often each of `different` stands in it."""
        return np.bincount(self._numbered[1], minlength=len(self.different))

    @cached_property
    def different_lengths(self) -> npt.NDArray[np.int64]:
        """The characters of each of `different`."""
        return np.fromiter(map(len, self.different), dtype=np.int64, count=len(self.different))

    @cached_property
    def word_lengths(self) -> npt.NDArray[np.int64]:
        """(N,) int64: characters of each word."""
        return self.different_lengths[self._numbered[1]]

    def ngrams(self, n: int) -> npt.NDArray[np.uint64]:
        """Return (N - n + 1,) uint64: a hash of each run of `n` words; empty if there are fewer."""
        while len(self._ngrams) <= n:
            size = len(self._ngrams)
            hashes, ids = self._ngrams[-1], self._numbered[1].astype(np.uint64)
            if len(ids) < size:
                self._ngrams.append(ids[:0])
                continue
            mixed = (hashes[: len(ids) - size + 1] ^ (ids[size - 1 :] + _MIX)) * _MULTIPLY
            self._ngrams.append(mixed ^ (mixed >> _SHIFT))
        return self._ngrams[n]

    @cached_property
    def _ngrams(self) -> list[npt.NDArray[np.uint64]]:
        return [np.zeros(len(self.words) + 1, dtype=np.uint64)]


@lru_cache(maxsize=1)
def measured(text: str) -> Measured:
    """Return a text taken apart; rules that ask about the same text one after the other share it."""
    return Measured(text)
