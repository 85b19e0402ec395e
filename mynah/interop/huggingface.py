"""Read and write Hugging Face model directories."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.families import FAMILIES, Family
from mynah.model.attention import join_heads, split_heads
from mynah.model.config import ModelConfig
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.model.weights import load_tensors, model_tensors, read_tensors
from mynah.tokenizer.foreign import CHAT_TEMPLATE, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG
from mynah.tokenizer.tokenizer import Tokenizer

#: Ours; theirs are apart, or one after another.
_QKV = "blocks.{i}.attention.query_key_value.{kind}"
#: Fields that say how a model begins or is trained, not what it computes.
_NOT_SAID = {"init", "dropout"}


def from_hugging_face(directory: Path) -> tuple[Transformer, Tokenizer]:
    """Read a directory's model and tokenizer.

    Raises:
        ArtifactError: if files are missing, the tensors are not those of the config, or the tokenizer has tokens that
            the model has no row for.
        ConfigError: if the family is not one of `FAMILIES`.
    """
    tokenizer = Tokenizer.load(directory)
    config, tensors = read_hugging_face(directory)
    if tokenizer.vocab_size > config.vocab_size:
        raise ArtifactError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size:,} tokens, the model {config.vocab_size:,}; "
            "expected the tokenizer that it was trained with"
        )
    model = Transformer(config)
    load_tensors(model, tensors, directory)
    return model.eval(), tokenizer


def read_hugging_face(directory: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return a directory's config and float32 tensors under Mynah's names.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    config, family = _read_config(directory)
    try:
        return config, _from_foreign(_read_weights(directory), family, config)
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ArtifactError(
            f"{directory}: a tensor is missing, or of another kind or shape: {error}"
        ) from None


def read_config(directory: Path) -> ModelConfig:
    """Return a directory's config.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    return _read_config(directory)[0]


