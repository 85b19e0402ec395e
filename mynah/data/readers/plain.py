"""Plain text, cut into pieces at blank lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.gutenberg import find_book
from mynah.data.readers.inputs import Input
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading

#: Running text is cut at blank lines into pieces of about this many characters, so that a part of one
#: book can be held out.
PIECE_CHARACTERS = 2000
#: What stands around a book of Project Gutenberg.
NOTES = "notices, credits and licence of Project Gutenberg"
_SETTING = re.compile(r"([\w.-]+)\s*[:=]\s*(.*)")
#: Lines of settings above a text are no more than this.
_LONGEST_FRONT = 200
#: A line longer than this is cut; a shorter one may be an article, unless it is all there is.
_LONGEST_LINE = 128 * PIECE_CHARACTERS
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*\s+|[。！？][”’」』]?\s*")
_BLANK = re.compile(r"\s+")


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield pieces of a text, cut at blank lines (or at line ends where there are none)."""
    encoding = encoding_of(given, reading)
    reading.tell(form="text", layout="running text, cut at blank lines")
    reading.account_for_lines(given, 0)
    first, after = find_book(given.lines(encoding))
    if not first and after is None:
        above, title = _front_matter(given, encoding)
        if above:
            yield Rejected(given.name, 1, f"settings above the text, lines 1 to {above}", bad=False)
        lines = itertools.islice(given.lines(encoding), above, None)
        yield from cut(itertools.chain([f"# {title}\n\n"] if title else [], lines), given.name, above + 1)
        return
    reading.source.layout += "; the notes of Project Gutenberg around it left out"
    if first:
        before = sum(map(len, itertools.islice(given.lines(encoding), first)))
        yield Rejected(given.name, 1, NOTES, bad=False, characters=before)
    kept = itertools.islice(given.lines(encoding), first, None if after is None else after - 1)
    yield from cut(kept, given.name, first + 1)
    if after is not None:
        behind = sum(map(len, itertools.islice(given.lines(encoding), after - 1, None)))
        yield Rejected(given.name, after, NOTES, bad=False, characters=behind)


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


def pieces_of(line: str) -> Iterator[str]:
    """Yield a long line in pieces: cut after a sentence, else between words, else anywhere."""
    start = 0
    while len(line) - start > 2 * PIECE_CHARACTERS:
        end = start + 2 * PIECE_CHARACTERS
        window = line[start + PIECE_CHARACTERS : end]
        found = [*_SENTENCE_END.finditer(window)] or [*_BLANK.finditer(window)]
        if found:
            end = start + PIECE_CHARACTERS + found[0].end()
        yield line[start:end]
        start = end
    if line[start:].strip():
        yield line[start:]


def cut(lines: Iterator[str], name: str, first: int = 1) -> Iterator[Document]:
    """Yield the pieces of running text that comes as lines with their ends, the first of this number."""
    piece: list[str] = []
    size = 0
    start, longest = first, 2 * PIECE_CHARACTERS  # if it is all there is; of several a line may be an article
    for number, line in enumerate(lines, start=first):
        if size and size >= PIECE_CHARACTERS and (not piece[-1].strip() or size > 2 * PIECE_CHARACTERS):
            longest = _LONGEST_LINE
            yield from _documents(piece, name, start, longest)
            piece, size = [], 0
        if not piece:
            start = number
        piece.append(line)
        size += len(line)
    yield from _documents(piece, name, start, longest if len(piece) == 1 else _LONGEST_LINE)


def _documents(piece: list[str], name: str, start: int, longest: int) -> Iterator[Document]:
    """Yield lines as one text; what is more than so long on one line is cut."""
    whole: list[str] = []
    first = start
    for number, line in enumerate(piece, start=start):
        if len(line) <= longest:
            first = first if whole else number
            whole.append(line)
            continue
        if "".join(whole).strip():
            yield Document("".join(whole), f"{name}:{first}")
        whole = []
        for part in pieces_of(line):
            yield Document(part, f"{name}:{number}")
    if "".join(whole).strip():
        yield Document("".join(whole), f"{name}:{first}")
