"""How fast a model is trained here, measured with the training loop itself."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache
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
#: Of what the products alone would allow, an adapter's step reaches about so much (docs/log.md).
PRODUCTS_SHARE = 0.45
#: In which numbers a base may compute.
_NUMBERS = (torch.float32, torch.bfloat16)


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


def adapter_speed(parameters: int, device: torch.device) -> float:
    """Return about how many tokens a second an adapter over a base learns here, told from a product without the base.

    A token costs 4 FLOP a parameter: the pass forward, and the gradients of what enters each frozen map.

    Args:
        parameters: of the base.
        device: where it is to be trained.
    """
    return products_speed(device) / (4 * parameters)


def products_speed(device: torch.device) -> float:
    """Return about how many FLOP a second training reaches here in its products, in the numbers that are faster."""
    fastest = 0.0
    for dtype in _NUMBERS:
        fastest = max(fastest, _products(device, dtype, fastest))
    return PRODUCTS_SHARE * fastest


def reading_speed(parameters: int, device: torch.device) -> float:
    """Return about how many tokens a second pass forward through so many weights here: 2 FLOP a weight and token."""
    return PRODUCTS_SHARE * _products(device, torch.float32, 0.0) / (2 * parameters)


@lru_cache(maxsize=8)
def _products(device: torch.device, dtype: torch.dtype, known: float) -> float:
    """Return the FLOP a second of a product as large as an adapter's step makes them, the best of a few.

    Where the first ones are much slower than `known`, no more are made: without units for a number, a processor can be
    a hundred times as slow.
    """
    a, b = (torch.ones(size, device=device, dtype=dtype) for size in ((256, 1024), (1024, 1024)))
    flop = 2 * 256 * 1024 * 1024
    taken: list[float] = []
    for repeats in (1, 1, *[4] * 8):
        begun = time.perf_counter()
        for _ in range(repeats):
            product = a @ b
        float(product[0, 0])  # waits for a GPU
        taken.append((time.perf_counter() - begun) / repeats)
        if len(taken) > 1 and flop / min(taken) < known / 8:
            break
    return flop / min(taken)
