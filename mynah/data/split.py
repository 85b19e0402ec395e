"""Hold out a part of the records: by their content, by person or by time; what is alike stays together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mynah.config import Config
from mynah.data.clean.config import DuplicateConfig
from mynah.data.clean.duplicates import fingerprint
from mynah.data.clean.run import find_alike
from mynah.data.records import Conversation, Labelled, Pair, Preference, Record
from mynah.errors import DataError


class SplitConfig(Config):
    """What is held out, and how much."""

    held_out: float = Field(0.1, gt=0, lt=0.5, description="share of records held out")
    by: Literal["record", "person", "time"] = Field(
        "record",
        description="record: by its content; person: all of a user's conversations on one side; "
        "time: the latest conversations are held out",
    )
    decontaminate: tuple[str, ...] = Field(
        (), description="evaluation files; records that share 13 words in a row with them are dropped"
    )
    alike: bool = Field(True, description="keep records with nearly the same text on one side")


@dataclass(frozen=True)
class Split:
    """The two parts, each in the order of the input."""

    train: list[Record]
    held_out: list[Record]
    #: records held out because they come with others that are nearly the same
    moved: int = 0


def split(records: Sequence[Record], config: SplitConfig, seed: int) -> Split:
    """Put records on two sides, each group of records that belong together on one.

    A group is a record, or all records of a person, with all that are nearly the same (MinHash over what is
    asked, or the text); it is held out by a hash of its first member and the seed, so that added rows never
    move the others. By time, the latest records are held out, and what is nearly the same in the earlier ones
    goes with them.

    Raises:
        DataError: if there are fewer than two groups, or no times to split by.
    """
    groups = _groups(records, config)
    if len(set(groups.tolist())) < 2:
        raise DataError(
            f"only {len(set(groups.tolist()))} usable record found after cleaning, at least 2 are needed: "
            "one to learn from and one to hold out; give more rows"
        )
    if config.by == "time":
        held = _latest(records, groups, config.held_out)
    else:
        held = _lowest(records, groups, config.held_out, seed)
    sides = [group in held for group in groups.tolist()]
    sizes = Counter(group for group in groups.tolist() if group in held)
    return Split(
        [record for record, side in zip(records, sides, strict=True) if not side],
        [record for record, side in zip(records, sides, strict=True) if side],
        sum(size - 1 for size in sizes.values()),
    )


def asked(record: Record) -> str:
    """Return the part of a record by which it is known again: what is asked, or the text."""
    if isinstance(record, Conversation | Preference):
        heard = [m.content for m in record.messages if m.role == "user"]
        return "\n".join(heard) or "\n".join(record.texts)
    if isinstance(record, Labelled):
        return record.text
    return record.source if isinstance(record, Pair) else "\n".join(record.texts)


def _groups(records: Sequence[Record], config: SplitConfig) -> npt.NDArray[np.int64]:
    """Return (N,) int64: the index of the first record of each record's group."""
    groups = np.arange(len(records), dtype=np.int64)
    if config.alike:
        groups = find_alike(records, DuplicateConfig(), asked)
    if config.by != "person":
        return groups
    parent = {int(group): int(group) for group in set(groups.tolist())}

    def root(group: int) -> int:
        while parent[group] != group:
            group = parent[group]
        return group

    first_of: dict[str, int] = {}
    for record, group in zip(records, groups.tolist(), strict=True):
        name = person(record)
        if not name:
            continue
        one, other = root(first_of.setdefault(name, group)), root(group)
        parent[max(one, other)] = min(one, other)
    return np.array([root(group) for group in groups.tolist()], dtype=np.int64)


def person(record: Record) -> str:
    """Return who asks in a conversation: the first user's name; empty if nobody is named."""
    if not isinstance(record, Conversation):
        return ""
    return next((m.name for m in record.messages if m.role == "user" and m.name), "")


def _lowest(records: Sequence[Record], groups: npt.NDArray[np.int64], share: float, seed: int) -> set[int]:
    """Return the groups whose hash is below `share`, at least one and not all.

    A group larger than half of what is to be held out (everybody who only said hello) is learned from.
    """
    places = {group: _place(records[group], seed) for group in _small(groups, share)}
    held = {group for group, place in places.items() if place < share}
    if not held:  # a small set: hold out its lowest hash
        return {min(places, key=lambda group: (places[group], group))}
    if len(held) == len(set(groups.tolist())):
        held.remove(max(places, key=lambda group: (places[group], group)))
    return held


def _small(groups: npt.NDArray[np.int64], share: float) -> list[int]:
    """Return the groups that may be held out: no larger than half of what is to be held out, or the smallest."""
    sizes = Counter(groups.tolist())
    largest = max(1.0, 0.5 * share * len(groups), min(sizes.values()))
    return [group for group, size in sizes.items() if size <= largest]


def _latest(records: Sequence[Record], groups: npt.NDArray[np.int64], share: float) -> set[int]:
    """Return the groups of the latest records; records without a time are learned from."""
    times = [_time(record) for record in records]
    known = sorted((time, index) for index, time in enumerate(times) if time)
    if len(known) * 2 < len(records):
        raise DataError(
            f"split by time: only {len(known):,} of {len(records):,} records have one; "
            "name the column with --time-column, or split by record"
        )
    wanted = max(1, round(share * len(records)))
    small = set(_small(groups, share))
    held = {int(groups[index]) for _, index in known[-wanted:]} & small
    if not held:
        held = {next(int(groups[index]) for _, index in reversed(known) if int(groups[index]) in small)}
    if len(held) == len(set(groups.tolist())):
        held.discard(int(groups[known[0][1]]))
    return held


def _time(record: Record) -> str:
    messages = record.messages if isinstance(record, Conversation | Preference) else ()
    return next((m.time for m in messages if m.time), "")


def _place(record: Record, seed: int) -> float:
    """Return a number in [0, 1) that depends on the record's content and the seed alone."""
    digest = hashlib.sha256(seed.to_bytes(8, "big") + fingerprint(record)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
