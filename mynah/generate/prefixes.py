"""What was read of earlier prompts, so that the next one that begins alike does not read it again.

A shared system prompt, the exchanges of a log that stand before a question, and the growing history of one conversation
are all beginnings of this kind (Zheng et al. 2024, "SGLang", section 3).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from mynah.generate.state import DecodingState, KeptRow

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

    def put_into(self, state: DecodingState, prompt: Sequence[int]) -> int:
        """Add a row to a state that holds as much of a prompt's beginning as is known; return how many tokens.

        Args:
            state: without rows; nothing is added where too little is known.
            prompt: of any length.
        """
        best, length, wanted = None, LEAST - 1, tuple(prompt)
        for tokens in self._kept:
            # Slices are compared far quicker than tokens one by one.
            if tokens[: length + 1] == wanted[: length + 1] and (shared := _shared(tokens, wanted)) > length:
                best, length = tokens, shared
        if best is None:
            return 0
        self._kept.move_to_end(best)
        state.restore(self._kept[best], length)
        return length

    def _drop(self, tokens: tuple[int, ...]) -> None:
        self.n_bytes -= self._kept.pop(tokens).n_bytes


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return how many tokens two beginnings share."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
