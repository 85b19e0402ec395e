"""Settings of GPT-2 and GPT-Neo as Hugging Face writes them to config.json, both ways."""

from __future__ import annotations

from pathlib import Path

from mynah.errors import ConfigError
from mynah.interop.rope_settings import Settings
from mynah.model.config import ModelConfig


def _activation(foreign: Settings, path: Path) -> str:
    activation = foreign.get("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh", "gelu"):
        raise ConfigError(f"{path}: activation {activation!r} is not known")
    return "gelu" if activation == "gelu" else "gelu_tanh"


def read_gpt2(foreign: Settings, path: Path) -> Settings:
    """Return the fields of a ModelConfig that a GPT-2's config.json says.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
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


def write_gpt2(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a GPT-2."""
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


def read_gpt_neo(foreign: Settings, path: Path) -> Settings:
    """Return the fields of a ModelConfig that a GPT-Neo's config.json says.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
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


def write_gpt_neo(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a GPT-Neo."""
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
