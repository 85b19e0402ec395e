from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mynah.errors import ArtifactError
from mynah.retrieval import sparse
from mynah.retrieval.features import count_features, features_of
from mynah.retrieval.sparse import K1, B, SparseIndex

TEXTS = [
    "where is my parcel",
    "parcel parcel parcel",
    "how do I pay",
    "a long text about parcels and how to pay",
    "退货",
]


def by_the_formula(query: str, texts: list[str]) -> list[float]:
    """BM25 as it stands in the literature, feature by feature."""
    counted = [
        dict(zip(c.features.tolist(), c.counts.tolist(), strict=True))
        for c in (count_features([t]) for t in texts)
    ]
    df = Counter(feature for counts in counted for feature in counts)
    mean = sum(sum(counts.values()) for counts in counted) / len(texts)
    scores = []
    for counts in counted:
        total, length = 0.0, sum(counts.values())
        for feature in features_of(query).tolist():
            tf = counts.get(feature, 0)
            idf = math.log(1 + (len(texts) - df[feature] + 0.5) / (df[feature] + 0.5))
            total += idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / mean)) if tf else 0.0
        scores.append(total)
    return scores


@pytest.mark.parametrize("query", ["my parcel", "pay", "退", "nothing known xyz", ""])
def test_scores_are_those_of_the_formula(tmp_path: Path, query: str) -> None:
    index = SparseIndex.build(TEXTS, len(TEXTS), tmp_path)
    assert index.scores(features_of(query)) == pytest.approx(
        by_the_formula(query, TEXTS), rel=2e-3
    )  # float16


def test_the_best_come_first_and_what_shares_nothing_is_left_out(tmp_path: Path) -> None:
    index = SparseIndex.build(TEXTS, len(TEXTS), tmp_path)
    numbers, scores = index.best(features_of("parcel"), 10)
    assert 4 not in numbers
    assert numbers[0] == 1
    assert list(scores) == sorted(scores, reverse=True)


def test_equal_texts_come_in_their_order(tmp_path: Path) -> None:
    index = SparseIndex.build(["same"] * 5, 5, tmp_path)
    assert list(index.best(features_of("same"), 3)[0]) == [0, 1, 2]


def test_built_in_pieces_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "pieces").mkdir()
    whole = SparseIndex.build(TEXTS, len(TEXTS), tmp_path / "whole")
    monkeypatch.setattr(sparse, "AT_ONCE", 2)
    pieces = SparseIndex.build(TEXTS, len(TEXTS), tmp_path / "pieces")
    assert np.array_equal(whole.scores(features_of("parcel pay")), pieces.scores(features_of("parcel pay")))


def test_of_a_large_log_the_commonest_features_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["common"] * 50 + ["common rare"]
    index = SparseIndex.build(texts, len(texts), tmp_path)
    monkeypatch.setattr(sparse, "MOST_POSTINGS", 20)
    assert index.best(features_of("common rare"), 1)[0][0] == 50
    assert index.scores(features_of("common"))[0] == 0


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    SparseIndex.build(TEXTS, len(TEXTS), tmp_path)
    (tmp_path / "texts.npy").write_bytes(b"no array")
    with pytest.raises(ArtifactError, match=r"texts\.npy"):
        SparseIndex.open(tmp_path)
