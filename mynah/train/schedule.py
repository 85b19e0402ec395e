"""The learning rate as a factor of its peak: a pure function of the step.

Shares are of rows taken, not of steps, which are the same thing unless the batch grows.
"""

from __future__ import annotations

import math

from mynah.train.config import TrainConfig
from mynah.train.ramp import ramp_of


def rate_factor(step: int, config: TrainConfig, fall: tuple[int, int] | None = None) -> float:
    """Return the factor for a step (from 0): linear warm-up, then linear, cosine or flat-then-linear decay.

    cosine is GPT-3's (Brown et al. 2020, appendix B: `final` 0.1, `decay_end` 260/300, `warmup_tokens` 375 million);
    wsd is warm-up-stable-decay (Hu et al. 2024), which can begin to fall at any step: `fall` says at which it does and
    where it ends.
    """
    ramp = ramp_of(config)
    total = ramp.before(config.steps)
    if config.warmup_tokens is None:
        warmup = round(config.warmup * total)
    else:
        warmup = config.warmup_tokens // config.context_length
    begin, end = fall or planned_fall(config)
    taken = ramp.before(step)
    if taken < warmup and (step < begin or config.schedule != "wsd"):
        rows = len(ramp.rows_of(step))
        return (taken + rows) / (warmup + rows)
    done = min(1.0, (taken - warmup) / max(1, round(config.decay_end * total) - warmup))
    if config.schedule == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * done))
    elif config.schedule == "wsd":
        left = min(1.0, max(0.0, (end - step) / max(1, end - begin)))
    else:
        left = 1 - done
    return config.final + (1 - config.final) * left


def planned_fall(config: TrainConfig) -> tuple[int, int]:
    """Return the steps at which the rate of wsd begins to fall and has fallen, if nothing stalls."""
    ramp = ramp_of(config)
    total = ramp.before(config.steps)
    return ramp.step_of(total - round(config.decay * total)), config.steps


def early_fall(step: int, config: TrainConfig) -> tuple[int, int]:
    """Return the same for a fall that begins now and takes a third of the steps already taken."""
    return step, min(config.steps, step + max(1, round(step / 3)))
