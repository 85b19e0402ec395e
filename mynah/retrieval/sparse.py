"""BM25 over hashed runs of characters, in arrays that are mapped into memory, not read.

The score of a text d for a query q (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", equation
3.15; every feature of the query counts once):

    sum over features f of q:  idf(f) * tf(f, d) (k1 + 1) / (tf(f, d) + k1 (1 - b + b |d| / mean |d|))
    idf(f) = log(1 + (N - df(f) + 1/2) / (df(f) + 1/2))

N texts, F features, M postings (features that stand in a text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.retrieval.features import N_FEATURES, Numbers, count_features

#: How soon a repeated feature counts no more, and how much a long text is held against it: the usual values.
K1, B = 1.2, 0.75
#: Texts that are taken apart at once.
AT_ONCE = 50_000
#: Postings that a query reads at most: of a large log its commonest features, which tell least, are left out.
MOST_POSTINGS = 2_000_000
_ARRAYS = ("starts", "texts", "weights")
_ABOUT = "sparse.json"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Statistics:
    """What the weights of a feature are made from: of a whole log, for what is added to it later too."""

    #: texts
    count: int
    #: mean of how many features a text has, each as often as it stands there
    mean_length: float
    #: (F,) float32
    idf: Floats


class SparseIndex:
    """Postings by feature: in which texts it stands, and with what weight."""

    def __init__(self, count: int, statistics: Statistics, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Use `build` or `open`."""
        #: texts that are indexed here
        self.count = count
        self.statistics = statistics
        #: (F + 1,) int64: where the postings of each feature begin
        self._starts = arrays["starts"]
        #: (M,) int32 and (M,) float16
        self._texts, self._weights = arrays["texts"], arrays["weights"]

    @classmethod
    def build(
        cls, texts: Iterable[str], count: int, folder: Path, like: Statistics | None = None
    ) -> SparseIndex:
        """Index `count` texts into a folder.

        Args:
            texts: in the order of their numbers.
            count: how many they are.
            folder: exists.
            like: the statistics to weigh by; None: those of these texts.

        Raises:
            ArtifactError: if it cannot be written.
        """
        # One column after the other: a large log fills the memory with postings.
        parts = list(_counted(texts))
        owners, features, times = (np.concatenate(column) for column in zip(*parts, strict=True))
        del parts
        lengths = np.bincount(owners, times, minlength=count)
        df = np.bincount(features, minlength=N_FEATURES)
        mean = float(lengths.mean()) if count else 0.0
        idf = np.log1p((count - df + 0.5) / (df + 0.5)).astype(np.float32)
        statistics = like or Statistics(count, mean, idf)
        order = np.argsort(features, kind="stable")
        del features
        owners, times = owners[order], times[order].astype(np.float32)
        del order
        spread = (K1 * (1 - B + B * lengths / max(statistics.mean_length, 1e-9))).astype(np.float32)
        arrays: dict[str, npt.NDArray[Any]] = {
            "starts": np.concatenate([[0], np.cumsum(df)]).astype(np.int64),
            "texts": owners,
            "weights": (times * np.float32(K1 + 1) / (times + spread[owners])).astype(np.float16),
        }
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        np.save(folder / "idf.npy", statistics.idf, allow_pickle=False)
        about = {"count": statistics.count, "mean_length": statistics.mean_length, "texts": count}
        artifacts.write_json(folder / _ABOUT, about)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> SparseIndex:
        """Map the index of a folder into memory.

        Raises:
            ArtifactError: if there is none, or it is damaged.
        """
        about = artifacts.read_json(folder / _ABOUT)
        try:
            arrays = {name: _map(folder / f"{name}.npy") for name in (*_ARRAYS, "idf")}
            statistics = Statistics(about["count"], about["mean_length"], arrays.pop("idf"))
            return cls(int(about["texts"]), statistics, arrays)
        except (KeyError, TypeError):
            raise ArtifactError(f"{folder / _ABOUT}: damaged: a key is missing") from None

    def scores(self, features: Numbers) -> Floats:
        """Return the score of every text, (N,) float32.

        Args:
            features: distinct ones of the query (`features_of`).
        """
        sizes = self._starts[features + 1] - self._starts[features]
        # The rarest tell most; of those that stand in most texts some may have to go.
        order = np.argsort(sizes, kind="stable")
        kept = order[np.cumsum(sizes[order]) <= MOST_POSTINGS]
        if not len(kept):
            return np.zeros(self.count, np.float32)
        texts, weights = [], []
        for feature in features[kept]:
            begin, end = self._starts[feature], self._starts[feature + 1]
            texts.append(self._texts[begin:end])
            weights.append(self._weights[begin:end].astype(np.float32) * self.statistics.idf[feature])
        return np.bincount(np.concatenate(texts), np.concatenate(weights), minlength=self.count).astype(
            np.float32
        )

    def holds(self, features: Numbers) -> npt.NDArray[np.bool_]:
        """Say of each feature whether any text has it, (F,) bool."""
        held: npt.NDArray[np.bool_] = self._starts[features + 1] > self._starts[features]
        return held

    def best(self, features: Numbers, count: int) -> tuple[Numbers, Floats]:
        """Return the numbers of the best texts, best first, and their scores; texts that share nothing are left out."""
        scores = self.scores(features)
        count = min(count, len(scores))
        if not count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        found = np.argpartition(-scores, count - 1)[:count]
        found = found[scores[found] > 0]
        # Of equals the first, so that the order does not depend on how they were found.
        found = found[np.lexsort((found, -scores[found]))]
        return found, scores[found]


def _counted(texts: Iterable[str]) -> Iterator[tuple[npt.NDArray[np.int32], ...]]:
    """Yield text, feature and count, some texts at a time."""
    done, left = 0, iter(texts)
    while some := list(islice(left, AT_ONCE)):
        counts = count_features(some)
        yield (
            (counts.texts + done).astype(np.int32),
            counts.features.astype(np.int32),
            counts.counts.astype(np.int32),
        )
        done += len(some)


def _map(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: missing or damaged: {type(error).__name__}") from None
    return array
