"""Two folders of records, made from the same input: what a changed setting does."""

from __future__ import annotations

import difflib
import itertools
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mynah.data.dedup.repeats import is_in
from mynah.data.records import Conversation, Record
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
    """Compare records by their places; two of one place are taken for one.

    Raises:
        ArtifactError: if a folder holds no records.
    """
    old, new = _hashes(before), _hashes(after)
    found = Comparison(before=len(old), after=len(new))
    met, at, there = np.intersect1d(old["place"], new["place"], return_indices=True)
    changed = met[old["record"][at] != new["record"][there]]
    only_before, only_after = np.setdiff1d(old["place"], met), np.setdiff1d(new["place"], met)
    found.only_before, found.only_after, found.changed = map(len, (only_before, only_after, changed))
    shown: dict[str, Record] = {}
    for record in read_records(after):
        place = np.array([hash(record.place)])
        if len(found.examples_after) < examples and is_in(place, only_after)[0]:
            found.examples_after.append(record.place)
        if len(shown) < examples and is_in(place, changed)[0]:
            shown[record.place] = record
        if len(shown) == min(examples, len(changed)) and len(found.examples_after) == min(
            examples, len(only_after)
        ):
            break
    for record in read_records(before):
        if len(found.examples_before) < examples and is_in(np.array([hash(record.place)]), only_before)[0]:
            found.examples_before.append(record.place)
        if record.place in shown:
            found.examples_changed.append((record.place, difference(record, shown.pop(record.place))))
        if not shown and len(found.examples_before) == min(examples, len(only_before)):
            break
    return found


def _hashes(folder: Path) -> npt.NDArray[np.void]:
    """Return (N,) of place and record, as hashes that hold within this process; each place once, sorted."""
    values = array("q")
    for record in read_records(folder):
        values.append(hash(record.place))
        values.append(hash(record))
    table = np.frombuffer(values, dtype=[("place", "<i8"), ("record", "<i8")])
    # Of what has one place the last counts.
    _, last = np.unique(table["place"][::-1], return_index=True)
    return np.asarray(table[len(table) - 1 - last])


def difference(before: Record, after: Record, most: int = 6, width: int = 160) -> list[str]:
    """Return the lines in which two records differ, at most so many, each cut to a width around its difference."""
    old, new = _lines(before), _lines(after)
    lines: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for what, i, j, k, m in (
        matcher.get_opcodes() if max(len(old), len(new)) <= _LONGEST else _whole(old, new)
    ):
        if what == "equal":
            continue
        for was, now in itertools.zip_longest(old[i:j], new[k:m]):
            start = _first_difference(was or "", now or "")
            lines += [
                f"{mark}{_cut(line, start, width)}"
                for mark, line in (("-", was), ("+", now))
                if line is not None
            ]
    return lines[:most] + (["..."] if len(lines) > most else [])


#: Records of more lines are compared by their first difference alone: matching is not linear.
_LONGEST = 2000


def _whole(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]]:
    first = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    return [("replace", first, first + 3, first, first + 3)]


def _lines(record: Record) -> list[str]:
    """Return the lines of a record's texts, each turn's after who says it."""
    if isinstance(record, Conversation):
        return [line for m in record.messages for line in f"{m.name or m.role}: {m.content}".split("\n")]
    return [line for text in record.texts for line in text.split("\n")]


def _first_difference(one: str, other: str) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _cut(line: str, place: int, width: int) -> str:
    """Return a line cut so that a place in it can be seen."""
    begin = max(0, min(place - width // 3, len(line) - width))
    return ("…" if begin else "") + line[begin : begin + width] + ("…" if begin + width < len(line) else "")
