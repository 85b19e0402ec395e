from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.ngram.kneser_ney import NGramModel, discounts_of


def lay(records: list[list[int]], bos: int) -> tuple[np.ndarray, np.ndarray]:
    rows = [[bos, *record] for record in records]
    return np.concatenate(rows).astype(np.int64), np.cumsum([0] + [len(r) for r in rows]).astype(np.int64)


corpora = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(corpora, st.integers(1, 5), st.lists(st.integers(0, 6), max_size=6))
def test_probabilities_sum_to_one_in_every_context(
    records: list[list[int]], order: int, context: list[int]
) -> None:
    tokens, starts = lay(records, bos=6)
    model = NGramModel.estimate(tokens, starts, order, 7, bos=6)
    for tried in (context, [6], [], records[0], [6, *records[-1]]):
        distribution = model.distribution(tried)
        assert distribution.min() >= 0
        assert distribution.sum() == pytest.approx(1, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(corpora, st.integers(1, 4))
def test_scoring_in_batch_agrees_with_the_distribution(records: list[list[int]], order: int) -> None:
    tokens, starts = lay(records, bos=6)
    model = NGramModel.estimate(tokens, starts, order, 7, bos=6)
    scores = model.log_probs(tokens, starts)
    for begin, end in itertools.pairwise(starts):
        assert scores[begin] == 0
        for t in range(begin + 1, end):
            expected = model.distribution(tokens[begin:t].tolist())
            assert np.exp(scores[t]) == pytest.approx(expected[tokens[t]], rel=1e-9)
            assert expected[model.top_tokens(tokens, starts)[t]] == pytest.approx(expected.max())


def test_bigrams_worked_out_by_hand() -> None:
    # Two records "a b" and "a c"; order 2; too little for the closed form, so D = n1 / (n1 + 2 n2) or 0.5.
    a, b, c, bos = 0, 1, 2, 3
    tokens, starts = lay([[a, b], [a, c]], bos)
    model = NGramModel.estimate(tokens, starts, 2, 4, bos)
    # Bigrams: (bos a) twice, (a b) and (a c) once: n1 = 2, n2 = 1, D = 2 / 4 = 0.5.
    # Unigrams count left neighbours: a, b, c one each: n1 = 3, no n2, D = 0.5, own 0.5 / 3, gamma 1.5 / 3.
    unigram = 0.5 / 3 + 0.5 * (1 / 3)
    assert model.distribution([])[:3] == pytest.approx([unigram] * 3)
    # p(b | a) = (1 - 0.5) / 2 + (2 * 0.5 / 2) * p(b)
    assert model.distribution([bos, a])[b] == pytest.approx(0.25 + 0.5 * unigram)
    # p(a | bos) = (2 - 0.5) / 2 + 0.5 / 2 * p(a)
    assert model.distribution([bos])[a] == pytest.approx(0.75 + 0.25 * unigram)
    assert model.distribution([bos])[bos] == 0


def test_discounts_by_the_formula() -> None:
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4])
    y = 8 / (8 + 2 * 4)
    assert discounts_of(counts) == pytest.approx([1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2])


def test_ten_short_sentences_give_a_model() -> None:
    # KenLM aborts here: "discount out of range".
    words = {w: i for i, w in enumerate("i have need want a pen an apple two </s>".split())}
    texts = ["i have a pen", "i need a pen", "i want an apple", "i have two", "i have an apple"] * 2
    records = [[words[w] for w in text.split()] + [words["</s>"]] for text in texts]
    model = NGramModel.estimate(*lay(records, 10), 3, 11, 10)
    assert model.distribution([10]).argmax() == words["i"]
    assert model.distribution([10, words["i"], words["have"]]).sum() == pytest.approx(1)


def test_bad_arguments() -> None:
    tokens, starts = lay([[0, 1]], 2)
    for order in (0, 9):
        with pytest.raises(ConfigError, match="expected 1 to 8"):
            NGramModel.estimate(tokens, starts, order, 3, 2)
    with pytest.raises(DataError, match="no tokens"):
        NGramModel.estimate(np.array([2]), np.array([0, 1]), 2, 3, 2)


def test_save_and_load(tmp_path: Path) -> None:
    tokens, starts = lay([[0, 1, 0, 1, 1]] * 3, 2)
    model = NGramModel.estimate(tokens, starts, 3, 3, 2)
    model.save(tmp_path / "m.safetensors")
    again = NGramModel.load(tmp_path / "m.safetensors")
    assert (again.log_probs(tokens, starts) == model.log_probs(tokens, starts)).all()
    (tmp_path / "m.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ArtifactError, match="damaged"):
        NGramModel.load(tmp_path / "m.safetensors")


def kenlm_lines(shared: Path, kind: str) -> list[list[str]]:
    """Return the tokenised lines of the reference figures (lmplz at commit 4cb443e)."""
    if kind == "luxun_chars":
        texts = [p.read_text(encoding="utf-8") for p in sorted((shared / "text_zh_luxun").glob("*.txt"))]
        lines = [[c for c in line if not c.isspace()] for text in texts for line in text.split("\n")]
    else:
        name = {
            "wikitext2_words": "text_wikitext2/valid.txt",
            "shakespeare_words": "text_tinyshakespeare/input.txt",
        }
        lines = [line.split() for line in (shared / name[kind]).read_text(encoding="utf-8").split("\n")]
    reserved = ("<unk>", "<s>", "</s>")
    return [["UNK" if w in reserved else w for w in line] for line in lines if line]


@pytest.mark.parametrize(
    ("kind", "order", "with_oov", "without_oov"),
    [
        ("wikitext2_words", 2, 278.4175051956133, 233.3261664186521),
        ("wikitext2_words", 3, 241.7719770803952, 201.85539687441255),
        ("wikitext2_words", 5, 234.9394000330624, 196.11211995527063),
        ("shakespeare_words", 3, 434.7046263157301, 272.45415090337184),
        ("shakespeare_words", 5, 433.7114338557923, 271.90375332809646),
        ("luxun_chars", 2, 116.04276748027246, 114.15597835598649),
        ("luxun_chars", 5, 85.96296974395345, 84.51557236284545),
    ],
)
def test_perplexities_are_those_of_kenlm(
    shared: Path, kind: str, order: int, with_oov: float, without_oov: float
) -> None:
    lines = kenlm_lines(shared, kind)
    train = [line for i, line in enumerate(lines) if i % 10 != 9]
    test = [line for i, line in enumerate(lines) if i % 10 == 9]
    ids = {"<unk>": 0, "</s>": 1}
    for line in train:
        for word in line:
            ids.setdefault(word, len(ids))
    bos = len(ids)
    numbers = [[*(ids.get(w, 0) for w in line), 1] for line in train]
    model = NGramModel.estimate(*lay(numbers, bos), order, bos + 1, bos)
    if (kind, order) == ("wikitext2_words", 3):
        assert model.discounts[2] == pytest.approx([0.868431, 1.30872, 1.49863], rel=1e-5)
        assert [len(level.keys) for level in model.orders[1:]] == [89398, 153249]
    tokens, starts = lay([[*(ids.get(w, 0) for w in line), 1] for line in test], bos)
    scores = model.log_probs(tokens, starts)
    predicted, known = tokens != bos, tokens != 0
    # What remains is the float32 in which KenLM keeps its probabilities.
    assert np.exp(-scores[predicted].mean()) == pytest.approx(with_oov, rel=1e-6)
    assert np.exp(-scores[predicted & known].mean()) == pytest.approx(without_oov, rel=1e-6)
