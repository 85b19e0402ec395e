"""A text taken apart once for all rules that ask about it: words, lines, paragraphs."""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

_HAN = re.compile(r"[\u3400-\u9fff]")
#: Ends of sentences, in Latin and in Chinese script; a quotation mark may close one.
TERMINAL = tuple(".!?\"'”’…。！？」』”）)")
_SENTENCE = re.compile(r"[.!?…]+(?=[\s\"'”’)]|$)|[。！？]+")


@cache
def segmenter() -> Any:
    """Return the function that cuts Chinese into words (jieba's dictionary and algorithm)."""
    import rjieba

    return rjieba.cut


class Measured:
    """One text and what rules count in it; each figure is worked out when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def chinese(self) -> bool:
        """Whether a third or more of its characters (white space aside) are Han."""
        sample = self.text[:20_000]
        solid = len(sample) - sample.count(" ") - sample.count("\n")
        return 3 * len(_HAN.findall(sample)) >= solid > 0

    @cached_property
    def words(self) -> list[str]:
        """Its words with their punctuation as white space cuts them; in Chinese, as a segmenter does."""
        if self.chinese:
            return [word for word in segmenter()(self.text) if not word.isspace()]
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
    def sentences(self) -> int:
        """How many sentences end in it."""
        return len(_SENTENCE.findall(self.text))

    @cached_property
    def word_lengths(self) -> npt.NDArray[np.int64]:
        """(N,) int64: characters of each word."""
        return np.fromiter(map(len, self.words), dtype=np.int64, count=len(self.words))

    @cached_property
    def word_ids(self) -> npt.NDArray[np.uint64]:
        """(N,) uint64: equal words have equal numbers."""
        numbers: dict[str, int] = {}
        ids = (numbers.setdefault(word, len(numbers)) for word in self.words)
        return np.fromiter(ids, dtype=np.uint64, count=len(self.words))

    def ngrams(self, n: int) -> npt.NDArray[np.uint64]:
        """Return (N - n + 1,) uint64: a hash of each run of `n` words; empty if there are fewer."""
        ids = self.word_ids
        if len(ids) < n:
            return ids[:0]
        hashes = np.zeros(len(ids) - n + 1, dtype=np.uint64)
        for offset in range(n):
            hashes ^= ids[offset : len(ids) - n + 1 + offset] + np.uint64(0x9E3779B97F4A7C15)
            hashes *= np.uint64(0xFF51AFD7ED558CCD)
            hashes ^= hashes >> np.uint64(32)
        return hashes
