from __future__ import annotations

import itertools
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from corpora import estimated, lay, reference_lines, sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.data.records import Document
from mynah.data.store import write_records
from mynah.errors import ConfigError, DataError
from mynah.ngram import NGramModel
from mynah.ngram.dense import Dense, contexts_of, most_likely
from mynah.ngram.marks import BOS
from mynah.ngram.sampling import Drawing, _Top
from mynah.ngram.smoothing import KneserNey, MaximumLikelihood, WittenBell
from mynah.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def play(shared: Path) -> tuple[NGramModel, list[str]]:
    train, test = reference_lines(shared, "shakespeare_words")
    return NGramModel.train(train, order=3), test


def test_reports_by_token_and_in_sum(play: tuple[NGramModel, list[str]]) -> None:
    model, test = play
    scored = model.score("the king zzzz")
    assert [t.token for t in scored] == ["the", "king", "zzzz", "</s>"]
    assert [t.oov for t in scored] == [False, False, True, False]
    assert [t.order for t in scored][2:] == [1, 1]
    summary = model.perplexity(test[:100])
    each = [model.score(line) for line in test[:100]]
    assert summary.tokens == sum(map(len, each))
    assert summary.sentences == 100
    total = sum(t.log10_prob for tokens in each for t in tokens)
    assert summary.log_prob == pytest.approx(total * np.log(10))
    assert summary.perplexity == pytest.approx(10 ** (-total / summary.tokens))
    n_bytes = sum(len(line.encode()) + 1 for line in test[:100])
    assert summary.bits_per_byte == pytest.approx(-total / np.log10(2) / n_bytes)


def test_draws_follow_the_distribution(play: tuple[NGramModel, list[str]]) -> None:
    model, _ = play
    context = "my lord ,".split()[:2]
    drawn = Counter(
        model.generate(" ".join(context), max_tokens=1, seed=seed) or "</s>" for seed in range(4000)
    )
    for token, share in model.next_tokens(" ".join(context), count=5):
        # Four standard deviations of a binomial.
        assert drawn[token] / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)


def test_text_goes_on(play: tuple[NGramModel, list[str]]) -> None:
    model, _ = play
    assert model.generate("my", seed=1) == model.generate("my", seed=1)
    assert model.generate("my", seed=1) != model.generate("my", seed=2)
    assert model.next_tokens("my", count=1)[0][0] == "</s>"
    best = model.next_tokens("my good", count=1)[0][0]
    for narrow in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}):
        assert model.generate("my", **narrow) == ""
        assert model.generate("my good", max_tokens=1, **narrow) == best
    assert len(model.generate("", max_tokens=3, seed=5).split()) <= 3
    for wrong in ({"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}):
        with pytest.raises(ConfigError, match="expected"):
            model.generate("my", **wrong)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=9),
    st.floats(0.1, 4),
    st.integers(0, 9),
    st.floats(0.1, 1),
)
def test_narrowed_distributions_are_distributions(
    weights: list[float], temperature: float, top_k: int, top_p: float
) -> None:
    before = np.array(weights) / sum(weights)
    after = Drawing(temperature, top_k, top_p).narrowed(before)
    assert after.sum() == pytest.approx(1)
    assert before[after.argmax()] == pytest.approx(before.max())  # of two that rounding parts either may lead
    assert (after > 0).sum() <= (top_k or len(weights))


@settings(deadline=None, max_examples=40)
@given(sentences, st.integers(1, 5), st.sampled_from([KneserNey, WittenBell, MaximumLikelihood]))
def test_dense_rows_are_the_distributions(
    rows: list[list[int]], order: int, method: type[KneserNey | WittenBell | MaximumLikelihood]
) -> None:
    model = estimated(lay(rows), order, method())
    tokens = lay([*rows[:2], [3, 8, 8, 4]])
    dense = Dense(model).log_probs(contexts_of(model, tokens))
    best = most_likely(model, tokens)
    begin = 0
    for place, token in enumerate(tokens.tolist()):
        begin = place if token == BOS else begin
        expected = model.distribution(tokens[begin : place + 1].tolist())
        assert np.exp(dense[place]) == pytest.approx(expected, abs=1e-6)
        assert expected[best[place]] == pytest.approx(expected.max(), abs=1e-6)


