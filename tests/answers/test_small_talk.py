from __future__ import annotations

import json
from pathlib import Path

import pytest

from mynah.answers.sentences import SMALL_TALK, language_for
from mynah.answers.small_talk import small_talk

ASKED = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hi", "greeting"),
        ("Hellooo there!!", "greeting"),
        ("tahnks a lot", "thanks"),
        ("ok bye", "bye"),
        ("hi, how are you?", "how_are_you"),
        ("are you a bot or a human", "who"),
        ("hahahaha", "laugh"),
        ("👍", "ok"),
        ("你好呀", "greeting"),
        ("好的谢谢", "thanks"),
        ("你是机器人吗？", "who"),
    ],
)
def test_small_talk_is_known(text: str, kind: str) -> None:
    assert small_talk(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "hi, where is my parcel",
        "thanks but I need a refund",
        "banana",
        "🦔",
        "",
        "你好，怎么退货",
        "bitcoin price",
    ],
)
def test_what_asks_for_something_is_none(text: str) -> None:
    assert small_talk(text) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_question_written_by_hand_is_taken_for_small_talk(language: str) -> None:
    lines = map(json.loads, (ASKED / f"asked_{language}.jsonl").read_text(encoding="utf-8").splitlines())
    wrong = [q["question"] for q in lines if q["kind"] == "answerable" and small_talk(q["question"])]
    assert wrong == []


def test_every_kind_has_a_sentence_in_each_language() -> None:
    assert set(SMALL_TALK["en"]) == set(SMALL_TALK["zh"])
    assert not any(c.isdigit() for said in SMALL_TALK.values() for text in said.values() for c in text)


def test_replies_are_in_the_language_of_the_message() -> None:
    assert language_for("怎么退货") == "zh"
    assert language_for("how do I return it") == "en"
    assert language_for("¿Dónde está?") == "en"
