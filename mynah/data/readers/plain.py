"""Plain text, cut into pieces at blank lines."""

from __future__ import annotations

from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.reading import Reading
from mynah.data.records import Document, Record, Rejected

#: Running text is cut at blank lines into pieces of about this many characters, so that a part of one
#: book can be held out.
PIECE_CHARACTERS = 2000


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield pieces of a text, cut at blank lines (or at line ends where there are none)."""
    lines = given.lines(encoding_of(given, reading))
    reading.tell(form="text", layout="running text, cut at blank lines")
    yield from cut(lines, given.name)


def cut(lines: Iterator[str], name: str) -> Iterator[Document]:
    """Yield the pieces of running text that comes as lines with their ends."""
    piece: list[str] = []
    size = 0
    start = 1
    for number, line in enumerate(lines, start=1):
        if not piece:
            start = number
        piece.append(line)
        size += len(line)
        boundary = not line.strip() or size > 2 * PIECE_CHARACTERS
        if size >= PIECE_CHARACTERS and boundary:
            yield Document("".join(piece), f"{name}:{start}")
            piece, size = [], 0
    if "".join(piece).strip():
        yield Document("".join(piece), f"{name}:{start}")
