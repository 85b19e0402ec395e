"""Numbers in as few bits as they need, readable at any index: how a model keeps its tokens and offsets.

KenLM's trie packs its records so too (Heafield 2011, section 3.2); here each field is a column of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mynah.ngram.columns import Column

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
_WORD = 64


def bits_for(largest: int) -> int:
    """Return how many bits hold every number from 0 to `largest`."""
    return max(1, largest.bit_length())


@dataclass(frozen=True)
class PackedInts:
    """`length` unsigned integers of `bits` bits each, laid end to end in words of 64, low bits first."""

    #: (W,) uint64; a word more than the numbers need, so that two neighbours can always be read
    words: Words
    bits: int
    length: int

    @classmethod
    def pack(cls, values: npt.ArrayLike, largest: int) -> PackedInts:
        """Pack integers from 0 to `largest`, (M,)."""
        packer = Packer(Column(np.uint64), bits_for(largest))
        packer.append(np.asarray(values, np.uint64))
        return packer.finish()

    def __len__(self) -> int:
        return self.length

    def one(self, index: int) -> int:
        """Return the number at an index."""
        word, shift = divmod(index * self.bits, _WORD)
        both = int(self.words[word]) | int(self.words[word + 1]) << _WORD
        return both >> shift & (1 << self.bits) - 1

    def range(self, start: int, stop: int) -> Ints:
        """Return the numbers from `start` to `stop`, int64."""
        return self.at(np.arange(start, stop))

    def at(self, indices: npt.ArrayLike) -> Ints:
        """Return the numbers at indices, int64."""
        bit = np.asarray(indices, np.uint64) * np.uint64(self.bits)
        word, shift = (bit >> np.uint64(6)).astype(np.int64), bit & np.uint64(63)
        # A shift by 64 is undefined: the upper part is shifted by one, and then by what is left.
        upper = (self.words[word + 1] << np.uint64(1)) << (np.uint64(63) - shift)
        mask = np.uint64((1 << self.bits) - 1)
        return (((self.words[word] >> shift) | upper) & mask).astype(np.int64)


class Packer:
    """Packs numbers as they come.

    Args:
        column: of uint64; gets the words.
        bits: of a number, at most 33.
    """

    def __init__(self, column: Column, bits: int) -> None:
        self.column, self.bits = column, bits
        self.length = 0
        self._waiting = np.empty(0, np.uint64)

    def append(self, values: npt.NDArray[np.unsignedinteger]) -> None:
        """Take numbers, (M,) of any unsigned dtype."""
        self.length += len(values)
        joined = np.concatenate([self._waiting, values.astype(np.uint64)])
        whole = len(joined) // _WORD * _WORD
        self._waiting = joined[whole:]
        if whole:
            self.column.append(_pack(joined[:whole], self.bits))

    def finish(self) -> PackedInts:
        """Return all that came."""
        if len(self._waiting):
            rest = np.zeros(_WORD, np.uint64)
            rest[: len(self._waiting)] = self._waiting
            used = -(-len(self._waiting) * self.bits // _WORD)
            self.column.append(_pack(rest, self.bits)[:used])
        self.column.append(np.zeros(1, np.uint64))
        return PackedInts(self.column.map(), self.bits, self.length)


def _pack(values: Words, bits: int) -> Words:
    """Pack a multiple of 64 numbers: 64 of them fill `bits` words."""
    groups = values.reshape(-1, _WORD)
    words = np.zeros((len(groups), bits), np.uint64)
    for n in range(_WORD):
        word, shift = divmod(n * bits, _WORD)
        words[:, word] |= groups[:, n] << np.uint64(shift)
        if shift + bits > _WORD:
            words[:, word + 1] |= groups[:, n] >> np.uint64(_WORD - shift)
    return words.reshape(-1)
