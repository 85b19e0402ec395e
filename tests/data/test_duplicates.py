"""Near-duplicates: recall and precision on planted ones, and the error that the bands promise."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.data.clean.config import CleanConfig, DuplicateConfig
from mynah.data.clean.duplicates import LineCounts, clusters, shingle_text, signatures
from mynah.data.clean.run import WORK, clean, clean_folder
from mynah.data.records import Conversation, Document, Labelled, Message
from mynah.data.split import SplitConfig, asked, split
from mynah.data.store import read_changes, read_records, write_records
from mynah.errors import DataError

WORDS = [f"word{i}" for i in range(4000)]
HAN = [chr(0x4E00 + i) for i in range(3000)]


def changed(words: list[str], share: float, pool: list[str], rng: random.Random) -> list[str]:
    """Replace a share of the words by others."""
    made = list(words)
    for index in rng.sample(range(len(words)), round(share * len(words))):
        made[index] = rng.choice(pool)
    return made


@pytest.mark.parametrize(("pool", "joiner"), [(WORDS, " "), (HAN, "")])
def test_planted_near_duplicates(pool: list[str], joiner: str) -> None:
    """1 % of words changed leaves about 0.91 of the shingles: found; unrelated texts are not."""
    rng = random.Random(0)
    originals = [[rng.choice(pool) for _ in range(200)] for _ in range(300)]
    texts = [joiner.join(words) for words in originals]
    texts += [joiner.join(changed(words, 0.01, pool, rng)) for words in originals]
    first = clusters(signatures(texts, DuplicateConfig()))
    found = sum(int(first[300 + i]) == i for i in range(300))
    wrong = sum(int(first[i]) != i for i in range(300))
    assert found / 300 >= 0.98
    assert wrong == 0


def test_the_bands_keep_what_they_promise() -> None:
    """Pairs of known similarity are found about as often as 1 - (1 - s^r)^b says."""
    rng = random.Random(1)
    config = DuplicateConfig()
    for s in (0.6, 0.75, 0.85):
        pairs = []
        for number in range(400):
            # Two runs of words that share their middle: k of n shingles in common, similarity k / (2n - k).
            total = 300
            shared = round(2 * total * s / (1 + s))
            base = [f"{number}x{rng.random()}" for _ in range(2 * total - shared + 4)]
            pairs += [" ".join(base[: total + 4]), " ".join(base[total - shared :])]
        bands = signatures(pairs, config)
        hits = np.mean([(bands[2 * i] == bands[2 * i + 1]).any() for i in range(400)])
        promised = 1 - (1 - s**config.rows) ** config.bands
        assert abs(hits - promised) < 0.09, s  # about three standard errors of 400 pairs, and MinHash's own
    assert 0.68 < config.threshold < 0.73


def test_short_texts_are_alike_only_if_equal_and_wordless_ones_never() -> None:
    bands = signatures(["where is it", "Where is it?", "where is he", "...", "!!!"], DuplicateConfig())
    assert clusters(bands).tolist() == [0, 0, 2, 3, 4]
    assert shingle_text(["Hi, 你好 x"]) == "hi 你 好 x"


@given(st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=2), max_size=30))
def test_clusters_agree_with_a_slow_search(rows: list[list[int]]) -> None:
    bands = np.array(rows, dtype=np.uint64).reshape(-1, 2)
    slow = list(range(len(rows)))
    for _ in rows:
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                if a[0] == b[0] or a[1] == b[1]:
                    slow[i] = slow[j] = min(slow[i], slow[j])
    assert clusters(bands).tolist() == slow


def test_lines_of_many_documents_and_a_cap_on_replies() -> None:
    menu = "Home | Products | About us | Contact"
    documents = [Document(f"{menu}\nStory number {i} is told here once.", f"f:{i}") for i in range(6)]
    talks = [
        Conversation((Message("user", f"question {i}"), Message("assistant", "Please call us.")), f"c:{i}")
        for i in range(6)
    ]
    config = CleanConfig(duplicates=DuplicateConfig(lines=3, replies=2))
    result = clean([*documents, *talks], config)
    texts = [r.text for r in result.records if isinstance(r, Document)]
    assert texts == [f"Story number {i} is told here once." for i in range(6)]
    assert len(result.records) - len(texts) == 2
    counts = LineCounts()
    counts.add(f"{menu}\n{menu}")
    assert (counts[menu], counts["A line that was never seen"]) == (1, 0)


def test_a_folder_is_cleaned_as_in_memory_and_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    records = [Document(f"caf\u00c3\u00a9 number  {i % 40}", f"f:{i}") for i in range(60)]
    write_records(tmp_path / "in", records)
    config = CleanConfig()
    clean_folder(tmp_path / "in", tmp_path / "out", config)
    expected = clean(records, config)
    assert list(read_records(tmp_path / "out")) == expected.records
    assert sorted(map(repr, read_changes(tmp_path / "out"))) == sorted(map(repr, expected.changes))
    assert expected.records[0].texts == ("café number 0",)
    # A shard that is there already is not cleaned again, whatever it holds.
    write_records(tmp_path / "again" / WORK / "00000", [Document("from before", "f:0")])
    (tmp_path / "again" / WORK / "00000" / "dropped.parquet").write_bytes(
        (tmp_path / "out" / "dropped.parquet").read_bytes()
    )
    clean_folder(tmp_path / "in", tmp_path / "again", config)
    assert [r.texts for r in read_records(tmp_path / "again")] == [("from before",)]


# Splitting


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
    assert parts.moved == len(parts.held_out) - len(held)


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


def test_the_same_text_of_another_class_is_no_repeat() -> None:
    records = [
        Labelled("please cancel the order that I have placed", label, label)
        for label in ("cancel", "refund", "cancel")
    ]
    result = clean(records, CleanConfig(duplicates=DuplicateConfig(near=True)))
    assert [r.place for r in result.records] == ["cancel", "refund"]


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
