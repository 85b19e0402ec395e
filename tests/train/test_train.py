from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mynah.data.records import Conversation, Document, Message
from mynah.errors import DataError, TrainingError
from mynah.model.transformer import IGNORE, Transformer
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train import optim
from mynah.train.batches import NextToken, StreamBatches
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, Step, train
from mynah.train.optim import Optimizers, orthogonalize
from mynah.train.packed import PackedBatches
from mynah.train.phases import pretrain, tune
from mynah.train.ramp import batch_ramp, ramp_of
from mynah.train.schedule import early_fall, planned_fall, rate_factor

ModelOf = Callable[..., Transformer]


# Batches


def test_stream_covers_each_epoch_once(data: TokenSet) -> None:
    batches = StreamBatches(data, 1, 16, seed=3)
    rows = [batches(step) for step in range(batches.rows)]
    begins = sorted(row.tokens[0].tolist() for row in rows)
    assert len({tuple(b) for b in begins}) == batches.rows
    offset, _ = batches._epoch(0)
    stream = data.tokens[offset : offset + batches.rows * 16].astype(int).reshape(-1, 16).tolist()
    assert begins == sorted(stream)
    for row in rows:
        assert torch.equal(row.targets[0, :-1], row.tokens[0, 1:])


def test_batches_are_pure_functions_of_seed_and_step(data: TokenSet) -> None:
    for kind in (StreamBatches, PackedBatches):
        a, b = kind(data, 4, 32, seed=1), kind(data, 4, 32, seed=1)
        b(0), b(7)
        assert torch.equal(a(5).tokens, b(5).tokens)
        assert not torch.equal(a(5).tokens, kind(data, 4, 32, seed=2)(5).tokens)


def test_records_of_a_stream_see_themselves_alone(data: TokenSet, tiny: Callable[..., Transformer]) -> None:
    tokens = torch.from_numpy(data.tokens.astype(np.int64))
    config = TrainConfig(steps=1, batch_size=1, context_length=len(tokens), learning_rate=1e-9)

    def shaken() -> Transformer:
        """One that looks at what came before, which a new one does not."""
        model = tiny()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        return model

    model, expected, counted = shaken().eval(), 0.0, 0
    with torch.no_grad():
        for begin, end in itertools.pairwise(data.starts.tolist()):
            targets = tokens[begin + 1 : end + 1]  # after the last token of a record the next one begins
            hidden = model(tokens[None, begin:end])[:, : len(targets)]
            expected += float(model.loss(hidden, targets[None]))
            counted += len(targets)
    found = {
        apart: pretrain(shaken(), data, data, config.model_copy(update={"document_mask": apart})).history[0]
        for apart in (True, False)
    }
    assert found[True]["held_out"] == pytest.approx(expected / counted, rel=1e-5)
    assert found[False]["held_out"] != pytest.approx(expected / counted, rel=1e-3)


