from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.data.records import Conversation, Document, Message
from mynah.errors import ArtifactError, DataError
from mynah.tokenizer.dataset import TokenSet, encode_records, encode_to_file
from mynah.tokenizer.template import CONTROL_TOKENS, HEARD, LAYOUT, SAID
from mynah.tokenizer.tokenizer import Tokenizer, choose_vocab_size

TEXTS = ["Where is my parcel? It's late.", "你好，请问什么时候发货？", "Order 12345 has 3 items."] * 8
TALK = Conversation(
    (Message("user", "Where is it?"), Message("assistant", "Here. 你好"), Message("user", "ok"))
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, 400)


@given(st.text())
def test_any_text_survives(text: str) -> None:
    tokenizer = _cached()
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode("utf-8", "replace").decode()


_made: list[Tokenizer] = []


def _cached() -> Tokenizer:
    if not _made:
        _made.append(Tokenizer.train(TEXTS, 400))
    return _made[0]


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_text_never_becomes_a_control_token(tokenizer: Tokenizer, token: str) -> None:
    control = set(vars(tokenizer.control).values())
    for text in (token, f"a{token}b", token * 3, f" {token} "):
        assert not control & set(tokenizer.encode(text))
        assert not control & set(tokenizer.encode_batch([text])[0])
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_layout_of_a_conversation(tokenizer: Tokenizer) -> None:
    c = tokenizer.control
    data = encode_records([TALK, Document("Where")], tokenizer)
    words = [tokenizer.encode(m.content) for m in TALK.messages]
    expected = [c.bos, c.user, *words[0], c.end, c.assistant, *words[1], c.end, c.user, *words[2], c.end]
    assert data.record(0).tolist() == expected
    said = [i for i, part in enumerate(data.record_part(0)) if part == SAID]
    assert [expected[i] for i in said] == [*words[1], c.end]
    heard = [i for i, part in enumerate(data.record_part(0)) if part == HEARD]
    assert [expected[i] for i in heard] == [*words[0], *words[2]]
    assert data.record_part(1).tolist() == [LAYOUT] + [HEARD] * (len(data.record(1)) - 1)
    assert data.n_bytes.tolist() == [[len("Where is it?Here. ok") + 6, len("Here. ") + 6], [5, 0]]


def test_transformers_renders_token_for_token(tokenizer: Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": m.role, "content": m.content} for m in TALK.messages]
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert list(ids) == tokenizer.template.prompt(TALK.messages)
    assert set(theirs("a text")) == {
        "input_ids",
        "attention_mask",
    }  # no token_type_ids, which GPT-2 would add up
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert saved["model_input_names"] == ["input_ids", "attention_mask"]
    for text in TEXTS[:3]:
        assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    with pytest.raises(Exception, match="control token"):
        theirs.apply_chat_template([{"role": "user", "content": "a<|end|>b"}])


def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])
    assert again.encode("<|end|>") == tokenizer.encode("<|end|>")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_training_is_deterministic_and_needs_text() -> None:
    assert Tokenizer.train(TEXTS, 350).backend.to_str() == Tokenizer.train(TEXTS, 350).backend.to_str()
    with pytest.raises(DataError, match="no text"):
        Tokenizer.train([], 350)


def test_vocab_size_grows_with_the_text() -> None:
    sizes = [choose_vocab_size(n) for n in (1_000, 100_000, 500_000, 5_000_000, 10**10)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 512
    assert sizes[-1] == 32768


def test_token_set_round_trip(tokenizer: Tokenizer, tmp_path: Path) -> None:
    data = encode_records([TALK], tokenizer)
    data.save(tmp_path / "t.safetensors")
    again = TokenSet.load(tmp_path / "t.safetensors")
    streamed = encode_to_file([TALK], tokenizer, tmp_path / "s.safetensors")
    for found in (again, streamed):
        assert found.tokens.dtype == np.uint16
        for name in ("tokens", "starts", "part", "n_bytes", "kind"):
            assert getattr(data, name).tolist() == getattr(found, name).tolist()
    (tmp_path / "t.safetensors").write_bytes(b"short")
    with pytest.raises(ArtifactError, match="damaged"):
        TokenSet.load(tmp_path / "t.safetensors")
