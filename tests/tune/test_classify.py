"""Classes of texts: what is counted, fitted, chosen, doubted and kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah import Classifier
from mynah.data.records import Labelled
from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.evaluate.classification import calibration_error, measure_classes, mistakes
from mynah.tune.classify.class_ngrams import ClassNGrams
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.doubts import doubts
from mynah.tune.classify.fitting import fit
from mynah.tune.classify.labels import Labels, folds_of, learnable
from mynah.tune.classify.linear import Linear, fit_temperature, log_loss, softmax
from mynah.tune.classify.words import Words

GOOD = ("lovely", "clean", "quiet", "friendly", "bright", "warm")
BAD = ("dirty", "loud", "rude", "dark", "cold", "broken")
THINGS = ("room", "bath", "staff", "breakfast", "bed", "view", "lift", "garden")


def rows(count: int = 96, seed: int = 0) -> list[Labelled]:
    draw = np.random.default_rng(seed)
    made = []
    for n in range(count):
        words = (GOOD, BAD)[n % 2]
        said = [f"the {draw.choice(THINGS)} was {draw.choice(words)}" for _ in range(2)]
        made.append(Labelled(" and ".join(said), ("good", "bad")[n % 2], f"reviews.csv:{n + 2}"))
    return made


# Labels


def test_classes_are_counted_the_most_frequent_first() -> None:
    labels = Labels.of([Labelled("x", label) for label in "abacab"])
    assert (labels.names, labels.counts, labels.imbalance) == (("a", "b", "c"), (3, 2, 1), 3.0)
    assert labels.numbers([Labelled("x", "b"), Labelled("x", "z")]).tolist() == [1, -1]
    assert labels.describe() == "3 classes, from 3 to 1 rows each"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "no labelled text"),
        ([Labelled("x", "a")] * 3, "all 3 rows are of one class"),
        ([Labelled("x", str(n)) for n in range(300)], "300 labels that hardly repeat"),
    ],
)
def test_what_cannot_be_learned_is_said(found: list[Labelled], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Labels.of(found)


def test_a_class_of_one_row_is_left_out() -> None:
    kept, rare = learnable([Labelled("x", "a"), Labelled("y", "a"), Labelled("z", "b")])
    assert [row.label for row in kept] == ["a", "a"]
    assert [row.text for row in rare] == ["z"]


@pytest.mark.parametrize(
    ("name", "outside"), [("oos", True), ("Out of scope", True), ("其他", True), ("pay", False)]
)
def test_a_class_for_all_else_is_known_by_its_name(name: str, outside: bool) -> None:
    labels = Labels.of([Labelled("x", "a"), Labelled("y", name)])
    assert (labels.outside == name) is outside


@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(2, 6))
def test_the_rows_of_a_class_are_spread_over_the_parts(numbers: list[int], count: int) -> None:
    of = np.array(numbers, np.int64)
    folds = folds_of(of, count, 0)
    assert set(folds.tolist()) <= set(range(count))
    for number in set(numbers):
        sizes = np.bincount(folds[of == number], minlength=count)
        assert sizes.max() - sizes.min() <= 1


# Probabilities


def test_the_temperature_by_hand() -> None:
    # Two classes, logits (2, 0), right in three of four; each of N = 4 rows counts as right with 5/6 only.
    logits, right = np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1])
    p = 3 / 4 * 5 / 6 + 1 / 4 * 1 / 6
    temperature = fit_temperature(logits, right)
    assert temperature == pytest.approx(2.0 / math.log(p / (1 - p)), rel=1e-3)
    assert log_loss(logits, right, 2.0 / math.log(3)) == pytest.approx(
        -(3 * math.log(0.75) + math.log(0.25)) / 4
    )


def test_rows_that_are_all_right_make_nobody_sure_without_end() -> None:
    logits, right = np.array([[90.0, 0.0]] * 18), np.zeros(18, np.int64)
    assert softmax(logits / fit_temperature(logits, right))[0, 0] == pytest.approx(19 / 20, abs=1e-3)


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 5), st.integers(0, 3))
def test_a_linear_map_is_what_scikit_learn_says(count: int, seed: int) -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(60, 4)), np.arange(60) % count
    x[np.arange(60), y % 4] += 2
    theirs = LogisticRegression(C=10.0, max_iter=300, tol=1e-3).fit(x, y).predict_proba(x)
    assert np.allclose(Linear.fit(x, y, count, balanced=False)(x), theirs, atol=1e-4)


def test_a_class_without_rows_in_a_part_is_never_said() -> None:
    x, y = np.eye(4)[[0, 0, 1, 1]], np.array([0, 0, 3, 3])
    probabilities = Linear.fit(x, y, 5, balanced=False)(x)
    assert probabilities[:, [1, 2, 4]].max() < 1e-9
    assert probabilities.argmax(axis=1).tolist() == [0, 0, 3, 3]


def test_the_calibration_error_by_hand() -> None:
    # Said with 0.9 twice, right once: |0.5 - 0.9|; with 0.6 twice, right twice: |1 - 0.6|; each half of the texts.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert calibration_error(np.array([0, 1, 0, 0]), probabilities) == pytest.approx(0.4)


def test_measures_of_a_class_that_is_never_said() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]])
    found = measure_classes(("a", "b", "c"), np.array([0, 0, 1]), probabilities)
    assert found["accuracy"] == pytest.approx(2 / 3)
    b, c = found["classes"][1:]
    assert (b["precision"], b["recall"], b["support"], b["said"]) == (0.0, 0.0, 1, 0)
    assert "roc_auc" not in c  # no text is of it
    assert found["confusion"] == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert found["macro_f1"] == pytest.approx((0.8 + 0.0) / 2)  # over the classes that are there
    assert mistakes(np.array([0, 0, 1]), probabilities, 5) == [2]


# Ways


def test_ngram_models_by_class_tell_words_apart() -> None:
    learned = rows()
    labels = Labels.of(learned)
    models = ClassNGrams.fit([row.text for row in learned], labels.numbers(learned), len(labels))
    logits = models.logits(["the lift was rude", "the lift was lovely", "never seen words at all"])
    said = [labels.names[k] for k in logits.argmax(axis=1)]
    assert said[:2] == ["bad", "good"]
    assert np.isfinite(logits).all()


def test_words_are_read_as_they_were_written(tmp_path: Path) -> None:
    texts = [row.text for row in rows(20)]
    words = Words.fit(texts)
    words.save(tmp_path)
    again = Words.load(tmp_path)
    assert np.allclose(again(texts).toarray(), words(texts).toarray(), atol=1e-6)
    (tmp_path / "words.json").write_text('[{"kind": "word"}]', encoding="utf-8")
    with pytest.raises(ArtifactError, match="damaged"):
        Words.load(tmp_path)


def test_texts_without_spaces_are_taken_by_characters() -> None:
    words = Words.fit(["房间很干净", "服务很差", "早餐不错"])
    assert [v.analyzer for v in words._vectorizers] == ["char"]


def test_a_fit_says_what_it_rests_on() -> None:
    fitted = fit(rows(), ClassifyConfig(), 0)
    assert {tried.way for tried in fitted.tried} == {"words", "ngrams"}
    assert all(tried.macro_f1 > 0.9 for tried in fitted.tried)
    assert "macro-F1" in fitted.reason
    assert 0 < fitted.threshold < 1
    assert len(fitted.asked) == 96
    assert set(fitted.beside) == {"words", "ngrams"} - {fitted.way}


def test_the_states_of_a_base_need_one() -> None:
    with pytest.raises(ConfigError, match="needs a base"):
        fit(rows(), ClassifyConfig(way="states"), 0)


def test_a_wrong_label_is_doubted_with_its_line() -> None:
    learned = rows()
    wrong = learned[10]
    learned[10] = Labelled(wrong.text, "bad", wrong.place)
    fitted = fit(learned, ClassifyConfig(way="words"), 0)
    (first, *_) = doubts(learned, fitted.labels, fitted.asked, fitted.said)
    assert (first.place, first.label, first.looks_like) == (wrong.place, "bad", "good")
    clean = rows()
    fitted = fit(clean, ClassifyConfig(way="words"), 0)
    assert doubts(clean, fitted.labels, fitted.asked, fitted.said) == []


# The short way


@pytest.mark.parametrize("way", ["words", "ngrams"])
def test_a_classifier_learns_says_and_is_kept(tmp_path: Path, way: str) -> None:
    model = Classifier.from_pretrained("none")
    with pytest.raises(ConfigError, match="call train first"):
        model.predict("x")
    model.train(rows(), way=way)
    said = model.predict("the garden was dirty and the view was dark")
    assert said.label == "bad"
    assert sum(said.probabilities.values()) == pytest.approx(1)
    assert model.evaluate(rows(40, seed=1))["accuracy"] > 0.9
    model.save(tmp_path / "kept")
    again = Classifier.from_pretrained(tmp_path / "kept")
    assert again.predict("the bed was warm").probability == pytest.approx(
        model.predict("the bed was warm").probability, abs=1e-5
    )
    with pytest.raises(ArtifactError, match="holds something"):
        model.save(tmp_path / "kept")
    again.save(tmp_path / "copy")  # what was opened is kept as whole as what was learned
    assert Classifier.from_pretrained(tmp_path / "copy").predict("the bed was warm").label == "good"


def test_what_is_no_row_is_said() -> None:
    with pytest.raises(DataError, match="row 1: found list, expected"):
        Classifier.from_pretrained("none").train([("a text", "a"), ["b"]])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="wya"):
        Classifier.from_pretrained("none").train(rows(), wya="words")