def test_rows_of_a_stream_tell_records_apart(data: TokenSet) -> None:
    batches = StreamBatches(data, 2, 16, seed=3, document_mask=True)
    for step in range(batches.rows // 2):
        batch = batches(step)
        assert batch.segments is not None
        assert batch.positions is not None
        assert batch.tokens.tolist() == data.tokens[batch.positions].tolist()
        number = np.repeat(np.arange(len(data)), np.diff(data.starts))[batch.positions]
        assert (np.diff(batch.segments.numpy()) == np.diff(number)).all()


def test_packing_loses_no_reply_and_adds_none(data: TokenSet) -> None:
    batches = PackedBatches(data, 1, 32, seed=0)
    counted = []
    for step in range(batches.rows):
        batch = batches(step)
        assert batch.segments is not None
        wanted = batch.targets[0] != IGNORE
        counted += batch.targets[0][wanted].tolist()
        assert (batch.segments[0][wanted] >= 0).all()
    said = data.tokens[data.reply].tolist()
    assert sorted(counted) == sorted(said)


def test_a_long_conversation_is_learned_once(tokenizer: Tokenizer) -> None:
    turns = [Message(("user", "assistant")[i % 2], f"turn {i} of it") for i in range(40)]  # type: ignore[arg-type]
    data = encode_records([Conversation(tuple(turns))], tokenizer)
    batches = PackedBatches(data, 1, 32, seed=0)
    counted = [t for s in range(batches.rows) for t in batches(s).targets[0].tolist() if t != IGNORE]
    assert sorted(counted) == sorted(data.tokens[data.reply].tolist())


def test_word_dropout_blanks_only_what_others_say(data: TokenSet) -> None:
    plain, blanked = PackedBatches(data, 8, 32, 0), PackedBatches(data, 8, 32, 0, word_dropout=0.5)
    a, b = plain(0), blanked(0)
    changed = a.tokens != b.tokens
    heard = torch.from_numpy(np.isin(a.tokens.numpy(), data.tokens[data.part == 1]))
    assert 0.2 * int(heard.sum()) < int(changed.sum())
    assert (b.tokens[changed] == int(data.tokens[0])).all()
    assert not (changed & ~heard).any()
    assert torch.equal(a.targets, b.targets)
    assert torch.equal(b.tokens, blanked(0).tokens)


def test_nothing_to_learn_from(tokenizer: Tokenizer) -> None:
    text = encode_records([Document("only text")], tokenizer)
    with pytest.raises(DataError, match="no conversation with a reply"):
        PackedBatches(text, 1, 16, 0)


# Optimizers and schedule


def brought_near_one(values: Tensor) -> Tensor:
    """Return what the polynomials make of singular values of at most 1."""
    for a, b, c in optim._QUINTICS:
        values = a * values + b * values**3 + c * values**5
    return values


def test_the_quintics_err_by_four_percent() -> None:
    """The least that three can err between 0.03 and 1; what is smaller grows at least 32 times."""
    found = brought_near_one(torch.linspace(0.03, 1, 100_000, dtype=torch.float64))
    assert (found - 1).abs().max() < 0.0362
    small = torch.linspace(0, 0.03, 1000, dtype=torch.float64)
    assert torch.all(brought_near_one(small) <= 1)
    assert torch.all(brought_near_one(small) >= 32 * small)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 20, 30), (2, 8, 32), (2, 32, 8), (1, 96, 24)])
@pytest.mark.parametrize("spread", [0.0, -2.0, -4.0])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e6])
def test_orthogonalize(shape: tuple[int, ...], spread: float, size: float) -> None:
    """Singular vectors stay; singular values become what the polynomials make of them, however large all are."""
    generator = torch.Generator().manual_seed(0)
    x = size * torch.randn(shape, generator=generator) * torch.logspace(0, spread, shape[2])
    u, s, v = torch.linalg.svd(x.double(), full_matrices=False)
    before = s / (s.norm(dim=1, keepdim=True) + 1e-7)
    before = before / (1.01 * before.pow(8).sum(dim=1, keepdim=True) ** (1 / 8) + 1e-7)
    expected = u * brought_near_one(before)[:, None] @ v
    torch.testing.assert_close(orthogonalize(x).double(), expected, rtol=0, atol=2e-3)


def test_orthogonalize_what_is_hard() -> None:
    """Nothing becomes nothing; one direction, or all alike, and rounding takes no value above its bound."""
    assert torch.all(orthogonalize(torch.zeros(1, 8, 32)) == 0)
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(1, 64, 1, generator=generator) @ torch.randn(1, 1, 48, generator=generator)
    torch.testing.assert_close(torch.linalg.svdvals(orthogonalize(one))[0, 0].item(), 1.0, rtol=0, atol=0.05)
    alike = torch.linalg.qr(torch.randn(1, 256, 256, generator=generator))[0]
    torch.testing.assert_close(orthogonalize(alike), alike, rtol=0, atol=0.05)


def test_matrices_take_turns(tiny: ModelOf, data: TokenSet) -> None:
    """A step moves one of four parts, four times as far; in four steps each matrix has moved once."""
    model = tiny(dropout=0.0)
    blocks = [p for p in model.blocks.parameters() if p.ndim == 2]
    with torch.no_grad():
        for p in blocks:  # no projection may be zero, or those before it have no gradient
            p.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    before, moved = [p.detach().clone() for p in blocks], []

    def look(_: Step) -> None:
        moved.append({i for i, p in enumerate(blocks) if not torch.equal(p, before[i])})
        before[:] = [p.detach().clone() for p in blocks]

    config = TrainConfig(
        steps=4, batch_size=2, context_length=32, matrix_every=4, warmup=0.0, weight_decay=0.0
    )
    train(model, StreamBatches(data, 2, 32, 0), NextToken(), config, Session(watch=look))
    assert [len(step) for step in moved] == [2, 2, 2, 2]
    assert set.union(*moved) == set(range(8))


