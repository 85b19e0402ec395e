"""Read a Hugging Face model directory: GPT-2 and Llama families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mynah import artifacts
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import load_tensors, read_tensors
from mynah.tokenizer.tokenizer import Tokenizer

# foreign name -> ours; `{i}` is the layer
_GPT2_NAMES = {
    "wte.weight": "embed.weight",
    "wpe.weight": "position.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
    "h.{i}.ln_1.weight": "blocks.{i}.norm1.weight",
    "h.{i}.ln_1.bias": "blocks.{i}.norm1.bias",
    "h.{i}.ln_2.weight": "blocks.{i}.norm2.weight",
    "h.{i}.ln_2.bias": "blocks.{i}.norm2.bias",
    "h.{i}.attn.c_attn.weight": "blocks.{i}.attention.qkv.weight",
    "h.{i}.attn.c_attn.bias": "blocks.{i}.attention.qkv.bias",
    "h.{i}.attn.c_proj.weight": "blocks.{i}.attention.out.weight",
    "h.{i}.attn.c_proj.bias": "blocks.{i}.attention.out.bias",
    "h.{i}.mlp.c_fc.weight": "blocks.{i}.mlp.up.weight",
    "h.{i}.mlp.c_fc.bias": "blocks.{i}.mlp.up.bias",
    "h.{i}.mlp.c_proj.weight": "blocks.{i}.mlp.down.weight",
    "h.{i}.mlp.c_proj.bias": "blocks.{i}.mlp.down.bias",
}
_LLAMA_NAMES = {
    "embed_tokens.weight": "embed.weight",
    "norm.weight": "norm.weight",
    "layers.{i}.input_layernorm.weight": "blocks.{i}.norm1.weight",
    "layers.{i}.post_attention_layernorm.weight": "blocks.{i}.norm2.weight",
    "layers.{i}.self_attn.o_proj.weight": "blocks.{i}.attention.out.weight",
    "layers.{i}.mlp.gate_proj.weight": "blocks.{i}.mlp.gate.weight",
    "layers.{i}.mlp.up_proj.weight": "blocks.{i}.mlp.up.weight",
    "layers.{i}.mlp.down_proj.weight": "blocks.{i}.mlp.down.weight",
}
_QKV = "layers.{i}.self_attn.{part}_proj.weight"


def load_hugging_face(directory: Path) -> tuple[Transformer, Tokenizer]:
    """Read a directory's model and tokenizer; control tokens it lacks are added to both.

    New rows of the embedding and the head begin as the mean of the old ones.

    Raises:
        ArtifactError: if files are missing or the tensors are not those of the config.
        ConfigError: if the family is neither GPT-2 nor Llama.
    """
    tokenizer = Tokenizer.from_hugging_face(directory)
    config, tensors = read_hugging_face(directory)
    if tokenizer.vocab_size > config.vocab_size:
        added = tokenizer.vocab_size - config.vocab_size
        for name in ("embed.weight", "head.weight"):
            if name in tensors:
                mean = tensors[name].mean(dim=0, keepdim=True)
                tensors[name] = torch.cat((tensors[name], mean.expand(added, -1)))
        config = config.model_copy(update={"vocab_size": tokenizer.vocab_size})
    model = Transformer(config)
    load_tensors(model, tensors, directory)
    return model.eval(), tokenizer


def read_hugging_face(directory: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return a directory's config and float32 tensors under Mynah's names.

    Raises:
        ArtifactError, ConfigError: as `load_hugging_face`.
    """
    if not (directory / "config.json").is_file():
        raise ArtifactError(f"{directory}: no config.json; expected a Hugging Face model directory")
    foreign = artifacts.read_json(directory / "config.json")
    family = foreign.get("model_type") if isinstance(foreign, dict) else None
    try:
        if family == "gpt2":
            config = _gpt2_config(foreign, directory)
            return config, _gpt2_tensors(_read_weights(directory), config)
        if family == "llama":
            config = _llama_config(foreign, directory)
            return config, _llama_tensors(_read_weights(directory), config, directory)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{directory}: a key or tensor is missing or of another kind: {error}") from None
    raise ConfigError(f"{directory}: model_type {family!r}; Mynah reads 'gpt2' and 'llama'")


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


