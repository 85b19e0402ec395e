"""Read and write LoRA adapters as PEFT has them: adapter_config.json and adapter_model.safetensors.

What PEFT calls a linear map follows from what its family does (`mynah.interop.families`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.families import Family
from mynah.interop.huggingface import family_of
from mynah.model.attention import join_heads, split_heads
from mynah.model.config import ModelConfig
from mynah.model.lora import PLACES, LoRAConfig, Target, adapted, adapter_tensors
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.model.weights import read_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
#: PEFT's name for what it wraps a model in; before all names.
_WRAPPED = "base_model.model."
#: ours -> what PEFT adds to the name of a linear map
_ENDINGS = {
    "lora_a": ".lora_A.weight",
    "lora_b": ".lora_B.weight",
    "lora_magnitude": ".lora_magnitude_vector",
}
#: Settings of PEFT under which an adapter computes something else, or more, than Mynah's does.
_UNKNOWN = (
    "modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication", "rank_pattern",
    "alpha_pattern", "lora_bias", "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config",
    "monteclora_config", "velora_config",
)  # fmt: skip
#: Ways to begin that leave the base's weights as they are.
_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class _Map:
    """A linear map of a block of ours, as its family has it."""

    target: Target
    #: number of the block
    layer: int
    #: our name
    ours: str
    #: theirs; of queries, keys and values one after another where they are apart
    theirs: tuple[str, ...]
    #: numbers that it takes, and that each of theirs gives
    width: int
    widths: tuple[int, ...]
    model: ModelConfig
    #: what our queries are multiplied by
    factor: float

    def to_theirs(self, kind: str, tensor: Tensor, joint: bool) -> list[Tensor]:
        """Return the tensors of each of their maps.

        Args:
            kind: one of `_ENDINGS`.
            tensor: ours.
            joint: whether queries, keys and values share one A.
        """
        if self.target != "qkv":
            return [tensor]
        if kind == "lora_a":
            n = len(self.theirs)
            return [tensor] * n if joint else list(tensor.chunk(n))
        q, k, v = split_heads(tensor, self.model.n_kv_head, self.model.head_dim)
        parts = [q / self.factor, k, v]
        return parts if len(self.theirs) == 3 else [torch.cat(parts)]

    def to_ours(self, kind: str, parts: list[Tensor]) -> Tensor:
        """Return our tensor of those of each of their maps."""
        if self.target != "qkv" or kind == "lora_a":
            return torch.cat(parts)
        keys = self.model.n_kv_head * self.model.head_dim
        q, k, v = parts if len(parts) == 3 else torch.split(parts[0], [len(parts[0]) - 2 * keys, keys, keys])
        return join_heads(q * self.factor, k, v, self.model.head_dim)


def write_adapter(model: Transformer, config: LoRAConfig, directory: Path, base_name: str) -> None:
    """Write a model's adapter as a directory that PEFT reads.

    Where the family has queries, keys and values in one matrix and the adapter a pair for each, they are written as
    one of three times the rank, which computes the same, and the others are filled up with zeros.

    Args:
        model: has an adapter; of a make that a family of `mynah.interop.families` can say.
        config: the adapter's.
        directory: new, or empty; it is there when it is whole.
        base_name: name on the hub, or folder, of the model that the adapter is for.

    Raises:
        ConfigError: if the model has no adapter or another one, or no family can say what it computes.
        ArtifactError: if the directory holds something, or cannot be written.
    """
    maps = adapted(model)
    if not maps:
        raise ConfigError("the model has no adapter to write")
    for name, module in maps.items():
        for field in LoRAConfig.model_fields:
            found, expected = getattr(module.config, field), getattr(config, field)
            if found != expected:
                raise ConfigError(f"{name} has an adapter with {field} {found}, the config says {expected}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArtifactError(f"{directory}: holds something already; name a new folder")
    family = family_of(model.config)
    tensors = {name: tensor.cpu() for name, tensor in adapter_tensors(model).items()}
    if not (family.qkv or config.joint_qkv) and "qkv" in config.targets:
        config, tensors = _jointly(config, tensors, model.config)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "r": config.rank,
        "lora_alpha": int(config.alpha) if config.alpha.is_integer() else config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": _target_modules(_maps(family, model.config), set(maps)),
        "fan_in_fan_out": family.transposed,
        "bias": "none",
        "use_rslora": config.rslora,
        "use_dora": config.dora,
        "inference_mode": True,
        "init_lora_weights": True,
    }
    if first := config.first_layer(model.config.n_layer):
        settings["layers_to_transform"] = list(range(first, model.config.n_layer))
    made = {}
    for described in _maps(family, model.config):
        for kind in _ENDINGS:
            if (tensor := tensors.get(f"{described.ours}.{kind}")) is not None:
                parts = described.to_theirs(kind, tensor, config.joint_qkv)
                for name, part in zip(described.theirs, parts, strict=True):
                    made[_key(name, kind)] = part.contiguous()
    with artifacts.new_directory(directory, Manifest("export", "", __version__, {}, {}, 0)) as partial:
        artifacts.write_json(partial / CONFIG, settings)
        write_tensors(partial / WEIGHTS, made)


def read_adapter(directory: Path, model: ModelConfig) -> tuple[LoRAConfig, dict[str, Tensor]]:
    """Read what PEFT has written, for a model of this shape.

    Blocks before the first one that the file has anything of get no adapter. Another linear map that it leaves out
    while it has others of its kind gets a pair of zeros, which adds nothing and whose gradients are zero: it stays so
    in training.

    Args:
        directory: PEFT's.
        model: shape of what the adapter is for.

    Returns:
        What `add_adapter` and `load_adapter_tensors` take; float32 tensors.

    Raises:
        ArtifactError: if a file is missing or damaged, or the tensors are not those of linear maps of this model.
        ConfigError: if it is of another kind than LoRA, or has parts that Mynah has not.
    """
    settings, path = _read_settings(directory), directory / WEIGHTS
    if not path.is_file() and any(directory.glob("*.bin")):
        raise ArtifactError(
            f"{path}: missing, there is a .bin file alone, a pickle, which Mynah does not open; save it again with "
            "PEFT's save_pretrained(..., safe_serialization=True)"
        )
    foreign = {name: tensor.float() for name, tensor in read_tensors(path).items()}
    family = family_of(model)
    maps = list(_maps(family, model))
    kinds = [kind for kind in _ENDINGS if kind != "lora_magnitude" or settings.get("use_dora")]
    names = {_key(name, kind): m for m in maps for name in m.theirs for kind in kinds}
    for name in sorted(foreign.keys() - names.keys()):
        raise ArtifactError(
            f"{path}: tensor {name} is of no linear map in the blocks of this model; expected names as "
            f"{_key(maps[0].theirs[0], kinds[0])} ({family.name}, {model.n_layer} layers)"
        )
    values = {
        "rank": settings.get("r", 8),  # what PEFT takes where nothing is said
        "alpha": settings.get("lora_alpha", 8),
        "dropout": settings.get("lora_dropout", 0.0),
        "targets": [target for target in PLACES if target in {names[name].target for name in foreign}],
        "layers": 1 - min((names[name].layer for name in foreign), default=0) / model.n_layer,
        "joint_qkv": not family.qkv,
        "rslora": settings.get("use_rslora", False),
        "dora": settings.get("use_dora", False),
    }
    config = build_config(LoRAConfig, values, str(directory / CONFIG))
    tensors = {}
    first = config.first_layer(model.n_layer)
    for described in maps:
        if described.target in config.targets and described.layer >= first:
            for kind in kinds:
                parts = [
                    _taken(foreign, name, kind, (described.width, width), config, path)
                    for name, width in zip(described.theirs, described.widths, strict=True)
                ]
                tensors[f"{described.ours}.{kind}"] = described.to_ours(kind, parts)
    return config, tensors


def _key(name: str, kind: str) -> str:
    """Return PEFT's name of a tensor of a linear map of theirs."""
    return f"{_WRAPPED}{name}{_ENDINGS[kind]}"


