"""Translations of a program's messages: gettext's .po files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Pair, Record, Rejected
from mynah.data.sources import Reading

_ENTRY = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+(".*")')
_QUOTED = re.compile(r'".*"')


def is_catalogue(start: str) -> bool:
    """Whether a text begins as a catalogue does: comments aside, with a message and its translation."""
    lines = [line for line in start.split("\n") if line.strip() and not line.startswith("#")]
    return len(lines) > 1 and lines[0].startswith('msgid "') and lines[1].startswith(('msgstr "', '"'))


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield each message and its translation; those that are fuzzy or not translated are left out."""
    reading.tell(form="gettext", layout="source = msgid, target = msgstr")
    entry: dict[str, str] = {}
    field, start, fuzzy = "", 0, False
    lines = enumerate(given.lines(encoding_of(given, reading)), start=1)
    for number, raw in chain(lines, [(0, "")]):
        line = raw.strip()
        if found := _ENTRY.fullmatch(line):
            if found[1] == "msgid":
                if "msgstr" in entry or "msgstr[0]" in entry:  # no blank line before it
                    yield from _pair(given.name, start, entry, fuzzy, reading)
                    entry, fuzzy = {}, False
                start = number
            field = found[1]
            entry[field] = _text(found[2])
        elif field and _QUOTED.fullmatch(line):
            entry[field] += _text(line)
        elif not line or line.startswith("#"):
            if entry:
                yield from _pair(given.name, start, entry, fuzzy, reading)
                entry, field, fuzzy = {}, "", False
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
        else:
            yield Rejected(given.name, number, "no part of an entry")


def _text(quoted: str) -> str:
    try:
        return str(ast.literal_eval(quoted))
    except (ValueError, SyntaxError):
        return quoted[1:-1]


def _pair(
    name: str, line: int, entry: dict[str, str], fuzzy: bool, reading: Reading
) -> Iterator[Record | Rejected]:
    source, target = entry.get("msgid", ""), entry.get("msgstr") or entry.get("msgstr[0]") or ""
    if not source:
        return  # the header
    reading.source.rows += 1
    if fuzzy or not target.strip():
        yield Rejected(name, line, "not translated", bad=False)
    else:
        yield Pair(source.strip(), target.strip(), f"{name}:{line}")