def test_adamw_is_pytorchs(tiny: ModelOf) -> None:
    """Bit for bit, with a parameter that has no gradient for a while, and rates that change."""
    config = TrainConfig(
        steps=1, optimizer="adamw", learning_rate=0.01, weight_decay=0.3, beta2=0.9, eps=1e-6
    )
    ours, theirs = tiny(bias=True), tiny(bias=True)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    own = Optimizers(ours, config)
    decayed = [{"params": [p], "weight_decay": 0.3 if p.ndim == 2 else 0.0} for p in theirs.parameters()]
    peer = torch.optim.AdamW(decayed, betas=(config.beta1, 0.9), eps=1e-6, fused=True)
    generator = torch.Generator().manual_seed(0)
    for step in range(4):
        for number, (p, q) in enumerate(zip(ours.parameters(), theirs.parameters(), strict=True)):
            grad = torch.randn(p.shape, generator=generator)
            p.grad, q.grad = (None, None) if number == step else (grad, grad.clone())
        for group in peer.param_groups:
            group["lr"] = 0.01 / (step + 1)
        peer.step()
        own.step(step, 1 / (step + 1))
        assert all(p.grad is None for p in ours.parameters())
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    state = own.tensors()
    assert state["embed.weight/step"] == 3
    assert {name.rpartition("/")[2] for name in state} == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_parameter_has_one_optimizer(tiny: ModelOf, kind: str) -> None:
    model = tiny(value_embeddings=True, bigram_buckets=16, bias=True)
    config = TrainConfig(steps=1, optimizer=kind)  # type: ignore[arg-type]
    optimizers = Optimizers(model, config)
    for sets in (optimizers.all, optimizers.alike):
        held = [id(p) for o in sets for g in o.param_groups for p in g["params"]]
        assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_schedules() -> None:
    linear = TrainConfig(steps=100, warmup=0.1, final=0.1)
    assert rate_factor(0, linear) == pytest.approx(1 / 11)
    assert rate_factor(10, linear) == 1
    assert rate_factor(100, linear) == pytest.approx(0.1)
    cosine = linear.model_copy(update={"schedule": "cosine"})
    assert rate_factor(55, cosine) == pytest.approx(0.1 + 0.9 * 0.5)
    wsd = TrainConfig(steps=100, warmup=0.0, schedule="wsd", decay=0.5)
    assert [rate_factor(s, wsd) for s in (0, 49, 75, 100)] == pytest.approx([1, 1, 0.5, 0])


def test_a_batch_that_grows() -> None:
    ramp = batch_ramp(32, 4, 200)
    sizes = [len(ramp.rows_of(step)) for step in range(40)]
    assert sizes[0] == 4
    assert sizes[-1] == 32
    assert all(a <= b and b % 4 == 0 for a, b in itertools.pairwise(sizes))
    # Linear in the rows taken: half of the growth is done when half of the rows are.
    half = next(step for step in range(40) if ramp.before(step) >= 100)
    assert sizes[half] in (16, 20)
    assert [n for step in range(40) for n in ramp.rows_of(step)] == list(range(ramp.before(40)))
    constant = TrainConfig(steps=9, batch_size=3)
    assert [ramp_of(constant).before(step) for step in (0, 1, 9)] == [0, 3, 27]


def test_rates_go_by_what_was_read_not_by_steps(data: TokenSet) -> None:
    grows = TrainConfig(
        steps=100, batch_size=8, batch_start=1, batch_ramp_tokens=1600, context_length=16,
        schedule="cosine", final=0.1, warmup_tokens=64, decay_end=0.8,
    )  # fmt: skip
    ramp = ramp_of(grows)
    assert ramp.before(4) == 4
    assert [ramp.step_of(n) for n in (0, 1, 4, ramp.before(60), ramp.before(60) + 1)] == [0, 1, 4, 60, 61]
    assert rate_factor(3, grows) == pytest.approx(4 / 5)  # three of four warm-up rows were taken before it
    assert rate_factor(4, grows) == 1
    last = 0.8 * ramp.before(100)
    middle = next(step for step in range(100) if ramp.before(step) >= (4 + last) / 2)
    assert rate_factor(middle, grows) == pytest.approx(0.55, abs=0.02)
    assert rate_factor(99, grows) == pytest.approx(0.1)
    assert StreamBatches(data, ramp, 16, 0)(0).tokens.shape == (1, 16)
    assert StreamBatches(data, ramp, 16, 0)(99).tokens.shape == (8, 16)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_start": 3}, "does not divide"),
        ({"batch_ramp_tokens": 5}, "expected batch_start"),
        ({"batch_start": 2}, "expected batch_ramp_tokens"),
        ({"batch_start": 2, "batch_ramp_tokens": 255}, "at least context_length, 256"),
    ],
)
def test_a_growth_that_does_not_fit_is_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(steps=1, batch_size=8, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "wsd"])
@pytest.mark.parametrize(
    "values",
    [
        {"warmup_tokens": 375_000_000},
        {"warmup": 0.9, "decay_end": 0.5},
        {"warmup": 1.0},
        {"batch_start": 2, "batch_ramp_tokens": 256 * 300, "warmup": 0.3, "decay": 0.9},
    ],
)
def test_no_rate_is_above_its_peak(schedule: str, values: dict[str, float]) -> None:
    config = TrainConfig(steps=100, batch_size=8, schedule=schedule, **values)  # type: ignore[arg-type]
    assert all(0 <= rate_factor(step, config) <= 1 for step in range(101))


