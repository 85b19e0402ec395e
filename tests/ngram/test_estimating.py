from __future__ import annotations

import inspect
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from corpora import contexts, estimated, lay, sentences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynah.errors import ConfigError, DataError
from mynah.ngram import NGramModel, kernels
from mynah.ngram.backoff import BackoffModel
from mynah.ngram.marks import BOS
from mynah.ngram.model import quiet
from mynah.ngram.smoothing import (
    FALLBACK,
    AddK,
    KneserNey,
    MaximumLikelihood,
    Smoothing,
    StupidBackoff,
    WittenBell,
    discounts_of,
)
from mynah.ngram.workspace import Workspace

METHODS = [KneserNey, WittenBell, AddK, MaximumLikelihood]
PRUNES = [(), (0, 1), (0, 0, 1), (0, 1, 2)]


@settings(deadline=None, max_examples=60)
@given(sentences, st.integers(1, 8), contexts, st.sampled_from(METHODS), st.sampled_from(PRUNES))
def test_probabilities_sum_to_one_in_every_context(
    rows: list[list[int]], order: int, context: list[int], method: type[Smoothing], prune: tuple[int, ...]
) -> None:
    prunes = method in (KneserNey, WittenBell)
    model = estimated(lay(rows), order, method(), prune=prune if prunes else ())
    for tried in (context, [BOS], [], [0], rows[0], [BOS, *rows[-1]], [BOS, *rows[0][:2]]):
        distribution = model.distribution(tried)
        assert distribution.min() >= 0
        assert distribution[BOS] == 0
        assert distribution.sum() == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    sentences,
    sentences,
    st.integers(1, 5),
    st.sampled_from([*METHODS, StupidBackoff]),
    st.sampled_from(PRUNES),
)
def test_scoring_in_batch_agrees_with_the_distribution(
    rows: list[list[int]],
    others: list[list[int]],
    order: int,
    method: type[Smoothing],
    prune: tuple[int, ...],
) -> None:
    prunes = method in (KneserNey, WittenBell)
    model = estimated(lay(rows), order, method(), prune=prune if prunes else ())
    tokens = np.concatenate([lay(rows[:3]), lay(others[:3])])
    scores = model.score(tokens)
    begin = 0
    for place, token in enumerate(tokens.tolist()):
        if token == BOS:
            begin = place
            assert scores.log_probs[place] == scores.orders[place] == 0
            continue
        expected = model.distribution(tokens[begin:place].tolist())[token]
        assert np.exp(scores.log_probs[place]) == pytest.approx(expected, rel=1e-6)
        longest = tokens[max(begin, place - order + 1) : place].tolist()
        while longest and not _has(model, [*longest, token]):
            longest.pop(0)
        assert scores.orders[place] == len(longest) + 1


def _has(model: BackoffModel, ngram: list[int]) -> bool:
    order = len(ngram)
    return order == 1 or ngram in model.ngrams(order, 0, model.counts[order - 1]).tolist()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=sentences,
    order=st.integers(1, 5),
    block=st.integers(1, 40),
    method=st.sampled_from(METHODS),
    prune=st.sampled_from(PRUNES),
)
def test_pieces_on_disk_give_the_same_numbers(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[int]],
    order: int,
    block: int,
    method: type[Smoothing],
    prune: tuple[int, ...],
) -> None:
    prune = prune if method in (KneserNey, WittenBell) else ()
    folder = tmp_path_factory.mktemp("pieces")
    whole = estimated(lay(rows), order, method(), prune=prune)
    pieces = estimated(lay(rows), order, method(), Workspace(folder, block), prune)
    _same(whole, pieces)


def _same(one: BackoffModel, other: BackoffModel) -> None:
    assert one.counts == other.counts
    for a, b in zip(one.tables, other.tables, strict=True):
        assert a.tokens.words.tolist() == b.tokens.words.tolist()
        assert a.offsets.words.tolist() == b.offsets.words.tolist()
        assert a.log_probs.stored.tolist() == b.log_probs.stored.tolist()
        assert a.backoffs.stored.tolist() == b.backoffs.stored.tolist()


