"""Words and their ids, as ARPA files have them: `<unk>` stands for every word that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mynah.ngram.marks import MARKS, UNK

if TYPE_CHECKING:
    from mynah.ngram.compiled_text import WordIndex

_LINE_END = ord("\n")


class _Numbers(dict[str, int]):
    """Gives a word that is not there the next number."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


class Vocabulary:
    """Words by id, in the order in which they came; the first three are `<unk>`, `<s>` and `</s>`.

    It is a dict, or, once much text was read by the compiled loops, their table; either is made of the other when it
    is asked for.

    Args:
        words: returns all words in UTF-8, these three first, a line end between two; called when one is first asked
            for, so that a model opens at once however many words it has.
    """

    def __init__(self, words: Callable[[], bytes] = "\n".join(MARKS).encode) -> None:
        self._stored = words
        self._made: _Numbers | None = None
        self._index: WordIndex | None = None
        self._list: list[str] = []

    @property
    def _ids(self) -> _Numbers:
        if self._made is None:
            if self._index is None:
                words = _text(self._stored()).split("\n")
            else:
                flat, begins = self._index.words()
                whole = flat.tobytes()
                words = [_text(whole[begin:end]) for begin, end in pairwise(begins.tolist())]
            self._made = _Numbers({word: number for number, word in enumerate(words)})
        return self._made

    @property
    def indexed(self) -> bool:
        """Whether the words are in a table of the compiled loops."""
        return self._index is not None

    def __len__(self) -> int:
        return len(self._ids if self._index is None else self._index)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __getitem__(self, number: int) -> str:
        if len(self._list) != len(self):
            self._list = list(self._ids)
        return self._list[number]

    def encode(self, words: Sequence[str], grow: bool) -> npt.NDArray[np.uint32]:
        """Return ids of words, (N,) uint32; a word that is not there gets one if `grow`, else that of `<unk>`."""
        ids = self._ids
        found = map(ids.__getitem__, words) if grow else map(ids.get, words, repeat(UNK))
        encoded = np.fromiter(found, np.uint32, len(words))
        if self._index is not None and len(self._index) != len(ids):
            self._index = None
        return encoded

    def read(self, data: bytes, grow: bool) -> npt.NDArray[np.uint32]:
        """Return the sentences of a text, by the compiled loops: see `WordIndex.read`, which raises `MarkInText`."""
        from mynah.ngram.compiled_text import WordIndex

        if self._index is None:
            self._index = WordIndex(*self.laid_out())
        before = len(self._index)
        try:
            return self._index.read(data, grow)
        finally:
            if len(self._index) != before:
                self._made = None

    def laid_out(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return all words in UTF-8 end to end, (bytes,) uint8, and where each begins, (V + 1,) int64."""
        if self._index is not None:
            return self._index.words()
        words = self._stored() if self._made is None else "\n".join(self).encode("utf-8", "surrogatepass")
        joined = np.frombuffer(words, np.uint8)
        ends = np.append(np.flatnonzero(joined == _LINE_END), len(joined))
        begins = np.zeros(len(ends) + 1, np.int64)
        begins[1:] = ends - np.arange(len(ends))
        return joined[joined != _LINE_END], begins

    def joined(self) -> npt.NDArray[np.uint8]:
        """Return all words in UTF-8 with a line end between two, (bytes,) uint8."""
        flat, begins = self.laid_out()
        return np.insert(flat, begins[1:-1], np.uint8(_LINE_END))


def _text(words: bytes) -> str:
    return words.decode("utf-8", "surrogatepass")