def read_family(directory: Path) -> Family:
    """Return the family of a directory's model.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    return _read_config(directory)[1]


def _read_config(directory: Path) -> tuple[ModelConfig, Family]:
    path = directory / "config.json"
    if not path.is_file():
        raise ArtifactError(f"{directory}: no config.json; expected a Hugging Face model directory")
    foreign = artifacts.read_json(path)
    name = foreign.get("model_type") if isinstance(foreign, dict) else None
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ConfigError(f"{directory}: model_type {name!r}; Mynah reads {known}")
    if (quantized := foreign.get("quantization_config")) is not None:
        kind = quantized.get("quant_method", "quantized") if isinstance(quantized, dict) else "quantized"
        raise ConfigError(f"{directory}: weights are {kind}; expected them in float32, float16 or bfloat16")
    family = FAMILIES[name]
    try:
        return build_config(ModelConfig, family.read(foreign, directory), str(path)), family
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: a key is missing, or of another kind: {error}") from None


def to_hugging_face(model: Transformer, tokenizer: Tokenizer, directory: Path, *, talks: bool = True) -> None:
    """Write a model and its tokenizer as a directory that `transformers` reads.

    Args:
        model: of a make that one of `FAMILIES` can say.
        tokenizer: the one it was trained with.
        directory: new, or empty; it is there when it is whole.
        talks: whether it was fine-tuned on conversations: only then its chat template goes with it.

    Raises:
        ConfigError: if no family can say what the model computes; what stands against it is named.
        ArtifactError: if the directory holds something, or cannot be written.
    """
    family = family_of(model.config)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArtifactError(f"{directory}: holds something already; name a new folder")
    control = tokenizer.control
    settings = {
        "model_type": family.name,
        "architectures": [family.architecture],
        "dtype": "float32",
        "bos_token_id": control.bos,
        "eos_token_id": control.end,
        **family.write(model.config),
    }
    tensors = {n: t.detach().cpu() for n, t in _to_foreign(model_tensors(model), family, model.config)}
    with artifacts.new_directory(directory, Manifest("export", "", __version__, {}, {}, 0)) as partial:
        tokenizer.save(partial, talks=talks)
        artifacts.write_json(partial / "config.json", settings)
        write_tensors(partial / "model.safetensors", tensors)


def family_of(config: ModelConfig) -> Family:
    """Return the family that computes what a config says.

    A family can say it if the config comes back the same from what the family writes of it.

    Raises:
        ConfigError: if none can; what stands against the nearest is named.
    """
    if config.prior:
        raise ConfigError(
            "the model goes on from an n-gram model, which no other program can run; "
            "build one without to export it: mynah build ... --prior none"
        )
    unsaid = {name: _lost(config, family) for name, family in FAMILIES.items()}
    nearest = min(unsaid, key=lambda name: len(unsaid[name]))
    if unsaid[nearest]:
        named = ", ".join(f"{field} {value!r}" for field, value in unsaid[nearest].items())
        raise ConfigError(
            f"no model of transformers has {named} (the nearest is {nearest!r}); "
            "for a model that can be exported: mynah build ... --size gpt2"
        )
    return FAMILIES[nearest]


def _lost(config: ModelConfig, family: Family) -> dict[str, Any]:
    """Return the fields of a config, and their values, that do not come back from what a family writes of it."""
    said = json.loads(json.dumps(family.write(config)))
    read = family.read(said, Path("config.json"))
    left_out = set(_NOT_SAID)
    try:
        again = ModelConfig(**read)
    except ValueError:  # it has no word for a head's width, and cannot be of the one that it works out
        again = ModelConfig(**{**read, "n_head": 1, "n_kv_head": 1, "head_dim": 2})
        left_out |= {"n_head", "n_kv_head"}
    # Fields that are left to their defaults mean what they are worked out to.
    filled = {"qkv_bias": "bias_of_qkv", "windows": "layer_windows"}
    lost = {}
    for field in ModelConfig.model_fields:
        name = filled.get(field, field)
        if field not in left_out and getattr(config, name) != getattr(again, name):
            lost[field] = getattr(config, name)
    return lost


def _read_weights(directory: Path) -> dict[str, Tensor]:
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(artifacts.read_json(index)["weight_map"].values()))
    else:
        shards = ["model.safetensors"]
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors |= read_tensors(directory / shard)
    return {name: tensor.float() for name, tensor in tensors.items()}


def _from_foreign(foreign: dict[str, Tensor], family: Family, config: ModelConfig) -> dict[str, Tensor]:
    foreign = {name.removeprefix(family.prefix): t for name, t in foreign.items()}
    tensors = {}
    for theirs, ours in _names(family, config):
        if (tensor := foreign.get(theirs)) is not None:
            tensors[ours] = _turned(tensor, ours, family)
    queries, keys = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
    for ours, i in _joined(config):
        if family.qkv:
            q, k, v = (foreign[family.qkv.format(i=i, part=part)] for part in "qkv")
        else:
            q, k, v = torch.split(tensors[ours], [queries, keys, keys])
        scaled = q * math.sqrt(config.head_dim) if family.unscaled else q
        tensors[ours] = join_heads(scaled, k, v, config.head_dim)
    if not config.tie_embeddings:
        tensors["head.weight"] = foreign["lm_head.weight"]
    return tensors


def _to_foreign(tensors: dict[str, Tensor], family: Family, config: ModelConfig) -> list[tuple[str, Tensor]]:
    tensors, made = dict(tensors), []
    for ours, i in _joined(config):
        q, k, v = split_heads(tensors[ours], config.n_kv_head, config.head_dim)
        if family.qkv:
            scaled = q / math.sqrt(config.head_dim) if family.unscaled else q
            for part, tensor in (("q", scaled), ("k", k), ("v", v)):
                made.append((family.prefix + family.qkv.format(i=i, part=part), tensor.contiguous()))
        else:
            tensors[ours] = torch.cat((q, k, v))
    for theirs, ours in _names(family, config):
        made.append((family.prefix + theirs, _turned(tensors[ours], ours, family)))
    if not config.tie_embeddings:
        made.append(("lm_head.weight", tensors["head.weight"]))
    return made


def _joined(config: ModelConfig) -> list[tuple[str, int]]:
    """Return our names of the tensors that hold queries, keys and values, each with its layer."""
    kinds = ("weight", "bias") if config.bias_of_qkv else ("weight",)
    return [(_QKV.format(i=i, kind=kind), i) for i in range(config.n_layer) for kind in kinds]


def _names(family: Family, config: ModelConfig) -> list[tuple[str, str]]:
    """Return pairs (theirs without prefix, ours) of all tensors that have one name each."""
    return [
        (theirs.format(i=i), ours.format(i=i))
        for theirs, ours in family.tensors.items()
        for i in range(config.n_layer if "{i}" in theirs else 1)
    ]


def _turned(tensor: Tensor, ours: str, family: Family) -> Tensor:
    turned = family.transposed and tensor.ndim == 2 and ours.startswith("blocks.")
    return tensor.T.contiguous() if turned else tensor


def hash_of_directory(base: Path) -> str:
    """Return a hash over the files of a base directory that decide what is loaded."""
    names = ["config.json", TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE]
    files = [base / name for name in names] + sorted(base.glob("*.safetensors"))
    return artifacts.sha256_of_json(
        {path.name: artifacts.sha256_of_file(path) for path in files if path.is_file()}
    )