def test_little_memory_is_enough_for_a_large_text(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shared / "text_tinyshakespeare" / "input.txt"
    whole = NGramModel.train(text, order=4)
    monkeypatch.setattr("mynah.ngram.config._LEAST", 1)
    # 267,000 tokens with the starts of lines take 4 bytes each; 1 MB holds them or a block of 7,000 sorted pairs.
    pieces = NGramModel.train(text, order=4, memory="1M", beside=tmp_path)
    _same(whole.tables, pieces.tables)
    assert not list(tmp_path.iterdir())


def test_the_memory_limit_holds(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNAH_NUMBA", "0")
    monkeypatch.setattr("mynah.ngram.workspace.held_memory", lambda: 0)
    monkeypatch.setattr("mynah.ngram.config._LEAST", 1)
    text = (shared / "text_tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    _, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    tokens = (ids + 1).astype(np.uint32)  # 4.5 MB of ids; a million n-grams
    peaks, models = [], []
    for memory in ("2G", "12M"):
        tracemalloc.start()
        with quiet():
            models.append(NGramModel.train_ids(tokens, 66, 0, order=6, memory=memory))
        peaks.append(tracemalloc.get_traced_memory()[1] - tokens.nbytes)
        tracemalloc.stop()
    _same(models[0].tables, models[1].tables)
    assert peaks[1] < 12 * 2**20 < peaks[0] / 3


@pytest.mark.parametrize("order", [1, 2, 5])
def test_compiled_loops_give_the_same_numbers(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    pytest.importorskip("numba")
    lines = (shared / "text_wikitext2" / "valid.txt").read_text(encoding="utf-8").split("\n")
    lines = [line.replace("<unk>", "UNK") for line in lines]
    made = []
    for wanted in ("0", "1"):
        monkeypatch.setenv("MYNAH_NUMBA", wanted)
        model = NGramModel.train(lines[:2000], order=order)
        model.save(tmp_path / f"{wanted}.arpa")
        scores = [model.score(line) for line in lines[2000:2200] if line.strip()]
        rounded = model.compact().perplexity(lines[2000:2200])
        made.append((model, (tmp_path / f"{wanted}.arpa").read_bytes(), scores, rounded))
    _same(made[0][0].tables, made[1][0].tables)
    assert made[0][1:] == made[1][1:]


def test_both_kinds_of_loops_have_the_same_functions() -> None:
    pytest.importorskip("numba")
    from mynah.ngram import compiled

    names = [
        n for n, f in vars(kernels).items() if inspect.isfunction(f) and f.__module__ == kernels.__name__
    ]
    assert {"sort_pairs", "find_children"} < set(names)
    assert all(hasattr(compiled, name) for name in names if not name.startswith("_"))


def test_bigrams_worked_out_by_hand() -> None:
    # "a b" and "a c". Bigrams: <s> a twice; a b, a c, b </s>, c </s> once. No bigram stands three times, so the
    # discounts are 0.5, 1 and 1.5. Different left neighbours: a 1, b 1, c 1, </s> 2; <unk> none; V = 5 with it.
    with pytest.warns(UserWarning, match="too small"):
        model = NGramModel.train(["a b", "a c"], order=2)
    freed = (3 * 0.5 + 1 * 1.0) / 5
    once, twice, never = 0.5 / 5 + freed / 5, 1 / 5 + freed / 5, freed / 5
    assert dict(model.next_tokens("zzz")) == pytest.approx(
        {"a": once, "b": once, "c": once, "</s>": twice, "<unk>": never, "<s>": 0}
    )
    # After a: b and c once each: own 0.5 / 2, weight (0.5 + 0.5) / 2. After <s>: a twice: own 1 / 2, weight 1 / 2.
    after = dict(model.next_tokens("a"))
    assert after["b"] == pytest.approx(0.25 + 0.5 * once)
    assert after["a"] == pytest.approx(0.5 * once)
    assert dict(model.next_tokens(""))["a"] == pytest.approx(0.5 + 0.5 * once)


def test_discounts_by_the_formula() -> None:
    y = 8 / (8 + 2 * 4)
    assert discounts_of([8, 4, 2, 1]) == pytest.approx(
        (1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2)
    )
    assert discounts_of([8, 0, 2, 1]) is None  # undefined
    assert discounts_of([10, 1, 9, 1]) is None  # D2 below 0


@pytest.mark.parametrize(
    "lines",
    [
        ["I have a pen.", "I need a pen."],
        ["I have a pen."],
        ["a"],
        ["a a a a a a a a"],
        ["i have a pen", "i need a pen", "i want an apple", "i have two", "i have an apple"] * 2,
    ],
)
@pytest.mark.parametrize("order", [1, 3, 8])
def test_the_smallest_texts_give_a_proper_model(lines: list[str], order: int) -> None:
    # KenLM aborts here: "discount out of range".
    with pytest.warns(UserWarning, match="too small to find") as told:
        model = NGramModel.train(lines, order=order)
    assert len(told) == 1
    assert model.about["discounts"][-1] == list(FALLBACK)
    words = list(model.reader.vocabulary)
    for context in ([BOS], [], [0], [BOS, *range(3, len(words))]):
        assert model.tables.distribution(context).sum() == pytest.approx(1, abs=1e-6)
    first = lines[0].split()[0]
    assert model.next_tokens("")[0][0] == first or order == 1
    assert 1 < model.perplexity(lines).perplexity < len(words)


def test_settings_out_of_range_are_refused() -> None:
    for wrong, told in (
        ({"order": 0}, "order: .*greater than or equal to 1"),
        ({"order": 20}, "order: .*less than or equal to 8"),
        ({"order": 3, "prune": (0, 2, 1)}, "never fall"),
        ({"order": 3, "prune": (1,)}, "0 for single tokens"),
        ({"order": 2, "prune": (0, 1, 1)}, "3 numbers for 2 orders"),
        ({"prune": (0, 1), "smoothing": "add-k"}, "no back-off weights"),
        ({"memory": "much"}, "expected a size such as 2G"),
        ({"memory": "1K"}, "at least 16M"),
        ({"unit": "tokens"}, "needs a tokenizer"),
        ({"ordre": 3}, "did you mean 'order'"),
    ):
        with pytest.raises(ConfigError, match=told):
            NGramModel.train(["a b"], **wrong)
    with pytest.raises(DataError, match="id 7: expected ids below 7"):
        NGramModel.train_ids([0, 7, 1], vocab_size=7, bos=0)
    with pytest.raises(DataError, match="the text is empty"):
        NGramModel.train([])
    with pytest.raises(DataError, match="the text is empty"):
        NGramModel.train(["", "  \t "])


@pytest.mark.parametrize("smoothing", ["maximum-likelihood", "add-k", "witten-bell", "stupid-backoff"])
def test_plain_methods_by_hand(smoothing: str) -> None:
    # "a b" twice and "a c": after a, b twice and c once; V = a b c <unk> </s> = 5.
    model = NGramModel.train(["a b", "a b", "a c"], order=2, smoothing=smoothing, k=0.5)
    share = dict(model.next_tokens("a", count=9))
    if smoothing == "maximum-likelihood":
        assert share["b"] == pytest.approx(2 / 3)
        assert share["a"] == 0
    elif smoothing == "add-k":
        assert share["b"] == pytest.approx((2 + 0.5) / (3 + 2.5))
        assert share["a"] == pytest.approx(0.5 / (3 + 2.5))
    elif smoothing == "witten-bell":
        # p(b) = (2 + 4/5) / (9 + 4): nine tokens, four kinds; p(b | a) = (2 + 2 p(b)) / (3 + 2).
        unigram = (2 + 4 / 5) / (9 + 4)
        assert share["b"] == pytest.approx((2 + 2 * unigram) / 5)
    else:
        assert share["b"] == pytest.approx(2 / 3)
        assert share["a"] == pytest.approx(0.4 * 3 / 9)


def test_counts_are_adjusted_as_kneser_and_ney_have_it() -> None:
    # "San Francisco" thrice: Francisco is frequent but follows one word; "glasses" follows three.
    lines = ["San Francisco"] * 3 + ["new glasses", "my glasses", "two glasses"]
    with pytest.warns(UserWarning, match="too small"):
        model = NGramModel.train(lines, order=2)
    share = dict(model.next_tokens("unheard-of", count=20))
    assert share["glasses"] > 1.5 * share["Francisco"]


def test_ngrams_are_listed_in_order() -> None:
    rows = [[3, 4, 5], [3, 4, 4], [5, 5]]
    model = estimated(lay(rows), 3, KneserNey())
    for order in (1, 2, 3):
        listed = model.ngrams(order, 0, model.counts[order - 1]).tolist()
        seen = {
            tuple(s[i : i + order]) for r in rows for s in [[BOS, *r, 2]] for i in range(len(s) - order + 1)
        }
        if order > 1:
            assert {tuple(row) for row in listed} == seen
        for start, stop in itertools.combinations(range(len(listed) + 1), 2):
            assert model.ngrams(order, start, stop).tolist() == listed[start:stop]
