"""All that training changes: what a checkpoint holds, and what a resumed run needs to be the same to the bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mynah.errors import ArtifactError, TrainingError
from mynah.model.tensor_files import TensorFiles
from mynah.train.average import Average
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import clip, put, read_into
from mynah.train.optim import Optimizers
from mynah.train.precision import Precision
from mynah.train.trained import trained_parameters


@dataclass
class Progress:
    """Where training stands, besides tensors. Only `seconds` differs between a run and the same run cut off."""

    #: steps taken
    step: int = 0
    #: tokens looked at
    tokens: int = 0
    #: lowest held-out loss so far, nats per token, and the step it was measured after
    best_loss: float | None = None
    best_step: int = 0
    #: one entry a measurement: step, loss, learning-rate factor, held-out loss
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    #: seconds of training so far; an observation, it steers nothing
    seconds: float = 0.0
    stopped_early: bool = False
    #: steps at which the rate begins to fall and has fallen, once a stall has brought that forward
    fall: tuple[int, int] | None = None
    #: the last losses, which a spike is held against
    recent: list[float] = field(default_factory=list)
    #: batches left out because a spike was among them, and how often in a row training went back
    skipped: int = 0
    spikes: int = 0
    #: lines of metrics.jsonl
    lines: int = 0
    #: in which numbers products are computed; what `auto` chose at the beginning holds to the end
    precision: str = ""
    #: of the scaler of float16's losses
    scaler: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: dict[str, Any], path: Path) -> Progress:
        """Read what was written with `vars`.

        Raises:
            ArtifactError: if a field is unknown.
        """
        try:
            progress = cls(**value)
        except TypeError:
            raise ArtifactError(f"{path}: damaged, or of another version: its fields are unknown") from None
        progress.fall = tuple(progress.fall) if progress.fall else None  # type: ignore[assignment]
        return progress


class TrainState:
    """A model in training: its weights, the optimizers' state, the running mean, the best weights, the progress."""

    def __init__(self, model: nn.Module, config: TrainConfig, precision: Precision) -> None:
        """Begin at step 0 with the model as it is.

        Args:
            model: on its device.
            config: how it is trained.
            precision: of the products, unless a checkpoint says another.

        Raises:
            TrainingError: if nothing of the model asks for a gradient.
        """
        self.model, self.config = model, config
        #: what training changes, by name: all that is copied, kept and written
        self.weights: dict[str, Tensor] = dict(trained_parameters(model))
        if not self.weights:
            raise TrainingError("no parameter of the model asks for a gradient: there is nothing to train")
        self.device = next(model.parameters()).device
        self.precision = precision
        self.optimizers = Optimizers(model, config)
        self.average = Average(model, config.ema) if config.ema else None
        self.best: dict[str, Tensor] = {}
        self.progress = Progress(precision=precision.name)

    def measured_weights(self) -> AbstractContextManager[None]:
        """Let the model have, for a while, the weights that are measured and kept: the mean if there is one."""
        return self.average.in_place() if self.average is not None else nullcontext()

    def keep_best(self) -> None:
        """Note the weights as the best so far."""
        self.best = {name: t.detach().clone() for name, t in self.weights.items()}

    def go_to_best(self) -> None:
        """Put the best weights back."""
        for name, tensor in self.weights.items():
            put(tensor, self.best[name])
        if self.average is not None:
            self.average.restart()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return all tensors by the file of a checkpoint that they belong in; not copies."""
        files = {"model": self.weights, "optimizer": self.optimizers.tensors()}
        if self.average is not None:
            files["average"] = self.average.mean
        if self.best:
            files["best"] = self.best
        return files

    def load(self, files: Mapping[str, TensorFiles], progress: Progress, path: Path) -> None:
        """Take over what `tensors` gave, and where training stood.

        Raises:
            ArtifactError: if the tensors are not those of this model.
        """
        own = self.weights
        read_into(own, files["model"], path)
        self.optimizers.load(files["optimizer"])
        if self.average is not None:
            read_into(self.average.mean, files["average"], path)
        self.best = {name: torch.empty_like(t.detach()) for name, t in own.items()} if "best" in files else {}
        if self.best:
            read_into(self.best, files["best"], path)
        self.progress = progress
        if progress.precision not in ("", self.precision.name):  # begun on another machine
            self.precision = Precision(progress.precision, self.device)  # type: ignore[arg-type]
        progress.precision = self.precision.name
        self.optimizers.clear()
        if progress.scaler:
            self.precision.scaler.load_state_dict(progress.scaler)

    def step(self, factor: float) -> float:
        """Clip the gradients, take a step at `factor` times the peak rates; return the norm before clipping.

        Gradients that are not finite move nothing.
        """
        scaler = self.precision.scaler
        for alike in self.optimizers.alike:
            scaler.unscale_(alike)  # type: ignore[arg-type]
        norm = clip(self.optimizers.names, self.config.grad_clip or math.inf)
        if math.isfinite(norm):
            self.optimizers.step(self.progress.step, factor)
            scaler.update()
            if self.average is not None:
                self.average.update(self.progress.step)
        elif scaler.is_enabled():  # float16's scale was too large: no part of the step may be taken
            self.optimizers.clear()
            scaler.update(scaler.get_scale() / 2)
        return norm
