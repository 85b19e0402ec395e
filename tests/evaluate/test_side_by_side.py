"""Strengths from judgements: by hand, found again from made-up ones, with intervals that hold them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mynah.errors import DataError
from mynah.evaluate.side_by_side import Judged, in_which_order, read_judged, strengths


def test_two_models_by_hand() -> None:
    judged = [Judged("p", "a", "b", 1.0)] * 30 + [Judged("p", "a", "b", 0.0)] * 10
    found = strengths(judged)
    assert list(found) == ["a", "b"]
    apart = found["a"].elo - found["b"].elo
    # With half a judgement of "alike" on top: 400 log10 of 30.25 to 10.25.
    assert apart == pytest.approx(400 * math.log10(30.25 / 10.25), abs=0.1)
    assert found["a"].elo + found["b"].elo == pytest.approx(2000)
    assert found["a"].low < found["a"].elo < found["a"].high
    assert found["a"].judged == 40


def test_strengths_are_found_again() -> None:
    true = {"a": 1150.0, "b": 1000.0, "c": 850.0}
    rng, judged = np.random.default_rng(0), []
    names = list(true)
    for _ in range(1500):
        one, other = rng.choice(names, 2, replace=False)
        wins = rng.random() < 1 / (1 + 10 ** ((true[other] - true[one]) / 400))
        judged.append(Judged("p", str(one), str(other), float(wins)))
    found = strengths(judged)
    assert list(found) == names
    for name, elo in true.items():
        assert found[name].low - 10 <= elo <= found[name].high + 10
        assert found[name].high - found[name].low < 80


def test_who_never_lost_is_not_infinitely_strong() -> None:
    found = strengths([Judged("p", "a", "b", 1.0)] * 5)
    assert found["a"].elo - found["b"].elo < 600
    alike = strengths([Judged("p", "a", "b", 0.5)] * 5)
    assert alike["a"].elo == pytest.approx(alike["b"].elo)


def test_the_order_is_by_chance_and_the_same_each_time() -> None:
    turned = [in_which_order(f"p{n}", "a", "b") for n in range(400)]
    assert turned == [in_which_order(f"p{n}", "a", "b") for n in range(400)]
    assert 150 < sum(turned) < 250


def test_a_file_of_judgements(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    assert read_judged(path) == []
    path.write_text('{"prompt": "p", "first": "a", "second": "b", "score": 0.5}\n', encoding="utf-8")
    assert read_judged(path) == [Judged("p", "a", "b", 0.5)]
    for line in ("{", "[]", '{"prompt": "p"}', '{"prompt": "p", "first": "a", "second": "b", "score": 2}'):
        path.write_text(line, encoding="utf-8")
        with pytest.raises(DataError, match=r"kept\.jsonl:1: expected"):
            read_judged(path)
