"""Learning from better and worse replies: losses by hand, beside TRL's, and what training does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mynah.data.records import Conversation, Message, Preference
from mynah.errors import DataError
from mynah.interop.huggingface import to_hugging_face
from mynah.model.config import ModelConfig
from mynah.model.presets import preset
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import new_model
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.examples import rejected_conversations
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.tune.preferences.config import PreferConfig
from mynah.tune.preferences.objective import PairBatch, Preferred, log_probs_of_replies
from mynah.tune.preferences.pairs import ReplyPairs, likelihoods, prefer

WORDS = ("red", "blue", "green", "small", "large", "old", "new", "warm")
ASKED = [
    Preference(
        (Message("user", f"what is {one} {other}"),), f"it is {one} and fine", f"no {other} at all", "a:1"
    )
    for one in WORDS
    for other in WORDS
    if one != other
]


def tokenizer() -> Tokenizer:
    return Tokenizer.train([text for row in ASKED for text in row.texts], 320)


def pairs(of: Tokenizer, rows: list[Preference]) -> ReplyPairs:
    return ReplyPairs.of(encode_records(rows, of), encode_records(rejected_conversations(rows), of))


def small(of: Tokenizer, seed: int = 0) -> Transformer:
    return new_model(
        ModelConfig(vocab_size=of.vocab_size, context_length=48, n_layer=2, n_head=2, n_embd=32), seed
    )


def test_losses_by_hand() -> None:
    said, reference = torch.tensor([[-2.0], [-6.0]]), torch.tensor([[-3.0], [-5.0]])
    lengths = torch.tensor([[2], [4]])

    def loss(**settings: object) -> float:
        return float(Preferred(PreferConfig(**settings)).losses(said, lengths, reference))  # type: ignore[arg-type]

    margin = 0.5 * ((-2 + 3) - (-6 + 5))
    assert loss(loss="dpo", beta=0.5) == pytest.approx(math.log1p(math.exp(-margin)))
    smooth = 0.9 * math.log1p(math.exp(-margin)) + 0.1 * math.log1p(math.exp(margin))
    assert loss(loss="dpo", beta=0.5, label_smoothing=0.1) == pytest.approx(smooth)
    assert loss(loss="ipo", beta=0.5) == pytest.approx((1 / 2 - -1 / 4 - 1) ** 2)
    chosen, rejected = -1.0, -1.5
    odds = chosen - rejected - (math.log1p(-math.exp(chosen)) - math.log1p(-math.exp(rejected)))
    assert loss(loss="orpo", beta=0.5) == pytest.approx(-chosen + 0.5 * math.log1p(math.exp(-odds)))


def test_replies_are_as_likely_as_their_tokens() -> None:
    made = small(tokenizer())
    torch.manual_seed(0)
    tokens = torch.randint(0, 300, (3, 9))
    targets = torch.where(torch.rand(3, 9) < 0.5, torch.randint(0, 300, (3, 9)), IGNORE)
    with torch.no_grad():
        total, counts = log_probs_of_replies(made, tokens, targets)
    log_probs = made.logits(made(tokens)).log_softmax(-1).detach()
    for row in range(3):
        each = [log_probs[row, t, targets[row, t]] for t in range(9) if targets[row, t] != IGNORE]
        assert float(total[row]) == pytest.approx(float(sum(each)), abs=1e-4)
        assert counts[row] == len(each)


def test_only_the_last_reply_counts_and_a_long_prompt_loses_its_beginning() -> None:
    of = tokenizer()
    talk = (Message("user", "red"), Message("assistant", "blue blue"), Message("user", "old"))
    both = pairs(of, [Preference(talk, "new warm", "large", "a:1")])
    batch = both.batch(np.array([0]), 48)
    said = [batch.targets[side, 0][batch.targets[side, 0] != IGNORE] for side in (0, 1)]
    assert [of.decode(ids.tolist()) for ids in said] == ["new warm", "large"]
    cut = both.batch(np.array([0]), 6)
    assert cut.tokens.shape[2] <= 6
    assert of.decode(cut.targets[0, 0][cut.targets[0, 0] != IGNORE].tolist()).startswith("new")
    long = pairs(of, [Preference(talk, "new " * 60, "old " * 60, "a:1")]).batch(np.array([0]), 20)
    assert (long.tokens.shape[2], int((long.targets[0, 0] != IGNORE).sum())) == (20, 11)
    halves = both.batch(np.array([0, 0, 0]), 48).split(2)
    assert [half.count for half in halves] == [2, 1]
    assert [half.count for half in batch.split(3)] == [1, 0, 0]


@pytest.mark.parametrize("loss", ["dpo", "ipo", "orpo"])
def test_the_better_reply_becomes_the_likelier(loss: str) -> None:
    of = tokenizer()
    learned, held_out = pairs(of, ASKED[::2]), pairs(of, ASKED[1::2])
    config = TrainConfig(
        steps=30, batch_size=8, context_length=48, eval_every=30, optimizer="adamw", learning_rate=2e-3
    )
    settings = PreferConfig(loss=loss)  # type: ignore[arg-type]
    progress, found = prefer(small(of), learned, held_out, settings, config)
    assert progress.step == 30
    assert found["held_out"]["reward_accuracy"] > 0.9
    assert found["held_out"]["likelier_after"] > 0.9
    assert found["held_out"]["count"] == len(held_out)


def test_what_does_not_fit_together_is_refused() -> None:
    of = tokenizer()
    one = encode_records(ASKED[:4], of)
    with pytest.raises(DataError, match="4 better and 3 worse replies"):
        ReplyPairs.of(one, encode_records(rejected_conversations(ASKED[:3]), of))
    talk = Conversation((Message("user", "red"), Message("assistant", "blue")))
    none = ReplyPairs.of(encode_records([talk], of), one.select(np.array([], np.intp)))
    with pytest.raises(DataError, match="no pairs"):
        prefer(small(of), none, None, PreferConfig(), TrainConfig(steps=1))


@pytest.mark.parametrize("loss", ["dpo", "ipo"])
def test_the_loss_is_that_of_trl(loss: str, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    of = tokenizer()
    shape = preset("gpt2", of.vocab_size, n_layer=2, n_embd=32, n_head=2, context_length=64)
    policy, reference = new_model(shape, 1), new_model(shape, 2)
    for name, model in (("policy", policy), ("reference", reference)):
        to_hugging_face(model.eval(), of, tmp_path / name)
    rows = ASKED[:4]
    both = pairs(of, rows)
    known, _ = likelihoods(reference, both, 64)
    batch: PairBatch = both.batch(np.arange(4), 64, known)
    total, count = Preferred(PreferConfig(loss=loss, beta=0.3))(policy, batch)  # type: ignore[arg-type]

    def turns(reply: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": reply}]

    data = datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row.messages[0].content}],
                "chosen": turns(row.chosen),
                "rejected": turns(row.rejected),
            }
            for row in rows
        ]
    )
    trainer = trl.DPOTrainer(
        AutoModelForCausalLM.from_pretrained(tmp_path / "policy"),
        ref_model=AutoModelForCausalLM.from_pretrained(tmp_path / "reference"),
        args=trl.DPOConfig(
            output_dir=str(tmp_path / "out"),
            beta=0.3,
            loss_type="sigmoid" if loss == "dpo" else "ipo",
            per_device_train_batch_size=4,
            report_to=[],
            use_cpu=True,
            disable_dropout=True,
            gradient_checkpointing=False,
        ),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(tmp_path / "policy"),
    )
    inputs = next(iter(trainer.get_train_dataloader()))
    theirs = float(trainer.compute_loss(trainer.model.eval(), inputs))
    assert float(total.detach()) / count == pytest.approx(theirs, rel=1e-4)
