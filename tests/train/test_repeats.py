"""Where replies repeat: what is read first, and what is left out."""

from __future__ import annotations

import pytest

from mynah.data.records import Conversation, Message
from mynah.model.transformer import IGNORE
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train import packed as packing
from mynah.train.packed import PackedBatches, Repeats


def repeating(tokenizer: Tokenizer) -> TokenSet:
    """Conversations of which most end in one of two replies that begin alike."""
    talks = [
        Conversation((Message("user", f"ask {i}"), Message("assistant", reply)))
        for i, reply in enumerate(
            ["we send it on Monday by post"] * 9 + ["we send it on Friday by post"] * 5 + ["no", "perhaps"]
        )
    ]
    return encode_records(talks, tokenizer)


def replies_read(packed: PackedBatches, tokenizer: Tokenizer) -> list[str]:
    """Return what a pass learns to say, in its order."""
    said = []
    for step in range(packed.rows):
        batch = packed(step)
        assert batch.segments is not None
        for segment in range(int(batch.segments.max()) + 1):
            targets = batch.targets[batch.segments == segment]
            said.append(tokenizer.decode(targets[targets != IGNORE].tolist()))
    return said


def test_different_replies_are_read_first(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACKED_AT_ONCE", 1)
    data = repeating(tokenizer)
    plain = replies_read(PackedBatches(data, 1, 40, 0), tokenizer)
    spread = PackedBatches(data, 1, 40, 0, repeats=Repeats(spread=True))
    said = replies_read(spread, tokenizer)
    assert sorted(said) == sorted(plain)
    assert len(set(said[:4])) == 4
    assert said[-4:] == ["we send it on Monday by post"] * 4
    assert [spread._order(0)[i] for i in range(3)] == [0, 1, 2]
    assert list(spread._order(1)) != list(range(spread.rows))


def test_a_known_reply_is_read_as_far_as_it_differs(tokenizer: Tokenizer) -> None:
    data = repeating(tokenizer)
    said = replies_read(PackedBatches(data, 1, 40, 0, repeats=Repeats(known_after=2)), tokenizer)
    whole = [reply for reply in said if reply.endswith("post")]
    cut = [reply for reply in said if reply.startswith("we") and not reply.endswith("post")]
    assert len(whole) == 4
    assert len(cut) == 10
    for reply in cut:
        assert "we send it on Monday by post".startswith(reply) or "we send it on Friday by post".startswith(
            reply
        )
        assert len(reply) > len("we send it on ")
    assert {"no", "perhaps"} <= set(said)


def test_each_piece_of_a_long_known_reply_still_teaches_something(tokenizer: Tokenizer) -> None:
    long = " ".join(f"word {i}" for i in range(40))
    talks = [Conversation((Message("user", "ask"), Message("assistant", long))) for _ in range(6)]
    packed = PackedBatches(encode_records(talks, tokenizer), 1, 32, 0, repeats=Repeats(known_after=1))
    assert len(packed.pieces) > len(talks)
    for step in range(packed.rows):
        batch = packed(step)
        assert batch.segments is not None
        for segment in range(int(batch.segments.max()) + 1):
            assert (batch.targets[batch.segments == segment] != IGNORE).any()
