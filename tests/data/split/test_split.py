"""The split: what belongs together stays on one side, and what is learned from is not tested."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mynah.data.dedup import repeats
from mynah.data.dedup.duplicates import fingerprint
from mynah.data.engine import EngineConfig
from mynah.data.records import Conversation, Document, Message, Record
from mynah.data.split.decontaminate import Overlap
from mynah.data.split.identity import asked
from mynah.data.split.split import SplitConfig, SplitCounts, fold_folder, split_folder
from mynah.data.store import read_records, shards_of, write_records
from mynah.errors import DataError


@dataclass
class Parts:
    """The two parts in memory."""

    train: list[Record]
    held_out: list[Record]
    counts: SplitCounts


def split(records: Sequence[Record], config: SplitConfig, seed: int) -> Parts:
    """Split records by way of a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_records(folder / "in", records)
        counts = split_folder(folder / "in", folder / "out", config, seed)
        train, held_out = (list(read_records(folder / "out" / part)) for part in ("train", "held_out"))
    return Parts(train, held_out, counts)


def talk(question: str, reply: str = "yes", who: str = "", when: str = "") -> Conversation:
    return Conversation(
        (Message("user", question, who, when), Message("assistant", reply, "", when)), question
    )


def test_what_is_alike_never_stands_on_both_sides() -> None:
    records = [talk(f"Where is my parcel number {i // 3} please tell me{'!' * (i % 3)}") for i in range(300)]
    parts = split(records, SplitConfig(), seed=0)
    held = {asked(r).strip("!") for r in parts.held_out}
    assert held
    assert not held & {asked(r).strip("!") for r in parts.train}
    assert parts.counts.together == len(parts.held_out) - len(held)


def test_a_greeting_that_everybody_says_is_learned_from() -> None:
    records = [talk("hello", f"reply {i}") for i in range(500)] + [talk(f"question {i}") for i in range(500)]
    for seed in range(5):
        parts = split(records, SplitConfig(), seed)
        assert 50 <= len(parts.held_out) <= 150 or len(parts.held_out) < 100
        assert not any(asked(r) == "hello" for r in parts.held_out)


def test_a_group_of_most_records_is_never_held_out() -> None:
    records = [talk("the same question of many words here", f"reply {i}") for i in range(90)]
    records += [talk(f"another question number {i}") for i in range(10)]
    for seed in range(60):
        assert len(split(records, SplitConfig(), seed).held_out) <= 10
    timed = [
        talk("hello" if i % 2 else f"question {i}", f"r{i}", when=f"2024-01-01T10:00:{i % 60:02}+00:00")
        for i in range(200)
    ]
    parts = split(timed, SplitConfig(by="time"), seed=0)
    assert 1 <= len(parts.held_out) <= 20
    assert not any(asked(r) == "hello" for r in parts.held_out)


def test_folds_keep_together_what_the_split_does(tmp_path: Path) -> None:
    records = [talk(f"Where is my parcel number {i // 3} please tell me{'!' * (i % 3)}") for i in range(600)]
    records += [talk("the same question of many words here", f"reply {i}") for i in range(400)]
    write_records(tmp_path / "in", records)
    fold = fold_folder(tmp_path / "in", tmp_path / "work", SplitConfig(), seed=1, folds=8)
    assert (fold[:600:3] == fold[1:600:3]).all()
    assert (fold[:600:3] == fold[2:600:3]).all()
    # Too many for one fold, they are spread; so all folds are of about the same size.
    assert set(fold[600:].tolist()) == set(range(8))
    assert np.bincount(fold, minlength=8).min() > 60
    loose = fold_folder(tmp_path / "in", tmp_path / "other", SplitConfig(alike=False), seed=1, folds=8)
    assert (loose[:600:3] != loose[1:600:3]).any()


def test_by_person_and_by_time() -> None:
    records = [
        talk(f"question {i}", who=f"user{i % 20}", when=f"2024-{1 + i // 20:02}-01T00:00:00+00:00")
        for i in range(200)
    ]
    parts = split(records, SplitConfig(by="person", held_out=0.2), seed=0)
    people = [
        {r.messages[0].name for r in part if isinstance(r, Conversation)}
        for part in (parts.train, parts.held_out)
    ]
    assert people[1]
    assert not people[0] & people[1]
    parts = split(records, SplitConfig(by="time", held_out=0.1), seed=0)
    assert {r.messages[0].time[:7] for r in parts.held_out if isinstance(r, Conversation)} == {"2024-10"}
    assert len(parts.held_out) == 20
    with pytest.raises(DataError, match="only 0 of 3 records have one"):
        split([talk(str(i)) for i in range(3)], SplitConfig(by="time"), seed=0)


