"""Texts for a command that takes one after the other: named on the line, in a file, or typed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mynah.errors import DataError, MynahError

#: Lines that are worked on at once; the first answers come before the last lines are there.
AT_ONCE = 64


def batches(texts: tuple[str, ...], file: Path | None) -> Iterator[list[str]]:
    """Yield texts, some at a time: those named, else the lines of a file, else those of standard input.

    Raises:
        DataError: if both are given, or the file cannot be read.
        MynahError: if it is not UTF-8 text.
    """
    if texts and file is not None:
        raise DataError("name texts or --file, not both")
    if texts:
        yield list(texts)
        return
    try:
        if file is not None:
            with file.open(encoding="utf-8-sig") as lines:
                yield from _of_lines(lines, AT_ONCE)
        else:
            yield from _of_lines(sys.stdin, 1 if sys.stdin.isatty() else AT_ONCE)
    except UnicodeDecodeError:
        raise MynahError(f"{file or 'standard input'} is not valid UTF-8 text") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None


def _of_lines(lines: Iterable[str], count: int) -> Iterator[list[str]]:
    some: list[str] = []
    for line in lines:
        some.append(line.rstrip("\r\n"))
        if len(some) == count:
            yield some
            some = []
    if some:
        yield some