def _gpt2_config(foreign: dict[str, Any], directory: Path) -> ModelConfig:
    activation = foreign.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise ConfigError(f"{directory}: activation {activation!r} is not known")
    values = {
        "vocab_size": foreign["vocab_size"],
        "context_length": foreign["n_positions"],
        "n_layer": foreign["n_layer"],
        "n_head": foreign["n_head"],
        "n_embd": foreign["n_embd"],
        "ffn_hidden": foreign.get("n_inner"),
        "positions": "learned",
        "norm": "layer",
        "norm_eps": foreign.get("layer_norm_epsilon", 1e-5),
        "mlp": "gelu" if activation == "gelu" else "gelu_tanh",
        "bias": True,
        "tie_embeddings": foreign.get("tie_word_embeddings", True),
    }
    return build_config(ModelConfig, values, str(directory / "config.json"))


def _gpt2_tensors(foreign: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    foreign = {name.removeprefix("transformer."): t for name, t in foreign.items()}
    tensors = _rename(foreign, _GPT2_NAMES, config.n_layer)
    for name, tensor in tensors.items():
        # GPT-2 keeps its linear layers as (in, out); torch has (out, in).
        if tensor.ndim == 2 and name.startswith("blocks."):
            tensors[name] = tensor.T.contiguous()
    if not config.tie_embeddings:
        tensors["head.weight"] = foreign["lm_head.weight"]
    return tensors


def _llama_config(foreign: dict[str, Any], directory: Path) -> ModelConfig:
    rope = foreign.get("rope_parameters") or {}
    scaling = foreign.get("rope_scaling") or rope
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default":
        raise ConfigError(f"{directory}: rotary scaling {kind!r} is not supported")
    if foreign.get("attention_bias") or foreign.get("mlp_bias"):
        raise ConfigError(f"{directory}: Llama with biases is not supported")
    values = {
        "vocab_size": foreign["vocab_size"],
        "context_length": foreign["max_position_embeddings"],
        "n_layer": foreign["num_hidden_layers"],
        "n_head": foreign["num_attention_heads"],
        "n_kv_head": foreign.get("num_key_value_heads"),
        "n_embd": foreign["hidden_size"],
        "head_dim": foreign.get("head_dim"),
        "ffn_hidden": foreign["intermediate_size"],
        "positions": "rotary",
        "rope_theta": rope.get("rope_theta", foreign.get("rope_theta", 10_000.0)),
        "norm": "rms",
        "norm_eps": foreign.get("rms_norm_eps", 1e-6),
        "mlp": "swiglu",
        "tie_embeddings": foreign.get("tie_word_embeddings", False),
    }
    return build_config(ModelConfig, values, str(directory / "config.json"))


def _llama_tensors(foreign: dict[str, Tensor], config: ModelConfig, directory: Path) -> dict[str, Tensor]:
    foreign = {name.removeprefix("model."): t for name, t in foreign.items()}
    tensors = _rename(foreign, _LLAMA_NAMES, config.n_layer)
    for i in range(config.n_layer):
        try:
            parts = [foreign[_QKV.format(i=i, part=part)] for part in "qkv"]
        except KeyError as error:
            raise ArtifactError(f"{directory}: tensor {error} is missing") from None
        tensors[f"blocks.{i}.attention.qkv.weight"] = torch.cat(parts)
    if not config.tie_embeddings:
        tensors["head.weight"] = foreign["lm_head.weight"]
    return tensors


def _rename(foreign: dict[str, Tensor], names: dict[str, str], n_layer: int) -> dict[str, Tensor]:
    renamed = {}
    for theirs, ours in names.items():
        for i in range(n_layer if "{i}" in theirs else 1):
            if (tensor := foreign.get(theirs.format(i=i))) is not None:
                renamed[ours.format(i=i)] = tensor
    return renamed


def hash_of_directory(base: Path) -> str:
    """Return a hash over the files of a base directory that decide what is loaded."""
    names = ["config.json", "tokenizer.json", "tokenizer_config.json"]
    files = [base / name for name in names] + sorted(base.glob("*.safetensors"))
    return artifacts.sha256_of_json(
        {path.name: artifacts.sha256_of_file(path) for path in files if path.is_file()}
    )
