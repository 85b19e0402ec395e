"""Settings of one training run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from mynah.config import Config


class TrainConfig(Config):
    """How long, how fast and with which optimizer a model is trained."""

    steps: int = Field(ge=1, description="optimizer steps")
    batch_size: int = Field(8, ge=1, description="rows a step")
    batch_start: int | None = Field(None, ge=1, description="rows of the first step; None: batch_size")
    batch_ramp_tokens: int = Field(
        0, ge=0, description="tokens in which the batch grows from batch_start to batch_size"
    )
    context_length: int = Field(256, ge=2, description="tokens a row")
    grad_accum_steps: int = Field(1, ge=1, description="a step's rows are taken in so many parts")
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="muon: Muon for the matrices of the blocks, AdamW for the rest"
    )
    learning_rate: float = Field(3e-3, gt=0, description="AdamW")
    adapter_ratio: float = Field(
        1.0, gt=0, description="LoRA: the rate of B, which begins as zeros, is so many times that of A"
    )
    matrix_learning_rate: float = Field(0.02, gt=0, description="Muon")
    matrix_every: int = Field(
        1,
        ge=1,
        description="Muon: a step moves one of so many parts of the matrices, each so many times as far",
    )
    weight_decay: float = Field(0.1, ge=0, description="per unit of learning rate, matrices only")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon")
    warmup: float = Field(0.02, ge=0, le=1, description="share of the steps")
    warmup_tokens: int | None = Field(None, ge=0, description="the same in tokens; None: as `warmup` says")
    schedule: Literal["linear", "cosine", "wsd"] = Field(
        "linear", description="how the rate falls after warm-up; wsd: flat, then linear"
    )
    decay: float = Field(0.5, gt=0, lt=1, description="wsd: share of the steps in which it falls")
    stall: int = Field(
        0,
        ge=0,
        description="wsd: measurements without gain after which it goes back to the best weights and the "
        "rate begins to fall at once; 0: never before its time",
    )
    decay_end: float = Field(
        1.0, gt=0, le=1, description="linear, cosine: share of the text after which the rate has fallen"
    )
    final: float = Field(0.0, ge=0, le=1, description="share of the learning rate when it has fallen")
    grad_clip: float = Field(1.0, ge=0, description="largest norm of the gradient, 0: no limit")
    document_mask: bool = Field(
        False,
        description="pretraining: tokens see only their own record, as they always do in fine-tuning; if not, a row "
        "goes on over the end of one",
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="fine-tuning: share of the user's tokens blanked out, anew each time"
    )
    long: Literal["split", "cut", "drop"] = Field(
        "split",
        description="fine-tuning, a conversation longer than a row: split into pieces that overlap by half, so that "
        "every reply is learned; cut to its end, without its oldest turns; or dropped",
    )
    spread: bool = Field(
        False,
        description="fine-tuning: the first pass reads each different reply once, then each a second time, and so on",
    )
    known_after: int = Field(
        0,
        ge=0,
        description="fine-tuning: a reply that was read so many times is read on only as far as it differs from "
        "others; 0: always to its end",
    )
    eval_every: int = Field(50, ge=1, description="steps between held-out measurements")
    eval_tokens: int | None = Field(
        None,
        ge=1,
        description="held-out tokens of a measurement; None: 0.3 of those trained on between two, at least 8,192",
    )
    ends_with: Literal["best", "last"] = Field(
        "best", description="the weights of the lowest held-out loss, or the last ones, whatever they measure"
    )
    patience: int = Field(
        10, ge=1, description="measurements without gain before it stops early; wsd: in its fall"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="of the products; weights stay float32. auto: bfloat16 on a GPU that has it, float16 with "
        "scaled losses on one that has not; on a CPU bfloat16 where a timed product is faster in it, else float32",
    )
    compile: bool = Field(False, description="translate the model into fused kernels first (torch.compile)")
    recompute: bool = Field(
        False,
        description="keep only what enters each block and compute the rest again: less memory, more time",
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="share that the running mean of the weights keeps each step; 0: no mean"
    )
    spike: float = Field(
        8.0,
        ge=0,
        description="a loss so many standard deviations above those of the last 64 steps goes back to the last "
        "checkpoint; 0: never",
    )
    checkpoint_every: int = Field(100, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=2, description="checkpoints that are kept, the newest")
    log_every: int = Field(10, ge=1, description="steps between lines of metrics.jsonl")
    wandb: str | None = Field(None, description="project of Weights & Biases that is told too")
    seed: int = 0

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide what comes out; the others only say what is kept and told.

        Where a spike goes back to is decided by `checkpoint_every`.
        """
        telling = {"keep", "log_every", "wandb"} | (set() if self.spike else {"checkpoint_every"})
        return self.model_dump(mode="json", exclude=telling)

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.batch_start is not None and self.batch_size % self.batch_start:
            raise ValueError(
                f"batch_start {self.batch_start} does not divide batch_size {self.batch_size}; "
                "the batch grows by multiples of it"
            )
        if self.batch_start not in (None, self.batch_size) and self.batch_ramp_tokens < self.context_length:
            raise ValueError(
                f"batch_start {self.batch_start}: expected batch_ramp_tokens beside it, the tokens in which the batch "
                f"grows to {self.batch_size}; at least context_length, {self.context_length}"
            )
        if self.batch_start is None and self.batch_ramp_tokens:
            raise ValueError("batch_ramp_tokens: expected batch_start beside it, the rows of the first step")
        return self
