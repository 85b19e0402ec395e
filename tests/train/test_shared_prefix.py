"""What conversations begin with stands once in a row, and everything is as if each had it itself."""

from __future__ import annotations

import pytest
import torch

from mynah.data.records import Conversation, Message
from mynah.model.attention import PREFIX
from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.transformer import IGNORE, Transformer, can_share_prefix
from mynah.model.weights import new_model
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.batches import NextToken
from mynah.train.packed import PackedBatches

SYSTEM = Message("system", "a system text that each of them has")


def talks(n: int = 12, first: Message = SYSTEM) -> list[Conversation]:
    """Conversations of different lengths, which begin with one message."""
    return [
        Conversation(
            (first, Message("user", "ask " * (1 + i % 4) + str(i)), Message("assistant", f"say {i}"))
        )
        for i in range(n)
    ]


def sums(model: Transformer, batches: PackedBatches) -> tuple[float, int, list[torch.Tensor]]:
    """Return loss and targets of a pass, summed, and the gradients of all weights."""
    model.zero_grad()
    total, count = torch.zeros((), dtype=torch.float64), 0
    for step in range(batches.rows):
        loss, counted = NextToken()(model, batches(step))
        total, count = total + loss, count + counted
    total.backward()
    return float(total.detach()), count, [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("odd", [False, True])
def test_losses_and_gradients_are_those_of_whole_conversations(
    tokenizer: Tokenizer, positions: str, odd: bool
) -> None:
    said = talks()
    if odd:  # some begin otherwise, one with a reply, and one is longer than a row
        said += talks(2, Message("user", "else"))
        said.append(Conversation((Message("assistant", "who is it"), Message("user", "me"))))
        said.append(
            Conversation((SYSTEM, *(Message(("user", "assistant")[i % 2], f"turn {i}") for i in range(40))))
        )  # type: ignore[arg-type]
    data = encode_records(said, tokenizer)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=96, n_layer=2, n_head=2, n_kv_head=1, n_embd=32,
        positions=positions, bigram_buckets=0,
    )  # fmt: skip
    model = new_model(config, 0).double()
    with torch.no_grad():  # a new one's blocks may begin as nothing
        for p in model.parameters():
            p.add_(
                0.05 * torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(p.numel()))
            )
    assert can_share_prefix(config, 96)
    apart, together = (PackedBatches(data, 1, 96, 0, share_prefix=share) for share in (False, True))
    assert len(together.prefix) > len(tokenizer.encode(SYSTEM.content))
    assert together.rows < apart.rows
    (loss, count, gradients), whole = sums(model, together), sums(model, apart)
    assert count == whole[1]
    assert loss == pytest.approx(whole[0], rel=1e-6)
    for one, other in zip(gradients, whole[2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)  # rotary tables are float32


def test_each_reply_is_learned_once(tokenizer: Tokenizer) -> None:
    data = encode_records([*talks(), *talks(3, Message("user", "else"))], tokenizer)
    batches = PackedBatches(data, 2, 64, 0, share_prefix=True)
    counted: list[int] = []
    for step in range(-(-batches.rows // 2)):
        for part in batches(step).split(2):
            counted += part.targets[part.targets != IGNORE].tolist()
    repeated = -batches.rows % 2  # the last batch takes a row of the next pass
    said = data.tokens[data.reply].tolist()
    assert sorted(counted) == sorted(said) if not repeated else len(counted) > len(said)


def test_what_few_begin_with_or_is_short_is_not_shared(tokenizer: Tokenizer) -> None:
    different = encode_records(
        [c for i in range(6) for c in talks(1, Message("user", f"{i} begins as none else does"))], tokenizer
    )
    assert not len(PackedBatches(different, 1, 64, 0, share_prefix=True).prefix)
    assert PackedBatches(different, 1, 64, 0, share_prefix=True)(0).places is None


def test_the_prefix_holds_nothing_to_predict(tokenizer: Tokenizer) -> None:
    alike = encode_records(
        [Conversation((Message("assistant", "may I help you"), Message("user", f"{i}"))) for i in range(6)],
        tokenizer,
    )
    packed = PackedBatches(alike, 1, 64, 0, share_prefix=True)
    counted = [t for s in range(packed.rows) for t in packed(s).targets.flatten().tolist() if t != IGNORE]
    assert sorted(counted) == sorted(alike.tokens[alike.reply].tolist())
    batch = packed(0)
    assert batch.segments is not None
    assert (batch.targets[batch.segments == PREFIX] == IGNORE).all()


def test_makes_that_go_by_where_in_a_row_share_nothing() -> None:
    plain = ModelConfig(vocab_size=64, context_length=256, n_layer=2, n_head=2, n_embd=32, bigram_buckets=0)
    assert can_share_prefix(plain, 256)
    assert not can_share_prefix(plain.model_copy(update={"bigram_buckets": 64}), 256)
    assert not can_share_prefix(plain.model_copy(update={"prior": True}), 256)
    banded = preset("gpt3-small", 64)
    assert not can_share_prefix(banded, banded.context_length)
