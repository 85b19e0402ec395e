"""Near-duplicates: recall and precision on planted ones, and the error that the bands promise."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.data.clean.config import CleanConfig
from mynah.data.clean.run import WORK, clean, clean_folder, clean_shard
from mynah.data.dedup import repeats
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.dedup.duplicates import band_keys, keys_and_rows, shingle_text, signatures
from mynah.data.records import Conversation, Document, Labelled, Message
from mynah.data.store import read_changes, read_records, write_records

WORDS = [f"word{i}" for i in range(4000)]
HAN = [chr(0x4E00 + i) for i in range(3000)]


def first_alike(texts: list[str]) -> list[int]:
    """Return the first text that each is alike to, or itself."""
    keys, rows = keys_and_rows(band_keys(texts, DuplicateConfig()))
    first = list(range(len(texts)))
    for row, other in repeats.joined(*repeats.in_order(keys, rows)).tolist():
        first[row] = other
    return first


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
    first = first_alike(texts)
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
    assert first_alike(["where is it", "Where is it?", "where is he", "...", "!!!"]) == [0, 0, 2, 3, 4]
    assert shingle_text("Hi, 你好x 한국 かな_é") == "hi 你 好 x 한국 か な é"


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=40))
def test_joined_rows_agree_with_a_slow_search(pairs: list[tuple[int, int]]) -> None:
    slow = list(range(26))
    for _ in range(26):
        for i, j in pairs:
            slow[i] = slow[j] = min(slow[i], slow[j])
    found = repeats.join(np.array(pairs, dtype=np.int64).reshape(-1, 2))
    assert found.tolist() == [[row, first] for row, first in enumerate(slow) if row != first]


@settings(deadline=None)  # it writes and syncs files
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=5),
    st.integers(1, 3),
    st.booleans(),
)
def test_ranges_of_keys_on_disk_give_what_memory_gives(
    shards: list[list[int]], most: int, spread: bool
) -> None:
    """Keys of several shards, in one range or in many: who repeats whom, what is common, what is beyond a cap."""
    keys = np.array([key << 62 for shard in shards for key in shard], dtype=np.uint64)
    rows = np.arange(len(keys))
    without = rows[::3]
    hows = (
        repeats.joined,
        partial(repeats.common, most=most, without=without),
        partial(repeats.beyond, most=most, without=without),
    )
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        if spread:
            patch.setattr(repeats, "RANGE_KEYS", 3)
        folders = [Path(name) / str(number) for number in range(len(shards))]
        for folder, shard in zip(folders, shards, strict=True):
            folder.mkdir()
            repeats.write_keys(
                folder, "k", np.array([k << 62 for k in shard], dtype=np.uint64), np.arange(len(shard))
            )
        starts = repeats.starts_of(map(len, shards))
        for number, how in enumerate(hows):
            found = repeats.group(folders, "k", starts, how, Path(name) / f"out{number}")
            expected = how(*repeats.in_order(keys, rows))
            assert sorted(map(str, found.tolist())) == sorted(map(str, expected.tolist()))
    # and by hand
    seen: dict[int, list[int]] = {}
    for row, key in enumerate(keys.tolist()):
        seen.setdefault(key, []).append(row)
    assert {r for r, _ in repeats.joined(*repeats.in_order(keys, rows)).tolist()} == {
        r for group in seen.values() for r in group[1:]
    }
    counted = [[r for r in group if r % 3] for group in seen.values()]
    assert sorted(
        repeats.beyond(*repeats.in_order(keys, rows), most=most, without=without).tolist()
    ) == sorted(r for group in counted for r in group[most:])


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
    twice = [Document(f"{menu}\n{menu}\n{i}", f"f:{i}") for i in range(3)]  # a line counts once a document
    assert clean(twice, config).count("changed") == {}


def test_a_folder_is_cleaned_as_in_memory_and_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    records = [Document(f"caf\u00c3\u00a9 number  {i % 40}", f"f:{i}") for i in range(60)]
    write_records(tmp_path / "in", records)
    config = CleanConfig()
    clean_folder(tmp_path / "in", tmp_path / "out", config)
    expected = clean(records, config)
    assert list(read_records(tmp_path / "out")) == expected.records
    assert len(expected.records) == 40
    assert sorted(map(repr, read_changes(tmp_path / "out"))) == sorted(map(repr, expected.changes))
    assert expected.records[0].texts == ("café number 0",)
    # A shard that is there already is not cleaned again, whatever it holds.
    write_records(tmp_path / "other", [Document("from before", "f:0")])
    clean_shard(tmp_path / "other" / "part-00000.parquet", tmp_path / "again" / WORK / "00000", config)
    clean_folder(tmp_path / "in", tmp_path / "again", config)
    assert [r.texts for r in read_records(tmp_path / "again")] == [("from before",)]


def test_the_same_text_of_another_class_is_no_repeat() -> None:
    records = [
        Labelled("please cancel the order that I have placed", label, label)
        for label in ("cancel", "refund", "cancel")
    ]
    result = clean(records, CleanConfig(duplicates=DuplicateConfig(near=True)))
    assert [r.place for r in result.records] == ["cancel", "refund"]


def test_what_is_dropped_anyway_makes_no_line_common() -> None:
    text = "A line that stands in a document\nand another one of the same document"
    config = CleanConfig(duplicates=DuplicateConfig(lines=3))
    result = clean([Document(text, f"d:{i}") for i in range(6)], config)
    assert [record.texts for record in result.records] == [(text,)]


def test_labels_change_no_key_of_what_has_none() -> None:
    text, other = "some words that are long enough here", "other words that are long enough here"
    alone = band_keys([text], DuplicateConfig(), [""])
    beside = band_keys([text, other, text], DuplicateConfig(), ["", "spam", "spam"])
    assert (alone[0] == beside[0]).all()
    assert not (beside[0] == beside[2]).any()
