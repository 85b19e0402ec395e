"""What this machine does: products, memory, and steps of the trainer's own loop at a few sizes; and what follows.

A step's time is taken to be a sum: so much for each floating-point operation in blocks, so much for each in the head,
and so much for each layer's operations however small they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mynah.model.config import ModelConfig
from mynah.model.presets import fields_of
from mynah.plan.flops import training_flops_per_token
from mynah.plan.speed import measure_step
from mynah.tokenizer.dataset import TokenSet
from mynah.train.rates import rates

#: Presets whose steps are timed, rows of a step and tokens in each.
PROBED = (("nano", 8, 128), ("micro", 16, 128), ("mini", 4, 256), ("small", 8, 128))
#: Tokens of made-up text.
_TOKENS = 40_000


@dataclass(frozen=True)
class Machine:
    """What a machine does."""

    #: float32 and bfloat16 products, FLOP a second; bytes a second that a sum over a large array reads
    float32: float
    bfloat16: float
    bandwidth: float
    #: seconds: for each FLOP in blocks, for each in the head, for each layer of a step
    block: float
    head: float
    layer: float

    def step_seconds(self, model: ModelConfig, rows: int, length: int) -> float:
        """Return about how long a step takes."""
        return float(np.dot(_features(model, rows, length), (self.block, self.head, self.layer)))


def _features(model: ModelConfig, rows: int, length: int) -> tuple[float, float, float]:
    tokens = rows * length
    head = 6.0 * model.vocab_size * model.n_embd * tokens
    return training_flops_per_token(model, length) * tokens - head, head, float(model.n_layer + 1)


def probe(vocab_size: int, device: torch.device, told: Callable[[str], None] = lambda what: None) -> Machine:
    """Measure this machine, in some 20 seconds.

    Args:
        vocab_size: of the networks that are timed.
        device: where they are trained.
        told: is told what is measured.
    """
    told("products and memory")
    single, half = (_products(device, dtype) for dtype in (torch.float32, torch.bfloat16))
    bandwidth = _bandwidth(device)
    steps = []
    data = made_up(vocab_size)
    for name, rows, length in PROBED:
        told(f"steps of {name}")
        model = ModelConfig(**{**fields_of(name), "vocab_size": vocab_size, "context_length": length})
        seconds = measure_step(model, data, (rows, length), device, settings=rates(model, from_base=False))
        steps.append((_features(model, rows, length), seconds))
    return Machine(single, half, bandwidth, *_fit(steps))


def _fit(steps: Sequence[tuple[tuple[float, float, float], float]]) -> tuple[float, float, float]:
    """Return the three prices, none below 0, with the least squares of relative errors."""
    from scipy.optimize import nnls

    table = np.array([np.array(features) / seconds for features, seconds in steps])
    scale = table.mean(axis=0)
    prices, _ = nnls(table / scale, np.ones(len(steps)))
    block, head, layer = (prices / scale).tolist()
    return block, head, layer


def _products(device: torch.device, dtype: torch.dtype) -> float:
    a = torch.ones(1024, 1024, device=device, dtype=dtype)
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        float((a @ a)[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - begun)
    return 2 * 1024**3 / best


def _bandwidth(device: torch.device) -> float:
    x = torch.ones(1 << 26, device=device)
    best = np.inf
    for _ in range(3):
        begun = time.perf_counter()
        float(x.sum())
        best = min(best, time.perf_counter() - begun)
    return 4 * (1 << 26) / best


def made_up(vocab_size: int) -> TokenSet:
    """Return text that says nothing, of so many different tokens."""
    tokens = np.random.default_rng(0).integers(0, vocab_size, _TOKENS)
    starts = np.arange(0, _TOKENS + 1, 400)
    count = len(starts) - 1
    arrays: dict[str, Any] = {"part": np.ones(_TOKENS, np.uint8), "kind": np.zeros(count, np.uint8)}
    dtype = np.uint16 if vocab_size <= 1 << 16 else np.uint32
    return TokenSet(
        tokens.astype(dtype), starts.astype(np.int64), n_bytes=np.full((count, 2), 1200), **arrays
    )
