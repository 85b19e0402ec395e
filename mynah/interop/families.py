"""What Hugging Face calls the parts of GPT-2, GPT-Neo, Llama and Qwen3: names of tensors and settings, both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig

Settings = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """A family of models, as Hugging Face writes it to a directory."""

    #: `model_type` of config.json
    name: str
    #: the class in `transformers`
    architecture: str
    #: before the names of all tensors but the head
    prefix: str
    #: foreign name -> ours; `{i}` is the layer
    tensors: dict[str, str]
    #: foreign names of queries, keys and values where they are apart, `{part}` being q, k or v; "" where they are one
    qkv: str
    #: from config.json to the fields of ModelConfig; the path is for errors
    read: Callable[[Settings, Path], Settings]
    #: from a ModelConfig to config.json; what the family has no word for is left out
    write: Callable[[ModelConfig], Settings]
    #: whether the matrices of the blocks are (in, out), not (out, in) as torch has them
    transposed: bool = False
    #: whether attention is without the division by the square root of a head's width, which queries here make up for
    unscaled: bool = False


def _activation(foreign: Settings, path: Path) -> str:
    activation = foreign.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise ConfigError(f"{path}: activation {activation!r} is not known")
    return "gelu" if activation == "gelu" else "gelu_tanh"


def _read_gpt2(foreign: Settings, path: Path) -> Settings:
    for name, known in (("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False)):
        if foreign.get(name, known) is not known:
            raise ConfigError(f"{path}: {name} {foreign[name]}; Mynah computes GPT-2 with {known} alone")
    return {
        "vocab_size": foreign["vocab_size"],
        "context_length": foreign["n_positions"],
        "n_layer": foreign["n_layer"],
        "n_head": foreign["n_head"],
        "n_embd": foreign["n_embd"],
        "ffn_hidden": foreign.get("n_inner"),
        "positions": "learned",
        "norm": "layer",
        "norm_eps": foreign.get("layer_norm_epsilon", 1e-5),
        "mlp": _activation(foreign, path),
        "bias": True,
        "tie_embeddings": foreign.get("tie_word_embeddings", True),
    }


def _write_gpt2(config: ModelConfig) -> Settings:
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "n_inner": config.ffn_hidden,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": "gelu" if config.mlp == "gelu" else "gelu_new",
        "tie_word_embeddings": config.tie_embeddings,
        "attn_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
    }


def _read_gpt_neo(foreign: Settings, path: Path) -> Settings:
    try:
        kinds = [kind for pattern, times in foreign["attention_types"] for kind in list(pattern) * times]
    except ValueError:
        kinds = []
    if set(kinds) - {"global", "local"} or len(kinds) != foreign["num_layers"]:
        raise ConfigError(f"{path}: attention_types: expected global or local for each of num_layers layers")
    return {
        "vocab_size": foreign["vocab_size"],
        "context_length": foreign["max_position_embeddings"],
        "n_layer": foreign["num_layers"],
        "n_head": foreign["num_heads"],
        "n_embd": foreign["hidden_size"],
        "ffn_hidden": foreign.get("intermediate_size"),
        "positions": "learned",
        "norm": "layer",
        "norm_eps": foreign.get("layer_norm_epsilon", 1e-5),
        "mlp": _activation(foreign, path),
        "bias": True,
        "qkv_bias": False,
        "windows": [foreign["window_size"] if kind == "local" else 0 for kind in kinds],
        "tie_embeddings": foreign.get("tie_word_embeddings", True),
    }


def _write_gpt_neo(config: ModelConfig) -> Settings:
    windows = config.layer_windows
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "num_layers": config.n_layer,
        "num_heads": config.n_head,
        "hidden_size": config.n_embd,
        "intermediate_size": config.ffn_hidden,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": "gelu" if config.mlp == "gelu" else "gelu_new",
        # There is one width for all layers that have one.
        "window_size": max(windows) or config.context_length,
        "attention_types": [[["local" if window else "global"], 1] for window in windows],
        "tie_word_embeddings": config.tie_embeddings,
        "attention_dropout": config.dropout,
        "embed_dropout": config.dropout,
        "resid_dropout": config.dropout,
    }


def _read_llama(foreign: Settings, path: Path) -> Settings:
    rope = foreign.get("rope_parameters") or {}
    scaling = foreign.get("rope_scaling") or rope
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default":
        raise ConfigError(f"{path}: rotary scaling {kind!r} is not supported")
    if (activation := foreign.get("hidden_act", "silu")) not in ("silu", "swish"):
        raise ConfigError(f"{path}: activation {activation!r} is not known; expected silu")
    if foreign.get("attention_bias") or foreign.get("mlp_bias"):
        raise ConfigError(f"{path}: biases are not supported")
    return {
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


def _write_llama(config: ModelConfig) -> Settings:
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "hidden_size": config.n_embd,
        "head_dim": config.head_dim,
        "intermediate_size": config.ffn_hidden,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
        "mlp_bias": False,
    }


def _read_qwen3(foreign: Settings, path: Path) -> Settings:
    if foreign.get("use_sliding_window"):
        raise ConfigError(f"{path}: sliding windows are not supported")
    # Unlike Llama's, its heads have a width of their own where none is named.
    return _read_llama({"head_dim": 128, **foreign}, path) | {"qk_norm": True}


def _write_qwen3(config: ModelConfig) -> Settings:
    settings = _write_llama(config) | {"use_sliding_window": False}
    del settings["mlp_bias"]
    return settings


_LLAMA = {
    "embed_tokens.weight": "embed.weight",
    "norm.weight": "norm.weight",
    "layers.{i}.input_layernorm.weight": "blocks.{i}.norm1.weight",
    "layers.{i}.post_attention_layernorm.weight": "blocks.{i}.norm2.weight",
    "layers.{i}.self_attn.o_proj.weight": "blocks.{i}.attention.out.weight",
    "layers.{i}.mlp.gate_proj.weight": "blocks.{i}.mlp.gate.weight",
    "layers.{i}.mlp.up_proj.weight": "blocks.{i}.mlp.up.weight",
    "layers.{i}.mlp.down_proj.weight": "blocks.{i}.mlp.down.weight",
}
_BEGIN_AND_NORMS = {
    "wte.weight": "embed.weight",
    "wpe.weight": "position.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
    "h.{i}.ln_1.weight": "blocks.{i}.norm1.weight",
    "h.{i}.ln_1.bias": "blocks.{i}.norm1.bias",
    "h.{i}.ln_2.weight": "blocks.{i}.norm2.weight",
    "h.{i}.ln_2.bias": "blocks.{i}.norm2.bias",
    "h.{i}.mlp.c_fc.weight": "blocks.{i}.mlp.up.weight",
    "h.{i}.mlp.c_fc.bias": "blocks.{i}.mlp.up.bias",
    "h.{i}.mlp.c_proj.weight": "blocks.{i}.mlp.down.weight",
    "h.{i}.mlp.c_proj.bias": "blocks.{i}.mlp.down.bias",
}

FAMILIES = {
    family.name: family
    for family in (
        Family(
            "gpt2",
            "GPT2LMHeadModel",
            "transformer.",
            _BEGIN_AND_NORMS
            | {
                "h.{i}.attn.c_attn.weight": "blocks.{i}.attention.query_key_value.weight",
                "h.{i}.attn.c_attn.bias": "blocks.{i}.attention.query_key_value.bias",
                "h.{i}.attn.c_proj.weight": "blocks.{i}.attention.out.weight",
                "h.{i}.attn.c_proj.bias": "blocks.{i}.attention.out.bias",
            },
            qkv="",
            read=_read_gpt2,
            write=_write_gpt2,
            transposed=True,
        ),
        Family(
            "gpt_neo",
            "GPTNeoForCausalLM",
            "transformer.",
            _BEGIN_AND_NORMS
            | {
                "h.{i}.attn.attention.out_proj.weight": "blocks.{i}.attention.out.weight",
                "h.{i}.attn.attention.out_proj.bias": "blocks.{i}.attention.out.bias",
            },
            qkv="h.{i}.attn.attention.{part}_proj.weight",
            read=_read_gpt_neo,
            write=_write_gpt_neo,
            unscaled=True,
        ),
        Family(
            "llama",
            "LlamaForCausalLM",
            "model.",
            _LLAMA,
            qkv="layers.{i}.self_attn.{part}_proj.weight",
            read=_read_llama,
            write=_write_llama,
        ),
        Family(
            "qwen3",
            "Qwen3ForCausalLM",
            "model.",
            _LLAMA
            | {
                "layers.{i}.self_attn.q_norm.weight": "blocks.{i}.attention.q_scale",
                "layers.{i}.self_attn.k_norm.weight": "blocks.{i}.attention.k_scale",
            },
            qkv="layers.{i}.self_attn.{part}_proj.weight",
            read=_read_qwen3,
            write=_write_qwen3,
        ),
    )
}
