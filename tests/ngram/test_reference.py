"""Every row of the table that KenLM's lmplz and query gave (commit 4cb443e), on files of the shared data."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from corpora import reference_lines

from mynah.ngram import NGramModel
from mynah.ngram.text import Piece, WordReader

ROWS = [
    ("wikitext2_words", 2, 278.4175051956133, 233.3261664186521, 519, 19962),
    ("wikitext2_words", 3, 241.7719770803952, 201.85539687441255, 519, 19962),
    ("wikitext2_words", 5, 234.9394000330624, 196.11211995527063, 519, 19962),
    ("shakespeare_words", 2, 448.845021005548, 282.0321871280756, 1604, 23617),
    ("shakespeare_words", 3, 434.7046263157301, 272.45415090337184, 1604, 23617),
    ("shakespeare_words", 5, 433.7114338557923, 271.90375332809646, 1604, 23617),
    ("luxun_chars", 2, 116.04276748027246, 114.15597835598649, 69, 30819),
    ("luxun_chars", 3, 88.88734260554868, 87.39498102897483, 69, 30819),
    ("luxun_chars", 5, 85.96296974395345, 84.51557236284545, 69, 30819),
]


@pytest.mark.parametrize(("kind", "order", "with_oov", "without_oov", "oov", "tokens"), ROWS)
def test_words_and_chinese_characters(
    shared: Path, kind: str, order: int, with_oov: float, without_oov: float, oov: int, tokens: int
) -> None:
    train, test = reference_lines(shared, kind)
    model = NGramModel.train(train, order=order)
    summary = model.perplexity(test)
    assert (summary.oov, summary.tokens) == (oov, tokens)
    # What remains is the float32 in which KenLM keeps its logarithms: some 5e-8 were seen.
    assert summary.perplexity == pytest.approx(with_oov, rel=1e-6)
    assert summary.perplexity_known == pytest.approx(without_oov, rel=1e-6)


@pytest.mark.parametrize(
    ("order", "expected"), [(4, 5.579605286543585), (5, 4.76489682930381), (6, 4.584725841666635)]
)
def test_characters_as_one_line(shared: Path, order: int, expected: float) -> None:
    train, test = reference_lines(shared, "shakespeare_chars")
    with pytest.warns(UserWarning, match="too small to find Kneser-Ney's discounts"):
        model = NGramModel.train(train, order=order)
    assert model.about["fell_back"] == [1]  # as with lmplz --discount_fallback
    assert isinstance(model.reader, WordReader)
    ids = model.reader.read(Piece(test[0].encode() + b"\n", "test", 1))
    log_probs = model.score_ids(ids).log_probs[1:]
    assert len(log_probs) == 111541
    # KenLM's query adds up a line's logarithms in float32; over a line of 111,541 tokens that shows in the fifth
    # digit. Added up in the same way the figure is the same; added up in float64 it is the true one.
    total = np.add.accumulate((log_probs / np.log(10)).astype(np.float32))[-1]
    assert 10 ** (-float(total) / len(log_probs)) == pytest.approx(expected, rel=1e-6)
    assert np.exp(-log_probs.mean()) == pytest.approx(expected, rel=1e-4)


def test_discounts_and_counts(shared: Path) -> None:
    model = NGramModel.train(reference_lines(shared, "wikitext2_words")[0], order=3)
    expected = [[0.526368, 1.07025, 1.66523], [0.774389, 1.22749, 1.57995], [0.868431, 1.30872, 1.49863]]
    assert np.array(model.about["discounts"]) == pytest.approx(np.array(expected), rel=5e-6)
    assert model.tables.counts == [13314, 89398, 153249]


def test_kenlm_scores_our_arpa_as_we_do(shared: Path, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    train, test = reference_lines(shared, "shakespeare_words")
    for order, smoothing in ((2, "kneser-ney"), (5, "kneser-ney"), (3, "witten-bell")):
        model = NGramModel.train(train[:8000], order=order, smoothing=smoothing)
        model.save(tmp_path / "m.arpa")
        peer = kenlm.Model(str(tmp_path / "m.arpa"))
        assert peer.order == order
        for line in test[:300]:
            for ours, (log10_prob, matched, oov) in zip(
                model.score(line), peer.full_scores(line), strict=True
            ):
                assert ours.log10_prob == pytest.approx(log10_prob, abs=2e-6)
                assert (ours.order, ours.oov) == (matched, oov)


def test_kenlm_and_we_agree_after_pruning(shared: Path, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    train, test = reference_lines(shared, "shakespeare_words")
    model = NGramModel.train(train[:8000], order=3).prune(1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "m.arpa.gz")
    peer = kenlm.Model(str(tmp_path / "m.arpa.gz"))
    for line in test[:200]:
        ours = sum(token.log10_prob for token in model.score(line))
        assert ours == pytest.approx(peer.score(line), rel=1e-5)
