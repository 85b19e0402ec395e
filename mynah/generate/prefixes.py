"""What was read of earlier prompts, so that the next one that begins alike does not read it again.

A shared system prompt, the exchanges of a log that stand before a question, and the growing history of one conversation
are all beginnings of this kind (Zheng et al. 2024, "SGLang", section 3).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from mynah.generate.state import KeptRow

#: Shorter beginnings are read again: copying them costs about as much.
LEAST = 8


class Prefixes:
    """Rows that were read, the least recently used of which go first.

    Args:
        most_bytes: of keys and values that are kept.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.n_bytes = most_bytes, 0
        self._kept: OrderedDict[tuple[int, ...], KeptRow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, row: KeptRow) -> None:
        """Keep a row; those that are beginnings of it are no longer needed."""
        if row.n_bytes > self.most_bytes or len(row.tokens) < LEAST:
            return
        for tokens in [tokens for tokens in self._kept if tokens == row.tokens[: len(tokens)]]:
            self._drop(tokens)
        self._kept[row.tokens] = row
        self.n_bytes += row.n_bytes
        while self.n_bytes > self.most_bytes:
            self._drop(next(iter(self._kept)))

    def find(self, prompt: Sequence[int]) -> tuple[KeptRow | None, int]:
        """Return the row that begins with the most of a prompt, and how many tokens; None, 0 where it is too little."""
        best, length, wanted = None, LEAST - 1, tuple(prompt)
        for tokens in self._kept:
            # Slices are compared far quicker than tokens one by one.
            if tokens[: length + 1] == wanted[: length + 1] and (common := shared(tokens, wanted)) > length:
                best, length = tokens, common
        if best is None:
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best], length

    def _drop(self, tokens: tuple[int, ...]) -> None:
        self.n_bytes -= self._kept.pop(tokens).n_bytes


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two beginnings share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
