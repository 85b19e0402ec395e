"""Tensors of which each process holds a part, as DTensor has them (FSDP2, tensor parallelism), beside plain ones.

Everything that goes through a model's parameters calls these, and does not ask which of the two it has.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from mynah.model.tensor_files import Part, TensorFiles
from mynah.model.weights import check_shapes

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

#: Names of the dimensions of the grid of processes: those along the first have different rows of a batch, those along
#: the second different heads and hidden units of each block.
DATA, TENSOR = "data", "tensor"


def is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether each process holds a part of a tensor. None is before `cutting` has loaded what such tensors are."""
    return isinstance(tensor, getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", ()))


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor; of one that is sharded, all processes must ask together."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, which shares its memory."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def locals_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return this process's parts, for operations that go element by element."""
    return [local(tensor) for tensor in tensors]


def part_of(tensor: Tensor) -> Part:
    """Return which part of a tensor this process holds."""
    if not is_sharded(tensor):
        return Part.whole(tensor.shape)
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, at = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return Part(tuple(at), tuple(shape), tuple(tensor.shape))


def own(value: Tensor, like: Tensor) -> Tensor:
    """Return of a whole tensor the part that this process holds of `like`."""
    return value[part_of(like).slices] if is_sharded(like) else value


@torch.no_grad()
def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor, or one sharded alike, into a parameter."""
    local(target).copy_(local(value) if is_sharded(value) else own(value, target))


@torch.no_grad()
def read_into(tensors: Mapping[str, Tensor], files: TensorFiles, path: Path) -> None:
    """Fill tensors, of which this process may hold a part, from files.

    Raises:
        ArtifactError: if names or shapes are others, or a part is missing.
    """
    check_shapes(tensors, files.shapes(), path)
    for name, tensor in tensors.items():
        files.read(name, part_of(tensor), local(tensor))


def layout(tensor: Tensor) -> object:
    """Return what tensors must have in common to be in one operation on many."""
    return tensor.device_mesh if is_sharded(tensor) else None


def writes(tensor: Tensor, coordinate: dict[str, int]) -> bool:
    """Whether this process is the first of those that hold the same part of a tensor.

    Args:
        tensor: sharded, or the same in all.
        coordinate: this process's along each dimension of the grid.
    """
    sharded = set()
    if is_sharded(tensor):
        names = tensor.device_mesh.mesh_dim_names or ()
        sharded = {name for name, how in zip(names, tensor.placements, strict=True) if not how.is_replicate()}
    return all(coordinate[name] == 0 for name in coordinate.keys() - sharded)


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], limit: float) -> float:
    """Scale gradients down to a norm of `limit`, if it is larger; return the norm before.

    Gradients whose norm is not finite are left as they are.
    """
    alike: dict[object, list[Tensor]] = defaultdict(list)
    for p in parameters:
        if p.grad is not None:
            alike[layout(p.grad)].append(p.grad)
    norms = [float(whole(torch.nn.utils.get_total_norm(grads))) for grads in alike.values()]
    norm = math.hypot(*norms)
    if limit < norm < math.inf:
        for grads in alike.values():
            torch._foreach_mul_(locals_of(grads), limit / (norm + 1e-6))
    return norm
