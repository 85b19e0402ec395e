"""What was handed over, in groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mynah.answers import unanswered
from mynah.answers.unanswered import groups_of, read_kept
from mynah.errors import DataError
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.index import ExchangeIndex

LOG = [
    ("How do I reset my password?", "Click Forgot Password."),
    ("When will my order arrive?", "In two days."),
    ("Do you deliver to islands?", "Yes, in a week."),
    ("Can I return my order?", "Within 60 days."),
]


@pytest.fixture
def index(tmp_path: Path) -> ExchangeIndex:
    exchanges = [Exchange(q, r, (), f"log.csv:{n}", "", ()) for n, (q, r) in enumerate(LOG, start=2)]
    return ExchangeIndex.build(exchanges, tmp_path / "index")


def test_like_questions_are_one_group_and_the_most_asked_comes_first(index: ExchangeIndex) -> None:
    asked = [
        "do you have gift wrapping",
        "gift wrapping?",
        "is there a store in Berlin",
        "Do you offer gift wrapping, and for how much",
        "gift wrapping?",
        "password of my wifi router",
    ]
    groups = groups_of(asked, index)
    assert [group.asked for group in groups] == [4, 1, 1]
    assert set(groups[0].questions) == {asked[0], asked[1], asked[3]}
    (wifi,) = (group for group in groups if "password" in group.questions[0])
    assert wifi.nearest is not None
    assert wifi.nearest.place == "log.csv:2"


def test_of_very_many_the_seldom_asked_join_the_others(
    index: ExchangeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unanswered, "MOST", 2)
    asked = ["gift wrapping?", "gift wrapping?", "a store in Berlin?", "a store in Berlin?"]
    groups = groups_of([*asked, "gift wrapping please", "solar panels"], index)
    assert sorted(group.questions for group in groups) == [
        ("a store in Berlin?",),
        ("gift wrapping?", "gift wrapping please"),
        ("solar panels",),
    ]


def test_one_question_and_one_without_any_word(index: ExchangeIndex) -> None:
    assert [group.questions for group in groups_of(["skis"], index)] == [("skis",)]
    assert sorted(group.questions for group in groups_of(["🦔", "?!", "skis"], index)) == [
        ("?!",),
        ("skis",),
        ("🦔",),
    ]


@pytest.mark.parametrize("line", ["no json", '{"text": "x"}', '{"question": 3}', "[]"])
def test_another_file_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text(json.dumps({"question": "a", "before": []}) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"kept\.jsonl:2: not a line of mynah chat"):
        read_kept(path)


def test_an_empty_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="holds no question"):
        read_kept(tmp_path / "kept.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        read_kept(tmp_path / "nowhere.jsonl")
