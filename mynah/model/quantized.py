"""Frozen weights in 8 or 4 bits, made into numbers again one map at a time (Dettmers et al. 2023, "QLoRA").

The formats are GGUF's: a row is cut into blocks of 32 numbers. Q8_0 keeps a scale for each and 8 bits a number, Q4_1 a
scale, the least of them and 4 bits a number; 8.5 and 5 bits in all. What came out of a Q4_1 file goes back into it
nearly as it was.

N rows, C columns, K = C / 32 blocks.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.roles import mark, marks_of

BLOCK = 32
Bits = Literal["q8_0", "q4_1"]
#: What a number takes, bytes.
BYTES: dict[Bits, float] = {"q8_0": 8.5 / 8, "q4_1": 5 / 8}


class Quantized(nn.Module):
    """A matrix in few bits. Nothing of it is trained, and nothing of it is in a model's `state_dict`."""

    codes: Tensor
    scales: Tensor
    least: Tensor | None

    def __init__(self, weight: Tensor, bits: Bits) -> None:
        """Take (N, C), C a multiple of 32, of any floating dtype, which becomes that of `dense`."""
        super().__init__()
        self.shape, self.dtype = weight.shape, weight.dtype
        blocks = weight.detach().float().reshape(len(weight), -1, BLOCK)  # (N, K, 32)
        if bits == "q8_0":
            scales = (blocks.abs().amax(dim=2, keepdim=True) / 127).half()
            codes = (blocks / _divisor(scales)).round_().clamp_(-127, 127).to(torch.int8)
            least = None
        else:
            least = blocks.amin(dim=2, keepdim=True).half()
            scales = ((blocks.amax(dim=2, keepdim=True) - least) / 15).half()
            four = ((blocks - least) / _divisor(scales)).round_().clamp_(0, 15).to(torch.uint8)
            codes = four[:, :, : BLOCK // 2] | four[:, :, BLOCK // 2 :] << 4
        self.register_buffer("codes", codes, persistent=False)  # (N, K, 32) int8 or (N, K, 16) uint8
        self.register_buffer("scales", scales, persistent=False)  # (N, K, 1) float16
        self.register_buffer("least", least, persistent=False)  # the same, or None

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return (N, C), rounded once, to `dtype`."""
        scales = self.scales.float()
        if self.least is None:
            numbers = self.codes * scales
        else:
            codes = torch.cat((self.codes & 15, self.codes >> 4), dim=2)
            numbers = torch.addcmul(self.least.float(), codes.float(), scales)
        return numbers.view(self.shape).to(dtype)


def _divisor(scales: Tensor) -> Tensor:
    """Return scales in float32, and 1 for those of blocks of equal numbers, whose codes are all zero."""
    wide = scales.float()
    return torch.where(wide == 0, 1.0, wide)


class QuantizedLinear(nn.Linear):
    """A frozen linear map whose weight is `Quantized`."""

    def __init__(self, linear: nn.Linear, bits: Bits) -> None:
        """Take over a map's bias and roles; its weight is dropped."""
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.quantized = Quantized(linear.weight, bits)
        self.weight, self.bias = None, linear.bias  # type: ignore[assignment]
        mark(self, **marks_of(linear))
        self.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., N)."""
        return frozen_linear(input, self.quantized, self.bias)


def dense(weight: Tensor | Quantized, dtype: torch.dtype) -> Tensor:
    """Return a weight in a dtype, whichever way it is held."""
    return weight.dense(dtype) if isinstance(weight, Quantized) else weight.to(dtype)


def frozen_linear(x: Tensor, weight: Quantized, bias: Tensor | None) -> Tensor:
    """Return x W^T + b; for the backward pass W is made into numbers once more, and not kept."""
    if torch.is_grad_enabled():
        y: Tensor = _Frozen.apply(x, weight)  # type: ignore[no-untyped-call]
    else:  # in decoding, a function of autograd's costs time for nothing
        y = F.linear(x, weight.dense(x.dtype))
    return y if bias is None else y + bias.to(y.dtype)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Quantized) -> Tensor:
        ctx.weight = weight
        return F.linear(x, weight.dense(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad @ ctx.weight.dense(grad.dtype), None


def can_quantize(linear: nn.Module) -> bool:
    """Say whether the rows of a map are whole blocks."""
    return isinstance(linear, nn.Linear) and linear.in_features % BLOCK == 0


def quantize_map(model: nn.Module, name: str, bits: Bits) -> None:
    """Put the linear map of that name into few bits, in place."""
    above, _, last = name.rpartition(".")
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    setattr(model.get_submodule(above), last, QuantizedLinear(linear, bits))
