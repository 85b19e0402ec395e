from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.errors import ArtifactError
from mynah.ngram import NGramConfig, NGramModel
from mynah.ngram.model import quiet
from mynah.ngram.prior import PRIOR, NGramPrior, TextPrior

BOS, VOCAB_SIZE = 0, 7
records = st.lists(st.lists(st.integers(1, 6), max_size=9), min_size=2, max_size=30)


def lay(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.array([token for row in rows for token in (BOS, *row)], np.uint16)
    return tokens, np.cumsum([0] + [len(row) + 1 for row in rows])


def trained(tokens: np.ndarray, order: int) -> NGramPrior:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NGramPrior.train(tokens, VOCAB_SIZE, BOS, NGramConfig(order=order))


@settings(deadline=None, max_examples=40)
@given(records, st.integers(2, 5))
def test_rows_are_distributions_with_the_end_of_a_text(rows: list[list[int]], order: int) -> None:
    tokens, _ = lay(rows)
    prior = trained(tokens, order)
    contexts = prior.contexts(tokens)
    given_rows = prior.log_probs(contexts)
    assert given_rows.shape == (len(tokens), VOCAB_SIZE)
    # The mark that begins records is never predicted, so that what is left sums to 1.
    assert np.exp(given_rows).sum(axis=1) == pytest.approx(np.ones(len(tokens)), abs=1e-5)
    assert (np.exp(given_rows[:, BOS]) > 0).all()
    along = contexts[:, :1]
    for place in range(1, len(tokens)):  # step by step, as in decoding
        along = prior.advance(along, tokens[place : place + 1])
        assert along[:, 0].tolist() == contexts[:, place].tolist()


def test_a_text_ends_where_texts_ended() -> None:
    tokens, _ = lay([[1, 2, 3]] * 20 + [[1, 2, 3, 4]] * 20)
    prior = trained(tokens, 4)
    after = np.exp(prior.log_probs(prior.contexts(np.array([BOS, 1, 2, 3], np.uint16)))[-1])
    assert after[BOS] == pytest.approx(0.5, abs=0.1)
    assert after[4] == pytest.approx(0.5, abs=0.1)
    # What stood before a text counts for nothing.
    one = prior.contexts(np.array([5, 6, BOS, 1], np.uint16))[:, -1]
    assert one.tolist() == prior.contexts(np.array([BOS, 1], np.uint16))[:, -1].tolist()


def test_a_baseline_is_taken_with_its_last_token_and_its_own_beginnings() -> None:
    tokens = np.tile(np.array([0, 1, 4, 0, 2, 3], np.uint16), 50)
    model = NGramModel.train_ids(tokens, 5, 0, NGramConfig(order=3))
    prior = NGramPrior(model, 0)
    assert prior.vocab_size == 5
    after = prior.contexts([0, 1])
    np.testing.assert_array_equal(after[:, -1:], prior.advance(prior.contexts([0])[:, -1:], [1]))
    assert prior.log_probs(after)[-1].argmax() == 4
    assert set(np.argsort(prior.log_probs(after)[0])[-2:]) == {1, 2}  # what texts begin with


def test_the_mark_does_not_wrap_around() -> None:
    # With 65,536 ids the tokens are uint16, and the mark after the last does not fit them.
    size = 1 << 16
    tokens = np.array([BOS, 5, 6, BOS, 5, 7] * 9, np.uint16)
    with quiet():
        prior = NGramPrior.train(tokens, size, BOS, NGramConfig(order=2))
    assert prior.contexts(tokens)[0, :2].tolist() == [size, 5]
    assert prior.log_probs(prior.contexts(tokens)[:, :1])[0].argmax() == 5


@settings(deadline=None, max_examples=25)
@given(records, st.integers(2, 4), st.integers(2, 4))
def test_no_place_is_asked_of_a_model_that_counted_it(rows: list[list[int]], order: int, folds: int) -> None:
    tokens, starts = lay(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        along = TextPrior.held_out(tokens, starts, VOCAB_SIZE, BOS, NGramConfig(order=order), folds)
    assert len(along.models) == folds
    if len(rows) >= 8 * folds:  # whole records
        assert all(len(set(along.fold[a:b])) == 1 for a, b in itertools.pairwise(starts))
    for number in range(folds):
        again = trained(tokens[along.fold != number], order)
        places = np.flatnonzero(along.fold == number)
        assert again.model.tables.counts == along.models[number].model.tables.counts
        if len(places):
            lead = tokens[: places[0]]
            known = again.contexts(np.concatenate([lead, tokens[places]]))[:, len(lead) :]
            assert along.log_probs(places) == pytest.approx(again.log_probs(known), abs=1e-6)


def test_folds_can_be_given() -> None:
    rows = [[1 + i % 5, 2, 3] for i in range(32)]
    tokens, starts = lay(rows)
    fold_of = np.repeat(np.arange(2, dtype=np.uint8), 16)
    with quiet():
        along = TextPrior.held_out(tokens, starts, VOCAB_SIZE, BOS, NGramConfig(order=2), 2, fold_of=fold_of)
    assert along.fold.tolist() == np.repeat(fold_of, np.diff(starts)).tolist()


def test_held_out_loss_is_honest(shared: Path) -> None:
    text = (shared / "text_tinyshakespeare" / "input.txt").read_text(encoding="utf-8")[:200_000]
    _, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    ids = (ids + 1).astype(np.uint16)
    train, test = ids[:160_000], ids[160_000:]
    size = int(ids.max()) + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = NGramPrior.train(train, size, BOS, NGramConfig(order=5))
        along = TextPrior.held_out(train, np.array([0, len(train)]), size, BOS, NGramConfig(order=5), 8)

    def loss(prior: TextPrior, tokens: np.ndarray) -> float:
        rows = prior.log_probs(np.arange(len(tokens) - 1))
        return -float(rows[np.arange(len(tokens) - 1), tokens[1:]].mean())

    seen = loss(TextPrior.of(whole, train), train)
    crossed, beyond = loss(along, train), loss(TextPrior.of(whole, test), test)
    # Neighbouring stretches are of one play and know its names, so that cross-fitting flatters a little.
    assert 0.8 * beyond < crossed < beyond
    assert seen < 0.75 * crossed


def test_saved_and_opened(tmp_path: Path) -> None:
    tokens, _ = lay([[1, 2, 3, 4], [2, 3, 4], [5, 6]] * 5)
    prior = trained(tokens, 3)
    prior.save(tmp_path / PRIOR)
    again = NGramPrior.load(tmp_path / PRIOR, BOS)
    contexts = prior.contexts(tokens)
    assert again.log_probs(contexts).tolist() == prior.log_probs(contexts).tolist()
    with pytest.raises(ArtifactError, match="no such file"):
        NGramPrior.load(tmp_path / "nowhere", BOS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NGramModel.train(["a b"], order=2).save(tmp_path / PRIOR)
    with pytest.raises(ArtifactError, match="not made as a prior"):
        NGramPrior.load(tmp_path / PRIOR, BOS)
