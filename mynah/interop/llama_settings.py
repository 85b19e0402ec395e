"""Settings of Llama and of those made like it, as Hugging Face writes them to config.json, both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mynah.errors import ConfigError
from mynah.interop.rope_settings import Settings, read_rope, read_ropes, write_rope
from mynah.model.config import ModelConfig

_DENSE, _BANDED = "full_attention", "sliding_attention"


def read_llama(foreign: Settings, path: Path) -> Settings:
    """Return the fields of a ModelConfig that a Llama's config.json says.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    _expect(foreign, path, "hidden_act", "silu", "swish")
    return _read_shape(foreign, path) | read_rope(foreign, path) | {"mlp": "swiglu"}


def write_llama(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a Llama."""
    return _write_shape(config) | {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def read_qwen2(foreign: Settings, path: Path) -> Settings:
    """Return the same of a Qwen2 or Qwen2.5: queries, keys and values have biases.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    return read_llama(foreign, path) | {"qkv_bias": True, "windows": _read_qwen_windows(foreign, path)}


def write_qwen2(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a Qwen2."""
    return _write_shape(config) | {"hidden_act": "silu"} | _write_qwen_windows(config)


def read_qwen3(foreign: Settings, path: Path) -> Settings:
    """Return the same of a Qwen3: queries and keys are normalised.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    # Unlike Llama's, its heads have a width of their own where none is named.
    settings = read_llama({"head_dim": 128, **foreign}, path)
    return settings | {"qk_norm": True, "windows": _read_qwen_windows(foreign, path)}


def write_qwen3(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a Qwen3."""
    return write_qwen2(config) | {"attention_bias": False}


def read_mistral(foreign: Settings, path: Path) -> Settings:
    """Return the same of a Mistral: all layers have the same window, or none.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    return read_llama(foreign, path) | {"windows": [foreign.get("sliding_window", 4096) or 0]}


def write_mistral(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a Mistral."""
    window = max(config.layer_windows) or None
    return _write_shape(config) | {"hidden_act": "silu", "sliding_window": window}


def read_smollm3(foreign: Settings, path: Path) -> Settings:
    """Return the same of a SmolLM3: some layers have no rotary positions.

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    n_layer, every = foreign["num_hidden_layers"], foreign.get("no_rope_layer_interval", 4)
    turned = foreign.get("no_rope_layers") or [(i + 1) % every != 0 for i in range(n_layer)]  # 1: has them
    if len(turned) < n_layer:
        raise ConfigError(f"{path}: no_rope_layers: expected one number for each of {n_layer} layers")
    turned = [bool(one) for one in turned[:n_layer]]
    windows = [0]
    if foreign.get("use_sliding_window") and foreign.get("sliding_window"):
        windows = _read_windows(foreign, path, foreign["sliding_window"], lambda layer: not turned[layer])
    settings = read_llama({"tie_word_embeddings": True, **foreign}, path)
    return settings | read_rope(foreign, path, 2e6) | {"rotary_layers": turned, "windows": windows}


def write_smollm3(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a SmolLM3."""
    settings = write_llama(config) | _write_qwen_windows(config)
    # The number that it fills texts up with is beyond a small vocabulary, if none is named.
    return settings | {"no_rope_layers": list(map(int, config.layers_rotary)), "pad_token_id": None}


def read_gemma3(foreign: Settings, path: Path) -> Settings:
    """Return the same of a Gemma 3 of text alone (Gemma Team 2025, section 2).

    Raises:
        ConfigError: if it says what Mynah does not compute.
    """
    _expect(foreign, path, "hidden_activation", "gelu_pytorch_tanh")
    for name in ("attn_logit_softcapping", "use_bidirectional_attention"):
        if foreign.get(name):
            raise ConfigError(f"{path}: {name} {foreign[name]} is not supported")
    every = foreign.get("sliding_window_pattern", 6)
    windows = _read_windows(
        foreign, path, foreign.get("sliding_window", 4096), lambda layer: (layer + 1) % every != 0
    )
    shape = _read_shape({"head_dim": 256, "tie_word_embeddings": True, **foreign}, path)
    return (
        shape
        | read_ropes(foreign, path, 1e6, 1e4)
        | {
            "mlp": "geglu_tanh",
            "windows": windows,
            "qk_norm": True,
            "post_norm": True,
            "scale_embeddings": True,
            "query_pre_attn_scalar": foreign.get("query_pre_attn_scalar", 256),
            "logit_softcap": foreign.get("final_logit_softcapping") or 0.0,
        }
    )


def write_gemma3(config: ModelConfig) -> Settings:
    """Return what config.json says of it as a Gemma 3."""
    return _write_shape(config) | {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": round(config.score_divisor),
        "final_logit_softcapping": config.logit_softcap or None,
        "attn_logit_softcapping": None,
        "pad_token_id": None,
        **_write_windows(config),
    }


def _read_shape(foreign: Settings, path: Path) -> Settings:
    """Return what all of them have, as far as it goes by the same names."""
    for name in ("attention_bias", "mlp_bias"):
        if foreign.get(name):
            raise ConfigError(f"{path}: biases ({name}) are not supported")
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
        "norm": "rms",
        "norm_eps": foreign.get("rms_norm_eps", 1e-6),
        "tie_embeddings": foreign.get("tie_word_embeddings", False),
    }


def _write_shape(config: ModelConfig) -> Settings:
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "hidden_size": config.n_embd,
        "head_dim": config.head_dim,
        "intermediate_size": config.ffn_hidden,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        **write_rope(config),
    }


def _expect(foreign: Settings, path: Path, name: str, *known: str) -> None:
    """Refuse an activation other than those known, of which the first is what is meant where none is named."""
    if (activation := foreign.get(name, known[0])) not in known:
        raise ConfigError(f"{path}: activation {activation!r} is not known; expected {known[0]}")


def _read_windows(foreign: Settings, path: Path, window: Any, banded: Callable[[int], bool]) -> list[int]:
    """Return the window of each layer, 0 of those that see all.

    Args:
        foreign: config.json.
        path: it comes from, for errors.
        window: of those that have one, tokens.
        banded: whether a layer has one, where config.json has no `layer_types`.

    Raises:
        ConfigError: if layers are of other kinds, or have a window of no width.
    """
    n_layer = foreign["num_hidden_layers"]
    kinds = foreign.get("layer_types") or [_BANDED if banded(i) else _DENSE for i in range(n_layer)]
    if set(kinds) - {_DENSE, _BANDED} or len(kinds) != n_layer:
        raise ConfigError(f"{path}: layer_types: expected {_DENSE} or {_BANDED} for each of {n_layer} layers")
    if _BANDED in kinds and not window:
        raise ConfigError(f"{path}: sliding_window {window!r}: expected a number of tokens for {_BANDED}")
    return [window if kind == _BANDED else 0 for kind in kinds]


def _write_windows(config: ModelConfig) -> Settings:
    # There is one width for all layers that have one.
    return {
        "sliding_window": max(config.layer_windows) or None,
        "layer_types": [_BANDED if window else _DENSE for window in config.layer_windows],
    }


def _read_qwen_windows(foreign: Settings, path: Path) -> list[int]:
    """Return the windows of a Qwen, which has them if `use_sliding_window` says so, from some layer on."""
    if not foreign.get("use_sliding_window"):
        return [0]
    first = foreign.get("max_window_layers", 28)
    return _read_windows(foreign, path, foreign.get("sliding_window", 4096), lambda layer: layer >= first)


def _write_qwen_windows(config: ModelConfig) -> Settings:
    if not any(config.layer_windows):
        return {"use_sliding_window": False}
    return {"use_sliding_window": True, **_write_windows(config)}