def test_a_fall_brought_forward_is_as_long_as_its_share() -> None:
    wsd = TrainConfig(steps=1000, warmup=0.0, schedule="wsd", decay=0.5)
    assert planned_fall(wsd) == (500, 1000)
    assert early_fall(120, wsd) == (120, 160)
    assert [rate_factor(s, wsd, (120, 240)) for s in (119, 120, 180, 240)] == pytest.approx([1, 1, 0.5, 0])
    assert early_fall(900, wsd) == (900, 1000)


# The loop


def test_a_stall_goes_back_to_the_best_weights_and_anneals(tiny: ModelOf, data: TokenSet) -> None:
    model = tiny()
    config = TrainConfig(
        steps=100, batch_size=1, context_length=16, eval_every=5, schedule="wsd", stall=2, patience=50
    )
    held_out = iter([9.0, 3.0, 2.0, 2.5, 2.6, 2.1, 1.9, 1.8, 1.7])
    at: dict[int, torch.Tensor] = {}
    rates: list[int] = []

    def watch(step: Step) -> None:
        at[step.step] = model.head.weight.detach().clone()
        rates.append(step.steps)

    batches = StreamBatches(data, 1, 16, 0)
    done = train(model, batches, NextToken(), config, Session(watch=watch), validate=lambda: next(held_out))
    assert done.fall == (20, 27)
    assert torch.equal(at[20], at[10])  # stalled after step 20: back to the weights of step 10
    assert (done.step, done.best_loss, done.best_step) == (27, 1.9, 27)
    assert rates[0] == 100
    assert rates[-1] == 27
    factors = [row["rate"] for row in done.history]
    assert factors[-1] < 0.2 < factors[-2]  # type: ignore[operator]


def test_loss_falls_and_the_best_weights_are_kept(tiny: ModelOf, data: TokenSet) -> None:
    model = tiny(dropout=0.0)
    losses: list[float] = []
    held_out = iter([9.0, 5.0, 4.0, 6.0, 7.0])
    kept: list[torch.Tensor] = []

    def validate() -> float:
        kept.append(model.head.weight.detach().clone())
        return next(held_out)

    config = TrainConfig(steps=40, batch_size=4, context_length=32, eval_every=10, learning_rate=0.01)
    session = Session(watch=lambda s: losses.append(s.loss))
    done = train(model, StreamBatches(data, 4, 32, 0), NextToken(), config, session, validate=validate)
    assert losses[-1] < 0.7 * losses[0]
    assert (done.best_loss, done.best_step) == (4.0, 20)
    assert torch.equal(model.head.weight, kept[2])


