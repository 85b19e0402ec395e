"""The learning rate as a factor of its peak: a pure function of the step."""

from __future__ import annotations

import math

from mynah.train.config import TrainConfig


def rate_factor(step: int, config: TrainConfig, fall: tuple[int, int] | None = None) -> float:
    """Return the factor for a step (from 0): linear warm-up, then linear, cosine or flat-then-linear decay.

    cosine is GPT-3's (Brown et al. 2020, appendix B, with `final` 0.1); wsd is warm-up-stable-decay
    (Hu et al. 2024), which can begin to fall at any step: `fall` says at which it does and where it ends.
    """
    warmup = round(config.warmup * config.steps)
    begin, end = fall or planned_fall(config)
    if step < min(warmup, begin):
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, config.steps - warmup)
    if config.schedule == "cosine":
        left = 0.5 * (1 + math.cos(math.pi * done))
    elif config.schedule == "wsd":
        left = min(1.0, max(0.0, (end - step) / max(1, end - begin)))
    else:
        left = 1 - done
    return config.final + (1 - config.final) * left


def planned_fall(config: TrainConfig) -> tuple[int, int]:
    """Return the steps at which the rate of wsd begins to fall and has fallen, if nothing stalls."""
    return config.steps - round(config.decay * config.steps), config.steps


def early_fall(step: int, config: TrainConfig) -> tuple[int, int]:
    """Return the same for a fall that begins now and takes a third of the steps already taken."""
    return step, min(config.steps, step + max(1, round(step / 3)))
