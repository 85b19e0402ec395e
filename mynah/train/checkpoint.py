"""Checkpoints: safetensors and JSON, atomic and durable, the last one kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mynah import __version__, artifacts
from mynah.errors import ArtifactError
from mynah.model.transformer import Transformer
from mynah.model.weights import load_tensors, model_tensors, read_tensors
from mynah.train.optim import Optimizers


@dataclass
class Progress:
    """Where training stands, besides weights and optimizer state."""

    #: steps taken
    step: int = 0
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


def save_checkpoint(
    directory: Path,
    model: Transformer,
    optimizers: Optimizers,
    best: dict[str, Tensor],
    progress: Progress,
) -> None:
    """Write `step-<n>` under `directory`, then remove the older ones.

    Raises:
        ArtifactError: if it cannot be written; the older ones are then still there.
    """
    from safetensors.torch import save

    target = directory / f"step-{progress.step:07d}"
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    artifacts.write_bytes(partial / "model.safetensors", save(model_tensors(model)))
    artifacts.write_bytes(partial / "optimizer.safetensors", save(optimizers.tensors()))
    if best:
        artifacts.write_bytes(partial / "best.safetensors", save(best))
    artifacts.write_json(partial / "progress.json", vars(progress))
    manifest = artifacts.Manifest("checkpoint", "", __version__, {}, {}, 0)
    artifacts.finish(partial, target, manifest)
    for old in directory.glob("step-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    directory: Path, model: Transformer, optimizers: Optimizers
) -> tuple[Progress, dict[str, Tensor]] | None:
    """Load the newest whole checkpoint into model and optimizers; None if there is none.

    A damaged or unfinished one does not count.
    """
    for path in sorted(directory.glob("step-*"), reverse=True):
        try:
            artifacts.read_manifest(path)
        except ArtifactError:
            continue
        weights = path / "model.safetensors"
        load_tensors(model, read_tensors(weights), weights)
        optimizers.load(read_tensors(path / "optimizer.safetensors"))
        saved: dict[str, Any] = artifacts.read_json(path / "progress.json")
        saved["fall"] = tuple(saved["fall"]) if saved["fall"] else None
        best = path / "best.safetensors"
        return Progress(**saved), read_tensors(best) if best.exists() else {}
    return None