def test_by_person_everybody_who_asks_in_a_group_counts() -> None:
    def group(number: int, *who: str) -> Conversation:
        return Conversation(
            (*(Message("user", f"{name} asks {number}", name) for name in who), Message("assistant", "ok"))
        )

    records = [
        record
        for ring in range(10)
        for record in (
            group(ring, f"a{ring}", f"b{ring}"),
            group(ring, f"b{ring}", f"c{ring}"),
            group(ring, f"c{ring}"),
        )
    ]
    parts = split(records, SplitConfig(by="person", held_out=0.3, alike=False), seed=1)
    asked_in = [
        {m.name for r in part if isinstance(r, Conversation) for m in r.messages if m.name}
        for part in (parts.train, parts.held_out)
    ]
    assert asked_in[1]
    assert not asked_in[0] & asked_in[1]


def test_split_depends_on_content_alone() -> None:
    records = [Document(f"text number {i}") for i in range(400)]
    parts = split(records, SplitConfig(held_out=0.1), seed=0)
    assert 20 <= len(parts.held_out) <= 60
    again = split([*reversed(records), Document("one more")], SplitConfig(held_out=0.1), seed=0)
    assert {r.text for r in parts.held_out if isinstance(r, Document)} <= {
        r.text for r in again.held_out if isinstance(r, Document)
    }
    assert split(records, SplitConfig(held_out=0.1), seed=1).held_out != parts.held_out


def test_a_small_set_still_holds_one_out() -> None:
    for count in (2, 3, 5):
        parts = split([Document(str(i)) for i in range(count)], SplitConfig(), seed=0)
        assert parts.train
        assert parts.held_out


def test_what_is_learned_from_is_not_tested() -> None:
    """By time and with nothing kept together, an old question that is asked again leaves the test part."""
    records = [
        talk(f"question {i % 95} of some words", when=f"2024-01-01T00:{i // 60:02}:{i % 60:02}+00:00")
        for i in range(100)
    ]
    records += [Document("???", "a"), Document("???", "b"), Document("???", "c")]
    parts = split(records, SplitConfig(by="time", alike=False), seed=0)
    assert parts.counts.learned == 5
    assert not {fingerprint(r) for r in parts.held_out} & {fingerprint(r) for r in parts.train}
    assert len(parts.train) + len(parts.held_out) == 98
    assert split(records, SplitConfig(by="time"), seed=0).counts.learned == 0


def test_by_person_needs_names() -> None:
    with pytest.raises(DataError, match="no conversation says who asks"):
        split([talk(str(i)) for i in range(30)], SplitConfig(by="person"), seed=0)


def test_many_shards_are_split_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [talk(f"where is parcel {i // 3}, I ask{'!' * (i % 3)}", f"reply {i}") for i in range(600)]
    write_records(tmp_path / "one", records)
    monkeypatch.setattr("mynah.data.store.GROUP_CHARACTERS", 500)
    monkeypatch.setattr("mynah.data.store.SHARD_CHARACTERS", 1000)
    write_records(tmp_path / "many", records)
    assert len(shards_of(tmp_path / "many")) > 12
    monkeypatch.undo()
    monkeypatch.setattr(repeats, "RANGE_KEYS", 1000)
    counts = [
        split_folder(tmp_path / name, tmp_path / f"{name}{workers}", SplitConfig(), 0, EngineConfig(workers=workers))
        for name, workers in (("one", 1), ("many", 1), ("many", 2))
    ]  # fmt: skip
    assert counts[0] == counts[1] == counts[2]
    for part in ("train", "held_out"):
        one = list(read_records(tmp_path / "one1" / part))
        assert one == list(read_records(tmp_path / "many1" / part))
        names = sorted(path.name for path in (tmp_path / "many1" / part).iterdir())
        assert all(
            (tmp_path / "many1" / part / name).read_bytes() == (tmp_path / "many2" / part / name).read_bytes()
            for name in names
        )


def test_records_that_hold_evaluation_text_are_found(tmp_path: Path) -> None:
    test = "Anna has three red apples and buys four more on Monday morning at the market for two coins each, how many"
    overlap = Overlap([test])
    assert Document(f"Some words before. {test} has she now?", "f:1") in overlap
    assert Document(" ".join(test.split()[:12]), "f:2") not in overlap
    (tmp_path / "test.txt").write_text(test, encoding="utf-8")
    records = [Document(f"text number {i} is about something else", f"f:{i}") for i in range(30)]
    write_records(tmp_path / "in", [*records, Document(f"Cheat: {test}", "f:99")])
    config = SplitConfig(decontaminate=(str(tmp_path / "test.txt"),))
    counts = split_folder(tmp_path / "in", tmp_path / "out", config, seed=0)
    assert (counts.contaminated, counts.train + counts.held_out) == (1, 30)
