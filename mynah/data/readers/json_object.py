"""The records in a JSON object too large to be read at once: Telegram's export of years, a corpus under one key.

The object is walked twice, a value at a time: first to find where most of it lies (the elements of one array, or the
members of one object), then to yield what lies there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, TextIO

from mynah.data.readers.inputs import Input
from mynah.data.records import Rejected
from mynah.errors import DataError

#: Objects of fewer characters are read whole, and so is a member or an element that has no more.
WHOLE = 32 << 20
#: One element may have this many characters.
LARGEST_VALUE = 256 << 20
#: Lists of less than one part in so many of the largest are no records.
_SHARE = 50
_PIECE = 1 << 20
_SPACE = " \t\r\n\ufeff"
_DEEPEST = 6
Path = tuple[str, ...]


class _Damage(ValueError):
    """The text is no JSON from here on."""


class _Scanner:
    """A JSON text of any length, decoded a value at a time."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.buffer, self.at, self.dropped = "", 0, 0
        self.decode = json.JSONDecoder().raw_decode

    def peek(self, ahead: int = 0) -> str:
        """Return the next character that is no white space, or the one after it; empty at the end."""
        at, left = self.at, ahead
        while True:
            while at < len(self.buffer) and self.buffer[at] in _SPACE:
                at += 1
            if at < len(self.buffer):
                if not left:
                    if not ahead:
                        self.at = at
                    return self.buffer[at]
                left -= 1
                at += 1
            elif not self._more(_PIECE):
                return ""
            else:
                at -= self.dropped

    def _more(self, size: int) -> bool:
        """Read on, forgetting what has been passed."""
        piece = self.file.read(size)
        self.dropped = self.at
        self.buffer, self.at = self.buffer[self.at :] + piece, 0
        return bool(piece)

    def take(self, character: str) -> None:
        """Pass a character that must be next."""
        if self.peek() != character:
            raise _Damage
        self.at += 1

    def value(self, most: int = LARGEST_VALUE) -> tuple[Any, int] | None:
        """Decode the next value; return it and its length, or None (and stay) if it has more characters than `most`.

        Raises:
            _Damage: if there is no JSON value.
        """
        self.peek()
        size = _PIECE
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except ValueError as error:
                if not self._is_cut(error):
                    raise _Damage from None
                if len(self.buffer) - self.at > most:
                    return None
                if not self._more(size):
                    raise _Damage from None
                size = max(size, len(self.buffer))  # so that the work stays linear
                continue
            except RecursionError:
                raise _Damage from None
            length = end - self.at
            near = len(self.buffer) - end < 16 and not isinstance(value, str | list | dict)
            if near and self._more(_PIECE):
                continue  # a number may go on
            self.at += length
            return value, length

    def _is_cut(self, error: ValueError) -> bool:
        """Whether a value could not be decoded because the buffer ends in it."""
        if not isinstance(error, json.JSONDecodeError):
            return False  # a number of too many digits
        return error.pos >= len(self.buffer) - 16 or error.msg.startswith("Unterminated string")


def read_members(given: Input, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    """Yield (number, value) of the records in an object.

    Raises:
        DataError: if it is no JSON, holds no records, or one of them is too large.
    """
    sizes: Counter[Path] = Counter()
    with given.text(encoding) as file:
        for path, value, length in _walk(given, _Scanner(file)):
            if path is not None and isinstance(value, dict | list):
                sizes[path] += length
    if not sizes:
        raise DataError(f"{given.name}: not valid JSON, or an object without a list of records")
    # Beside the largest list there may be others of its kind (train and test), and small ones of another.
    kept = {path for path, size in sizes.items() if _SHARE * size >= max(sizes.values())}
    number, left_out = 0, 0
    with given.text(encoding) as file:
        for path, value, _ in _walk(given, _Scanner(file)):
            if path is None:
                yield Rejected(given.name, number + 1, "not valid JSON from here on")
            elif path in kept:
                number += 1
                yield number, value
            else:
                left_out += 1
    if left_out:
        yield Rejected(given.name, 0, f"{left_out:,} values beside the records", bad=False)


def _walk(given: Input, scanner: _Scanner) -> Iterator[tuple[Path | None, Any, int]]:
    """Yield (where, value, length) of all that may be a record; where is None for damage, which ends the walk."""
    try:
        yield from _members(given, scanner, ())
    except _Damage:
        yield None, None, 0


def _members(given: Input, scanner: _Scanner, path: Path) -> Iterator[tuple[Path, Any, int]]:
    scanner.take("{")
    while (mark := scanner.peek()) != "}":
        if mark == ",":
            scanner.take(",")
            continue
        named = scanner.value()
        if named is None or not isinstance(named[0], str):
            raise _Damage
        scanner.take(":")
        inner = (*path, named[0])
        mark = scanner.peek()
        if mark == "[" and scanner.peek(1) in ("{", "["):
            yield from _elements(given, scanner, inner)
        elif mark == "{":
            found = scanner.value(WHOLE)
            if found is not None:
                yield path, *found
            elif len(path) < _DEEPEST:
                yield from _members(given, scanner, inner)
            else:
                raise _too_large(given)
        elif scanner.value() is None:
            raise _too_large(given)
    scanner.take("}")


def _elements(given: Input, scanner: _Scanner, path: Path) -> Iterator[tuple[Path, Any, int]]:
    scanner.take("[")
    while (mark := scanner.peek()) != "]":
        if mark == ",":
            scanner.take(",")
            continue
        found = scanner.value()
        if found is None:
            raise _too_large(given)
        yield path, *found
    scanner.take("]")


def _too_large(given: Input) -> DataError:
    return DataError(
        f"{given.name}: one JSON value of more than {LARGEST_VALUE >> 20} MiB; expected records in an array or in lines"
    )
