"""The training loop, straight from top to bottom."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mynah.errors import TrainingError
from mynah.model.transformer import IGNORE, Transformer
from mynah.model.weights import load_tensors, model_tensors
from mynah.train.batches import Batch, BatchAt
from mynah.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from mynah.train.config import TrainConfig
from mynah.train.optim import Optimizers
from mynah.train.schedule import early_fall, planned_fall, rate_factor


@dataclass(frozen=True)
class Step:
    """What a watcher is told after each step."""

    step: int
    steps: int
    #: mean training loss of this step, nats per counted token
    loss: float
    #: lowest and latest held-out loss, nats per token
    best_loss: float | None
    held_out_loss: float | None
    tokens_per_second: float


class Interrupted(Exception):
    """Ctrl-C was pressed; everything needed to go on has been saved."""


def train(
    model: Transformer,
    batch_at: BatchAt,
    config: TrainConfig,
    checkpoints: Path | None = None,
    *,
    validate: Callable[[], float] | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Progress:
    """Train a model in place; at the end it holds the weights with the lowest held-out loss.

    Args:
        model: on its device; resumed from the newest checkpoint in `checkpoints`, if there is one.
        batch_at: the batch of each step.
        config: how long and how.
        checkpoints: where to save; None saves nothing.
        validate: returns the held-out loss in nats per token, of the model as it stands.
        watch: is told after each step.

    Raises:
        TrainingError: if the loss is not finite; the step, the rate and the last checkpoint are named.
        ArtifactError: if a checkpoint cannot be written.
        Interrupted: on Ctrl-C, after saving at the end of the step (KeyboardInterrupt if nothing is saved).
    """
    device = next(model.parameters()).device
    optimizers = Optimizers(model, config)
    progress = Progress()
    best: dict[str, Tensor] = {}
    if checkpoints is not None and (resumed := load_checkpoint(checkpoints, model, optimizers)):
        progress, best = resumed
    begun, saved, tokens_done = time.monotonic() - progress.seconds, time.monotonic(), 0
    waited = _waited(progress)

    def save() -> None:
        if checkpoints is not None:
            progress.seconds = time.monotonic() - begun
            save_checkpoint(checkpoints, model, optimizers, best, progress)

    def measure(loss: float | None, factor: float) -> float | None:
        """Note the held-out loss; keep the weights if they are the best so far."""
        nonlocal best, waited
        model.eval()
        held_out = validate() if validate is not None else None
        progress.history.append({"step": progress.step, "loss": loss, "rate": factor, "held_out": held_out})
        if held_out is None:
            return None
        if progress.best_loss is None or held_out < progress.best_loss:
            progress.best_loss, progress.best_step = held_out, progress.step
            best = {name: t.clone() for name, t in model_tensors(model).items()}
        waited = _waited(progress)
        progress.stopped_early = waited >= config.patience
        return held_out

    with torch.random.fork_rng(), _ctrl_c() as pressed:
        try:
            if progress.step == 0 and validate is not None:
                measure(None, 0.0)  # what training begins with counts too: it may be better than what follows
            since = time.monotonic()
            while progress.step < last_step(progress, config) and not progress.stopped_early:
                step = progress.step
                # Dropout depends on (seed, step) alone, as the batch does: no generator state to save.
                torch.manual_seed(config.seed * 1_000_003 + step)
                model.train()
                batch = batch_at(step)
                counted = int((batch.targets != IGNORE).sum())
                loss = 0.0
                for part in _parts(batch, config.grad_accum_steps):
                    part_loss = _loss(model, part, device) / max(1, counted)
                    part_loss.backward()  # type: ignore[no-untyped-call]
                    loss += float(part_loss.detach())
                factor = rate_factor(step, config, progress.fall)
                if not math.isfinite(loss):
                    there = checkpoints is not None and any(checkpoints.glob("step-*"))
                    where = f", the last good checkpoint is in {checkpoints}" if there else ""
                    raise TrainingError(
                        f"the loss is {loss} at step {step}, learning rate "
                        f"{config.learning_rate * factor:.2g}{where}; try a lower learning rate"
                    )
                if config.grad_clip:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
                optimizers.step(factor)
                progress.step = step + 1
                tokens_done += batch.tokens.numel()

                held_out = None
                if progress.step % config.eval_every == 0 or progress.step == last_step(progress, config):
                    held_out = measure(loss, factor)
                    if _stalls(progress, config, waited):
                        # More of the same only learns the training text by heart: go back and anneal.
                        load_tensors(model, best, Path("best weights"))
                        progress.fall, waited = early_fall(progress.step, config), 0
                if watch is not None:
                    speed = tokens_done / max(1e-9, time.monotonic() - since)
                    watch(
                        Step(
                            progress.step,
                            last_step(progress, config),
                            loss,
                            progress.best_loss,
                            held_out,
                            speed,
                        )
                    )
                if pressed.is_set():
                    raise KeyboardInterrupt
                if time.monotonic() - saved > config.checkpoint_seconds:
                    save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            if checkpoints is None:
                raise
            save()
            raise Interrupted from None
    progress.seconds = time.monotonic() - begun
    if best:
        load_tensors(model, best, Path("best weights"))
    model.eval()
    return progress


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Turn Ctrl-C into an event while training: only between steps does everything fit together.

    A second Ctrl-C interrupts at once. Signals reach the main thread alone; elsewhere this does nothing.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    former = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, former)

    signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, former)


def _waited(progress: Progress) -> int:
    """Return how many measurements there were since the lowest one; once the rate fell early, of those since then.

    What training begins with is left aside: a model that begins well, from a prior or a base, is first shaken by the
    full rate, and what it gains shows when the rate falls. The weights it began with are kept all the same.
    """
    first = progress.fall[0] if progress.fall else 0
    losses = [
        float(row["held_out"])
        for row in progress.history
        if row["held_out"] is not None and float(row["step"] or 0) > first
    ]
    return len(losses) - 1 - int(np.argmin(np.nan_to_num(losses, nan=np.inf))) if losses else 0


def last_step(progress: Progress, config: TrainConfig) -> int:
    """Return the step at which training ends: as planned, or earlier if a stall brought the end forward."""
    return progress.fall[1] if progress.fall else config.steps


def _stalls(progress: Progress, config: TrainConfig, waited: int) -> bool:
    """Whether it is time to bring the fall of the rate forward."""
    flat = progress.fall is None and progress.step < planned_fall(config)[0]
    return config.schedule == "wsd" and flat and 0 < config.stall <= waited


def _parts(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into parts for gradient accumulation."""
    if count == 1:
        return [batch]
    tokens, targets = batch.tokens.chunk(count), batch.targets.chunk(count)
    nothing = [None] * len(tokens)
    segments = batch.segments.chunk(count) if batch.segments is not None else nothing
    ends = np.cumsum([len(part) for part in tokens])[:-1]
    places = np.split(batch.places, ends) if batch.places is not None else nothing
    return [Batch(*part, batch.prior) for part in zip(tokens, targets, segments, places, strict=True)]


def _loss(model: Transformer, batch: Batch, device: torch.device) -> Tensor:
    """Return the summed loss of a batch, nats."""
    segments = batch.segments.to(device) if batch.segments is not None else None
    hidden = model(batch.tokens.to(device), segments)
    return model.loss(hidden, batch.targets.to(device), batch.prior_at())


@torch.no_grad()
def held_out_loss(model: Transformer, batches: list[Batch]) -> float:
    """Return the mean loss over fixed batches, nats per counted token."""
    device = next(model.parameters()).device
    counted = sum(int((batch.targets != IGNORE).sum()) for batch in batches)
    return sum(float(_loss(model, batch, device)) for batch in batches) / max(1, counted)
