from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mynah.data.records import Conversation, Document, Message
from mynah.errors import DataError
from mynah.evaluate.language_model import (
    TokenScores,
    drawn_records,
    score_network,
    score_ngram,
    summarise,
)
from mynah.evaluate.replies import exchanges, holds_facts, look_up, read_questions
from mynah.model import loss
from mynah.model.presets import preset
from mynah.model.weights import new_model
from mynah.ngram import NGramModel
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer

TALK = Conversation((Message("user", "Where is my lamp?"), Message("assistant", "In the post. 在路上")))
LONG = Document("A long text about lamps and posts and roads. " * 20)


@pytest.fixture(scope="module")
def made() -> tuple[Tokenizer, TokenSet]:
    tokenizer = Tokenizer.train([*TALK.texts, LONG.text], 300)
    return tokenizer, encode_records([TALK, LONG], tokenizer)


def test_a_uniform_model_costs_log_v(made: tuple[Tokenizer, TokenSet]) -> None:
    _, data = made
    scores = TokenScores(np.full(len(data.tokens), -math.log(300)), np.zeros(len(data.tokens), np.bool_))
    score = summarise(scores, data)
    assert score is not None
    assert score.tokens == len(data.tokens) - 2  # a record's first token is given
    assert score.bytes == sum(len(t.encode()) for r in (TALK, LONG) for t in r.texts)
    assert score.perplexity == pytest.approx(300)
    assert score.bpb == pytest.approx(score.tokens * math.log2(300) / score.bytes)
    replies = summarise(scores, data, replies_only=True)
    assert replies is not None
    assert (replies.tokens, replies.bytes) == (int(data.reply.sum()), len("In the post. 在路上".encode()))
    assert summarise(scores, encode_records([Document("")], made[0]), replies_only=True) is None


def test_windows_score_each_token_once_with_the_right_context(made: tuple[Tokenizer, TokenSet]) -> None:
    tokenizer, data = made
    model = new_model(preset("nano", tokenizer.vocab_size, n_layer=1, n_embd=32), 0).eval()
    with torch.no_grad():
        model.head.weight.normal_()
    scores = score_network(model, data, 16)
    for record in range(2):
        ids = data.record(record)
        first = int(data.starts[record])
        windows: dict[int, int] = {}
        begin, t = 0, 1
        while t < len(ids):  # as documented: windows of 16 that overlap by half
            end = min(begin + 17, len(ids))
            windows |= dict.fromkeys(range(t, end), begin)
            t, begin = end, max(0, end - 1 - 8)
        for t in (1, 2, min(16, len(ids) - 1), min(30, len(ids) - 1), len(ids) - 1):
            with torch.no_grad():
                logits = model.logits(model(torch.from_numpy(ids[None, windows[t] : t])))[0, -1]
            expected = torch.log_softmax(logits, 0)[ids[t]]
            assert scores.log_probs[first + t] == pytest.approx(float(expected), abs=1e-4)
            assert scores.hits[first + t] == (int(logits.argmax()) == ids[t])


def test_scoring_makes_few_logits_at_once(
    made: tuple[Tokenizer, TokenSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, data = made
    model = new_model(preset("nano", tokenizer.vocab_size, n_layer=1, n_embd=32), 0)
    whole = score_network(model, data, 64)
    seen: list[int] = []
    real = model.logits

    def logits(hidden: torch.Tensor, given: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(hidden.numel() // hidden.shape[-1])
        return real(hidden, given)

    monkeypatch.setattr(model, "logits", logits)
    monkeypatch.setattr(loss, "LEAST_ROWS", 1)
    monkeypatch.setitem(loss.AT_ONCE, "cpu", 5 * tokenizer.vocab_size)  # as if the vocabulary were large
    pieces = score_network(model, data, 64)
    assert max(seen) == 5
    assert pieces.log_probs == pytest.approx(whole.log_probs, abs=1e-5)


def test_ngram_scores(made: tuple[Tokenizer, TokenSet]) -> None:
    tokenizer, data = made
    with pytest.warns(UserWarning, match="too small"):
        model = NGramModel.train_ids(data.tokens, tokenizer.vocab_size, tokenizer.control.bos, order=3)
    score = summarise(score_ngram(model, data), data)
    assert score is not None
    assert score.accuracy > 0.8  # it has seen the text
    assert score.loss < 2


def test_what_is_measured_comes_from_all_sources_in_any_order(made: tuple[Tokenizer, TokenSet]) -> None:
    tokenizer, data = made
    assert drawn_records(data, 1000) is data
    assert len(drawn_records(data, 1)) == 1
    english = [Document(f"a lamp and {i} posts") for i in range(200)]
    chinese = [Document(f"在路上 {i} 在") for i in range(200)]
    both = encode_records([*english, *chinese], tokenizer)
    drawn = drawn_records(both, len(both.tokens) // 4)
    assert len(both.tokens) // 5 < len(drawn.tokens) <= len(both.tokens) // 4
    words = [tokenizer.decode(drawn.record(r)) for r in range(len(drawn))]
    share = sum("在" in text for text in words) / len(words)
    assert 0.35 < share < 0.65
    mixed = encode_records([*chinese, *english], tokenizer)
    again = drawn_records(mixed, len(both.tokens) // 4)
    assert {tokenizer.decode(again.record(r)) for r in range(len(again))} == set(words)
    assert int(drawn.n_bytes[:, 0].sum()) == sum(len(text.encode()) for text in words)


def test_facts() -> None:
    assert holds_facts("You have 60 days with the RECEIPT.", ["60 days|sixty days", "receipt"])
    assert not holds_facts("You have 60 days.", ["60 days", "receipt"])


def test_lookup_answers_with_the_nearest_known_reply() -> None:
    pairs = [("where is my parcel", "P"), ("how to return a lamp", "R"), ("opening hours", "O")]
    assert look_up(pairs, ["my parcel, where?", "return it", "hours of opening"]) == ["P", "R", "O"]
    chinese = [("包裹在哪里", "P"), ("怎么退货", "R"), ("几点开门", "O")]
    assert look_up(chinese, ["我的包裹呢", "想退货", "什么时候开门"]) == ["P", "R", "O"]
    assert exchanges([TALK]) == [TALK.texts]


def test_question_files(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "q", "facts": ["a"]}\n\n{"question": "q"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"q\.jsonl:3"):
        read_questions(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
