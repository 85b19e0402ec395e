"""Words and their ids, as ARPA files have them: `<unk>` stands for every word that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
import numpy.typing as npt

UNK_WORD, BOS_WORD, EOS_WORD = "<unk>", "<s>", "</s>"
UNK, BOS, EOS = 0, 1, 2
MARKS = (UNK_WORD, BOS_WORD, EOS_WORD)


class _Numbers(dict[str, int]):
    """Gives a word that is not there the next number."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


class Vocabulary:
    """Words by id, in the order in which they came; the first three are `<unk>`, `<s>` and `</s>`.

    Args:
        words: returns all of them, these three first; called when one is first asked for, so that a model opens at
            once however many words it has.
    """

    def __init__(self, words: Callable[[], Iterable[str]] = lambda: MARKS) -> None:
        self._read = words
        self._made: _Numbers | None = None
        self._list: list[str] = []

    @property
    def _ids(self) -> _Numbers:
        if self._made is None:
            self._made = _Numbers({word: number for number, word in enumerate(self._read())})
        return self._made

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __getitem__(self, number: int) -> str:
        if len(self._list) != len(self._ids):
            self._list = list(self._ids)
        return self._list[number]

    def encode(self, words: Sequence[str], grow: bool) -> npt.NDArray[np.uint32]:
        """Return ids of words, (N,) uint32; a word that is not there gets one if `grow`, else that of `<unk>`."""
        ids = self._ids
        found = map(ids.__getitem__, words) if grow else map(ids.get, words, repeat(UNK))
        return np.fromiter(found, np.uint32, len(words))