def _jointly(
    config: LoRAConfig, tensors: dict[str, Tensor], model: ModelConfig
) -> tuple[LoRAConfig, dict[str, Tensor]]:
    """Return what computes the same with one pair of three times the rank for queries, keys and values."""
    made, rank = {}, 3 * config.rank
    for name, tensor in tensors.items():
        where, _, kind = name.rpartition(".")
        if where.endswith(PLACES["qkv"]):
            if kind == "lora_b":
                parts = split_heads(tensor, model.n_kv_head, model.head_dim)
                q, k, v = (
                    F.pad(part, (n * config.rank, (2 - n) * config.rank)) for n, part in enumerate(parts)
                )
                tensor = join_heads(q, k, v, model.head_dim)
        elif kind == "lora_a":
            tensor = F.pad(tensor, (0, 0, 0, rank - config.rank))
        elif kind == "lora_b":
            tensor = F.pad(tensor, (0, rank - config.rank))
        made[name] = tensor
    alpha = config.alpha * (math.sqrt(3) if config.rslora else 3)
    return config.model_copy(update={"rank": rank, "alpha": alpha, "joint_qkv": True}), made


def _read_settings(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; expected a directory that PEFT has written")
    settings = artifacts.read_json(path)
    if not isinstance(settings, dict):
        raise ArtifactError(f"{path}: damaged: expected settings by name")
    if (kind := settings.get("peft_type")) != "LORA":
        raise ConfigError(f"{path}: peft_type {kind!r}; Mynah reads LORA alone")
    if (bias := settings.get("bias", "none")) != "none":
        raise ConfigError(f"{path}: bias {bias!r}; Mynah trains no biases, expected 'none'")
    for name in _UNKNOWN:
        if settings.get(name):
            raise ConfigError(f"{path}: has {name}, which adapters of Mynah have not; expected none")
    if (begun := settings.get("init_lora_weights", True)) not in _BEGINNINGS:
        raise ConfigError(
            f"{path}: init_lora_weights {begun!r} changes the base's weights; expected an adapter for the base as it is"
        )
    return settings


def _taken(
    foreign: dict[str, Tensor],
    name: str,
    kind: str,
    widths: tuple[int, int],
    config: LoRAConfig,
    path: Path,
) -> Tensor:
    """Return a tensor of a linear map of theirs, zeros where it has no pair.

    Args:
        foreign: all tensors.
        name: theirs, of the map.
        kind: ours, of the tensor.
        widths: numbers that the map takes and gives.
        config: the adapter's.
        path: where they are from.
    """
    shape = {
        "lora_a": (config.rank, widths[0]),
        "lora_b": (widths[1], config.rank),
        "lora_magnitude": (widths[1],),
    }[kind]
    key = _key(name, kind)
    if key not in foreign:
        has_others = any(_key(name, other) in foreign for other in _ENDINGS)
        if (
            has_others or config.dora
        ):  # a length that is left out is that of the base's rows, which are not here
            raise ArtifactError(f"{path}: tensor {key} is missing")
        return torch.zeros(shape)
    if foreign[key].shape != shape:
        raise ArtifactError(f"{path}: tensor {key} has shape {tuple(foreign[key].shape)}, expected {shape}")
    return foreign[key]


def _maps(family: Family, model: ModelConfig) -> Iterator[_Map]:
    """Yield the linear maps of the blocks that a family has."""
    theirs_of = {ours: theirs for theirs, ours in family.tensors.items()}
    C, hidden = model.n_embd, model.ffn_hidden
    queries, keys = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    widths: dict[Target, tuple[int, ...]] = {
        "qkv": (C, queries, keys, keys),
        "out": (queries, C),
        "up": (C, hidden),
        "gate": (C, hidden),
        "down": (hidden, C),
    }
    factor = math.sqrt(model.head_dim) if family.unscaled else 1.0
    for i in range(model.n_layer):
        for target, place in PLACES.items():
            width, *given = widths[target]
            one = theirs_of.get(f"blocks.{{i}}.{place}.weight")
            if one is not None:
                names, given = [one], [sum(given)]
            elif target == "qkv":
                names = [family.qkv.replace("{part}", part).replace("{kind}", "weight") for part in "qkv"]
            else:
                continue
            theirs = tuple(family.prefix + name.format(i=i).removesuffix(".weight") for name in names)
            yield _Map(target, i, f"blocks.{i}.{place}", theirs, width, tuple(given), model, factor)


def _target_modules(maps: Iterator[_Map], ours: set[str]) -> list[str]:
    """Return what PEFT finds the adapted maps by: last names, with what stands before where others have them too."""
    described_of = list(maps)  # the last block has one whichever have
    last_block = [described for described in described_of if described.layer == described_of[-1].layer]
    is_adapted = {
        name.partition(f".{described.layer}.")[2]: described.ours in ours
        for described in last_block
        for name in described.theirs
    }
    last = {name: name.rpartition(".")[2] for name in is_adapted}
    others = {last[name] for name, adapted in is_adapted.items() if not adapted}
    return sorted(
        {name if last[name] in others else last[name] for name, adapted in is_adapted.items() if adapted}
    )
