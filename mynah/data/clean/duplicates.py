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
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mynah.data.clean.config import DuplicateConfig
from mynah.data.records import Conversation, Record

#: A Han character or kana is a word of its own, punctuation is none.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_SPACE = re.compile(r"\s+")
_SEED = 1
#: Records whose signatures are worked out together.
BATCH = 512
#: Lines shorter than this repeat without meaning anything: "Yes.", "* * *".
SHORTEST_LINE = 20


def fingerprint(record: Record) -> bytes:
    """Return a hash (32 bytes) of a record's content that ignores case, white space and where it came from."""
    if isinstance(record, Conversation):
        parts = [f"{m.role}\x1f{m.content}" for m in record.messages]
    else:
        parts = [*record.texts, getattr(record, "label", "")]
    folded = _SPACE.sub(" ", "\x1e".join(parts).casefold()).strip()
    return hashlib.sha256(folded.encode("utf-8", "replace")).digest()


def short_fingerprint(record: Record) -> int:
    """Return the first 64 bits of the fingerprint: 10 million records collide with a chance of 3 in a million."""
    return int.from_bytes(fingerprint(record)[:8], "big")


def shingle_text(texts: Iterable[str]) -> str:
    """Return texts as folded words with one space between, as MinHash takes them."""
    return " ".join(_WORD.findall("\n".join(texts).casefold()))


def signatures(texts: Sequence[str], config: DuplicateConfig) -> npt.NDArray[np.uint64]:
    """Return (N, bands) uint64: a hash of each band of each text's MinHash signature.

    A text shorter than a shingle is one shingle, so that only its equals are alike. A text without a word has
    zeros.
    """
    os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")  # before the import: reports usage otherwise
    import daft

    if not texts:
        return np.zeros((0, config.bands), dtype=np.uint64)
    words = [shingle_text([text]) for text in texts]
    # A text of fewer words than a shingle has would be no shingle at all.
    padded = [w if w.count(" ") >= config.shingle - 1 else w.replace(" ", "_") for w in words]
    series = daft.Series.from_pylist(padded)
    hashes = series.minhash(config.bands * config.rows, config.shingle, _SEED, "xxhash64").to_arrow()
    flat = hashes.flatten().to_numpy(zero_copy_only=False).astype(np.uint64)
    rows = flat.reshape(len(texts), config.bands, config.rows)
    bands = np.zeros((len(texts), config.bands), dtype=np.uint64)
    for column in range(config.rows):
        bands = (bands ^ rows[:, :, column]) * np.uint64(0x9E3779B97F4A7C15)
        bands ^= bands >> np.uint64(29)
    empty = np.flatnonzero([not w for w in words])
    bands[empty] = 0
    return bands


def clusters(bands: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return (N,) int64: the first record that each is alike to, through others if need be, or itself.

    Args:
        bands: (N, bands) uint64, as `signatures` gives them; rows of zeros are alike to nothing.
    """
    parent = np.arange(len(bands), dtype=np.int64)

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    worded = np.flatnonzero(bands.any(axis=1)) if len(bands) else np.zeros(0, dtype=np.int64)
    for band in range(bands.shape[1]):
        order = worded[np.argsort(bands[worded, band], kind="stable")]
        values = bands[order, band]
        for position in np.flatnonzero(values[1:] == values[:-1]):
            first, second = root(int(order[position])), root(int(order[position + 1]))
            if first != second:
                parent[max(first, second)] = min(first, second)
    return np.array([root(index) for index in range(len(bands))], dtype=np.int64)


class LineCounts:
    """In how many documents a line stands, counted in a sketch of fixed size.

    Count-Min (Cormode and Muthukrishnan 2005): never too low, and too high only where lines collide in both
    rows of 2^22 counters.
    """

    WIDTH = 1 << 22

    def __init__(self) -> None:
        #: (2, WIDTH) uint16
        self.counts = np.zeros((2, self.WIDTH), dtype=np.uint16)

    def add(self, text: str) -> None:
        """Count each line of a document once."""
        lines = {line.strip() for line in text.split("\n")}
        for row, column in (place for line in lines if len(line) >= SHORTEST_LINE for place in _places(line)):
            if self.counts[row, column] < 65_535:
                self.counts[row, column] += 1

    def __getitem__(self, line: str) -> int:
        """Return in how many documents a line was found."""
        return min(int(self.counts[row, column]) for row, column in _places(line.strip()))

    def without_common(self, text: str, most: int) -> str:
        """Return a text without its lines that stand in more than `most` documents."""
        kept = [line for line in text.split("\n") if len(line.strip()) < SHORTEST_LINE or self[line] <= most]
        return "\n".join(kept)


def _places(line: str) -> tuple[tuple[int, int], tuple[int, int]]:
    digest = hashlib.blake2b(line.encode("utf-8", "replace"), digest_size=8).digest()
    first, second = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return (0, first % LineCounts.WIDTH), (1, second % LineCounts.WIDTH)


class ReplyCap:
    """Keeps at most so many conversations with the same replies: a cap, not a ban."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: Counter[int] = Counter()

    def too_many(self, record: Record) -> bool:
        """Count a record's replies; return whether each of them has been kept often enough already."""
        if not isinstance(record, Conversation):
            return False
        replies = [
            int.from_bytes(
                hashlib.blake2b(
                    _SPACE.sub(" ", m.content.casefold()).strip().encode("utf-8", "replace"), digest_size=8
                ).digest(),
                "big",
            )
            for m in record.messages
            if m.role == "assistant"
        ]
        if not replies or not all(self.seen[reply] >= self.most for reply in replies):
            self.seen.update(replies)
            return False
        return True
