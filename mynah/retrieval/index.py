"""The exchanges of a log on the disk, found by what was asked, by what was replied, and by what was said before.

N exchanges, R distinct replies, M members of all replies (N).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mynah import artifacts
from mynah.data.language import language_of
from mynah.data.records import Message
from mynah.errors import ArtifactError, DataError
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.features import Numbers
from mynah.retrieval.sparse import SparseIndex, Statistics
from mynah.retrieval.spelling import Spelling, kept, words_of

#: Exchanges that are written at once.
AT_ONCE = 10_000
#: Nearest exchanges that are looked at for so many distinct replies; of a log that says the same again and again, more.
NEAREST = 256
EXCHANGES, WORDS = "exchanges.arrow", "words.json"
#: Questions by which the language of a log is told.
LANGUAGE_BY = 50
#: Of how an index is written; one of another version is made again.
VERSION = 2
_SPARSE = "sparse"
_TEXTS = ("question", "reply", "before", "place", "time", "names")
_SCHEMA = pa.schema([(name, pa.string()) for name in _TEXTS])
_NONE = -1


@dataclass(frozen=True)
class Hit:
    """A distinct reply of the log, by the exchange in which it was given to what is most like the query."""

    #: number of the reply
    reply: int
    #: number of the exchange
    exchange: int
    #: BM25 of its question
    score: float


class ExchangeIndex:
    """Exchanges and what finds them, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        """Open the index of a folder.

        Raises:
            ArtifactError: if there is none, or it is damaged.
        """
        self.sparse = SparseIndex.open(folder / _SPARSE)
        try:
            self._source = pa.memory_map(str(folder / EXCHANGES))
            self._table = pa.ipc.open_file(self._source).read_all()
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(f"{folder / EXCHANGES}: missing or damaged: {type(error).__name__}") from None
        try:
            #: (N,) int32: the reply of each exchange; replies that differ in case or spaces alone are one
            self.reply_of = _load(folder, "replies")
            #: (N,) int32: the reply that was given just before the question of each exchange, -1: none
            self.reply_before = _load(folder, "before")
            self._members, self._starts = _load(folder, "members"), _load(folder, "starts")
            self._hashes, self._by_hash = _load(folder, "hashes"), _load(folder, "by_hash")
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{folder}: missing or damaged: {type(error).__name__}") from None
        #: puts what a user typed right, by the words of the log
        self.spelling = _spelling(folder / WORDS)

    @classmethod
    def build(
        cls, exchanges: Iterable[Exchange], folder: Path, like: Statistics | None = None
    ) -> ExchangeIndex:
        """Write an index into a new folder.

        Args:
            exchanges: in the order of their numbers.
            folder: is made.
            like: how features are weighed; None: by these exchanges.

        Raises:
            DataError: if there is no exchange.
            ArtifactError: if it cannot be written.
        """
        (folder / _SPARSE).mkdir(parents=True)
        replies: list[int] = []
        before: list[int] = []
        known: dict[int, int] = {}
        words: Counter[str] = Counter()
        with pa.OSFile(str(folder / EXCHANGES), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            waiting: list[Exchange] = []
            for exchange in exchanges:
                new, reply = len(known), known.setdefault(hash_of(exchange.reply), len(known))
                replies.append(reply)
                words.update(words_of(exchange.question))
                if reply == new:
                    words.update(words_of(exchange.reply))
                last = exchange.before[-1] if exchange.before else None
                before.append(hash_of(last.content) if last and last.role == "assistant" else _NONE)
                waiting.append(exchange)
                if len(waiting) == AT_ONCE:
                    writer.write_batch(_batch(waiting))
                    waiting = []
            if waiting:
                writer.write_batch(_batch(waiting))
        if not replies:
            raise DataError("the log has no reply to anything: there is nothing to answer from")
        reply_of = np.array(replies, np.int32)
        hashes = np.array(list(known), np.uint64)
        order = np.argsort(hashes, kind="stable")
        _save(folder, "replies", reply_of)
        _save(folder, "before", np.array([known.get(said, _NONE) for said in before], np.int32))
        _save(folder, "members", np.argsort(reply_of, kind="stable").astype(np.int32))
        _save(folder, "starts", np.concatenate([[0], np.cumsum(np.bincount(reply_of))]).astype(np.int64))
        _save(folder, "hashes", hashes[order])
        _save(folder, "by_hash", order.astype(np.int32))
        questions = _column(folder / EXCHANGES, "question")
        SparseIndex.build(questions, len(replies), folder / _SPARSE, like)
        language = language_of("\n".join(islice(_column(folder / EXCHANGES, "question"), LANGUAGE_BY))).code
        artifacts.write_json(folder / WORDS, {"language": language, "words": kept(words)})
        return cls(folder)

    def __len__(self) -> int:
        return len(self.reply_of)

    @property
    def n_replies(self) -> int:
        """How many distinct replies there are."""
        return len(self._starts) - 1

    def exchange(self, number: int) -> Exchange:
        """Return an exchange by its number."""
        row = self._table.slice(number, 1).to_pylist()[0]
        return Exchange(
            row["question"],
            row["reply"],
            tuple(Message(**turn) for turn in json.loads(row["before"])),
            row["place"],
            row["time"],
            tuple(json.loads(row["names"])),
        )

    def questions(self, numbers: Sequence[int] | Numbers) -> list[str]:
        """Return the questions of exchanges."""
        found: list[str] = self._table.column("question").take(pa.array(numbers)).to_pylist()
        return found

    @cached_property
    def times(self) -> list[str]:
        """When each reply was given, in ISO 8601; empty where it is not known."""
        found: list[str] = self._table.column("time").to_pylist()
        return found

    def text_of(self, reply: int) -> str:
        """Return the words of a distinct reply."""
        text: str = self._table.column("reply")[int(self.members(reply)[0])].as_py()
        return text

    def members(self, reply: int) -> Numbers:
        """Return the exchanges in which a distinct reply was given."""
        members: Numbers = self._members[self._starts[reply] : self._starts[reply + 1]]
        return members

    def number_of(self, reply: str) -> int | None:
        """Return the number of a reply that has these words, if there is one."""
        wanted = np.uint64(hash_of(reply))
        at = int(np.searchsorted(self._hashes, wanted))
        return int(self._by_hash[at]) if at < len(self._hashes) and self._hashes[at] == wanted else None

    def nearest(self, features: Numbers, count: int) -> tuple[Numbers, npt.NDArray[np.float32]]:
        """Return the exchanges whose questions are most like a query, best first, and their scores.

        Args:
            features: of the query (`mynah.retrieval.features.features_of`).
            count: of exchanges, at most.
        """
        return self.sparse.best(features, count)

    def search(self, features: Numbers, count: int) -> list[Hit]:
        """Return the distinct replies that were given to what is most like a query, best first.

        Args:
            features: of the query.
            count: of replies, at most.
        """
        looked = NEAREST
        while True:
            found, scores = self.nearest(features, looked)
            replies, first = np.unique(self.reply_of[found], return_index=True)
            if len(replies) >= count or len(found) < looked:
                break
            looked *= 8
        best = np.sort(first)[:count]
        return [Hit(int(self.reply_of[found[i]]), int(found[i]), float(scores[i])) for i in best]

    def __iter__(self) -> Iterator[Exchange]:
        """Yield all exchanges in order."""
        return (self.exchange(number) for number in range(len(self)))


def hash_of(reply: str) -> int:
    """Return a number that replies have in common if they differ in case, width of letters or spaces alone."""
    folded = " ".join(unicodedata.normalize("NFKC", reply).casefold().split())
    return int.from_bytes(hashlib.blake2b(folded.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _batch(exchanges: Sequence[Exchange]) -> pa.RecordBatch:
    rows = [
        {
            "question": exchange.question,
            "reply": exchange.reply,
            "before": json.dumps([asdict(turn) for turn in exchange.before], ensure_ascii=False),
            "place": exchange.place,
            "time": exchange.time,
            "names": json.dumps(exchange.names, ensure_ascii=False),
        }
        for exchange in exchanges
    ]
    return pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)


def _column(path: Path, name: str) -> Iterator[str]:
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            yield from file.get_batch(number).column(name).to_pylist()


def _spelling(path: Path) -> Spelling:
    value = artifacts.read_json(path)
    try:
        return Spelling({str(word): int(times) for word, times in value["words"].items()}, value["language"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArtifactError(f"{path}: damaged: not the words of a log") from None


def _save(folder: Path, name: str, array: npt.NDArray[Any]) -> None:
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _load(folder: Path, name: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array
