"""Tensors of which each process holds a part, as DTensor (FSDP2) has them, beside plain ones.

Everything that goes through a model's parameters calls these, and does not ask which of the two it has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; of one that is spread, all processes must ask together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, which shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def locals_of(tensors: list[Tensor]) -> list[Tensor]:
    """Return this process's parts, for operations that go element by element."""
    return [local(tensor) for tensor in tensors]


def placed_as(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor, which every process has, spread as `like` is; a copy on its device."""
    value = value.to(like.device, copy=True)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor, or one spread alike, into a parameter."""
    local(target).copy_(local(value if isinstance(value, DTensor) else placed_as(value, target)))
