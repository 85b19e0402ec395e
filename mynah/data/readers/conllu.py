"""CoNLL-U: the sentences of a treebank, as they were written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.preprocess import join_words
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading

_TAGGED = re.compile(r"\S+(?:[ \t]\S+){0,3}[ \t](?:O|[BIESMLU]-[A-Za-z][\w.-]*)")
_TOKEN = re.compile(r"(\d+)(?:-(\d+))?\t([^\t]+)(?:\t[^\t]*){7}\t([^\t]*)$")


def is_conllu(start: str) -> bool:
    """Whether the first lines are words with ten columns each, numbered from 1, or comments."""
    lines = [line for line in start.split("\n")[:40] if line.strip() and not line.startswith("#")][:-1]
    return len(lines) >= 3 and all(re.match(r"\d+(?:[-.]\d+)?\t", x) and x.count("\t") == 9 for x in lines)


def is_tagged(start: str) -> bool:
    """Whether lines are a word each with its tags, the last one the kind of a name: CoNLL-2003 and its like."""
    lines = [
        line.strip() for line in start.split("\n")[:200] if line.strip() and not line.startswith("-DOCSTART-")
    ][:-1]
    tagged = sum(_TAGGED.fullmatch(line) is not None for line in lines)
    return len(lines) >= 4 and 20 * tagged >= 19 * len(lines)


def read_tagged(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a file of tagged words, a sentence a line; the tags are left out."""
    reading.tell(form="tagged words", layout="the words of each sentence; tags left out")
    yield from cut(_tagged(given, encoding_of(given, reading)), given.name)


def _tagged(given: Input, encoding: str) -> Iterator[str]:
    words = list[str]()
    for line in given.lines(encoding):
        parts = line.split()
        if parts and parts[0] != "-DOCSTART-":
            words.append(parts[0])
        elif words:
            yield f"{join_words(words)}\n"
            words = []
    if words:
        yield f"{join_words(words)}\n"


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a treebank, in pieces; documents and paragraphs begin where it says so."""
    reading.tell(form="CoNLL-U", layout="sentences as they were written, in order")
    yield from cut(_sentences(given, encoding_of(given, reading)), given.name)


def _sentences(given: Input, encoding: str) -> Iterator[str]:
    text, words, last = "", list[str](), 0
    for line in given.lines(encoding):
        line = line.rstrip("\r\n")
        if line.startswith("# text ="):
            text = line.partition("=")[2].strip()
        elif line.startswith(("# newdoc", "# newpar")):
            yield "\n"
        elif found := _TOKEN.match(line):
            first, end = int(found[1]), int(found[2] or found[1])
            if first > last:  # the words of a contraction come after it as it is written
                words.append(found[3] + ("" if "SpaceAfter=No" in found[4] else " "))
                last = end
        elif not line.strip():
            if told := text or "".join(words).strip():
                yield f"{told}\n"
            text, words, last = "", [], 0
    if told := text or "".join(words).strip():
        yield f"{told}\n"