@pytest.mark.parametrize("threshold", [0, 1e-8, 1e-6, 1e-4])
def test_entropy_pruning_gives_a_smaller_proper_model(
    play: tuple[NGramModel, list[str]], threshold: float
) -> None:
    model, test = play
    pruned = model.prune(threshold)
    assert pruned.tables.counts[0] == model.tables.counts[0]
    if not threshold:
        assert pruned.tables.counts == model.tables.counts
        assert pruned.perplexity(test[:500]).perplexity == pytest.approx(
            model.perplexity(test[:500]).perplexity, rel=1e-5
        )
    else:
        assert sum(pruned.tables.counts) < sum(model.tables.counts)
    ids = model.reader.context("my good lord , the")
    scores = pruned.score_ids(ids).log_probs
    for place in range(1, len(ids)):  # a context may stay whose shorter one went
        expected = pruned.tables.distribution(ids[:place])[ids[place]]
        assert np.exp(scores[place]) == pytest.approx(expected, rel=1e-6)
    for length in range(len(ids) + 1):
        for end in range(length + 1):
            assert pruned.tables.distribution(ids[end:length]).sum() == pytest.approx(1, abs=1e-6)


def test_entropy_pruning_by_the_formula() -> None:
    # The relative entropy of Stolcke's equation 6 against the sum over the vocabulary that it stands for.
    lines = ["a b c", "a b d", "b c a", "c a b", "a b c", "d a b", "a c"] * 2
    with pytest.warns(UserWarning, match="too small"):
        model = NGramModel.train(lines, order=2)
    tables = model.tables
    rows = tables.ngrams(2, 0, tables.counts[1])
    opening = model._opening()
    rises = []
    for context, token in rows.tolist():
        before = tables.distribution([context])
        lower = tables.distribution([])
        kept = [int(w) for c, w in rows.tolist() if c == context and w != token]
        after = before.copy()
        rest = np.ones(len(before), bool)
        rest[kept] = False
        left, left_lower = 1 - before[kept].sum(), 1 - lower[kept].sum()
        after[rest] = left / left_lower * lower[rest]
        share = 10**opening if context == BOS else lower[context]
        held = before > 0
        divergence = share * (before[held] * (np.log(before[held]) - np.log(after[held]))).sum()
        rises.append(np.expm1(divergence))
    for threshold in (1e-6, float(np.median(rises)) * 1.0001, 0.9):
        stay = {tuple(row) for row, rise in zip(rows.tolist(), rises, strict=True) if rise >= threshold}
        pruned = model.prune(threshold).tables
        assert {tuple(row) for row in pruned.ngrams(2, 0, pruned.counts[1]).tolist()} == stay


def test_pruning_leaves_a_closed_vocabulary_proper(tmp_path: Path) -> None:
    # After good every word follows, so that nothing is left for others but what float32 makes of nothing.
    (tmp_path / "m.arpa").write_text(
        "\\data\\\nngram 1=4\nngram 2=3\n\n\\1-grams:\n-9\t<unk>\t0\n-99\t<s>\t0\n-0.30103\t</s>\n"
        "-0.30103\tgood\t0\n\n\\2-grams:\n-0.30103\tgood good\n-0.30103\tgood </s>\n-9\tgood <unk>\n\n\\end\\\n"
    )
    model = NGramModel.load(tmp_path / "m.arpa")
    for threshold in (0.0, 1e-3):
        pruned = model.prune(threshold).tables
        for context in ([3], [], [BOS]):
            assert pruned.distribution(context).sum() == pytest.approx(1, abs=1e-6)


def test_the_likeliest_are_found_without_the_whole_vocabulary(play: tuple[NGramModel, list[str]]) -> None:
    model, _ = play
    for text in ("my good lord , the", "zzz", "", "the king of"):
        context = model.reader.context(text)
        top = _Top(model.tables, 40)
        tokens, shares = top.of(model.tables.contexts(context))
        whole = model.tables.distribution(context)
        assert shares == pytest.approx(whole[tokens], rel=1e-6)
        assert sorted(shares)[-40:] == pytest.approx(sorted(whole)[-40:], rel=1e-6)


def test_stupid_backoff_is_drawn_from_as_it_scores() -> None:
    model = NGramModel.train(["a b", "a b", "c d"], order=2, smoothing="stupid-backoff")
    drawn = {model.generate("a", max_tokens=1, seed=seed) for seed in range(60)}
    assert drawn > {"b", "c"}


