"""What the loop does besides falling losses: precision, mean weights, spikes, metrics, checkpoints beside it."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mynah.errors import ArtifactError, MissingDependency, TrainingError
from mynah.model.transformer import Transformer
from mynah.tokenizer.dataset import TokenSet
from mynah.train import checkpoint
from mynah.train.average import Average
from mynah.train.batches import NextToken, StreamBatches, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.loop import Interrupted, Session, Step, train
from mynah.train.metrics import Metrics
from mynah.train.precision import Precision
from mynah.train.spikes import LEAST, WINDOW, deviations
from mynah.train.state import Progress

ModelOf = Callable[..., Transformer]


def config_of(**values: Any) -> TrainConfig:
    return TrainConfig(**{"steps": 8, "batch_size": 2, "context_length": 32, "eval_every": 4, **values})


def weights(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: Transformer, b: Transformer) -> bool:
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


# Precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_as_float32_does(tiny: ModelOf, data: TokenSet, precision: str) -> None:
    losses: dict[str, list[float]] = {}
    for name in ("float32", precision):
        model, seen = tiny(dropout=0.0), losses.setdefault(name, [])
        config = config_of(steps=30, precision=name, learning_rate=0.01)
        train(
            model,
            StreamBatches(data, 2, 32, 0),
            NextToken(),
            config,
            Session(watch=lambda s, seen=seen: seen.append(s.loss)),
        )
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert losses["float32"][0] == pytest.approx(losses[precision][0], rel=2e-2)
    assert losses["float32"] != losses[precision]
    assert losses[precision][-1] == pytest.approx(losses["float32"][-1], rel=0.1)


def test_a_step_of_infinite_gradients_is_left_out_and_the_scale_halved(tiny: ModelOf, data: TokenSet) -> None:
    """float16's scaled loss begins at 65,536: a gradient that overflows must not reach the weights."""
    model, batches = tiny(dropout=0.0), StreamBatches(data, 2, 32, 0)
    before = weights(model)
    hooks = [p.register_hook(lambda g: torch.full_like(g, math.inf)) for p in model.parameters()]
    state: list[float] = []

    def look(step: Step) -> None:
        state.append(step.loss)
        assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())

    train(model, batches, NextToken(), config_of(steps=2, precision="float16"), Session(watch=look))
    assert len(state) == 2
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_run_in_lower_precision_goes_on_bit_for_bit(
    tiny: ModelOf, data: TokenSet, tmp_path: Path, precision: str
) -> None:
    config = config_of(precision=precision, ema=0.9, checkpoint_every=1)
    _cut_and_compare(tiny, StreamBatches(data, 2, 32, 0), config, tmp_path)


def test_one_infinite_gradient_leaves_out_the_whole_step(tiny: ModelOf, data: TokenSet) -> None:
    """Muon holds the matrices, AdamW the tables: neither may move when the other cannot."""
    model = tiny(dropout=0.0)
    before = weights(model)
    hook = model.blocks[0].mlp.up.weight.register_hook(lambda g: torch.full_like(g, math.inf))
    train(
        model,
        StreamBatches(data, 2, 32, 0),
        NextToken(),
        config_of(steps=1, precision="float16", grad_clip=0.0),
    )
    hook.remove()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_before_the_step(
    tiny: ModelOf, data: TokenSet, tmp_path: Path
) -> None:
    model = tiny(dropout=0.0)

    def spoil(step: Step) -> None:
        settle()
        if step.step == 5:
            model.head.weight.register_hook(lambda g: torch.full_like(g, math.nan))

    with pytest.raises(
        TrainingError, match=r"the gradient is nan at step 5, .*last good checkpoint is .*step-0000004"
    ):
        train(
            model,
            StreamBatches(data, 2, 32, 0),
            NextToken(),
            config_of(checkpoint_every=2),
            Session(tmp_path, spoil),
        )
    assert all(torch.isfinite(t).all() for t in model.state_dict().values())


