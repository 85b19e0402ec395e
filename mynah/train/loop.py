"""The training loop, straight from top to bottom."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mynah.artifacts import CHECKPOINTS
from mynah.device import held_memory
from mynah.errors import TrainingError
from mynah.model.transformer import Transformer
from mynah.train.checkpoint import Checkpoints, Say
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import DATA
from mynah.train.distributed.replicas import ready
from mynah.train.distributed.world import World
from mynah.train.metrics import Metrics
from mynah.train.objective import Batch, Objective
from mynah.train.precision import Precision
from mynah.train.schedule import early_fall, planned_fall, rate_factor
from mynah.train.spikes import MOST, deviations, remembered
from mynah.train.state import Progress, TrainState


@dataclass(frozen=True)
class Step:
    """What a watcher is told after each step."""

    step: int
    steps: int
    #: mean training loss of this step; of a language model in nats per counted token
    loss: float
    #: lowest and latest held-out loss, as the loss is
    best_loss: float | None
    held_out_loss: float | None
    tokens_per_second: float


class Interrupted(Exception):
    """Ctrl-C was pressed; everything needed to go on has been saved."""


@dataclass(frozen=True)
class Session:
    """Where a training run writes, whom it tells, and who takes part."""

    #: gets checkpoints, metrics.jsonl and event files; None keeps nothing
    directory: Path | None = None
    #: is told after each step
    watch: Callable[[Step], None] | None = None
    #: is told, in a sentence, what a user should know: a damaged checkpoint, a spike
    say: Say = logging.getLogger(__name__).warning
    world: World = field(default_factory=World)


def train(
    model: nn.Module,
    batches: Callable[[int], Batch],
    objective: Objective,
    config: TrainConfig,
    session: Session = Session(),
    *,
    validate: Callable[[], float] | None = None,
) -> Progress:
    """Train a model in place; at the end it holds the weights that `TrainConfig.ends_with` names, in evaluation mode.

    Args:
        model: on its device; resumed from the newest checkpoint, if there is one. Parameters that ask for no gradient
            stay as they are (`mynah.train.trained`).
        batches: the whole batch of each step, a pure function of the step; of several processes, each takes its rows.
        objective: what is learned.
        config: how long and how.
        session: where to write, whom to tell, and who takes part; by default nowhere, nobody, this process.
        validate: returns the held-out loss of the model as it stands (`held_out_loss`), which says which weights are
            best; None: the last ones are.

    Raises:
        TrainingError: if the loss is not finite, or spikes again and again; the step, the rate and the last
            checkpoint are named. If a GPU's memory is full; with the step and the last checkpoint.
        ArtifactError: if a checkpoint cannot be written, or is one of another model.
        Interrupted: on Ctrl-C or SIGTERM, after saving at the end of the step (KeyboardInterrupt if nothing is
            kept).
    """
    directory, world = session.directory, session.world
    replicas = ready(model, objective, config, world, batches)
    state = TrainState(model, config, agreed_precision(model, config, world))
    checkpoints = Checkpoints(directory / CHECKPOINTS if directory else None, session.say, world)
    checkpoints.load(state)
    progress = state.progress
    metrics = Metrics(directory if world.first else None, config, progress.lines, progress.step)
    checkpoints.before = metrics.sync
    begun, since, tokens_before = time.monotonic() - progress.seconds, time.monotonic(), progress.tokens

    def good(before: int) -> str:
        last = checkpoints.good(before)
        return f", the last good checkpoint is {last}" if last else ""

    def measure(loss: float | None, factor: float) -> float | None:
        """Note the held-out loss; keep the weights if they are the best so far."""
        model.eval()
        found: float | None = None
        with state.measured_weights(), state.precision.autocast():
            if validate is not None:
                found = validate()
                replicas.reshard()
            if found is not None and (
                config.ends_with == "last" or progress.best_loss is None or found < progress.best_loss
            ):
                progress.best_loss, progress.best_step = found, progress.step
                state.keep_best()
        progress.history.append({"step": progress.step, "loss": loss, "rate": factor, "held_out": found})
        progress.stopped_early = found is not None and _in_vain(progress, config)
        return found

    with torch.random.fork_rng(), _stop_asked() as pressed:
        try:
            if progress.step == 0 and not progress.history and validate is not None:
                # What training begins with counts too: it may be better than what follows.
                begins = measure(None, 0.0)
                metrics.note({"step": 0, "tokens": 0, "loss": None, "rate": 0.0, "held_out": begins})
            while progress.step < last_step(progress, config) and not progress.stopped_early:
                step = progress.step
                # Dropout depends on (seed, step) and the rows alone, as the batch does: no generator to save.
                torch.manual_seed(((config.seed * 1_000_003 + step) * 65_537 + world.at[DATA]) % (1 << 63))
                model.train()
                batch = batches(step + progress.skipped)
                counted = max(1, batch.count)  # in all processes
                mine, losses = world.share(batch).split(config.grad_accum_steps), []
                for number, part in enumerate(mine, 1):
                    with replicas.exchange(number == len(mine)):
                        world.further()
                        with state.precision.autocast():
                            part_loss = replicas.loss(part) / counted
                        world.further()
                        state.precision.scaler.scale(part_loss).backward()  # type: ignore[no-untyped-call]
                    losses.append(part_loss.detach())
                loss, stops = world.total(float(sum(losses)) / world.size, float(pressed.is_set()))

                factor = rate_factor(step, config, progress.fall)
                where = f"at step {step}, learning rate {config.learning_rate * factor:.2g}"
                if not math.isfinite(loss):
                    # Not one of this very step: it holds the weights that the loss is of.
                    raise TrainingError(f"the loss is {loss} {where}{good(step)}; try a lower learning rate")
                above = deviations(loss, progress.recent)
                spiked = 0 < config.spike < above
                if spiked and (back := checkpoints.load(state, planned=True)):
                    # As PaLM did (Chowdhery et al. 2022, section 5.1): go back, and leave out the text on the way.
                    skipped, spikes, progress = progress.skipped, progress.spikes + 1, state.progress
                    progress.skipped, progress.spikes = skipped + step + 1 - progress.step, spikes
                    if spikes > MOST:
                        raise TrainingError(
                            f"the loss jumped {spikes} times {where}{good(step + 1)}; try a lower learning rate"
                        )
                    metrics.cut(progress.lines)
                    metrics.note({"step": step, "loss": loss, "spike": above, "back_to": progress.step})
                    session.say(
                        f"the loss jumped to {loss:.3f} {where}: back to {back}, with other text from there on"
                    )
                    continue
                if spiked:
                    session.say(
                        f"the loss jumped to {loss:.3f} {where}: no checkpoint to go back to, training goes on"
                    )
                progress.recent = remembered(loss, progress.recent)

                norm = state.step(factor)
                if not math.isfinite(norm) and not state.precision.scaler.is_enabled():
                    raise TrainingError(
                        f"the gradient is {norm} {where}{good(step)}; try a lower learning rate"
                    )
                progress.step, progress.tokens = step + 1, progress.tokens + batch.n_tokens
                world.reached(progress.step)

                measured: float | None = None
                is_last = progress.step == last_step(progress, config)
                if progress.step % config.eval_every == 0 or is_last:
                    measured = measure(loss, factor)
                    if _stalls(progress, config):
                        # More of the same only learns the training text by heart: go back and anneal.
                        state.go_to_best()
                        progress.fall, progress.recent = early_fall(progress.step, config), []
                speed = (progress.tokens - tokens_before) / max(1e-9, time.monotonic() - since)
                if measured is not None or progress.step % config.log_every == 0 or is_last:
                    told: dict[str, float | None] = {"step": progress.step, "tokens": progress.tokens}
                    finite = norm if math.isfinite(norm) else None
                    told |= {"loss": loss, "rate": factor, "gradient_norm": finite, "held_out": measured}
                    metrics.note(told, {"tokens_per_second": speed, "memory_bytes": held_memory()})
                progress.lines = metrics.lines
                if session.watch is not None:
                    steps = last_step(progress, config)
                    session.watch(Step(progress.step, steps, loss, progress.best_loss, measured, speed))
                is_due = progress.step % config.checkpoint_every == 0
                if is_due:
                    progress.spikes = 0
                if stops:
                    raise Interrupted if directory is not None else KeyboardInterrupt
                if is_due:
                    progress.seconds = time.monotonic() - begun
                    checkpoints.save(state)
            progress.seconds = time.monotonic() - begun
            # Whatever happens to what is made of it, training need not be done again.
            checkpoints.save_now(state)
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"{state.device}: its memory is full at step {progress.step}{good(progress.step)}; try more "
                "grad_accum_steps, or recompute = true"
            ) from None
        except Interrupted:
            progress.seconds = time.monotonic() - begun
            checkpoints.save_now(state)
            raise
        finally:
            metrics.close()
            checkpoints.close()
    if state.best:
        state.go_to_best()
    elif state.average is not None:
        state.average.stay()
    model.eval()
    return progress


@contextmanager
def _stop_asked() -> Iterator[threading.Event]:
    """Turn Ctrl-C, and SIGTERM, into an event while training: only between steps does everything fit together.

    A second Ctrl-C interrupts at once, and the last checkpoint stands. Signals reach the main thread alone; elsewhere
    this does nothing.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: object) -> None:
        pressed.set()
        signal.signal(number, former[signal.Signals(number)])

    for number in former:
        signal.signal(number, handle)
    try:
        yield pressed
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def agreed_precision(model: nn.Module, config: TrainConfig, world: World) -> Precision:
    """Return in which numbers products are computed: what is faster here, if all processes find it so."""
    device = next(model.parameters()).device
    shape = next((module.config for module in model.modules() if isinstance(module, Transformer)), None)
    rows = config.batch_size * config.context_length // (config.grad_accum_steps * world.groups)
    product = (max(1, rows), shape.n_embd, shape.ffn_hidden) if shape is not None else None
    precision = Precision(config.precision, device, product)
    if config.precision == "auto" and device.type == "cpu":
        halves = world.total(float(precision.dtype == torch.bfloat16))[0]
        return precision if halves == world.size else Precision("float32", device)
    return precision


