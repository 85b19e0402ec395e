"""Rows made from rows: what is changed, what is never lost, and whether they are learned."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_classify import rows

from mynah.config import build_config
from mynah.data.records import Labelled
from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.classify.augment import augmented, leave_out, misspell, recase, swap
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.fitting import fit
from mynah.tune.classify.otherwise import Otherwise

words = st.lists(st.text("abcdefgh", min_size=1, max_size=7), min_size=1, max_size=12).map(" ".join)


@given(words, st.integers(0, 1000))
def test_changes_keep_what_they_say_they_keep(text: str, seed: int) -> None:
    def rng() -> np.random.Generator:
        return np.random.default_rng(seed)

    before = Counter(text.split())
    left = Counter(leave_out(text, rng()).split())
    assert left
    assert left <= before
    assert Counter(swap(text, rng()).split()) == before
    spelt = misspell(text, rng()).split()
    assert len(spelt) == len(text.split())
    assert sum(a != b for a, b in zip(spelt, text.split(), strict=True)) <= max(1, round(0.12 * len(spelt)))
    assert recase(text, rng()).lower() == text.lower()


def test_of_chinese_characters_are_words() -> None:
    text = "房间很干净早餐也不错"
    assert len(leave_out(text, np.random.default_rng(0))) == len(text) - 1
    assert sorted(swap(text, np.random.default_rng(0))) == sorted(text)


def test_the_same_seed_makes_the_same_rows_and_each_names_its_own() -> None:
    texts = ["a room with a view", "the staff was kind", "x"]
    made, of = augmented(texts, 3, [lambda given: [f"{text}!" for text in given]])
    assert (made, of) == augmented(texts, 3, [lambda given: [f"{text}!" for text in given]])
    assert made[-3:] == ["a room with a view!", "the staff was kind!", "x!"]
    assert of[-3:] == [0, 1, 2]
    assert augmented(texts, 3)[0] == made[:-3]
    assert all(text.strip() and text != texts[n] for text, n in zip(made, of, strict=True))


def test_what_pays_is_learned_and_what_does_not_is_left_out_and_said() -> None:
    given_rows = rows()
    plain = fit(given_rows, ClassifyConfig(way="words"), 0)
    assert [one.augmented for one in plain.tried] == [False, True]
    assert "left out" in plain.reason
    none = fit(given_rows, ClassifyConfig(way="words", augment=False), 0)
    assert [one.augmented for one in none.tried] == [False]
    # Said in words that no row has, which a paraphrase knows.
    meanings = {"alpha": "first", "beta": "second"}
    few = [
        Labelled(f"{word if n % 2 else meanings[word]} {n}", word, f"a:{n}")
        for n in range(12)
        for word in meanings
    ]

    def other(texts: list[str]) -> list[str]:
        swapped = {**meanings, **{value: key for key, value in meanings.items()}}
        return [" ".join(swapped.get(word, word) for word in text.split()) for text in texts]

    taught = fit(few, ClassifyConfig(way="words", augment=True), 0, paraphrases=[other])
    assert "which are learned too" in taught.reason


def test_rows_are_not_asked_for_and_refused_at_once() -> None:
    for asked in ({"paraphrase": True}, {"translator": "runs/pairs"}):
        with pytest.raises(ConfigError, match="augment = false makes no rows"):
            build_config(ClassifyConfig, {"augment": False, **asked}, "recipe")


def test_a_base_is_asked_for_short_texts_and_says_each_in_one_line() -> None:
    texts = ["where is it", "wo " * 200, "房间很干净"]
    tokenizer = Tokenizer.train(texts, 300)
    model = new_model(
        ModelConfig(vocab_size=tokenizer.vocab_size, context_length=256, n_layer=1, n_head=2, n_embd=16), 0
    )
    told: list[float] = []
    said = Otherwise(model.eval(), tokenizer, 3, told.append)(texts)
    assert said == Otherwise(model.eval(), tokenizer, 3)(texts)
    assert said[1] == texts[1]
    assert said[0] != texts[0]
    assert not any("\n" in text for text in said)
    assert told == [1.0]
