"""A JSON text of any length, decoded a value at a time: memory holds one value, not the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

#: One value may have this many characters.
LARGEST_VALUE = 64 << 20
_PIECE = 1 << 20
SPACE = " \t\r\n\ufeff"
#: A value may end this many characters before the end of what has been read and yet go on: -1.25e+100.
_LONGEST_NUMBER = 16


class Damage(ValueError):
    """The text is no JSON from here on; the message says why, never what it holds."""


class Scanner:
    """Walks over a JSON text.

    Args:
        file: read from where it stands.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.buffer, self.at, self.dropped = "", 0, 0
        self.decode = json.JSONDecoder().raw_decode

    def peek(self, ahead: int = 0) -> str:
        """Return the next character that is no white space, or the one after it; empty at the end."""
        at, left = self.at, ahead
        while True:
            while at < len(self.buffer) and self.buffer[at] in SPACE:
                at += 1
            if not ahead:
                self.at = at
            if at < len(self.buffer):
                if not left:
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
            raise Damage(f"no {character!r} where one is expected")
        self.at += 1

    def each(self, end: str) -> Iterator[None]:
        """Yield before each member of an object or element of an array, whose end (} or ]) is then passed."""
        while (mark := self.peek()) != end:
            if not mark:
                raise Damage("it is not closed")
            if mark == ",":
                self.take(mark)
            else:
                yield
        self.take(end)

    def value(self, most: int = LARGEST_VALUE) -> tuple[Any, int] | None:
        """Decode the next value; return it and its length, or None (and stay) if it has more characters than `most`.

        Raises:
            Damage: if there is no JSON value.
        """
        self.peek()
        size = _PIECE
        while True:
            try:
                value, end = self.decode(self.buffer, self.at)
            except ValueError as error:
                if self._is_cut(error):
                    if len(self.buffer) - self.at > most:
                        return None
                    if self._more(size):
                        size = max(size, len(self.buffer))  # so that the work stays linear
                        continue
                raise Damage(getattr(error, "msg", "a number too long")) from None
            except RecursionError:
                raise Damage("nested too deeply") from None
            length = end - self.at
            near = len(self.buffer) - end < _LONGEST_NUMBER and not isinstance(value, str | list | dict)
            if near and self._more(_PIECE):
                continue  # a number may go on
            self.at += length
            return value, length

    def _is_cut(self, error: ValueError) -> bool:
        """Whether a value could not be decoded because the buffer ends in it."""
        if not isinstance(error, json.JSONDecodeError):
            return False  # a number of too many digits
        return error.pos >= len(self.buffer) - _LONGEST_NUMBER or error.msg.startswith("Unterminated string")