def test_more_parts_than_rows(tiny: ModelOf, data: TokenSet) -> None:
    models = []
    for parts in (1, 5):
        models.append(tiny(dropout=0.0))
        config = config_of(grad_accum_steps=parts, optimizer="adamw", learning_rate=1e-4)
        train(models[-1], StreamBatches(data, 2, 32, 0), NextToken(), config)
    for name, tensor in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], tensor, rtol=1e-3, atol=1e-6)


def test_auto_is_float32_without_a_gpu() -> None:
    assert Precision("auto", torch.device("cpu")).dtype == torch.float32
    assert not Precision("auto", torch.device("cpu")).scaler.is_enabled()
    assert Precision("float16", torch.device("cpu")).scaler.is_enabled()


# What is kept in memory, and compiled


def test_computing_again_gives_the_same_gradients(tiny: ModelOf, data: TokenSet) -> None:
    results = []
    for recompute in (False, True):
        model = tiny(dropout=0.2)
        train(model, StreamBatches(data, 2, 32, 0), NextToken(), config_of(recompute=recompute))
        results.append(model)
    assert same(*results)


def test_computing_again_keeps_less(tiny: ModelOf, data: TokenSet) -> None:
    """Count the bytes that autograd keeps for the backward pass."""
    batch = StreamBatches(data, 8, 32, 0)(0)
    kept = []
    for recompute in (False, True):
        model = tiny(n_layer=8)
        model.train().recompute = recompute
        total = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            model(batch.tokens)
        kept.append(total)
    assert kept[1] < 0.25 * kept[0]


def test_a_compiled_model_learns_the_same(tiny: ModelOf, data: TokenSet, exact_products: None) -> None:
    results = []
    for compiled in (False, True):
        model = tiny(dropout=0.0)
        train(model, StreamBatches(data, 2, 32, 0), NextToken(), config_of(steps=3, compile=compiled))
        results.append(weights(model))
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=1e-3, atol=1e-4)


# Mean weights


def test_the_mean_of_weights_by_hand(tiny: ModelOf) -> None:
    model = tiny()
    average = Average(model, 0.5)
    name, p = next(iter(model.named_parameters()))
    start = p.detach().clone()
    with torch.no_grad():
        p.add_(1.0)
    average.update(0)  # keeps min(0.5, 1/10)
    torch.testing.assert_close(average.mean[name], start + 0.9)
    average.update(100)  # keeps 0.5
    torch.testing.assert_close(average.mean[name], start + 0.95)
    moved = p.detach().clone()
    with average.in_place():
        torch.testing.assert_close(p.detach(), start + 0.95)
    assert torch.equal(p.detach(), moved)


def test_the_mean_is_what_is_measured_kept_and_resumed(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    batches, config = StreamBatches(data, 2, 32, 0), config_of(ema=0.9, checkpoint_every=1)
    model, seen = tiny(), []
    train(
        model, batches, NextToken(), config, validate=lambda: seen.append(weights(model)) or 9.0 - len(seen)
    )  # type: ignore[func-returns-value]
    assert all(torch.equal(t, seen[-1][n]) for n, t in model.state_dict().items())
    plain = tiny()
    train(plain, batches, NextToken(), config_of())
    assert not same(model, plain)
    unmeasured = tiny()
    train(unmeasured, batches, NextToken(), config)
    assert same(model, unmeasured)
    _cut_and_compare(tiny, batches, config, tmp_path)


def _cut_and_compare(
    tiny: ModelOf, batches: Callable[[int], TokenBatch], config: TrainConfig, directory: Path
) -> None:
    """Train at one go and in two, and compare weights and metrics."""
    whole = tiny()
    train(whole, batches, NextToken(), config, Session(directory / "whole"))

    def cut(step: Step) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), batches, NextToken(), config, Session(directory / "cut", cut))
    resumed, steps = tiny(), []
    train(resumed, batches, NextToken(), config, Session(directory / "cut", lambda s: steps.append(s.step)))
    assert steps[0] > 1
    assert same(whole, resumed)
    assert lines(directory / "whole") == lines(directory / "cut")


# Spikes


