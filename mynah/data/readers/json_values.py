"""The values in a JSON file, one at a time: JSON lines, the elements of an array, or a single value."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.json_object import WHOLE, read_members
from mynah.data.readers.json_scanner import LARGEST_VALUE, SPACE, Damage, Scanner
from mynah.data.records import Rejected
from mynah.errors import DataError


def looks_like_json(given: Input, encoding: str) -> bool:
    """Whether a file begins as JSON or as JSON lines does."""
    with given.text(encoding) as file:
        start = file.read(1 << 16).lstrip(SPACE)
    if start.startswith("["):
        return start[1:].lstrip(SPACE)[:1] in ("[", "{", '"', "]")
    if not start.startswith("{"):
        return False
    return start[1:].lstrip(SPACE)[:1] in ('"', "}")


def read_values(given: Input, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    """Yield (line or number of the element, value) of JSON lines, an array or a single value.

    What follows damage in an array is given up, as a rejected row; a bad line is one rejected row.

    Raises:
        DataError: if not even the first value is JSON, or one is too large.
    """
    if _is_lines(given, encoding):
        yield from _lines(given, encoding)
    elif _starts_array(given, encoding):
        yield from _array(given, encoding)
    elif _is_long(given, encoding):
        for item in read_members(given, encoding):
            yield item if isinstance(item, Rejected) else (item[0], sound(item[1]))
    else:
        yield 1, _single(given, encoding)


def _lines(given: Input, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    for number, line in enumerate(given.lines(encoding), start=1):
        if not line.strip(SPACE):
            continue
        try:
            yield number, sound(json.loads(line.lstrip("\ufeff")))
        except (ValueError, RecursionError):
            yield Rejected(given.name, number, "not JSON")


def _is_lines(given: Input, encoding: str) -> bool:
    """Whether most of the first lines are JSON each by itself, and there is more than one."""
    lines = list(itertools.islice((x for x in given.lines(encoding) if x.strip(SPACE)), 20))
    good = 0
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            good += isinstance(json.loads(line.lstrip("\ufeff")), dict | list)
    return len(lines) > 1 and 2 * good > len(lines)


def _is_long(given: Input, encoding: str) -> bool:
    """Whether a file that is one object is too long to be read at once."""
    with given.text(encoding) as file:
        return len(file.read(WHOLE + 1)) > WHOLE


def _starts_array(given: Input, encoding: str) -> bool:
    with given.text(encoding) as file:
        return file.read(4096).lstrip(SPACE).startswith("[")


def _array(given: Input, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    """Decode an array element by element."""
    number = 0
    with given.text(encoding) as file:
        scanner = Scanner(file)
        try:
            scanner.take("[")
            for _ in scanner.each("]"):
                found = scanner.value()
                if found is None:
                    raise Damage(f"an element of more than {LARGEST_VALUE >> 20} MiB")
                number += 1
                try:
                    value = sound(found[0])
                except RecursionError:
                    yield Rejected(given.name, number, "nested too deeply")
                else:
                    yield number, value
        except Damage as error:
            if not number:
                raise DataError(f"{given.name}:1: not valid JSON: {error}") from None
            yield Rejected(given.name, number + 1, f"not valid JSON from here on: {error}")


def _single(given: Input, encoding: str) -> Any:
    with given.text(encoding) as file:
        text = file.read(WHOLE)
    try:
        return sound(json.loads(text.lstrip("\ufeff")))
    except json.JSONDecodeError as error:
        raise DataError(f"{given.name}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise DataError(f"{given.name}: JSON nested too deeply, or with a number too long") from None


def sound(value: Any) -> Any:
    """Replace lone surrogates, which JSON can spell and UTF-8 cannot, in all text of a value."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [sound(item) for item in value]
    if isinstance(value, dict):
        return {sound(key): sound(item) for key, item in value.items()}
    return value
