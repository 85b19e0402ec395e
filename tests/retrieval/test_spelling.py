"""Slips are put right to words of the log, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.retrieval.spelling import Spelling, kept, words_of

WORDS = {"password": 9, "delivery": 20, "order": 30, "orders": 5, "hold": 8, "voucher": 4, "fernway": 12}
SPELLING = Spelling(WORDS, "en")


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("my pasword", "my password"),
        ("Delivry?", "delivery?"),
        ("my odrer", "my order"),
        ("a vuocher, pls", "a voucher, pls"),
        ("Fernwy", "fernway"),
        # in a dictionary, though a letter from a word of the log
        ("sold it", "sold it"),
        ("a bolder colour", "a bolder colour"),
        # forms of known words, names, figures, what is short
        ("passwords'", "passwords'"),
        ("order's", "order's"),
        ("Zalando", "Zalando"),
        ("ordr66 odr", "order66 odr"),
        ("", ""),
        ("\ud800 🦔", "\ud800 🦔"),
    ],
)
def test_only_slips_are_put_right(typed: str, right: str) -> None:
    assert SPELLING(typed) == right


def test_words_of_other_scripts_and_languages_are_left() -> None:
    assert Spelling({"密码": 9}, "zh")("蜜码忘了") == "蜜码忘了"
    assert Spelling(WORDS, "fi")("pasword") == "pasword"
    assert Spelling(WORDS, "zh")("我的pasword") == "我的password"
    assert Spelling({}, "en")("pasword") == "pasword"


def test_words_that_hardly_stand_in_the_log_are_not_kept() -> None:
    from collections import Counter

    counted: Counter[str] = Counter()
    for text in ("My pasword, my pasword", "the password", "Password?", "a password's", "我的password"):
        counted.update(words_of(text))
    assert kept(counted) == {"password": 3}


@given(st.text(max_size=60))
def test_any_text_keeps_its_marks_and_its_number_of_words(text: str) -> None:
    assert len(SPELLING(text).split()) == len(text.split())
