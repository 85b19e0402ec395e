"""Words of a text and their ids in Numba: cut out of bytes and looked up in one pass, without a string for each.

The ids are those of `text.WordReader` without Numba; a test holds the two together.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from mynah.ngram.columns import Array
from mynah.ngram.marks import BOS, EOS, UNK

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
#: Places of the state of a pass: the next byte, words known, ids made, whether a sentence has begun.
_AT, _KNOWN, _MADE, _BEGUN = range(4)
#: How a pass ended.
_DONE, _FULL, _MARK = range(3)
#: A slot of the table: the first bytes of a word, and its length with its id plus one. So words of up to eight bytes,
#: which most are, are told apart without a look at their letters.
_HEAD, _WORD = range(2)
_LOW, _LENGTH = np.uint64(0xFFFFFFFF), np.uint64(32)
_EIGHT = np.uint64(8)


class MarkInText(Exception):
    """`<s>` or `</s>` stands in a text as a word."""


class WordIndex:
    """Words by id end to end, and a hash table of them by what they say.

    Args:
        flat: (bytes,) uint8, the words in UTF-8.
        begins: (V + 1,) int64: where each begins.
    """

    def __init__(self, flat: Bytes, begins: Ints) -> None:
        self._count = len(begins) - 1
        #: room for the words of a text is made before it is read
        self._flat, self._begins = flat, begins
        self._slots = np.empty((0, 2), np.uint64)
        self._widen()

    def __len__(self) -> int:
        return self._count

    def words(self) -> tuple[Bytes, Ints]:
        """Return all words end to end, (bytes,), and where each begins, (V + 1,)."""
        begins = self._begins[: self._count + 1]
        return self._flat[: begins[-1]], begins

    def read(self, data: bytes, grow: bool) -> npt.NDArray[np.uint32]:
        """Return the sentences of a text, uint32: for each line with words `<s>`, the words, `</s>`.

        Args:
            data: UTF-8.
            grow: whether words that are new get a number; else they are `<unk>`.

        Raises:
            MarkInText: if `<s>` or `</s>` is among the words.
        """
        # Arrays of bytes can only be read, for which everything would be compiled once more.
        text = np.frombuffer(data, np.uint8).copy()
        if grow:
            used = int(self._begins[self._count])
            if used + len(text) > len(self._flat):
                self._flat = _longer(self._flat, used, 2 * used + len(text))
        # At worst every second byte is a line of its own, of three ids.
        ids = np.empty(len(text) // 2 * 3 + 3, np.uint32)
        state = np.array([0, self._count, 0, 0])
        while True:
            ended = _read(text, grow, self._flat, self._begins, self._slots, ids, state)
            self._count = int(state[_KNOWN])
            if ended == _MARK:
                raise MarkInText
            if ended == _DONE:
                return ids[: state[_MADE]].copy()
            self._widen()

    def _widen(self) -> None:
        """Make a table with room for twice the words, and more."""
        slots = 1 << max(16, (3 * self._count).bit_length())
        self._begins = _longer(self._begins, self._count + 1, slots // 2 + 1)
        self._slots = np.zeros((slots, 2), np.uint64)
        _fill(self._flat, self._begins, self._count, self._slots)


def _kinds() -> Bytes:
    """Return for each byte whether it is white space, (256,): 0 no, 1 yes, 2 if the bytes after it say so."""
    kinds = np.zeros(256, np.uint8)
    kinds[[byte for byte in range(128) if chr(byte).isspace()]] = 1
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = _PERHAPS
    return kinds


_PERHAPS = 2
_KINDS = _kinds()


def _longer(array: Array, used: int, length: int) -> Array:
    longer = np.empty(length, array.dtype)
    longer[:used] = array[:used]
    return longer


@numba.njit(cache=True, nogil=True)
def _white(data, at):
    """Return how many bytes of white space, as Python has it, begin at an index of UTF-8; 0 for none."""
    first = data[at]
    if _KINDS[first] != _PERHAPS:
        return _KINDS[first]
    if first == 0xC2:  # next line, no-break space
        return 2 if at + 1 < len(data) and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if (first != 0xE1 and first != 0xE2 and first != 0xE3) or at + 2 >= len(data):
        return 0
    second, third = data[at + 1], data[at + 2]
    if first == 0xE1:  # ogham space mark
        white = second == 0x9A and third == 0x80
    elif first == 0xE3:  # ideographic space
        white = second == 0x80 and third == 0x80
    elif second == 0x80:  # spaces of all widths, line and paragraph separators
        white = 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF
    else:  # medium mathematical space
        white = second == 0x81 and third == 0x9F
    return 3 if white else 0


@numba.njit(cache=True, nogil=True)
def _mixed(hashed, eight):
    """Return a hash that goes on with eight bytes (a round of how MurmurHash3 ends)."""
    hashed = (hashed ^ eight) * np.uint64(0xFF51AFD7ED558CCD)
    return hashed ^ (hashed >> np.uint64(33))


@numba.njit(cache=True, nogil=True)
def _first_slot(hashed, eight, mask):
    """Return where to look first for a word whose last bytes are `eight`.

    A round carries the upper bits of what it is given to the lower half, and those of that half upwards; the second
    one lets all of them reach the lowest bits.
    """
    return _mixed(_mixed(hashed, eight), np.uint64(0)) & mask


@numba.njit(cache=True, nogil=True)
def _fill(flat, begins, count, slots):
    """Put words into an empty table."""
    mask = np.uint64(len(slots) - 1)
    for word in range(count):
        begin, length = begins[word], begins[word + 1] - begins[word]
        head, hashed, eight = np.uint64(0), np.uint64(0), np.uint64(0)
        for n in range(length):
            eight |= np.uint64(flat[begin + n]) << (_EIGHT * np.uint64(n & 7))
            if n & 7 == 7:
                head = eight if n == 7 else head
                hashed, eight = _mixed(hashed, eight), np.uint64(0)
        head = eight if length < 8 else head
        slot = _first_slot(hashed, eight, mask)
        while slots[slot, _WORD]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot, _HEAD] = head
        slots[slot, _WORD] = (np.uint64(length) << _LENGTH) | np.uint64(word + 1)


@numba.njit(cache=True, nogil=True)
def _same(data, begin, flat, index, length):
    """Whether two words of one length, whose first eight bytes are the same, are the same."""
    n = 8
    while n < length and data[begin + n] == flat[index + n]:
        n += 1
    return n >= length


@numba.njit(cache=True, nogil=True)
def _read(data, grow, flat, begins, slots, ids, state):
    """Go on from where the state says; stop where the table is full, a mark stands, or all is done."""
    mask = np.uint64(len(slots) - 1)
    at, known, made, begun = state[_AT], state[_KNOWN], state[_MADE], state[_BEGUN]
    ended = _DONE
    while at < len(data):
        if data[at] == 0x0A:
            if begun:
                ids[made] = EOS
                made += 1
                begun = 0
            at += 1
            continue
        white = _white(data, at) if _KINDS[data[at]] else 0
        if white:
            at += white
            continue
        begin, n = at, 0
        head, hashed, eight = np.uint64(0), np.uint64(0), np.uint64(0)
        # The table first: it is all that most bytes need.
        while at < len(data) and not (_KINDS[data[at]] and _white(data, at)):
            eight |= np.uint64(data[at]) << (_EIGHT * np.uint64(n & 7))
            if n & 7 == 7:
                head = eight if n == 7 else head
                hashed, eight = _mixed(hashed, eight), np.uint64(0)
            n += 1
            at += 1
        head = eight if n < 8 else head
        slot = _first_slot(hashed, eight, mask)
        found = np.int64(-1)
        while slots[slot, _WORD]:
            if slots[slot, _HEAD] == head and slots[slot, _WORD] >> _LENGTH == np.uint64(n):
                word = np.int64(slots[slot, _WORD] & _LOW) - 1
                if n <= 8 or _same(data, begin, flat, begins[word], n):
                    found = word
                    break
            slot = (slot + np.uint64(1)) & mask
        if found < 0 and grow:
            if 2 * (known + 1) > len(slots):
                at, ended = begin, _FULL
                break
            index = begins[known]
            for byte in range(begin, at):
                flat[index] = data[byte]
                index += 1
            found = known
            known += 1
            begins[known] = index
            slots[slot, _HEAD] = head
            slots[slot, _WORD] = (np.uint64(n) << _LENGTH) | np.uint64(known)
        elif found < 0:
            found = np.int64(UNK)
        if found in (BOS, EOS):
            ended = _MARK
            break
        if not begun:
            ids[made] = BOS
            made += 1
            begun = 1
        ids[made] = found
        made += 1
    if ended == _DONE and begun:
        ids[made] = EOS
        made += 1
        begun = 0
    state[_AT], state[_KNOWN], state[_MADE], state[_BEGUN] = at, known, made, begun
    return ended
