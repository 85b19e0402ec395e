"""Questions that were handed over, grouped by likeness: the list of what to write next.

Questions are vectors of TF-IDF over runs of characters, weighed as the log weighs them, so that words that everybody
uses join nothing. Groups are merged from the bottom up while the mean cosine between their members is at least `ALIKE`
(average linkage: Sokal and Michener 1958).

N questions, F features.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.answers.candidates import read
from mynah.answers.judge import tfidf
from mynah.errors import DataError
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.features import count_features
from mynah.retrieval.index import ExchangeIndex

#: Mean cosine from which on questions ask for about the same: chosen on questions whose topic is known (docs/log.md).
ALIKE = 0.2
#: Distinct questions that are compared each with each; the others, asked least, join what they are most like.
MOST = 4_000


@dataclass(frozen=True)
class Group:
    """Questions that ask for about the same."""

    #: the one that is most like all others first
    questions: tuple[str, ...]
    #: how often they were asked
    asked: int
    #: of the log, what is most like the first; None: nothing is
    nearest: Exchange | None


def read_kept(path: Path) -> list[str]:
    """Return the questions that `mynah chat --keep-unanswered` kept, each as often as it was asked.

    Raises:
        DataError: if the file cannot be read, or is something else; with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {type(error).__name__}") from None
    found = list[str]()
    for number, line in enumerate(lines, start=1):
        try:
            question = json.loads(line)["question"]
        except (ValueError, KeyError, TypeError):
            question = None
        if not isinstance(question, str):
            raise DataError(
                f'{path}:{number}: not a line of mynah chat --keep-unanswered ({{"question": ..., "before": [...]}})'
            )
        found.append(question)
    if not found:
        raise DataError(f"{path}: holds no question")
    return found


def groups_of(questions: Sequence[str], index: ExchangeIndex) -> list[Group]:
    """Return questions in groups, those asked most first.

    Args:
        questions: each as often as it was asked.
        index: of the log that could not answer them.
    """
    asked = Counter(questions)
    texts = [text for text, _ in asked.most_common()]
    table = _vectors(texts, index)
    labels = _labels(table)
    groups = [
        _group(np.flatnonzero(labels == label), texts, table, asked, index) for label in np.unique(labels)
    ]
    return sorted(groups, key=lambda group: (-group.asked, group.questions))


def _vectors(texts: Sequence[str], index: ExchangeIndex) -> Any:
    """Return texts as rows of length 1, (N, F) sparse."""
    from scipy.sparse import csr_matrix

    counts = count_features([read(text, index.spelling) for text in texts])
    weights = tfidf(counts, len(texts), index.sparse.statistics.idf)
    used, columns = np.unique(counts.features, return_inverse=True)
    return csr_matrix((weights, (counts.texts, columns)), shape=(len(texts), max(1, len(used))))


def _labels(table: Any) -> npt.NDArray[np.int64]:
    """Return the number of each row's group, (N,)."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    head = table[:MOST]
    if head.shape[0] < 2:
        return np.arange(table.shape[0])
    distance = 1 - (head @ head.T).toarray()
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(np.maximum(distance, 0), checks=False), "average")
    labels: npt.NDArray[np.int64] = fcluster(tree, 1 - ALIKE, "distance").astype(np.int64)
    if table.shape[0] <= MOST:
        return labels
    likest = (table[MOST:] @ head.T).tocsr()
    at = np.asarray(likest.argmax(axis=1)).ravel()
    like = np.asarray(likest.max(axis=1).todense()).ravel()
    alone = labels.max() + 1 + np.arange(len(at))
    result: npt.NDArray[np.int64] = np.concatenate([labels, np.where(like >= ALIKE, labels[at], alone)])
    return result


def _group(
    rows: npt.NDArray[np.intp], texts: Sequence[str], table: Any, asked: Counter[str], index: ExchangeIndex
) -> Group:
    mine = table[rows]
    middle = np.asarray(mine @ np.asarray(mine.sum(axis=0)).ravel()).ravel()
    order = rows[np.argsort(-middle, kind="stable")]
    members = tuple(texts[n] for n in order)
    features = count_features([read(members[0], index.spelling)]).features
    nearest, _ = index.nearest(features, 1)
    exchange = index.exchange(int(nearest[0])) if len(nearest) else None
    return Group(members, sum(asked[text] for text in members), exchange)
