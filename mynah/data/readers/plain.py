"""Plain text, cut into pieces at blank lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading

#: Running text is cut at blank lines into pieces of about this many characters, so that a part of one
#: book can be held out.
PIECE_CHARACTERS = 2000
_MARK = re.compile(r"\*{3} ?(START|END) OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE)
_SETTING = re.compile(r"([\w.-]+)\s*[:=]\s*(.*)")
#: Lines of settings above a text are no more than this.
_LONGEST_FRONT = 200
#: The mark that begins a book stands in its first lines.
_LAST_START = 600


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield pieces of a text, cut at blank lines (or at line ends where there are none)."""
    encoding = encoding_of(given, reading)
    reading.tell(form="text", layout="running text, cut at blank lines")
    first, last = _gutenberg(given, encoding)
    if last is None:
        above, title = _front_matter(given, encoding)
        if above:
            yield Rejected(given.name, 1, f"settings above the text, lines 1 to {above}", bad=False)
        lines = itertools.islice(given.lines(encoding), above, None)
        yield from cut(itertools.chain([f"# {title}\n\n"] if title else [], lines), given.name, above + 1)
        return
    reading.source.layout += "; the notes of Project Gutenberg around it left out"
    yield Rejected(given.name, 1, f"notes of Project Gutenberg, lines 1 to {first}", bad=False)
    lines = itertools.islice(given.lines(encoding), first, last - 1)
    yield from cut(lines, given.name, first + 1)
    yield Rejected(given.name, last, f"notes of Project Gutenberg, from line {last} on", bad=False)


def _front_matter(given: Input, encoding: str) -> tuple[int, str]:
    """Return how many lines of settings (YAML, TOML) stand above a Markdown text, and the title they give it."""
    lines = [line.rstrip() for line in itertools.islice(given.lines(encoding), _LONGEST_FRONT)]
    mark = lines[0] if lines else ""
    if mark not in ("---", "+++") or mark not in lines[1:]:
        return 0, ""
    end = lines.index(mark, 1)
    settings = [found for line in lines[1:end] if (found := _SETTING.match(line))]
    filled = [line for line in lines[1:end] if line and not line.startswith(("#", " ", "\t", "-"))]
    if not settings or len(settings) < len(filled):
        return 0, ""
    title = next((found[2].strip(" \"'") for found in settings if found[1].lower() == "title"), "")
    return end + 1, title


def _gutenberg(given: Input, encoding: str) -> tuple[int, int | None]:
    """Return the lines of the marks that Project Gutenberg sets around a book; (0, None) if there are none."""
    first = 0
    for number, line in enumerate(given.lines(encoding), start=1):
        if not first and number > _LAST_START:
            break
        if line.startswith("***") and (mark := _MARK.match(line)):
            if mark[1].lower() == "start":
                first = number
            elif first:
                return first, number
    return 0, None


def cut(lines: Iterator[str], name: str, first: int = 1) -> Iterator[Document]:
    """Yield the pieces of running text that comes as lines with their ends, the first of this number."""
    piece: list[str] = []
    size = 0
    start = first
    for number, line in enumerate(lines, start=first):
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
