"""Runs of tokens that a text holds: what of another text is copied from it, and which token would copy on.

N tokens of the text, n tokens of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Of a rolling hash modulo 2^64: odd, so that every token of a run counts.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Runs:
    """All runs of n tokens of a text, by their hashes: two different ones are taken for equal once in 2^64.

    Args:
        tokens: (N,) ids, records end to end; a run that crosses from one into the next is no harm.
        length: n, at least 2.
    """

    def __init__(self, tokens: npt.NDArray[np.integer], length: int) -> None:
        self.length = length
        begins = (
            _hashes(np.asarray(tokens), length - 1)[:-1] if len(tokens) >= length else np.zeros(0, np.uint64)
        )
        after = np.asarray(tokens)[length - 1 :].astype(np.int64)
        order = np.lexsort((after, begins))
        # (N - n + 1,) each: what a run begins with, n - 1 tokens of it, and its last one
        self._begins, self._last = begins[order], after[order]

    def copies(self, seen: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the tokens with which the end of a text would become a run of n that the text holds.

        Args:
            seen: the text so far.
        """
        if len(seen) < self.length - 1:
            return np.zeros(0, np.int64)
        key = _hashes(np.asarray(seen[-(self.length - 1) :]), self.length - 1)[0]
        first, last = np.searchsorted(self._begins, key, "left"), np.searchsorted(self._begins, key, "right")
        return np.unique(self._last[first:last])

    def copied(self, tokens: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return which tokens stand in a run of n that the text holds, (T,)."""
        found = np.zeros(len(tokens), np.bool_)
        for end in range(self.length, len(tokens) + 1):
            if tokens[end - 1] in self.copies(tokens[: end - 1]):
                found[end - self.length : end] = True
        return found


def _hashes(tokens: npt.NDArray[np.integer], length: int) -> npt.NDArray[np.uint64]:
    """Return the hash of each run of so many neighbouring tokens, (N - length + 1,)."""
    count = len(tokens) - length + 1
    found = np.zeros(max(0, count), np.uint64)
    if count <= 0:
        return found
    wide = tokens.astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        for at in range(length):
            found = (found ^ wide[at : at + count]) * _FACTOR
            found ^= found >> np.uint64(29)
    return found
