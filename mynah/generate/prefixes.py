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
        # By the number of its adapter, then its tokens: what other adapters have computed is of no use.
        self._kept: OrderedDict[tuple[int, ...], KeptRow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, row: KeptRow) -> None:
        """Keep a row; those that are beginnings of it are no longer needed."""
        if row.n_bytes > self.most_bytes or len(row.tokens) < LEAST:
            return
        key = (row.adapter, *row.tokens)
        for other in [other for other in self._kept if other == key[: len(other)]]:
            self._drop(other)
        self._kept[key] = row
        self.n_bytes += row.n_bytes
        while self.n_bytes > self.most_bytes:
            self._drop(next(iter(self._kept)))

    def find(self, prompt: Sequence[int], adapter: int = 0) -> tuple[KeptRow | None, int]:
        """Return the row that begins with the most of a prompt, and how many tokens; None, 0 where it is too little."""
        best, length, wanted = None, LEAST, (adapter, *prompt)
        for key in self._kept:
            # Slices are compared far quicker than tokens one by one.
            if key[: length + 1] == wanted[: length + 1] and (common := shared(key, wanted)) > length:
                best, length = key, common
        if best is None:
            return None, 0
        self._kept.move_to_end(best)
        return self._kept[best], length - 1

    def _drop(self, key: tuple[int, ...]) -> None:
        self.n_bytes -= self._kept.pop(key).n_bytes


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