def test_deviations_by_hand() -> None:
    calm = [2.0, 4.0] * (WINDOW // 2)  # mean 3, standard deviation 1
    assert deviations(8.0, calm) == pytest.approx(5.0)
    assert deviations(2.0, calm) == 0.0
    assert deviations(8.0, calm[1:]) == 0.0  # too few to tell
    assert deviations(3.0 + LEAST, [3.0] * WINDOW) == 0.0
    assert deviations(3.1 + LEAST, [3.0] * WINDOW) > 1000


def poisoned(batches: Callable[[int], TokenBatch], at: range) -> Callable[[int], TokenBatch]:
    """Return batches of which some hold the least likely targets: tokens that never follow.

    They wait for the disk: what a spike goes back to is another checkpoint if that was too slow for the last one.
    """

    def batch_at(step: int) -> TokenBatch:
        settle()
        batch = batches(step)
        return replace(batch, targets=torch.full_like(batch.targets, 299)) if step in at else batch

    return batch_at


def test_a_spike_goes_back_and_leaves_its_text_out(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    batches = poisoned(StreamBatches(data, 2, 32, 0), range(86, 88))
    config = config_of(steps=100, eval_every=200, learning_rate=0.01, checkpoint_every=20, log_every=1)
    told: list[str] = []
    steps: list[int] = []
    model = tiny(dropout=0.0)
    session = Session(tmp_path / "a", lambda s: steps.append(s.step), told.append)
    done = train(model, batches, NextToken(), config, session)
    # At step 86 back to 80, with the batches from 87 on: that one is bad as well, so once more, from 88 on.
    assert len(told) == 2
    assert "at step 86, learning rate" in told[0]
    assert "back to" in told[0]
    assert "step-0000080" in told[0]
    assert done.skipped == 8
    assert steps == [*range(1, 87), *range(81, 101)]
    spikes = [row for row in lines(tmp_path / "a") if "spike" in row]
    assert [(row["step"], row["back_to"]) for row in spikes] == [(80, 80)]
    assert [row["step"] for row in lines(tmp_path / "a") if "rate" in row] == list(range(1, 101))
    # Cut off after it went back, it goes back again, to the same weights.
    again = tiny(dropout=0.0)

    def cut(step: Step) -> None:
        if step.step == 83:
            cuts.append(step.step)
            if len(cuts) == 2:
                raise KeyboardInterrupt

    cuts: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(tiny(dropout=0.0), batches, NextToken(), config, Session(tmp_path / "b", cut, told.append))
    train(again, batches, NextToken(), config, Session(tmp_path / "b", say=told.append))
    assert same(model, again)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")


def test_a_failure_before_a_checkpoint_is_begun_is_told_at_the_next(
    tiny: ModelOf, data: TokenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsynced(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Metrics, "sync", unsynced)
    steps: list[int] = []

    def watch(step: Step) -> None:
        steps.append(step.step)
        settle()

    config = config_of(steps=50, checkpoint_every=1)
    with pytest.raises(ArtifactError, match=r"checkpoints: cannot be written: Input/output error"):
        train(tiny(), StreamBatches(data, 2, 32, 0), NextToken(), config, Session(tmp_path, watch))
    assert steps == [1, 2]


def test_a_spike_goes_back_to_the_same_step_however_often_it_was_asked_to_stop(
    tiny: ModelOf, data: TokenSet, tmp_path: Path
) -> None:
    """What is saved on the way out is not what an uninterrupted run would have gone back to."""
    batches = poisoned(StreamBatches(data, 2, 32, 0), range(86, 87))
    config = config_of(steps=100, eval_every=200, learning_rate=0.01, checkpoint_every=20, log_every=1)
    model, again = tiny(dropout=0.0), tiny(dropout=0.0)
    train(model, batches, NextToken(), config, Session(tmp_path / "a", say=lambda _: None))

    asked = [82, 84]

    def stop(step: Step) -> None:
        if asked and step.step == asked[0]:
            asked.pop(0)
            signal.raise_signal(signal.SIGTERM)

    session = Session(tmp_path / "b", stop, lambda _: None)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(tiny(dropout=0.0), batches, NextToken(), config, session)
    train(again, batches, NextToken(), config, session)
    assert same(model, again)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")


def test_spike_after_spike_ends_it(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    batches = poisoned(StreamBatches(data, 2, 32, 0), range(90, 200))
    config = config_of(steps=200, eval_every=200, learning_rate=0.01, checkpoint_every=20)
    told: list[str] = []
    with pytest.raises(
        TrainingError,
        match=r"jumped 4 times at step \d+, learning rate .*good checkpoint is .*step-0000080.*lower",
    ):
        train(tiny(dropout=0.0), batches, NextToken(), config, Session(tmp_path, say=told.append))
    assert len(told) == 3


def test_without_a_checkpoint_a_spike_is_gone_through(tiny: ModelOf, data: TokenSet) -> None:
    batches = poisoned(StreamBatches(data, 2, 32, 0), range(86, 96))
    told: list[str] = []
    done = train(
        tiny(), batches, NextToken(), config_of(steps=100, learning_rate=0.01), Session(say=told.append)
    )
    assert (done.step, done.skipped) == (100, 0)
    assert "at step 86" in told[0]
    assert "no checkpoint to go back to" in told[0]


# Metrics


def test_metrics_are_lines_and_event_files(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    batches, config = StreamBatches(data, 2, 32, 0), config_of(log_every=2, grad_clip=0.0)
    losses: list[float] = []
    session = Session(tmp_path, lambda s: losses.append(s.loss))
    train(tiny(), batches, NextToken(), config, session, validate=lambda: 5.0)
    rows = lines(tmp_path)
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
    assert [row["held_out"] for row in rows] == [5.0, None, 5.0, None, 5.0]
    assert [row["loss"] for row in rows[1:]] == losses[1::2]
    assert rows[-1]["tokens"] == 8 * 2 * 32
    assert all(row["gradient_norm"] > 0 for row in rows[1:])
    found: dict[tuple[str, int], float] = {}
    for path in (tmp_path / "events").iterdir():
        raw = path.read_bytes()
        while raw:  # TFRecord: length, its checksum, the event, its checksum
            size = int.from_bytes(raw[:8], "little")
            event = Event.FromString(raw[12 : 12 + size])
            assert int.from_bytes(raw[12 + size : 16 + size], "little") == masked_crc32c(raw[12 : 12 + size])
            found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
            raw = raw[16 + size :]
    assert found["loss", 6] == pytest.approx(losses[5])
    assert found["held_out", 4] == 5.0
    assert found["tokens_per_second", 8] > 0


def test_weights_and_biases_is_asked_for_by_name(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    pytest.importorskip("importlib.util")
    from importlib.util import find_spec

    if find_spec("wandb"):
        pytest.skip("wandb is installed here")
    with pytest.raises(MissingDependency, match=r"mynah-lm\[wandb\]"):
        train(tiny(), StreamBatches(data, 2, 32, 0), NextToken(), config_of(wandb="birds"), Session(tmp_path))


# Checkpoints beside the loop


def test_the_newest_are_kept(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    config = config_of(checkpoint_every=2, keep=3)
    train(tiny(), StreamBatches(data, 2, 32, 0), NextToken(), config, Session(tmp_path, lambda s: settle()))
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-0000004", "step-0000006", "step-0000008"]


def settle() -> None:
    """Wait for the thread that writes, so that no checkpoint is left out."""
    for thread in threading.enumerate():
        if thread.name == checkpoint.WRITER:
            thread.join()


def test_training_does_not_wait_for_the_disk(
    tiny: ModelOf, data: TokenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that never ends to be written holds no step up, and no second one is begun."""
    hold, writes = threading.Event(), []
    write = checkpoint._write

    def slow(snapshot: Any, *rest: Any) -> None:
        writes.append(snapshot.progress["step"])
        hold.wait(30)
        write(snapshot, *rest)

    monkeypatch.setattr(checkpoint, "_write", slow)

    def release(step: Step) -> None:
        if step.step == 8:
            assert writes == [1]
            hold.set()

    train(
        tiny(),
        StreamBatches(data, 2, 32, 0),
        NextToken(),
        config_of(checkpoint_every=1),
        Session(tmp_path, release),
    )
    # What was copied at step 1 is what stands on the disk, though training went on.
    progress = json.loads((tmp_path / "checkpoints" / "step-0000001" / "progress.json").read_text())
    assert progress["step"] == 1
    assert progress["tokens"] == 64


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (MemoryError("too large"), "MemoryError"),
    ],
)
def test_a_failure_to_write_is_told_at_the_next_checkpoint(
    tiny: ModelOf,
    data: TokenSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(ArtifactError, match=rf"checkpoints: cannot be written: {said}"):
        train(
            tiny(),
            StreamBatches(data, 2, 32, 0),
            NextToken(),
            config_of(checkpoint_every=1),
            Session(tmp_path, lambda _: settle()),
        )


@pytest.mark.parametrize(
    ("change", "setting", "said"),
    [
        ({"n_embd": 64}, {}, r"another model: n_embd is 32 in it, 64 here"),
        ({}, {"seed": 3}, r"other settings: seed is 0"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    tiny: ModelOf, data: TokenSet, tmp_path: Path, change: dict[str, int], setting: dict[str, int], said: str
) -> None:
    batches = StreamBatches(data, 2, 32, 0)
    train(tiny(), batches, NextToken(), config_of(checkpoint_every=4), Session(tmp_path))
    with pytest.raises(ArtifactError, match=said):
        train(
            tiny(**change), batches, NextToken(), config_of(checkpoint_every=4, **setting), Session(tmp_path)
        )


def test_what_only_says_what_is_kept_may_change(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    batches, steps = StreamBatches(data, 2, 32, 0), []
    train(tiny(), batches, NextToken(), config_of(checkpoint_every=4), Session(tmp_path))
    train(
        tiny(),
        batches,
        NextToken(),
        config_of(checkpoint_every=4, log_every=3, keep=4),
        Session(tmp_path, lambda s: steps.append(s.step)),
    )
    assert steps == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
def test_a_polite_end_saves_first(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    """Slurm and systemd send SIGTERM before they kill."""
    former = signal.getsignal(signal.SIGTERM)

    def end(step: Step) -> None:
        if step.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(tiny(), StreamBatches(data, 2, 32, 0), NextToken(), config_of(), Session(tmp_path, end))
    saved = next((tmp_path / "checkpoints").glob("step-*"))
    assert int(saved.name.removeprefix("step-")) in (3, 4)
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_loss_that_is_not_finite_names_the_last_checkpoint(
    tiny: ModelOf, data: TokenSet, tmp_path: Path
) -> None:
    model = tiny()

    def spoil(step: Step) -> None:
        settle()
        if step.step == 6:
            with torch.no_grad():
                model.head.weight[0, 0] = math.nan

    batches = StreamBatches(data, 2, 32, 0)

    def batch_at(number: int) -> TokenBatch:
        settle()  # by then the checkpoint of step 6 is written, and holds what is spoilt
        return batches(number)

    config = config_of(checkpoint_every=2)
    with pytest.raises(TrainingError, match=r"nan at step 6, .*the last good checkpoint is .*step-0000004"):
        train(model, batch_at, NextToken(), config, Session(tmp_path, spoil))


def test_a_damaged_checkpoint_is_not_called_good(tiny: ModelOf, data: TokenSet, tmp_path: Path) -> None:
    config = config_of(checkpoint_every=2, eval_every=100, steps=8)
    batches, half = StreamBatches(data, 2, 32, 0), tmp_path / "checkpoints"

    def stop(step: Step) -> None:
        settle()
        if step.step == 5:
            raise KeyboardInterrupt

    def spoil(step: Step) -> None:
        with torch.no_grad():
            model.head.weight[0, 0] = math.nan

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), batches, NextToken(), config, Session(tmp_path, stop))
    (half / "step-0000004" / "progress.json").write_text("{}", encoding="utf-8")
    model = tiny()
    with pytest.raises(TrainingError, match=r"nan at step 3, .*the last good checkpoint is .*step-0000002"):
        train(model, batches, NextToken(), config, Session(tmp_path, spoil, lambda _: None))


def test_progress_of_another_version_is_named(tmp_path: Path) -> None:
    assert Progress.from_json({"step": 3, "fall": [1, 2]}, tmp_path).fall == (1, 2)
    with pytest.raises(ArtifactError, match="of another version"):
        Progress.from_json({"stride": 3}, tmp_path)
