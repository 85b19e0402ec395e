"""Texts as vectors: the mean of a network's states a third of the way up, of length 1.

States there tell what texts are about better than those at the end, which are about the next token (docs/log.md); the
first token is left out, as it gathers what no other needs.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.model.points import Point
from mynah.model.transformer import Transformer

#: Layers that are read, of all.
SHARE = 1 / 3


@torch.inference_mode()
def embed(model: Transformer, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """Return a vector of each row of tokens, (N, C), each of length 1.

    Args:
        model: in evaluation mode.
        rows: of two tokens or more each, one that begins every text among them.
    """
    found = np.zeros((len(rows), model.config.n_embd), np.float32)
    point = model.blocks[max(1, round(SHARE * len(model.blocks))) - 1].at_stream
    assert isinstance(point, Point)
    kept: list[Tensor] = []
    handle = point.register_forward_hook(lambda module, given, out: kept.append(out))
    try:
        for n, row in enumerate(rows):
            model(torch.tensor([list(row)], device=model.device))
            mean = kept.pop()[0, 1:].float().mean(dim=0)
            found[n] = (mean / mean.norm().clamp(min=1e-12)).cpu().numpy()
    finally:
        handle.remove()
    return found


def as_base64(vector: npt.NDArray[np.float32]) -> str:
    """Return a vector as little-endian float32 in base64, as the interface has it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
