"""What is told of a message by its words alone: its parts, whether it refers back, slots, agreement."""

from __future__ import annotations

import numpy as np
import pytest

from mynah.answers.agree import Agreement
from mynah.answers.follow_up import asked_for, fits, refers_back
from mynah.answers.outside import bank, near_misses, things_of
from mynah.answers.parts import questions, sentences
from mynah.answers.slots import filled
from mynah.answers.typed import as_typed, hurried
from mynah.data.personal.config import PersonalConfig
from mynah.retrieval.features import N_FEATURES

EVEN = Agreement(np.ones(N_FEATURES, np.float32))
PLAIN = PersonalConfig()


def test_parts_of_a_message() -> None:
    assert questions("My vase broke and I want an invoice") == ["My vase broke", "I want an invoice"]
    assert sentences("It broke. What now?") == ["It broke.", "What now?"]
    assert sentences("坏了。怎么办？") == ["坏了。", "怎么办？"]
    assert questions("Where is it?") == ["Where is it?"]


@pytest.mark.parametrize("text", ["and how much is that?", "how long does it take", "那要多少钱"])
def test_what_names_nothing_refers_back(text: str) -> None:
    assert refers_back(text, ["can you wrap it", "Yes, for 3 euros."])


@pytest.mark.parametrize(
    "text", ["ok, and where do I bring old batteries", "How do I apply for a job?", "还有，怎么开发票"]
)
def test_what_names_something_new_does_not(text: str) -> None:
    assert not refers_back(text, ["can you wrap it", "Yes, for 3 euros."])


def test_what_is_asked_for() -> None:
    assert asked_for("how much is it") == "money"
    assert asked_for("多久能到") == "time"
    assert asked_for("tell me more") is None
    assert fits("how much is it", "It costs 5 euros.") == 1
    assert fits("how much is it", "Look at the page.") == -1
    assert fits("tell me more", "It costs 5 euros.") == 0


def test_replies_agree_by_words_and_numbers() -> None:
    one = "You can return unused items within 60 days of delivery."
    assert EVEN(one, "you can return unused items  within 60 days of delivery.")
    assert EVEN(one, "Unused items can be returned within 60 days of the delivery.")
    assert not EVEN(one, "You can return unused items within 30 days of delivery.")
    assert not EVEN(one, "Parcels are sent every day.")


def test_slots_are_filled_from_what_this_user_said() -> None:
    assert (
        filled("We wrote to [EMAIL].", ["my mail is ann@example.com"], PLAIN)
        == "We wrote to ann@example.com."
    )
    assert filled("We wrote to [EMAIL].", ["hello"], PLAIN) is None
    assert filled("Hi [NAME], it is on its way.", ["hello"], PLAIN) == "Hi, it is on its way."
    assert (
        filled("Order {{Order Number}} is sent.", ["where is AB-12345"], PLAIN) == "Order AB-12345 is sent."
    )
    assert (
        filled("Order {{Order Number}} is sent.", ["where is it"], PLAIN) == "Order {{Order Number}} is sent."
    )
    assert filled("No slots here.", [], PLAIN) == "No slots here."


def test_near_misses_name_what_the_log_names() -> None:
    asked = [f"{how} gift card" for how in ("where is my", "can I use a", "I lost a", "what about my")] + [
        f"a question {n} on something" for n in range(60)
    ]
    assert "gift card" in things_of(asked, "en")
    made = near_misses(asked, "en", 40, seed=1)
    assert made == near_misses(asked, "en", 40, seed=1)
    assert all("{}" not in text for text in made)
    assert near_misses(["?"], "en", 5, 0) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_banks_are_whole(language: str) -> None:
    assert len(bank("outside", language)) > 300
    assert all(line.count("{}") == 1 for line in bank("aspects", language))


def test_typing_in_a_hurry_keeps_most_of_a_message() -> None:
    draw = np.random.default_rng(0)
    typed = hurried("Where can I return my parcel, please?", draw)
    assert "," not in typed
    assert typed == typed.lower()
    made = {as_typed("How do I return a lamp?", "en", np.random.default_rng(n)) for n in range(20)}
    assert "How do I return a lamp?" in made
    assert len(made) > 5
