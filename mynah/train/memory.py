"""What training asks of a machine and of a model, checked before anything is allocated: memory by formula, positions.

C width, H hidden width of the MLP, Q and K widths of queries and keys.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

import torch

from mynah.device import BASE_BYTES, USABLE
from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.loss import rows_at_once
from mynah.model.presets import PRESETS, preset
from mynah.train.config import TrainConfig
from mynah.train.trained import TrainedCount


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that one process holds, by what for."""

    weights: int
    gradients: int
    optimizer: int
    #: running mean, best weights, and the copy that a checkpoint is written from
    copies: int
    activations: int
    logits: int
    #: of a sharded model, what is all-gathered, and its gradients
    gathered: int = 0
    #: copies of matrices that products in half precision are made with
    halves: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(int(getattr(self, f.name)) for f in fields(self))


@dataclass(frozen=True)
class Processes:
    """How a run lies on its processes, as far as memory goes."""

    #: processes in all, and those that share this memory
    size: int = 1
    local: int = 1
    sharded: bool = False
    #: processes that share each block
    tensor: int = 1
    #: bytes of a number that is kept for the backward pass: 2 in half precision
    bytes_per_activation: int = 4
    #: whether what a checkpoint is written from stands in this memory, too
    copies: bool = True

    @classmethod
    def of_environment(
        cls, sharded: bool, tensor: int, device: torch.device, processes: int = 1
    ) -> Processes:
        """Return it as torchrun's variables and the device say; without them, for so many processes to be started."""
        size, local = (int(os.environ.get(name, processes)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
        tensor = tensor if size > 1 else 1
        if device.type == "cuda":  # each has its own, and checkpoints are copied to the machine's memory
            return cls(size, 1, sharded, tensor, 2, copies=False)
        return cls(size, local, sharded, tensor)


ALONE = Processes()


def training_memory(
    model: ModelConfig, config: TrainConfig, processes: Processes = ALONE, trained: TrainedCount | None = None
) -> TrainingMemory:
    """Return what training takes on one device, in float32 what is trained.

    AdamW keeps two numbers a parameter, Muon one for each matrix of the blocks.

    Args:
        model: its shape.
        config: rows, context, accumulation, optimizer.
        processes: over how many processes; the figures are those of one.
        trained: how much of it is trained; None: all.
    """
    bytes_per_activation = 4 if config.precision == "float32" else processes.bytes_per_activation
    groups = model.n_params_by_group()
    with_other_rows = processes.size // processes.tensor
    parts = with_other_rows if processes.sharded or processes.tensor > 1 else 1
    in_blocks = groups["attention"] + groups["mlp"]
    rest = sum(groups.values()) - in_blocks
    matrices = in_blocks // processes.tensor
    n = (rest + matrices) // parts
    moved = trained or TrainedCount(in_blocks, rest)
    moved_matrices = moved.matrices // processes.tensor // parts
    n_trained = moved_matrices + moved.rest // parts
    optimizer = 4 * (2 * n_trained - (moved_matrices if config.optimizer == "muon" else 0))
    kept = 4 * n_trained * (config.ema > 0) + 4 * n_trained  # the running mean, the best weights
    copy = 4 * n_trained + optimizer + kept if processes.copies else 0  # all that a checkpoint holds
    rows = -(-config.batch_size // (with_other_rows * config.grad_accum_steps))
    tokens = rows * config.context_length
    a_block = activation_floats(model, config.context_length, processes.tensor) * bytes_per_activation
    between = model.n_embd * 4  # the stream is float32 in any case
    head, block = model.vocab_size * model.n_embd, matrices // model.n_layer
    halves = 2 * (head + (block if config.recompute else matrices)) if bytes_per_activation == 2 else 0
    if config.recompute:
        activations = tokens * (model.n_layer * between + int(a_block))
    else:
        activations = tokens * int(model.n_layer * a_block)
    # Logits, their probabilities and their gradient, in float32, of one piece.
    at_once = rows_at_once(model.vocab_size, "cuda" if processes.bytes_per_activation == 2 else "cpu")
    logits = 3 * 4 * min(tokens, at_once) * model.vocab_size
    activations += 2 * tokens * between
    if config.document_mask:
        activations += tokens * mask_floats(model, config.context_length) * bytes_per_activation
    gathered = gathered_bytes(rest, block) if parts > 1 else 0
    weights = 4 * n
    if trained is not None and trained.frozen_bytes is not None:
        weights = trained.frozen_bytes // parts + 4 * n_trained
    return TrainingMemory(
        weights, 4 * n_trained, optimizer, kept + copy, activations, logits, gathered, halves
    )


def gathered_bytes(rest: int, block: int) -> int:
    """Return what FSDP2 all-gathers at most, in float32, from the parameters of a block and of what is in no block.

    Of blocks, the one that is used, the next one, and the gradient of one; embedding and head from the first pass to
    the end of the second, their gradient, and that of the head once more as the loss makes it piece by piece.
    """
    return 4 * 3 * (rest + block)


def activation_floats(model: ModelConfig, context_length: int, tensor: int = 1) -> float:
    """Return the numbers that one block keeps for its backward pass, per token; the mean over the layers.

    The terms of Korthikanti et al. (2022), section 4.1, for kernels that never keep the attention matrix: what enters
    the two norms and leaves them (4 C), queries, keys and values before and after what is done to them, the mixed
    values twice, and what enters and leaves the non-linearity. A banded layer keeps the keys and values of two windows
    and a mask for them, and frees what it made them from if that is of no other use. Of `tensor` processes that
    share a block, each has its heads and hidden units (section 4.2.1).
    """
    C, H = model.n_embd, model.ffn_hidden
    Q, K = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    changed = model.qk_norm + (model.positions == "rotary")
    attention = (Q + 2 * K) + changed * (Q + K) + 2 * Q
    if model.n_kv_head != model.n_head:
        attention += 2 * (Q - K)  # keys and values are repeated for every head
    windows = [window for window in model.layer_windows if 0 < window < context_length]
    banded = len(windows) * (Q if changed else 4 * Q) / model.n_layer
    masks = 2 * sum(windows) / model.n_layer
    mlp = (4 if model.gated else 2) * H
    norms = 2 * C if model.norm == "rms" else 4 * C  # model/fused.py needs only what leaves an RMS norm
    norms *= 2 if model.post_norm else 1
    return norms + masks + (attention + banded + mlp) / tensor


def mask_floats(model: ModelConfig, context_length: int) -> int:
    """Return the numbers of the masks that keep records apart, per token: one mask for all layers of a window."""
    windows = set(model.layer_windows)
    return sum(2 * window if 0 < window < context_length else context_length for window in windows)


def check_memory(
    name: str | None,
    model: ModelConfig,
    config: TrainConfig,
    available: int | None,
    processes: Processes = ALONE,
    trained: TrainedCount | None = None,
) -> TrainingMemory:
    """Return what training takes if it fits.

    Args:
        name: of the preset that the shape comes from, if it comes from one.
        model: its shape.
        config: how it is trained.
        available: free bytes; None: not known, everything fits.
        processes: over how many processes, which share what is free on a machine without GPUs.
        trained: how much of it is trained; None: all.

    Raises:
        ConfigError: if it takes more than there is; the largest size of its make that fits is named, or, of a shape
            that is no preset's, the most layers.
    """
    needed = training_memory(model, config, processes, trained)
    available = available // processes.local if available is not None else None
    if available is None or _fits(needed, available):
        return needed
    raise ConfigError(
        f"{name or 'this model'} ({model.n_params() / 1e6:,.0f}M parameters) takes about "
        f"{(needed.total + BASE_BYTES) / 2**30:,.1f} GiB to train with {config.batch_size} x "
        f"{config.context_length} tokens a step in {config.grad_accum_steps} parts, of which "
        f"{needed.activations / 2**30:,.1f} for activations; {available / 2**30:,.1f} GiB are free; "
        f"{_what_fits(name, model, config, available, processes)}; "
        "more parts (grad_accum_steps) and recompute = true take less"
    )


def _what_fits(
    name: str | None, model: ModelConfig, config: TrainConfig, available: int, processes: Processes
) -> str:
    def fits(shape: ModelConfig) -> bool:
        rows = config.model_copy(update={"context_length": min(config.context_length, shape.context_length)})
        return _fits(training_memory(shape, rows, processes), available)

    if name is not None and _extent(preset(name, model.vocab_size)) == _extent(model):
        sizes = {other: preset(other, model.vocab_size) for other in PRESETS if _make(other) == _make(name)}
        fitting = {other: size.n_params() for other, size in sizes.items() if fits(size)}
        largest = max(fitting, key=lambda other: fitting[other], default=None)
        return f"the largest of its make that fits is {largest}" if largest else "no size of its make fits"
    for layers in reversed(range(1, model.n_layer)):
        if fits(model.model_copy(update={"n_layer": layers})):
            return f"with n_layer = {layers} it fits"
    return "not even one layer of this width fits"


def _extent(model: ModelConfig) -> tuple[int, ...]:
    return model.n_layer, model.n_embd, model.ffn_hidden


def _make(name: str) -> str:
    """Return what the names of a make's presets begin with; Mynah's own have nothing in common."""
    first = name.partition("-")[0]
    return first if any(other.startswith(f"{first}-") for other in PRESETS) else ""


def check_positions(model: ModelConfig, config: TrainConfig) -> None:
    """Raise ConfigError if a row is longer than the positions that a model has learned."""
    if model.positions == "learned" and config.context_length > model.context_length:
        raise ConfigError(
            f"context_length {config.context_length:,}: the model has learned positions for "
            f"{model.context_length:,} tokens; expected at most that"
        )


def _fits(needed: TrainingMemory, available: int) -> bool:
    return needed.total + BASE_BYTES <= USABLE * available
