"""The records in a JSON object too large to be read at once: Telegram's export of years, a corpus under one key.

The object is walked twice, a value at a time: first to find where most of it lies (the elements of one array, or the
members of one object), then to yield what lies there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.json_scanner import LARGEST_VALUE, Damage, Scanner
from mynah.data.records import Rejected
from mynah.errors import DataError

#: Objects of fewer characters are read whole, and so is a member or an element that has no more.
WHOLE = 32 << 20
#: Lists of less than one part in so many of the largest are no records.
_SHARE = 50
_DEEPEST = 6
Path = tuple[str, ...]


def read_members(given: Input, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    """Yield (number, value) of the records in an object.

    Raises:
        DataError: if it is no JSON, holds no records, or one of them is too large.
    """
    sizes: Counter[Path] = Counter()
    with given.text(encoding) as file:
        for path, value, length in _walk(given, Scanner(file)):
            if path is not None and isinstance(value, dict | list):
                sizes[path] += length
    if not sizes:
        raise DataError(f"{given.name}: not valid JSON, or an object without a list of records")
    # Beside the largest list there may be others of its kind (train and test), and small ones of another.
    kept = {path for path, size in sizes.items() if _SHARE * size >= max(sizes.values())}
    number, left_out = 0, 0
    with given.text(encoding) as file:
        for path, value, _ in _walk(given, Scanner(file)):
            if path is None:
                yield Rejected(given.name, number + 1, f"not valid JSON from here on: {value}")
            elif path in kept:
                number += 1
                yield number, value
            else:
                left_out += 1
    if left_out:
        yield Rejected(given.name, 0, f"{left_out:,} values beside the records", bad=False)


def _walk(given: Input, scanner: Scanner) -> Iterator[tuple[Path | None, Any, int]]:
    """Yield (where, value, length) of all that may be a record; at damage, which ends the walk, (None, why, 0)."""
    try:
        yield from _members(given, scanner, ())
    except Damage as error:
        yield None, error, 0


def _members(given: Input, scanner: Scanner, path: Path) -> Iterator[tuple[Path, Any, int]]:
    scanner.take("{")
    for _ in scanner.each("}"):
        named = scanner.value()
        if named is None or not isinstance(named[0], str):
            raise Damage("a member without a name")
        scanner.take(":")
        mark = scanner.peek()
        if mark == "[" and scanner.peek(1) in ("{", "["):
            yield from _elements(given, scanner, (*path, named[0]))
            continue
        found = scanner.value(WHOLE if mark == "{" else LARGEST_VALUE)
        if found is not None and mark == "{":
            yield path, *found
        elif found is not None:
            continue  # a name, a number, a list of them: no record
        elif mark == "{" and len(path) < _DEEPEST:
            yield from _members(given, scanner, (*path, named[0]))
        else:
            raise _too_large(given)


def _elements(given: Input, scanner: Scanner, path: Path) -> Iterator[tuple[Path, Any, int]]:
    scanner.take("[")
    for _ in scanner.each("]"):
        found = scanner.value()
        if found is None:
            raise _too_large(given)
        yield path, *found


def _too_large(given: Input) -> DataError:
    return DataError(
        f"{given.name}: one JSON value of more than {LARGEST_VALUE >> 20} MiB; expected records in an array or in lines"
    )
