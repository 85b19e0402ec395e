"""The learning rate as a factor of its peak: a pure function of the step."""

from __future__ import annotations

import math

from mynah.train.config import TrainConfig


def rate_factor(step: int, config: TrainConfig) -> float:
    """Return the factor for a step (from 0): linear warm-up, then linear, cosine or flat-then-linear decay.

    cosine is GPT-3's (Brown et al. 2020, appendix B, with `final` 0.1); wsd is warm-up-stable-decay
    (Hu et al. 2024).
    """
    warmup = round(config.warmup * config.steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, config.steps - warmup)
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * done))
    elif config.schedule == "wsd":
        fall = min(1.0, (1 - done) / config.decay)
    else:
        fall = 1 - done
    return config.final + (1 - config.final) * fall
