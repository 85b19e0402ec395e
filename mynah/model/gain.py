"""Whether products are faster in half precision on this processor."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
import torch.nn.functional as F

#: On a CPU a product in half precision must be so many times as fast, as what lies between the products is not: at 2.0
#: to 2.8 times a step is 1.2 to 1.5 times as fast (docs/log.md).
LEAST_GAIN = 1.5
#: Times that a product is timed.
_TRIES = 5


@lru_cache(maxsize=16)
def gain_of_bfloat16(rows: int, width_in: int, width_out: int) -> float:
    """Return how many times as fast a product, forward and backward, is in bfloat16 on this CPU, casts counted.

    Processors with units for it are about twice as fast, those without several times slower.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, width_in, generator=generator).requires_grad_()
    weight = torch.randn(width_out, width_in, generator=generator).requires_grad_()
    best = {}
    for dtype in (torch.float32, torch.bfloat16):
        taken = []
        for _ in range(_TRIES):
            begun = time.perf_counter()
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32, cache_enabled=False):
                y = F.linear(x, weight)
            torch.autograd.grad(y, (x, weight), torch.ones_like(y))
            taken.append(time.perf_counter() - begun)
        best[dtype] = min(taken)
    return best[torch.float32] / best[torch.bfloat16]
