"""Scores by document: summed by hand, and alike for tokenizers that cut the same text otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mynah.data.records import Conversation, Document, Message
from mynah.evaluate.conversations import prompts_of, rouge_l
from mynah.evaluate.documents import by_document, position_names
from mynah.evaluate.language_model import TokenScores, summarise
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer

TALK = Conversation((Message("user", "Where is my lamp?"), Message("assistant", "In the post. 在路上")))
LONG = Document("A long text about lamps and posts and roads. " * 20)


def test_sums_of_documents_are_those_of_tokens() -> None:
    tokenizer = Tokenizer.train([*TALK.texts, LONG.text], 300)
    data = encode_records([TALK, LONG, TALK], tokenizer)
    rng = np.random.default_rng(0)
    hits = rng.random(len(data.tokens)) < 0.3
    scores = TokenScores(-rng.random(len(data.tokens)) * 5, hits, hits | (rng.random(len(data.tokens)) < 0.3))
    for replies_only in (False, True):
        found, expected = (
            by_document(scores, data, replies_only=replies_only),
            summarise(scores, data, replies_only=replies_only),
        )
        assert expected is not None
        told = found.to_json()
        assert found.bpb == pytest.approx(expected.bpb)
        assert found.perplexity == pytest.approx(expected.perplexity)
        assert told["accuracy"] == pytest.approx(expected.accuracy)
        assert (told["tokens"], told["bytes"]) == (expected.tokens, expected.bytes)
        assert told["accuracy_5"] >= told["accuracy"]
        assert sum(count for _, count in found.by_position) == expected.tokens
        assert sum(bits for bits, _ in found.by_position) == pytest.approx(float(found.bits.sum()))
    for number in range(3):  # each as if it were alone
        begin, end = data.starts[number] + 1, data.starts[number + 1]
        whole = by_document(scores, data)
        assert whole.bits[number] == pytest.approx(-scores.log_probs[begin:end].sum() / math.log(2))
        assert whole.tokens[number] == end - begin
    assert whole.of([0, 2])[1] == 2 * int(data.n_bytes[0, 0])
    assert by_document(TokenScores(scores.log_probs, hits), data).to_json()["accuracy_5"] is None


def test_places_have_names() -> None:
    assert position_names() == ["1-16", "17-64", "65-256", "257-1024", "1025-"]


@pytest.mark.parametrize(
    ("said", "wanted", "score"),
    [
        ("the cat sat", "the cat sat", 1.0),
        ("a b c d", "a c e d", 2 * 3 / 8),
        ("", "a", 0.0),
        ("我要退货", "我想退货", 2 * 3 / 8),
        ("x", "y", 0.0),
    ],
)
def test_rouge_l_by_hand(said: str, wanted: str, score: float) -> None:
    assert rouge_l(said, wanted) == pytest.approx(score)


def test_rouge_l_is_that_of_its_authors_library() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = (" ".join(rng.choice(list("abcdef"), rng.integers(1, 30))) for _ in range(2))
        assert rouge_l(one, other) == pytest.approx(scorer.score(other, one)["rougeL"].fmeasure)


def test_prompts_are_spread_evenly_and_end_before_the_reply() -> None:
    records = [
        Conversation((Message("user", f"q{n}"), Message("assistant", f"a{n}")), f"x:{n}") for n in range(10)
    ]
    some = prompts_of([LONG, *records, Conversation((Message("user", "alone"),))], 5)
    assert [one.reply for one in some] == ["a0", "a2", "a4", "a6", "a8"]
    assert [message.content for message in some[1].messages] == ["q2"]
    assert len(prompts_of(records, 50)) == 10
