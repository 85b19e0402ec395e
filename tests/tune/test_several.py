"""Texts of several classes at once, and classes in an order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mynah import Classifier
from mynah.cli.main import main
from mynah.data.records import Labelled
from mynah.errors import DataError
from mynah.evaluate.classification import measure_order, measure_several
from mynah.tune.classify.several import NONE, Several, best_thresholds, macro_f1, parts_of, separator_of

TOPICS = {"sport": "football", "money": "bank", "food": "soup"}


def rows(count: int = 120) -> list[Labelled]:
    draw = np.random.default_rng(0)
    made = []
    for n in range(count):
        chosen = sorted(draw.permutation(list(TOPICS))[: int(draw.integers(0, 3))].tolist())
        words = [TOPICS[topic] for topic in chosen] + ["today", "again", "here"][: int(draw.integers(1, 4))]
        made.append(Labelled(" ".join(draw.permutation(words)), "|".join(chosen) or NONE, f"a:{n}"))
    return made


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["a, b", "a", "b", "b, c", "c"] * 5, ", "),
        (["red|blue", "blue", "red", "green|red", "none"] * 5, "|"),
        (["Rock, Paper", "Scissors", "Tools, other"] * 9, None),
        (["good", "bad"] * 9, None),
        (["1,0", "1,5", "2,0", "2,5"] * 9, None),
        (["Smith, John", "Smith, Ann", "Doe, John", "Doe, Ann"] * 9, None),
    ],
)
def test_lists_of_classes_are_told_from_classes(labels: list[str], separator: str | None) -> None:
    assert separator_of(labels) == separator


def test_classes_are_counted_by_text() -> None:
    given = [Labelled("x", label) for label in ("b, a", "a", "a, b", "c", "none")]
    found = Several.of(given, ", ")
    assert (found.names, found.counts) == (("a", "b"), (3, 2))
    assert found.matrix(given).tolist() == [
        [True, True],
        [True, False],
        [True, True],
        [False] * 2,
        [False] * 2,
    ]
    assert parts_of(" a ,b,, c", ",") == ["a", "b", "c"]
    assert found.rare == ("c",)
    with pytest.raises(DataError, match="of which 1 stand in 2 rows or more"):
        Several.of([*given[:2], Labelled("x", "c")], ", ")


def test_thresholds_are_where_f1_is_best() -> None:
    right = np.array([[1], [1], [0], [1], [0]], bool)
    probabilities = np.array([[0.9], [0.8], [0.6], [0.3], [0.2]])
    (threshold,) = best_thresholds(right, probabilities)
    assert 0.2 < threshold <= 0.3
    assert macro_f1(right, probabilities >= threshold) == pytest.approx(6 / 7)
    alike = np.full((4, 1), 0.3)
    assert best_thresholds(np.array([[1], [0], [0], [0]], bool), alike)[0] == pytest.approx(0.15)
    assert best_thresholds(np.zeros((3, 1), bool), np.ones((3, 1)))[0] == 0.5


def test_measures_by_hand() -> None:
    right = np.array([[1, 0], [1, 1], [0, 0]], bool)
    found = measure_several(
        ["a", "b"], right, np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.1]]), np.array([0.5, 0.5])
    )
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["macro_f1"] == pytest.approx((4 / 5 + 0) / 2)
    assert found["micro_f1"] == pytest.approx(4 / 6)
    order = measure_order(
        ["3", "1", "2"], np.array([0, 1, 2]), np.array([[0.6, 0.1, 0.3], [0, 0.4, 0.6], [0, 0.5, 0.5]])
    )
    assert order is not None
    assert order["mean_absolute_error"] == pytest.approx(2 / 3)
    assert order["one_off"] == 1.0
    assert measure_order(["1", "2", "nan"], np.array([0]), np.ones((1, 3)) / 3) is None
    assert measure_order(["1", "2", "3"], np.array([1, 1]), np.eye(3)[[1, 1]]) is None
    assert measure_order(["good", "bad", "none"], np.array([0]), np.ones((1, 3)) / 3) is None


def test_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, run = tmp_path / "topics.csv", tmp_path / "topics"
    source.write_text("text,labels\n" + "".join(f"{r.text},{r.label}\n" for r in rows()), encoding="utf-8")
    keep = ("--set", "clean.duplicates.exact=false")
    main(["build", str(source), "--base", "none", "--runs", str(tmp_path), *keep])
    assert "3 classes, several a text" in " ".join(capsys.readouterr().out.split())
    main(["classify", str(run), "the bank serves soup here", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert set(found["label"].split("|")) == {"money", "food"}
    assert "A text may be of several classes" in (run / "report.html").read_text(encoding="utf-8")
    opened = Classifier.from_pretrained(run)
    held = [(row.text, row.label.split("|") if row.label != NONE else []) for row in rows()]
    assert opened.evaluate(held)["accuracy"] > 0.8  # lists, whatever stands between the run's classes
    main(["classify", str(run), "here again today"])
    assert capsys.readouterr().out.startswith("none\t")


def test_from_python(tmp_path: Path) -> None:
    given = [(row.text, row.label.split("|") if row.label != NONE else []) for row in rows()]
    model = Classifier.from_pretrained("none").train(given)
    assert set(model.predict("football and soup").label.split(", ")) == {"sport", "food"}
    assert model.evaluate(given)["accuracy"] > 0.9
    model.save(tmp_path / "kept")
    again = Classifier.from_pretrained(tmp_path / "kept").predict("a bank")
    assert (again.label, again.inside) == ("money", True)
