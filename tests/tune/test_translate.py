"""Directions, glossaries and the lexicon that a translator is measured against."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.records import Pair
from mynah.errors import ConfigError, DataError
from mynah.generate.beam import Hypothesis
from mynah.model.config import ModelConfig
from mynah.model.weights import new_model
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.translate.directions import as_conversations, choose, directions_of
from mynah.tune.translate.glossary import Glossary, read_glossary
from mynah.tune.translate.lexicon import Lexicon, join_words, words_of
from mynah.tune.translate.placed import Placer, Wanted
from mynah.tune.translate.translator import _CLAUSE, _SENTENCE, _WORD, _cut, _lines

PAIRS = [
    Pair("The dog is sleeping in the garden.", "Der Hund schläft im Garten.", "a:1"),
    Pair("A woman is reading a book today.", "Eine Frau liest heute ein Buch.", "a:2"),
    Pair("The children are playing with a ball.", "Die Kinder spielen mit einem Ball.", "a:3"),
]


def test_languages_are_found_and_both_ways_are_asked_for_by_name() -> None:
    (forward,) = directions_of(PAIRS, "forward", told=False)
    assert (forward.source, forward.target, forward.asks) == ("en", "de", "")
    there, back = directions_of(PAIRS, "both", told=False)
    assert back.describe() == "German to English"
    talks = list(as_conversations(PAIRS[:1], (there, back)))
    assert [m.content for talk in talks for m in talk.messages] == [
        "German: The dog is sleeping in the garden.",
        "Der Hund schläft im Garten.",
        "English: Der Hund schläft im Garten.",
        "The dog is sleeping in the garden.",
    ]
    assert [talk.place for talk in talks] == ["a:1", "a:1"]
    assert choose((there, back), "english") is back
    assert choose((there, back), "de") is there
    with pytest.raises(ConfigError, match="does not translate into that"):
        choose((there,), "fr")


def test_what_is_longer_than_what_was_learned_is_known_by_its_length() -> None:
    (forward,) = directions_of([Pair("x" * n, "y") for n in range(1, 102)], "forward", told=False)
    assert forward.longest == 99
    (short,) = directions_of([Pair("ab", "y")], "forward", told=False)
    assert short.longest == 24


def test_sides_of_one_language_have_no_name() -> None:
    same = [Pair(pair.source, pair.source.replace("The", "This")) for pair in PAIRS]
    (one,) = directions_of(same, "backward", told=True)
    assert (one.source, one.target, one.asks) == ("target", "source", "source: ")


def test_expectation_maximisation_by_hand() -> None:
    # Brown et al.'s idea in two pairs: "b" stands with both, so it takes "y", and "a" is left with "x".
    learned = Lexicon.learn([("a b", "x y"), ("b", "y")], rounds=10)
    assert learned.best == {"a": "x", "b": "y"}
    assert learned.translate("B a, Zebra") == "y x, Zebra"
    assert (
        Lexicon.learn([("The dog", "Der Hund"), ("the", "der"), ("a dog", "ein Hund")]).best["dog"] == "Hund"
    )
    assert Lexicon.learn([]).translate("as it is") == "as it is"


def test_words_of_chinese_are_its_characters() -> None:
    assert words_of("我想 Go家。") == ["我", "想", "Go", "家", "。"]
    assert join_words(["我", "想", "go", "home", "."]) == "我想go home."


def test_terms_are_found_as_whole_words_the_longer_first() -> None:
    terms = Glossary((("dog", "Hund"), ("dog house", "Hundehütte"), ("cat", "Katze"), ("狗", "dog")))

    def wanted(text: str, terms: Glossary = terms) -> list[str]:
        return [term.target for term in terms.wanted(text)]

    assert wanted("The Dog  house and the cat") == ["Hundehütte", "Katze"]
    assert wanted("dogs concatenate") == []
    assert wanted("cat, dog, cat") == ["Katze", "Hund"]
    assert wanted("一只狗在睡觉") == ["dog"]
    assert wanted("ein Hund", terms.flipped()) == ["dog"]
    (one,) = terms.wanted("The Dog  house is red")
    assert one.without == "The is red"
    assert one.said_in("eine Hundehütte.")
    assert not one.said_in("eine hundehütte")
    assert not one.said_in("Hundehütten")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dog\tHund\ncat\n", r"g\.tsv:2: found 1 texts"),
        ("dog\tHund\nDog\tRüde\n", r"g\.tsv:2: the term of line 1 has another translation"),
        ("# nothing\n\n", "holds no terms"),
    ],
)
def test_a_bad_glossary_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "g.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says):
        read_glossary(path)
    path.write_text('dog,Hund\n# a comment\n"red, white",rot-weiß\n', encoding="utf-8")
    assert read_glossary(path).terms == (("dog", "Hund"), ("red, white", "rot-weiß"))


def test_long_texts_are_cut_where_they_may_be() -> None:
    def cut(text: str, longest: int) -> list[str]:
        return [
            piece for piece, _ in _cut(text, lambda piece: len(piece) <= longest, (_SENTENCE, _CLAUSE, _WORD))
        ]

    assert cut("One two. Three four. Five.", 20) == ["One two.", "Three four.", "Five."]
    assert cut("One two, three four, five six.", 21) == ["One two, three four,", "five six."]
    assert cut("a b c d", 3) == ["a b", "c d"]
    assert cut("abcdefgh", 3) == ["ab", "cd", "ef", "gh"]
    assert cut("你好。很好！走吧", 4) == ["你好。", "很好！", "走吧"]
    assert cut("", 3) == [""]


def test_every_kind_of_line_end_stays_where_it_is() -> None:
    text = "one\r\ntwo\u2028three\x0cfour\n"
    assert _lines(text) == [("one", "\r\n"), ("two", "\u2028"), ("three", "\x0c"), ("four", "\n"), ("", "")]
    assert _lines("") == [("", "")]


def test_where_nothing_is_said_no_place_is_clear() -> None:
    tokenizer = Tokenizer.train(["a cat sleeps"], 300)
    shape = ModelConfig(vocab_size=tokenizer.vocab_size, context_length=32, n_layer=1, n_head=2, n_embd=16)
    placer = Placer(new_model(shape, 0).eval(), tokenizer)
    assert placer.place([1, 2], Hypothesis(), [Wanted((5,), (1,))]) is None
