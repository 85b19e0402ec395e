"""What of JSON values comes into records and what does not, by the names of fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from mynah.data.records import Record
from mynah.data.sources import LOST_SHARE, Reading

#: Values whose fields are looked for in their records.
_LOOKED_AT = 20
#: A text without a blank is an id, a role or a date up to this length.
_LONGEST_MARK = 40
#: Fields that are named.
_NAMED = 5


def strings_of(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (names of the fields it lies in, text) of every text in a value, in order."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_of(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item, path)


def characters_of(value: Any) -> int:
    """Return how many characters the texts of a value have; ids, roles and dates are marks of the form."""
    return sum(len(text) for _, text in strings_of(value) if not _is_mark(text))


def _is_mark(text: str) -> bool:
    return len(text) <= _LONGEST_MARK and text.isascii() and not any(map(str.isspace, text))


class Account:
    """Counts the characters of values, and finds out which fields of the first of them are in no record."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._values: list[Any] = []
        self._texts: list[str] = []

    def note(self, value: Any, record: Record | None) -> None:
        """Count the characters of a value and, of the first, keep what became of it."""
        self.reading.source.characters += characters_of(value)
        if record is not None and len(self._values) < _LOOKED_AT:
            self._values.append(value)
            self._texts += record.texts

    def close(self, kept: int) -> None:
        """Name what was left out, once all values are read.

        Args:
            kept: characters of all records.
        """
        source = self.reading.source
        lost = source.characters - kept - sum(source.dropped.values())
        if lost > LOST_SHARE * source.characters and (fields := self._unused()):
            self.reading.drop(f"fields {', '.join(fields)}", lost)

    def _unused(self) -> list[str]:
        said = "\n".join(self._texts)
        unused: Counter[str] = Counter()
        for path, text in strings_of(self._values):
            if text.strip() and not _is_mark(text) and text.strip() not in said:
                unused[path] += len(text)
        return [path for path, _ in unused.most_common(_NAMED)]


def words_of(value: Any) -> Iterable[str]:
    """Yield the texts of a value in order, those that are words: no addresses, dates or codes."""
    return (text for _, text in strings_of(value) if any(c.isalpha() for c in text) and _is_words(text))


def _is_words(text: str) -> bool:
    if "://" in text and len(text.split()) == 1:
        return False
    return " " in text.strip() or any(ord(char) > 0x2E80 for char in text) or text.isalpha()
