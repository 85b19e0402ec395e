"""Repeats: equal records, records alike (MinHash), lines of many documents, replies said too often.

MinHash: Broder 1997, "On the resemblance and containment of documents". Bands: Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4. With b bands of r hashes two records of Jaccard similarity
s are found with probability 1 - (1 - s^r)^b; the default, 14 x 8 as FineWeb has it (Penedo et al. 2024),
finds s = 0.75 with 77 %, 0.8 with 92 % and 0.85 with 98.8 %, and takes two of s = 0.5 for alike with 5 %.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mynah.data.dedup.config import DuplicateConfig
from mynah.data.dedup.repeats import Group, Keys, Rows, beyond, common, in_order, join, joined
from mynah.data.records import Conversation, Document, Labelled, Record
from mynah.data.store import Change

#: A word, or a run of Han characters or kana, of which each is a word of its own; punctuation is none.
_WORDS = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]+")
_SEED = 1
#: Records whose signatures are worked out together.
BATCH = 512
#: Lines shorter than this repeat without meaning anything: "Yes.", "* * *".
SHORTEST_LINE = 20
#: The names of keys: of whole records, of MinHash bands, of lines of documents, of replies.
EQUAL, ALIKE, LINES, REPLIES = "equal", "alike", "lines", "replies"
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def fingerprint(record: Record) -> bytes:
    """Return a hash (32 bytes) of a record's content that ignores case, white space and where it came from."""
    if isinstance(record, Conversation):
        parts = [f"{m.role}\x1f{m.content}" for m in record.messages]
    else:
        parts = [*record.texts, getattr(record, "label", "")]
    folded = " ".join("\x1e".join(parts).casefold().split())
    return hashlib.sha256(folded.encode("utf-8", "replace")).digest()


def short_fingerprint(record: Record) -> int:
    """Return the first 64 bits of the fingerprint: 10 million records collide with a chance of 3 in a million."""
    return int.from_bytes(fingerprint(record)[:8], "big")


def shingle_text(text: str) -> str:
    """Return a text as folded words with one space between, as MinHash takes them."""
    runs = _WORDS.findall(text.casefold())
    if text.isascii():
        return " ".join(runs)
    return " ".join(
        run
        if (first := run[0]) < "\u3040" or "\u30ff" < first < "\u3400" or first > "\u9fff"
        else _apart(run)
        for run in runs
    )


def _apart(run: str) -> str:
    """Return characters with a space between them; twice as fast as joining them."""
    return run.replace("", " ")[1:-1]


def signatures(texts: Sequence[str], config: DuplicateConfig) -> npt.NDArray[np.uint64]:
    """Return (N, bands) uint64: a hash of each band of each text's MinHash signature.

    A text shorter than a shingle is one shingle, so that only its equals are alike. A text without a word has
    zeros.
    """
    os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")  # before the import: reports usage otherwise
    import daft

    if not texts:
        return np.zeros((0, config.bands), dtype=np.uint64)
    words = [shingle_text(text) for text in texts]
    # A text of fewer words than a shingle has would be no shingle at all.
    padded = [w if w.count(" ") >= config.shingle - 1 else w.replace(" ", "_") for w in words]
    series = daft.Series.from_pylist(padded)
    hashes = series.minhash(config.bands * config.rows, config.shingle, _SEED, "xxhash64").to_arrow()
    flat = hashes.flatten().to_numpy(zero_copy_only=False).astype(np.uint64)
    rows = flat.reshape(len(texts), config.bands, config.rows)
    bands = np.zeros((len(texts), config.bands), dtype=np.uint64)
    for column in range(config.rows):
        bands = (bands ^ rows[:, :, column]) * _GOLDEN
        bands ^= bands >> np.uint64(29)
    empty = np.flatnonzero([not w for w in words])
    bands[empty] = 0
    return bands


def band_keys(texts: Sequence[str], config: DuplicateConfig, salts: Sequence[str] = ()) -> Keys:
    """Return (N, bands) uint64: keys that two texts share only in the same band, with the same salt.

    Rows of zeros are texts without a word, which are alike to nothing.
    """
    bands = signatures(texts, config)
    worded = bands.any(axis=1)
    bands ^= np.arange(1, config.bands + 1, dtype=np.uint64)[None, :] * _GOLDEN
    for row, salt in enumerate(salts):
        if salt:
            bands[row] ^= np.uint64(key_of(salt))
    bands[~worded] = 0
    return bands


