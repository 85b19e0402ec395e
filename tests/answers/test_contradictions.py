from __future__ import annotations

from pathlib import Path

import pytest

from mynah.answers.contradictions import contradictions_of, outdated
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.index import ExchangeIndex

THIRTY, SIXTY = "You can return items within 30 days.", "You can return items within 60 days."


def index_of(tmp_path: Path, *exchanges: Exchange) -> ExchangeIndex:
    return ExchangeIndex.build(exchanges, tmp_path / "index")


def test_the_newer_of_two_holds(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        Exchange("how long may I return items", SIXTY, time="2026-05-01T09:00:00"),
        Exchange("how long can I return items", THIRTY, time="2024-05-01T09:00:00"),
        Exchange("where is my parcel", "Follow the link."),
    )
    (found,) = contradictions_of(index)
    assert (found.older, found.newer, found.dated) == (1, 0, True)
    assert outdated(index, [found]) == {index.number_of(THIRTY)}


def test_without_dates_both_stand(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        Exchange("how long may I return items", SIXTY),
        Exchange("how long may I return items", THIRTY),
    )
    (found,) = contradictions_of(index)
    assert not found.dated
    assert outdated(index, [found]) == set()


def test_yes_and_no_to_the_same_question(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        Exchange("Do you ship to Spain?", "Yes, within a week."),
        Exchange("do you ship to spain?", "No, only at home."),
    )
    assert len(contradictions_of(index)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Exchange("how long may I return it", SIXTY), Exchange("how long may I return it", "It goes back in 60 days.")),
        (Exchange("when does the train leave", "It takes 30 days."), Exchange("how old is he", "It takes 60 days.")),
        (Exchange("thanks a lot", "@115962 You are welcome."), Exchange("thank you", "@116651 You are welcome.")),
        (Exchange("where is it", "Follow the link."), Exchange("where is it", "Look at the page.")),
    ],
)  # fmt: skip
def test_what_can_both_hold_is_no_contradiction(tmp_path: Path, first: Exchange, second: Exchange) -> None:
    assert contradictions_of(index_of(tmp_path, first, second)) == []


def test_a_form_that_is_filled_in_contradicts_nothing(tmp_path: Path) -> None:
    filled = [Exchange("where is my order", f"Order {n}12 is on its way.") for n in range(9)]
    assert contradictions_of(index_of(tmp_path, *filled)) == []
