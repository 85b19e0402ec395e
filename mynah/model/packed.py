"""Weights in the order in which a CPU's product in bfloat16 reads them, put there once and not in each product.

oneDNN lays a matrix out in blocks for its matrix units. Given a plain one it does so each time, which for a few rows of
inputs, as in decoding, takes longer than the product.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.replacing import OncePerWeight, replace_maps
from mynah.model.roles import mark, marks_of
from mynah.model.transformer import Transformer

#: Rows of inputs for which weights are laid out; others are multiplied, too.
_ROWS = 16
#: How many times as fast the product must be here.
_LEAST_GAIN = 1.1


class PackedLinear(nn.Linear):
    """A linear map whose weight is laid out for products; it is not trained, and has no `weight` any more."""

    def __init__(self, linear: nn.Linear, packed: Tensor) -> None:
        """Take over a map's bias and roles.

        Args:
            linear: the map.
            packed: what `lay_out` made of its weight.
        """
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias, self.packed = None, linear.bias, packed  # type: ignore[assignment]
        mark(self, **marks_of(linear))
        self.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., N)."""
        return _product(input, self.packed, self.bias)


def lay_out(weight: Tensor) -> Tensor:
    """Return an opaque tensor for `PackedLinear` of a weight, (N, C) bfloat16."""
    made: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return made


def _product(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return y


@lru_cache(maxsize=1)
@torch.inference_mode()
def packing_pays() -> bool:
    """Say, by trying, whether products of one row and of several are quicker here with weights laid out."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):  # type: ignore[no-untyped-call]
        return False
    weights = [torch.ones(1536, 576, dtype=torch.bfloat16) for _ in range(24)]  # more than most caches hold
    try:
        packed = [lay_out(weight) for weight in weights]
    except (RuntimeError, NotImplementedError):
        return False
    for rows in (1, _ROWS):
        x = torch.ones(rows, 576, dtype=torch.bfloat16)
        plain = laid_out = float("inf")
        for _ in range(3):  # in turn, so that what else the machine does hits both
            begun = time.perf_counter()
            for weight in weights:
                F.linear(x, weight)
            middle = time.perf_counter()
            for weight in packed:
                _product(x, weight, None)
            plain, laid_out = min(plain, middle - begun), min(laid_out, time.perf_counter() - middle)
        if plain < _LEAST_GAIN * laid_out:
            return False
    return True


@torch.inference_mode()
def pack(model: Transformer, laid_out: OncePerWeight[Tensor] | None = None) -> bool:
    """Lay out the linear maps of a model's blocks, in place, if it is in bfloat16 on a CPU where that pays.

    A head stays as it is, as it is often the table of tokens as well, and there shall be one copy.

    Args:
        model: in evaluation mode; it is not trained any more, and not written.
        laid_out: lays them out, of several models that have weights in common; None: of this one alone.

    Returns:
        Whether they were.
    """
    assert not model.training
    if model.device.type != "cpu" or model.dtype != torch.bfloat16 or not packing_pays():
        return False
    make = laid_out or OncePerWeight(lay_out, kept=False)
    replace_maps(model.blocks, lambda linear: PackedLinear(linear, make(linear.weight.data)))
    return True