def waited(progress: Progress, since: int) -> int:
    """Return how many measurements there were since the lowest one, of those after step `since`.

    What training begins with is left aside: a model that begins well, from a prior or a base, is first shaken by the
    full rate, and what it gains shows when the rate falls. The weights it began with are kept all the same.
    """
    losses = [
        float(row["held_out"])
        for row in progress.history
        if row["held_out"] is not None and float(row["step"] or 0) > since
    ]
    return len(losses) - 1 - int(np.argmin(np.nan_to_num(losses, nan=np.inf))) if losses else 0


def last_step(progress: Progress, config: TrainConfig) -> int:
    """Return the step at which training ends: as planned, or earlier if a stall brought the end forward."""
    return progress.fall[1] if progress.fall else config.steps


def _in_vain(progress: Progress, config: TrainConfig) -> bool:
    """Whether it is time to stop; never before the end if the last weights are wanted.

    Of wsd, whose rate must have its fall, what was measured before that says nothing.
    """
    since = (progress.fall or planned_fall(config))[0] if config.schedule == "wsd" else 0
    return config.ends_with == "best" and waited(progress, since) >= config.patience


def _stalls(progress: Progress, config: TrainConfig) -> bool:
    """Whether it is time to bring the fall of the rate forward."""
    flat = progress.fall is None and progress.step < planned_fall(config)[0]
    return config.schedule == "wsd" and flat and 0 < config.stall <= waited(progress, 0)


@torch.no_grad()
def held_out_loss(
    model: nn.Module, batches: Sequence[Batch], objective: Objective, world: World = World()
) -> float:
    """Return the mean loss over fixed batches; of several processes, each takes its rows."""
    device = next(model.parameters()).device
    total = count = 0.0
    for batch in batches:
        loss, counted = objective(model, world.share(batch).to(device))
        total, count = total + float(loss), count + counted
    total, count = world.total(total, count)
    return total / max(1.0, count)
