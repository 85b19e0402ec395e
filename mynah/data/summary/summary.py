"""A folder of records in numbers: kinds, lengths, languages, speakers, times, personal data, and the account."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mynah.data.language import language_of
from mynah.data.personal.find import find
from mynah.data.records import Conversation, Document, Labelled, Preference, Record, kind_of
from mynah.data.store import Change, read_changes, read_records
from mynah.data.summary.compare import difference

#: Records and characters that are looked at for what is slow to find out: language, personal data.
LANGUAGE_RECORDS, PERSONAL_CHARACTERS = 5_000, 400_000
#: Bounds of the classes that lengths are counted in.
CHARACTER_BOUNDS = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
TURN_BOUNDS = (1, 2, 3, 4, 6, 8, 12, 20, 40)
EXAMPLES = 3


def summarise(folder: Path, accounts: Mapping[str, Path], before: Path | None = None) -> dict[str, Any]:
    """Return what is in a folder of records, ready for JSON.

    Args:
        folder: shards of records.
        accounts: stage -> folder with its `dropped.parquet`.
        before: the records as they were before cleaning, for examples of changes.

    Raises:
        ArtifactError: if a folder holds no records or a damaged account.
    """
    summary = _records(read_records(folder))
    summary["account"] = {stage: _account(read_changes(place)) for stage, place in accounts.items()}
    summary["duplicates"] = _duplicates(summary["account"])
    if before is not None:
        wanted = [
            example
            for stage in summary["account"].values()
            for step in stage["changed"].values()
            for example in step["examples"]
        ]
        summary["before_after"] = _before_after(before, folder, wanted)
    return summary


def _records(records: Iterable[Record]) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    speakers: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    months: Counter[str] = Counter()
    roles: Counter[str] = Counter()
    personal: Counter[str] = Counter()
    characters, turns = array("q"), array("q")
    looked_at = 0
    said = array("q")
    for record in records:
        kinds[kind_of(record)] += 1
        length = sum(map(len, record.texts))
        characters.append(length)
        if len(characters) <= LANGUAGE_RECORDS:
            languages[language_of("\n".join(record.texts)).code or "unknown"] += 1
        if looked_at < PERSONAL_CHARACTERS:
            looked_at += length
            personal.update(span.kind for text in record.texts for span in find(text))
        if isinstance(record, Labelled):
            labels[record.label] += 1
        if isinstance(record, Conversation | Preference):
            turns.append(len(record.messages))
            for message in record.messages:
                roles[message.role] += 1
                speakers[message.name or message.role] += 1
                if message.time:
                    months[message.time[:7]] += 1
                if message.role == "assistant":
                    said.append(hash(message.content))
    return {
        "records": sum(kinds.values()),
        "characters": sum(characters),
        "kinds": dict(sorted(kinds.items())),
        "lengths": _histogram(characters, CHARACTER_BOUNDS),
        "median_length": float(np.median(np.array(characters))) if characters else 0,
        "turns": _histogram(turns, TURN_BOUNDS) if turns else {},
        "roles": dict(sorted(roles.items())),
        "languages": dict(languages.most_common(12)),
        "speakers": len(speakers),
        "top_speakers": dict(speakers.most_common(10)),
        "labels": dict(labels.most_common(30)),
        "months": dict(sorted(months.items())),
        "replies": {"all": len(said), "distinct": len(np.unique(np.array(said)))},
        "personal": dict(personal.most_common()),
        "personal_characters": looked_at,
    }


def _histogram(values: Sequence[int], bounds: Sequence[int]) -> dict[str, int]:
    """Count values up to each bound, and beyond the last."""
    names = [*(f"≤{bound:,}" for bound in bounds), f">{bounds[-1]:,}"]
    places = np.searchsorted(np.array(bounds), np.array(values, dtype=np.int64))
    return dict(zip(names, np.bincount(places, minlength=len(names)).tolist(), strict=True))


def _account(changes: Iterable[Change]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return action -> step -> count, reasons with counts, and the places of a few examples."""
    found: dict[str, dict[str, dict[str, Any]]] = {"dropped": {}, "changed": {}, "warned": {}}
    for change in changes:
        step = found[change.action].setdefault(
            change.step, {"count": 0, "reasons": Counter(), "examples": []}
        )
        step["count"] += 1
        step["reasons"][change.reason] += 1
        if len(step["examples"]) < EXAMPLES:
            step["examples"].append(change.place)
    return found


def _duplicates(account: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, int]:
    """Return how many records repeated others, by how: equal, nearly so, a reply said often, lines of many."""
    found: Counter[str] = Counter()
    for stage in account.values():
        for steps in stage.values():
            found.update(steps.get("duplicates", {}).get("reasons", {}))
    return dict(found.most_common())


def _before_after(before: Path, after: Path, places: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines that differ of a few records that were changed."""
    wanted = dict.fromkeys(places)
    old = {record.place: record for record in read_records(before) if record.place in wanted}
    new = {record.place: record for record in read_records(after) if record.place in wanted}
    return [
        {"place": place, "lines": difference(old[place], new[place])}
        for place in wanted
        if place in old and place in new and old[place] != new[place]
    ]


def examples(folder: Path, count: int) -> list[dict[str, Any]]:
    """Return a few records from all over a folder, their texts cut short, for people to look at."""
    records = list(_evenly_chosen(read_records(folder), count))
    return [
        {
            "place": record.place,
            "turns": [
                {"who": who, "text": text[:400] + ("…" if len(text) > 400 else "")}
                for who, text in zip(_who(record), record.texts, strict=True)
            ][:8],
        }
        for record in records
    ]


def _evenly_chosen(records: Iterable[Record], count: int) -> list[Record]:
    """Return about `count` records at growing distances, in one walk of unknown length."""
    kept: list[Record] = []
    stride = 1
    for number, record in enumerate(records):
        if number % stride == 0:
            kept.append(record)
            if len(kept) >= 2 * count:
                kept = kept[::2]
                stride *= 2
    return kept[:count]


def _who(record: Record) -> list[str]:
    if isinstance(record, Conversation):
        return [message.name or message.role for message in record.messages]
    if isinstance(record, Preference):
        return [*(message.role for message in record.messages), "chosen", "rejected"]
    if isinstance(record, Labelled):
        return [record.label]
    return [""] if isinstance(record, Document) else ["source", "target"]
