"""Frozen weights in 8 or 4 bits, made into numbers again one map at a time (Dettmers et al. 2023, "QLoRA").

Two formats are GGUF's: a row is cut into blocks of 32 numbers. Q8_0 keeps a scale for each and 8 bits a number, Q4_1 a
scale, the least of them and 4 bits a number; 8.5 and 5 bits in all. What came out of a Q4_1 file goes back into it
nearly as it was. The third, int8, keeps one scale for a row, which is what PyTorch has a product for: with few rows of
inputs, as in decoding, it reads a quarter of what float32 weights take and makes no numbers of them in memory.

N rows, C columns, K = C / 32 blocks.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.roles import mark, marks_of

BLOCK = 32
Bits = Literal["q8_0", "q4_1", "int8"]
#: What a number takes, bytes.
BYTES: dict[Bits, float] = {"q8_0": 8.5 / 8, "q4_1": 5 / 8, "int8": 1}
#: Rows of inputs with which PyTorch's product of int8 weights may be the quicker one.
_FEW = (1, 2, 4, 8, 16, 32)


class Quantized(nn.Module):
    """A matrix in few bits. Nothing of it is trained, and nothing of it is in a model's `state_dict`."""

    codes: Tensor
    scales: Tensor
    least: Tensor | None

    def __init__(self, weight: Tensor, bits: Bits) -> None:
        """Take (N, C), C a multiple of 32, of any floating dtype, which becomes that of `dense`."""
        super().__init__()
        self.shape, self.dtype, self.bits = weight.shape, weight.dtype, bits
        if bits == "int8":
            wide = weight.detach().float()
            scales = (wide.abs().amax(dim=1) / 127).to(torch.bfloat16)  # as the product takes them
            codes = (wide / _divisor(scales)[:, None]).round_().clamp_(-127, 127).to(torch.int8)
            self.register_buffer("codes", codes, persistent=False)  # (N, C) int8
            self.register_buffer("scales", scales, persistent=False)  # (N,) bfloat16
            self.register_buffer("least", None, persistent=False)
            return
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

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.codes.device

    def linear(self, x: Tensor) -> Tensor:
        """Return x W^T, (..., C) to (..., N), in x's dtype."""
        if self.bits != "int8":
            return F.linear(x, self.dense(x.dtype))
        rows = x.reshape(-1, x.shape[-1])
        if x.device.type == "cpu" and len(rows) <= rows_as_int8():
            y = torch._weight_int8pack_mm(rows.to(torch.bfloat16), self.codes, self.scales)
            return y.to(x.dtype).view(*x.shape[:-1], -1)
        return F.linear(x, self.codes.to(x.dtype)) * self.scales.to(x.dtype)

    def rows(self, ids: Tensor) -> Tensor:
        """Return rows of W, (...) to (..., C), in the dtype of `dense`."""
        assert self.bits == "int8"
        return (self.codes[ids] * self.scales[ids][..., None].float()).to(self.dtype)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return (N, C), rounded once, to `dtype`."""
        if self.bits == "int8":
            return (self.codes * self.scales.float()[:, None]).to(dtype)
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


@lru_cache(maxsize=1)
def rows_as_int8() -> int:
    """Return up to how many rows of inputs PyTorch's product of int8 weights is the quicker one here, by trying.

    Beyond, and where it is never quicker (0), the weights are made into numbers first.
    """
    N, C, many = 1024, 1024, 24  # together more than most caches hold, as a model's weights are
    codes = [torch.ones(N, C, dtype=torch.int8) for _ in range(many)]
    scales, best = torch.ones(N, dtype=torch.bfloat16), 0
    for rows in _FEW:
        x = torch.ones(rows, C, dtype=torch.bfloat16)
        ways = (
            lambda w, x=x: torch._weight_int8pack_mm(x, w, scales),
            lambda w, x=x: F.linear(x, w.to(x.dtype)) * scales,
        )
        taken = [float("inf")] * 2
        for _ in range(3):  # in turn, so that what else the machine does hits both
            for number, way in enumerate(ways):
                begun = time.perf_counter()
                for weight in codes:
                    way(weight)  # type: ignore[no-untyped-call]
                taken[number] = min(taken[number], time.perf_counter() - begun)
        if taken[0] > taken[1]:
            break
        best = rows
    return best


class QuantizedLinear(nn.Linear):
    """A frozen linear map whose weight is `Quantized`."""

    def __init__(self, linear: nn.Linear, quantized: Quantized) -> None:
        """Take over a map's bias and roles; its weight is dropped.

        Args:
            linear: the map.
            quantized: its weight.
        """
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.quantized = quantized
        self.weight, self.bias = None, linear.bias  # type: ignore[assignment]
        mark(self, **marks_of(linear))
        self.train(linear.training)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., N)."""
        return frozen_linear(input, self.quantized, self.bias)


class QuantizedEmbedding(nn.Module):
    """A frozen table whose rows are those of a `Quantized` matrix, which the head may share."""

    def __init__(self, quantized: Quantized) -> None:
        """Take a matrix in int8."""
        super().__init__()
        self.quantized = quantized
        self.train(False)

    def forward(self, ids: Tensor) -> Tensor:
        """(...) int64 to (..., C)."""
        return self.quantized.rows(ids)


def dense(weight: Tensor | Quantized, dtype: torch.dtype) -> Tensor:
    """Return a weight in a dtype, whichever way it is held."""
    return weight.dense(dtype) if isinstance(weight, Quantized) else weight.to(dtype)


def frozen_linear(x: Tensor, weight: Quantized, bias: Tensor | None) -> Tensor:
    """Return x W^T + b; for the backward pass W is made into numbers once more, and not kept."""
    y: Tensor = _Frozen.apply(x, weight) if torch.is_grad_enabled() else weight.linear(x)  # type: ignore[no-untyped-call]
    return y if bias is None else y + bias.to(y.dtype)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Quantized) -> Tensor:
        ctx.weight = weight
        return weight.linear(x)

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
    setattr(model.get_submodule(above), last, QuantizedLinear(linear, Quantized(linear.weight, bits)))
