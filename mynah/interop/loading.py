"""A model from foreign tensors, and foreign tensors from a model: which goes where, how it is turned and laid out.

A tensor is copied straight into its place in the model, one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from mynah.errors import ArtifactError
from mynah.interop.families import Family
from mynah.interop.sources import TensorSource
from mynah.model.attention import heads_in, split_heads
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import empty_model, model_tensors

#: Ours; theirs are apart, or one after another.
_QKV = "blocks.{i}.attention.query_key_value.{kind}"
_HEAD = "lm_head.weight"
#: Ends of names of what older versions of transformers saved beside the weights: masks and frequencies.
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq")


#: Is told of each of our tensors, by name, when it is filled.
Filled = Callable[[Transformer, str], None]


def load_foreign(
    source: TensorSource,
    family: Family,
    config: ModelConfig,
    where: Path,
    dtype: torch.dtype,
    filled: Filled | None = None,
) -> Transformer:
    """Return a model of foreign tensors, in evaluation mode.

    Beside the model, one foreign tensor is in memory at a time, or the queries, keys and values of one layer.

    Args:
        source: of the tensors.
        family: whose names and layout they have.
        config: of the model as it was saved.
        where: it comes from, for errors.
        dtype: of the model's numbers.
        filled: may put another module in the place of the one whose tensor it is.

    Raises:
        ArtifactError: if a tensor is missing, of another shape, cannot be read, or has no place in the model.
    """
    model = empty_model(config, dtype)
    fill_from_foreign(model, source, family, where, filled)
    return model.eval()


@torch.no_grad()
def fill_from_foreign(
    model: Transformer, source: TensorSource, family: Family, where: Path, filled: Filled | None = None
) -> None:
    """Put foreign tensors in the place of a model's own; arguments and errors as of `load_foreign`."""
    config = model.config
    theirs = {name.removeprefix(family.prefix): name for name in source.shapes()}
    wanted = _wanted(family, config)
    tensors, less_one = model_tensors(model), _of_layers(family.less_one, config)
    for ours, names in wanted.items():
        for name, expected in zip(
            names, _foreign_shapes(tensors[ours], ours, names, family, config), strict=True
        ):
            if name not in theirs:
                raise ArtifactError(f"{where}: tensor {name} is missing")
            if (shape := source.shapes()[theirs[name]]) != expected:
                raise ArtifactError(f"{where}: tensor {name} has shape {shape}, expected {expected}")
    known = {_HEAD}.union(*wanted.values())  # a head that is tied may have been saved as well
    if left := sorted(name for name in theirs.keys() - known if not name.endswith(_BUFFERS)):
        raise ArtifactError(
            f"{where}: tensor {left[0]} has no place in a {family.name} of this config.json; nothing may be left out"
        )
    for ours, names in wanted.items():
        target = tensors.pop(ours)  # so that nothing holds it if it is given up
        if _is_joined(ours):
            _fill_heads(target, [source.get(theirs[name]) for name in names], family, config)
        else:
            found = source.get(theirs[names[0]])
            target.copy_(found.T if _is_turned(ours, found, family) else found)
            if names[0] in less_one:
                target.add_(1)
        if filled is not None:
            filled(model, ours)


def to_foreign(model: Transformer, family: Family) -> Iterator[tuple[str, Tensor]]:
    """Yield a model's tensors by the names and in the layout of a family, on the CPU, contiguous."""
    config = model.config
    tensors = {name: tensor.detach().cpu() for name, tensor in model_tensors(model).items()}
    less_one = _of_layers(family.less_one, config)
    for ours, names in _wanted(family, config).items():
        tensor = tensors[ours]
        if _is_joined(ours):
            q, k, v = split_heads(tensor, config.n_kv_head, config.head_dim)
            parts = [q / math.sqrt(config.head_dim) if family.unscaled else q, k, v]
            made = parts if family.qkv else [torch.cat(parts)]
        else:
            made = [tensor]
        for name, part in zip(names, made, strict=True):
            part = part - 1 if name in less_one else part
            prefix = "" if name == _HEAD else family.prefix
            yield prefix + name, (part.T if _is_turned(ours, part, family) else part).contiguous()


def _wanted(family: Family, config: ModelConfig) -> dict[str, list[str]]:
    """Return what makes each of our tensors: names without their prefix, one, or those of queries, keys and values."""
    wanted = {
        ours.format(i=i): [theirs.format(i=i)]
        for theirs, ours in family.tensors.items()
        for i in range(config.n_layer if "{i}" in theirs else 1)
    }
    if family.qkv:
        for kind in ("weight", "bias") if config.bias_of_qkv else ("weight",):
            for i in range(config.n_layer):
                wanted[_QKV.format(i=i, kind=kind)] = [
                    family.qkv.format(i=i, part=part, kind=kind) for part in "qkv"
                ]
    if not config.tie_embeddings:
        wanted["head.weight"] = [_HEAD]
    return wanted


def _of_layers(names: Iterable[str], config: ModelConfig) -> set[str]:
    """Return names with `{i}` as those of all layers."""
    return {name.format(i=i) for name in names for i in range(config.n_layer)}


def _is_joined(ours: str) -> bool:
    """Whether one of our tensors holds queries, keys and values."""
    return ".query_key_value." in ours


def _is_turned(ours: str, tensor: Tensor, family: Family) -> bool:
    return family.transposed and tensor.ndim == 2 and ours.startswith("blocks.")


def _foreign_shapes(
    tensor: Tensor, ours: str, names: list[str], family: Family, config: ModelConfig
) -> list[tuple[int, ...]]:
    """Return the shapes of what makes one of our tensors."""
    if _is_joined(ours) and len(names) == 3:
        rows = [heads * config.head_dim for heads in (config.n_head, config.n_kv_head, config.n_kv_head)]
        return [(n, *tensor.shape[1:]) for n in rows]
    shape = tuple(tensor.shape)
    return [shape[::-1] if _is_turned(ours, tensor, family) else shape]


def _fill_heads(target: Tensor, parts: list[Tensor], family: Family, config: ModelConfig) -> None:
    """Copy queries, keys and values, apart or one after another, to where `Attention` has them."""
    if len(parts) == 1:
        rows = parts[0].T if family.transposed and parts[0].ndim == 2 else parts[0]
        keys = config.n_kv_head * config.head_dim
        parts = list(torch.split(rows, [len(rows) - 2 * keys, keys, keys]))
    places = heads_in(target, config.n_kv_head, config.head_dim)
    for place, part in zip(places, parts, strict=True):
        place.copy_(part.reshape(place.shape))
    if family.unscaled:
        places[0].mul_(math.sqrt(config.head_dim))
