"""Three functions whose gradients are written out: on a CPU their operations one by one cost more than the matrices.

Each is checked against what autograd makes of its plain form. On other devices, in other dtypes and under
`torch.compile`, which fuses by itself, the plain form runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_only_plain = ContextVar("only_plain", default=False)


@contextmanager
def plain_operations() -> Iterator[None]:
    """Let a model compute with PyTorch's own operations alone, in this thread, for a while.

    Transforms of functions (`torch.func.grad` under `vmap`, forward-mode derivatives) take those only. Slower.
    """
    before = _only_plain.set(True)
    try:
        yield
    finally:
        _only_plain.reset(before)


def only_plain() -> bool:
    """Whether `plain_operations` holds here."""
    return _only_plain.get()


def rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Return x / sqrt(mean(x^2) + eps), over the last dimension, times `weight` (Zhang & Sennrich 2019)."""
    if _plain(x):
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    y = _RMSNorm.apply(x, eps) if torch.is_grad_enabled() else _normed(x, eps)[0]  # type: ignore[no-untyped-call]
    return y if weight is None else y * weight


def squared_relu(x: Tensor) -> Tensor:
    """Return max(x, 0)^2 (So et al. 2021)."""
    if _plain(x):
        return F.relu(x).square()
    y: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
    return y


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x[i], x[i + D/2]) by its position's angle (Su et al. 2021).

    Args:
        x: (B, H, T, D).
        cos, sin: (T, D/2), or (B, 1, T, D/2) where rows have positions of their own.
    """
    if _plain(x):
        first, second = x.chunk(
            2, dim=-1
        )  # the tables are float32: in half precision it is rounded once, at the end
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)
    if not torch.is_grad_enabled():  # in decoding, a function of autograd's costs more than what it computes
        return _turned(x, cos, sin, 1)
    y: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


def _plain(x: Tensor) -> bool:
    return (
        x.device.type != "cpu"
        or x.dtype not in (torch.float32, torch.float64)
        or torch.compiler.is_compiling()
        or _only_plain.get()
    )


def _normed(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return x times the scale, and the scale, (..., 1)."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = torch.rsqrt(norm * norm / x.shape[-1] + eps)
    return x * scale, scale


class _RMSNorm(torch.autograd.Function):
    """y = s x with s = 1 / sqrt(mean(x^2) + eps); its gradient is s (g - y mean(g y)), which needs y and not x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        y, scale = _normed(x, eps)
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        y, scale = ctx.saved_tensors
        along = (grad * y).mean(dim=-1, keepdim=True)
        return torch.addcmul(grad, y, along, value=-1).mul_(scale), None


class _SquaredReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = F.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (positive,) = ctx.saved_tensors
        return torch.mul(grad, positive).mul_(2)


class _Rotate(torch.autograd.Function):
    """The gradient of a turn is the turn back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, sin, -1), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, way: int) -> Tensor:
    out = torch.empty_like(x)
    (first, second), (left, right) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(first, cos, out=left).addcmul_(second, sin, value=-way)
    torch.mul(second, cos, out=right).addcmul_(first, sin, value=way)
    return out
