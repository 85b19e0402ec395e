"""From logits to the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from mynah.generate.settings import SamplingConfig


def sample(logits: Tensor, config: SamplingConfig, generator: torch.Generator) -> Tensor:
    """Draw one token a row.

    Args:
        logits: (B, V) float32; -inf where a token is forbidden.

    Returns:
        (B,) int64.
    """
    if config.temperature < 1e-4:  # so near to the limit that the division would overflow
        return logits.argmax(dim=-1)
    logits = logits / config.temperature
    if 0 < config.top_k < logits.shape[-1]:
        least = logits.topk(config.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if config.top_p < 1:
        # Nucleus sampling (Holtzman et al. 2020): keep a token while the mass before it is below top_p.
        ranked, order = logits.sort(dim=-1, descending=True)
        mass = ranked.softmax(dim=-1)
        outside = mass.cumsum(dim=-1) - mass >= config.top_p
        logits = logits.masked_fill(outside.scatter(1, order, outside), float("-inf"))
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]
