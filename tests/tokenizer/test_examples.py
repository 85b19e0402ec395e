from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mynah.data.records import Conversation, Document, Labelled, Message, Pair, Preference, Record
from mynah.errors import ArtifactError
from mynah.tokenizer.dataset import TokenSet, encode_records, encode_to_file
from mynah.tokenizer.examples import rejected_conversations
from mynah.tokenizer.template import SAID
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.packed import PackedBatches

ASKED = (Message("user", "which one"),)
MIXED: list[Record] = [
    Conversation((*ASKED, Message("assistant", "this one"))),
    Document("a text by itself"),
    Labelled("a text with a class", "good"),
    Pair("a text", "ein Text"),
    Preference(ASKED, "the better one", "the worse one"),
]


def test_records_keep_their_kind(tokenizer: Tokenizer) -> None:
    data = encode_records(MIXED, tokenizer)
    for number, kind in enumerate(("conversation", "document", "labelled", "pair", "preference")):
        assert data.records_of(kind).tolist() == [number]
    said = [tokenizer.decode(data.record(r)[data.record_part(r) == SAID]) for r in range(len(data))]
    assert said == ["this one", "", "good", "ein Text", "the better one"]
    worse = encode_records(rejected_conversations(MIXED), tokenizer)
    assert [tokenizer.decode(worse.record(0)[worse.record_part(0) == SAID])] == ["the worse one"]
    chosen = data.select(np.array([4, 1]))
    assert chosen.records_of("preference").tolist() == [0]
    assert chosen.record(1).tolist() == data.record(1).tolist()


def test_shards_are_mapped_and_not_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    data = encode_to_file(MIXED * 3, tokenizer, path)
    for name in ("tokens", "starts", "part", "n_bytes", "kind"):
        assert isinstance(getattr(data, name), np.memmap)
    assert data.tokens.tolist() == encode_records(MIXED * 3, tokenizer).tokens.tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["train.safetensors"]
    from safetensors.numpy import load_file

    assert load_file(path)["tokens"].tolist() == data.tokens.tolist()
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ArtifactError, match="damaged"):
        TokenSet.load(path)
    empty = encode_to_file([], tokenizer, tmp_path / "empty.safetensors")
    assert (len(empty), len(empty.tokens)) == (0, 0)


@pytest.fixture(scope="module")
def many(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenSet, float]:
    """A large set of conversations, and the bytes a token that Python held at most while it was encoded."""

    def records() -> Iterator[Record]:
        for i in range(40_000):
            said = f"say {i} again " * 4
            yield Conversation((Message("user", said), Message("assistant", f"{i} it is, {said}")))

    tracemalloc.start()
    data = encode_to_file(records(), tokenizer, tmp_path_factory.mktemp("many") / "t.safetensors")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return data, most / len(data.tokens)


def test_encoding_holds_few_bytes_a_token(many: tuple[TokenSet, float]) -> None:
    data, held = many
    assert len(data.tokens) > 2_900_000
    assert held < 10


def test_fine_tuning_holds_few_bytes_a_token(many: tuple[TokenSet, float]) -> None:
    data, _ = many
    tracemalloc.start()
    batches = PackedBatches(data, 8, 256, seed=0)
    batches(0)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(data.tokens) < 4
    assert most / len(data.tokens) < 8
