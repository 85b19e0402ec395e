"""How fast a model is trained here, measured with the training loop itself."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.tokenizer.dataset import TokenSet
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, Step
from mynah.train.phases import pretrain, tune

#: Steps are timed for about so many seconds at most.
LONGEST_MEASURING = 10.0


class _Measured(Exception):
    """Enough steps were timed."""


def measure_step(
    model: ModelConfig,
    data: TokenSet,
    rows: tuple[int, int],
    device: torch.device,
    *,
    settings: dict[str, Any],
    base: Transformer | None = None,
    replies: bool = False,
) -> float:
    """Return the seconds of a step of pretraining as it will be, here: the mean of the quickest four in a row.

    In four turns Muon moves every matrix (`matrix_every`). Twelve steps are taken after a first one; where that takes
    longer than `LONGEST_MEASURING`, fewer.

    Args:
        model: the shape of a new one.
        data: the training tokens.
        rows: of a step, and tokens in each.
        device: where it is trained.
        settings: of the optimizer.
        base: a model to be trained instead of a new one; it is not to be used afterwards.
        replies: whether the steps are those on replies.
    """
    config = TrainConfig(steps=13, batch_size=rows[0], context_length=rows[1], **settings)
    times: list[float] = []

    def watch(_: Step) -> None:
        times.append(time.perf_counter())
        if len(times) > 1 and times[-1] - times[0] > LONGEST_MEASURING:
            raise _Measured

    with suppress(_Measured):
        trainee = base if base is not None else new_model(model, 0)
        (tune if replies else pretrain)(trainee.to(device), data, None, config, Session(watch=watch))
    taken = np.array(times)
    apart = min(4, len(taken) - 1)
    return float(np.min(taken[apart:] - taken[:-apart])) / apart