def test_pruning_is_refused_where_nothing_backs_off() -> None:
    model = NGramModel.train(["a b", "b a"], order=2, smoothing="maximum-likelihood")
    with pytest.raises(ConfigError, match="do not back off"):
        model.prune(1e-8)
    with pytest.warns(UserWarning, match="too small"):
        model = NGramModel.train(["a b", "b a"], order=2)
    with pytest.raises(ConfigError, match="expected 0 or more"):
        model.prune(-1.0)


def test_count_pruning_leaves_out_what_is_rare(shared: Path) -> None:
    train, test = reference_lines(shared, "shakespeare_words")
    whole = NGramModel.train(train, order=3)
    pruned = NGramModel.train(train, order=3, prune=(0, 1))
    assert pruned.about["discounts"] == whole.about["discounts"]  # of all counts, as lmplz --prune 0 1 has it
    seen: Counter[tuple[str, ...]] = Counter()
    for line in train:
        words = ["<s>", *line.split(), "</s>"]
        seen.update(itertools.pairwise(words))
    assert pruned.tables.counts[1] == sum(count > 1 for count in seen.values())
    assert pruned.perplexity(test).perplexity > whole.perplexity(test).perplexity


def test_text_of_many_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two\r\n\n  three　four \nfive", encoding="utf-8")
    write_records(tmp_path / "records", [Document("one two"), Document("three four\nfive")])
    import gzip

    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"one two\nthree four\nfive\n"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [
            NGramModel.train(source, order=2)
            for source in (
                tmp_path / "a.txt",
                tmp_path / "b.txt.gz",
                tmp_path / "records",
                ["one two", "three four", "five"],
            )
        ]
        chars = NGramModel.train(["你好 吗", "你很好"], order=2, unit="chars")
    assert [list(m.reader.vocabulary) for m in models] == [list(models[0].reader.vocabulary)] * 4
    assert all(m.tables.counts == models[0].tables.counts for m in models)
    assert list(chars.reader.vocabulary)[3:] == ["你", "好", "吗", "很"]
    assert chars.generate("你", temperature=0, max_tokens=1) in ("好", "很")


def test_bad_text_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\nalso fine\nnot \xff fine\n")
    with pytest.raises(DataError, match=r"a.txt:3: byte 0xff is not UTF-8"):
        NGramModel.train(path)
    path.write_text("fine\nwell <s> said\n")
    with pytest.raises(DataError, match=r"a.txt:2: <s> stands in the text as a word"):
        NGramModel.train(path)
    many = (f"line {n}" if n != 15_001 else "a <s> b" for n in range(1, 20_000))
    with pytest.raises(DataError, match=r"text:15001: <s>"):
        NGramModel.train(many)
    path.write_text("tags like <s>this</s> are words\n" * 3)
    with pytest.warns(UserWarning, match="too small"):
        assert NGramModel.train(path).tables.counts[0] == 8
    path.write_text("")
    with pytest.raises(DataError, match="the file is empty"):
        NGramModel.train(path)
    with pytest.raises(DataError, match="no such file"):
        NGramModel.train(tmp_path / "nowhere.txt")


def test_a_tokenizer_cuts_too(tmp_path: Path) -> None:
    lines = ["the cat sat on the mat", "the dog sat on the cat", "a cat is no dog"] * 20
    tokenizer = Tokenizer.train(lines, 300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NGramModel.train(lines, order=3, unit="tokens", tokenizer=tokenizer)
    assert model.vocab_size == tokenizer.vocab_size
    assert model.perplexity(lines).bits_per_byte < 2
    assert model.generate("a cat", temperature=0).endswith(("dog", "mat"))
    with pytest.raises(ConfigError, match="which ARPA cannot say"):
        model.save(tmp_path / "m.arpa")
    model.save(tmp_path / "m.ng")
    assert NGramModel.load(tmp_path / "m.ng").reader is None
    again = NGramModel.load(tmp_path / "m.ng", tokenizer=tokenizer)
    assert again.score("the cat") == model.score("the cat")
    with pytest.raises(ConfigError, match="knows ids alone"):
        NGramModel.load(tmp_path / "m.ng").score("the cat")