def key_of(text: str) -> int:
    """Return a 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


class KeysOf:
    """Gathers the keys of records, one after the other, as far as a setting needs them."""

    def __init__(self, config: DuplicateConfig) -> None:
        self.config = config
        self.row = 0
        names = {
            EQUAL: config.exact,
            LINES: config.lines is not None,
            REPLIES: config.replies is not None,
        }
        self.keys = {name: array("Q") for name, needed in names.items() if needed}
        self.rows = {name: array("q") for name in self.keys}
        self.bands: list[Keys] = []
        self.texts: list[str] = []
        self.salts: list[str] = []

    def add(self, record: Record) -> None:
        """Take the keys of the next record."""
        config = self.config
        if config.exact:
            self._note(EQUAL, short_fingerprint(record))
        if config.near:
            self.texts.append("\n".join(record.texts))
            # The same text of another class is no repeat.
            self.salts.append(record.label if isinstance(record, Labelled) else "")
            if len(self.texts) == BATCH:
                self._sign()
        if config.lines is not None and isinstance(record, Document):
            for key in set(map(key_of, _long_lines(record.text))):
                self._note(LINES, key)
        if config.replies is not None:
            for key in replies_of(record):
                self._note(REPLIES, key)
        self.row += 1

    def _note(self, name: str, key: int) -> None:
        self.keys[name].append(key)
        self.rows[name].append(self.row)

    def _sign(self) -> None:
        self.bands.append(band_keys(self.texts, self.config, self.salts))
        self.texts, self.salts = [], []

    def found(self) -> dict[str, tuple[Keys, Rows]]:
        """Return the keys of each name with the numbers of their rows."""
        made = {
            name: (np.array(keys, dtype=np.uint64), np.array(self.rows[name], dtype=np.int64))
            for name, keys in self.keys.items()
        }
        if self.config.near:
            self._sign()
            made[ALIKE] = keys_and_rows(np.concatenate(self.bands))
        return made


def keys_and_rows(bands: Keys) -> tuple[Keys, Rows]:
    """Return the (K,) keys of (N, bands) that are of texts with words, and the row of each."""
    rows = np.flatnonzero(bands.any(axis=1))
    return bands[rows].reshape(-1), np.repeat(rows, bands.shape[1])


def replies_of(record: Record) -> set[int]:
    """Return a key for each reply of a conversation, whatever its case and white space."""
    if not isinstance(record, Conversation):
        return set()
    said = (message.content for message in record.messages if message.role == "assistant")
    return {key_of(" ".join(text.casefold().split())) for text in said}


def _long_lines(text: str) -> Iterator[str]:
    return (stripped for line in text.split("\n") if len(stripped := line.strip()) >= SHORTEST_LINE)


@dataclass(frozen=True)
class Repeats:
    """What is to be left out: rows are counted over all shards, and all are sorted."""

    equal: Rows
    alike: Rows
    #: keys of lines
    lines: Keys
    #: a row as often as it has replies that were said often enough before
    replies: Rows

    @classmethod
    def find(cls, config: DuplicateConfig, look: Callable[[str, Group], npt.NDArray[np.generic]]) -> Repeats:
        """Find repeats.

        Args:
            config: which.
            look: takes the name of keys, and what is to be done with those that meet; returns what comes of it.
        """
        none = np.empty(0, dtype=np.int64)
        equal = np.sort(look(EQUAL, joined).astype(np.int64)[:, 0]) if config.exact else none
        alike = join(look(ALIKE, joined).astype(np.int64))[:, 0] if config.near else none
        gone = np.union1d(equal, alike)  # what is dropped anyway does not count
        lines: Keys = np.empty(0, dtype=np.uint64)
        if config.lines is not None:
            lines = look(LINES, partial(common, most=config.lines, without=gone)).astype(np.uint64)
        replies = none
        if config.replies is not None:
            replies = np.sort(
                look(REPLIES, partial(beyond, most=config.replies, without=gone)).astype(np.int64)
            )
        return cls(equal, alike, lines, replies)

    def save(self, folder: Path) -> None:
        """Write one file for each kind."""
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Repeats:
        """Open what `save` wrote, mapped and not read."""
        return cls(
            *(
                np.load(folder / f"{field.name}.npy", mmap_mode="r", allow_pickle=False)
                for field in fields(cls)
            )
        )

    def part(self, start: int, count: int) -> Repeats:
        """Return what concerns `count` rows from `start` on, counted from there."""

        def cut(rows: Rows) -> Rows:
            begin, end = np.searchsorted(rows, [start, start + count])
            return rows[begin:end] - start

        return Repeats(cut(self.equal), cut(self.alike), np.array(self.lines), cut(self.replies))

    def leave_out(self, records: Iterable[Record]) -> Iterator[tuple[Record | None, list[Change]]]:
        """Yield each record as it is to be kept, or None, with the lines of the account."""
        equal, alike = set(self.equal.tolist()), set(self.alike.tolist())
        rows, counts = np.unique(self.replies, return_counts=True)
        capped = dict(zip(rows.tolist(), counts.tolist(), strict=True))
        lines = frozenset(self.lines.tolist())
        for row, record in enumerate(records):
            reason = ""
            if row in equal:
                reason = "equal to an earlier record"
            elif row in alike:
                reason = "nearly equal to an earlier record"
            elif row in capped and capped[row] == len(replies_of(record)):
                reason = "a reply that was kept often enough"
            elif lines and isinstance(record, Document):
                shorter = _without(record.text, lines)
                if not shorter.strip():
                    reason = "nothing but lines of many documents"
                elif shorter != record.text:
                    changed = Change("changed", "duplicates", "lines of many documents", record.place)
                    yield replace(record, text=shorter), [changed]
                    continue
            if reason:
                yield None, [Change("dropped", "duplicates", reason, record.place)]
            else:
                yield record, []


def _without(text: str, lines: frozenset[int]) -> str:
    """Return a text without the lines whose keys are given."""
    kept = [
        line
        for line in text.split("\n")
        if len(stripped := line.strip()) < SHORTEST_LINE or key_of(stripped) not in lines
    ]
    return "\n".join(kept)


def find_in_memory(records: Iterable[Record], config: DuplicateConfig) -> Repeats:
    """Find the repeats among records that are all in memory."""
    keys = KeysOf(config)
    for record in records:
        keys.add(record)
    found = keys.found()
    return Repeats.find(config, lambda name, how: how(*in_order(*found[name])))