def test_training_that_only_harms_changes_nothing(tiny: ModelOf, data: TokenSet) -> None:
    model = tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = TrainConfig(steps=4, batch_size=1, context_length=16, eval_every=2)
    values = iter([1.0, 2.0, 3.0])
    done = train(model, StreamBatches(data, 1, 16, 0), NextToken(), config, validate=lambda: next(values))
    assert (done.step, done.best_step, done.best_loss) == (4, 0, 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_measurement_that_is_no_number_does_not_count(tiny: ModelOf, data: TokenSet) -> None:
    values = iter([5.0, math.nan, 4.0, 3.5, 3.0, 2.5])
    config = TrainConfig(steps=10, batch_size=1, context_length=16, eval_every=2, patience=2)
    done = train(tiny(), StreamBatches(data, 1, 16, 0), NextToken(), config, validate=lambda: next(values))
    assert not done.stopped_early
    assert done.best_loss == 2.5


def test_it_may_end_with_the_last_weights_whatever_they_measure(tiny: ModelOf, data: TokenSet) -> None:
    losses = iter([3.0, 1.0, 2.0, 2.5, 2.6, 2.7])
    model, seen = tiny(), []
    config = TrainConfig(
        steps=10, batch_size=1, context_length=16, eval_every=2, patience=2, ends_with="last"
    )

    def validate() -> float:
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return next(losses)

    done = train(model, StreamBatches(data, 1, 16, 0), NextToken(), config, validate=validate)
    assert (done.step, done.best_step, done.stopped_early) == (10, 10, False)
    for name, p in model.named_parameters():
        assert torch.equal(p, seen[-1][name])


def test_what_training_begins_with_is_no_measure_of_patience(tiny: ModelOf, data: TokenSet) -> None:
    values = iter([1.0, 3.0, 2.8, 2.6, 2.4, 0.9])
    config = TrainConfig(steps=10, batch_size=1, context_length=16, eval_every=2, patience=2)
    done = train(tiny(), StreamBatches(data, 1, 16, 0), NextToken(), config, validate=lambda: next(values))
    assert (done.best_loss, done.best_step, done.stopped_early) == (0.9, 10, False)


def test_it_stops_early(tiny: ModelOf, data: TokenSet) -> None:
    config = TrainConfig(steps=40, batch_size=1, context_length=16, eval_every=2, patience=3)
    values = iter([9.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    done = train(tiny(), StreamBatches(data, 1, 16, 0), NextToken(), config, validate=lambda: next(values))
    assert done.stopped_early
    assert done.step == 8


@pytest.mark.parametrize("phase", [pretrain, tune])
@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_run_cut_off_goes_on_bit_for_bit(
    tiny: ModelOf, data: TokenSet, tmp_path: Path, phase: object, kind: str
) -> None:
    config = TrainConfig(
        steps=9, batch_size=2, context_length=32, eval_every=2, checkpoint_every=1, optimizer=kind,  # type: ignore[arg-type]
        word_dropout=0.3, schedule="wsd", stall=1,
    )  # fmt: skip
    whole = tiny()
    done = phase(whole, data, data, config)  # type: ignore[operator]

    def cut(step: Step) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    resumed = tiny()
    with pytest.raises(KeyboardInterrupt):
        phase(resumed, data, data, config, Session(tmp_path, cut))  # type: ignore[operator]
    torch.manual_seed(99)  # the state of the global generator must not matter
    resumed = tiny()
    again = phase(resumed, data, data, config, Session(tmp_path))  # type: ignore[operator]
    assert again.history == done.history
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2  # only the newest stay


def test_a_damaged_checkpoint_does_not_count(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    config = TrainConfig(steps=4, batch_size=1, context_length=16, checkpoint_every=4)
    batches = StreamBatches(data, 1, 16, 0)
    first = tiny()
    train(first, batches, NextToken(), config, Session(tmp_path))
    weights = next(tmp_path.glob("checkpoints/step-*/model.safetensors"))
    raw = bytearray(weights.read_bytes())
    raw[len(raw) // 2] ^= 1
    weights.write_bytes(raw)
    second = tiny()
    seen: list[int] = []
    told: list[str] = []
    train(second, batches, NextToken(), config, Session(tmp_path, lambda s: seen.append(s.step), told.append))
    assert seen == [1, 2, 3, 4]
    assert "model.safetensors: damaged: SHA-256" in told[0]
    assert "training begins anew" in told[1]


def test_a_loss_that_is_not_finite_stops(tiny: ModelOf, data: TokenSet) -> None:
    model = tiny()
    with torch.no_grad():
        model.head.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"nan at step 0, learning rate .*lower learning rate"):
        train(model, StreamBatches(data, 1, 16, 0), NextToken(), TrainConfig(steps=3))


def test_accumulated_gradients_are_those_of_the_whole(tiny: ModelOf, data: TokenSet) -> None:
    results = []
    for parts in (1, 2, 4):
        model = tiny(dropout=0.0)
        config = TrainConfig(steps=3, batch_size=4, context_length=32, grad_accum_steps=parts)
        train(model, PackedBatches(data, 4, 32, 0), NextToken(), config)
        results.append(model.head.weight.detach())
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-3, atol=1e-5)
