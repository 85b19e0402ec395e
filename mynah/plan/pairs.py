"""The plan of a translator from random weights: it learns the second texts of pairs, and nothing before that."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch

from mynah.config import build_config
from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.plan.budget import CHECKPOINT_SECONDS, MEASURING, Plan
from mynah.plan.settings import LADDER, PlanConfig
from mynah.plan.speed import measure_step
from mynah.plan.times import Ahead, evaluation_seconds, measuring_seconds, steps_between
from mynah.tokenizer.dataset import TokenSet
from mynah.train.config import TrainConfig
from mynah.train.memory import check_memory
from mynah.train.rates import rates

#: Tokens of a step, of few pairs and of many, and of a row at least.
TOKENS_A_STEP, OF_FEW, FEW, SHORTEST_ROW = 2048, 1024, 300_000, 128
#: A larger model pays as soon as it makes so many passes over the pairs within the budget, and none makes more than so
#: many (docs/log.md).
PASSES_FOR_NEXT, MOST_PASSES = 6.0, 15.0
#: From so many passes on words of the source are blanked out. Tables of tokens and of pairs of tokens learn by heart
#: from the third pass on, and gain little before (docs/log.md).
BLANKED_FROM, WORD_DROPOUT = 1.5, 0.1
WITHOUT_TABLES = {"bigram_buckets": 0, "value_embeddings": False}
#: Passes of a model of a size that was asked for, without minutes.
PASSES_OF_SIZE = 10.0


def plan_pairs(
    config: PlanConfig,
    data: TokenSet,
    vocab_size: int,
    *,
    seconds: float,
    device: torch.device,
    seed: int,
    ahead: Ahead,
    available: int | None,
) -> Plan:
    """Choose model and steps for pairs.

    Args:
        config: the dial; without one, five minutes.
        data: the pairs as they are learned.
        vocab_size: of the tokenizer.
        seconds: what is left of the minutes.
        device: where it will run; it is measured there.
        seed: of the build.
        ahead: what else the build does with a model in these seconds.
        available: free bytes; None: not known.

    Raises:
        ConfigError: for an unknown size or field, or a size that needs more memory than there is.
    """
    n_tokens, rows = len(data.tokens), _rows(data)
    tokens_a_step = rows[0] * rows[1]
    a_pass = n_tokens / tokens_a_step
    reasons = [f"{n_tokens:,} tokens of pairs, {vocab_size:,} in the vocabulary"]
    names = LADDER if config.size is None else (config.size,)
    candidates = [_candidate(name, config, vocab_size, rows[1]) for name in names]
    if config.size is not None:
        model, step_seconds, steps = candidates[0], None, PASSES_OF_SIZE * a_pass
        check_memory(config.size, model, _settings(model, rows), available)
    else:
        model, step_seconds, steps = _by_speed(
            candidates, data, rows, seconds, device, ahead, available, reasons
        )
    steps = max(20, int(min(steps, MOST_PASSES * a_pass)))
    per_token = (step_seconds or 0.0) / tokens_a_step
    every = steps_between(steps, tokens_a_step, ahead, per_token)
    values: dict[str, Any] = {
        "steps": steps,
        "batch_size": rows[0],
        "context_length": rows[1],
        "seed": seed,
        "eval_every": every,
        "word_dropout": WORD_DROPOUT if steps > BLANKED_FROM * a_pass else 0.0,
        **rates(model, False),
        **config.tune,
    }
    if step_seconds is not None:
        values.setdefault("checkpoint_every", max(1, round(CHECKPOINT_SECONDS / step_seconds)))
    tune = build_config(TrainConfig, values, "[plan.tune]")
    reasons.append(
        f"{tune.steps:,} steps of {rows[0]} x {rows[1]} tokens, {tune.steps / a_pass:.1f} passes over the pairs"
    )
    taken = None
    if step_seconds is not None:
        measuring = measuring_seconds(tune.steps, tune.eval_every, tokens_a_step, ahead, per_token)
        taken = tune.steps * step_seconds + measuring + evaluation_seconds(ahead, 0, per_token)
    return Plan(model, None, tune, reasons, taken)


def _rows(data: TokenSet) -> tuple[int, int]:
    """Return (rows, tokens a row) of a step: rows long enough for nearly every pair."""
    lengths = np.diff(data.starts)
    long = float(np.quantile(lengths, 0.99)) if len(lengths) else SHORTEST_ROW
    tokens = TOKENS_A_STEP if len(data.tokens) >= FEW else OF_FEW
    context = SHORTEST_ROW
    while context < long and context < tokens // 2:
        context *= 2
    return tokens // context, context


def _candidate(name: str, config: PlanConfig, vocab_size: int, context: int) -> ModelConfig:
    changes = {"context_length": context, **WITHOUT_TABLES, **config.model}
    return build_config(ModelConfig, {**fields_of(name), "vocab_size": vocab_size, **changes}, "[plan.model]")


def _settings(model: ModelConfig, rows: tuple[int, int]) -> TrainConfig:
    return TrainConfig(steps=1, batch_size=rows[0], context_length=rows[1], **rates(model, False))


def _by_speed(
    candidates: list[ModelConfig],
    data: TokenSet,
    rows: tuple[int, int],
    seconds: float,
    device: torch.device,
    ahead: Ahead,
    available: int | None,
    reasons: list[str],
) -> tuple[ModelConfig, float, float]:
    """Return the largest model that makes enough passes in the seconds, a step's seconds, and its steps in them."""
    begun, tokens_a_step = time.monotonic(), rows[0] * rows[1]
    measure = partial(measure_step, data=data, rows=rows, device=device, replies=True)
    chosen: tuple[ModelConfig, float, float] | None = None
    for model in candidates:
        try:
            check_memory(None, model, _settings(model, rows), available)
        except ConfigError:
            if chosen is None:
                raise
            reasons.append(f"{model.n_layer} layers {model.n_embd} wide: more than the memory that is free")
            break
        step_seconds = measure(model, settings=rates(model, False))
        reserved = evaluation_seconds(ahead, 0, step_seconds / tokens_a_step)
        left = max(1.0, seconds - (time.monotonic() - begun) - reserved)
        steps = left / (MEASURING * step_seconds)
        passes = steps * tokens_a_step / len(data.tokens)
        if chosen is not None and passes < PASSES_FOR_NEXT:
            reasons.append(f"{model.n_layer} layers {model.n_embd} wide: only {passes:.1f} passes, too large")
            break
        chosen = model, step_seconds, steps
        reasons.append(
            f"{model.n_layer} layers {model.n_embd} wide ({model.n_params() / 1e6:.1f}M parameters): "
            f"{1000 * step_seconds:.0f} ms a step here, {passes:.1f} passes over the pairs in time"
        )
        if passes < PASSES_FOR_NEXT:  # the next one makes fewer
            break
    assert chosen is not None
    return chosen
