"""Two folders of records, made from the same input: what a changed setting does."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path

from mynah.data.records import Record
from mynah.data.store import read_records


@dataclass
class Comparison:
    """Counts, and the places of some examples."""

    before: int = 0
    after: int = 0
    only_before: int = 0
    only_after: int = 0
    changed: int = 0
    examples_before: list[str] = field(default_factory=list)
    examples_after: list[str] = field(default_factory=list)
    #: (place, lines of a difference: "- was", "+ is")
    examples_changed: list[tuple[str, list[str]]] = field(default_factory=list)


def compare(before: Path, after: Path, examples: int = 5) -> Comparison:
    """Compare records by their places.

    Raises:
        ArtifactError: if a folder holds no records.
    """
    found = Comparison()
    old = {record.place: hash(record) for record in read_records(before)}
    found.before = len(old)
    unmet = set(old)
    changed: dict[str, Record] = {}
    for record in read_records(after):
        found.after += 1
        if record.place not in old:
            found.only_after += 1
            if len(found.examples_after) < examples:
                found.examples_after.append(record.place)
            continue
        unmet.discard(record.place)
        if old[record.place] != hash(record):
            found.changed += 1
            if len(changed) < examples:
                changed[record.place] = record
    found.only_before = len(unmet)
    for record in read_records(before):
        if record.place in unmet and len(found.examples_before) < examples:
            found.examples_before.append(record.place)
        if record.place in changed:
            found.examples_changed.append((record.place, difference(record, changed[record.place])))
    return found


def difference(before: Record, after: Record, most: int = 6, width: int = 160) -> list[str]:
    """Return the lines in which two records differ, at most so many, cut to a width."""
    old = [line for text in before.texts for line in text.split("\n")]
    new = [line for text in after.texts for line in text.split("\n")]
    lines = [
        line[:width]
        for line in difflib.unified_diff(old, new, lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in ("---", "+++")
    ]
    return lines[:most] + (["..."] if len(lines) > most else [])
