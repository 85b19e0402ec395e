"""Families and sizes, as data.

A preset leaves out the vocabulary: that comes from the tokenizer. GPT-3's eight sizes are those of table 2.1
of Brown et al. 2020; its heads are taken at their word where they disagree with the width (24 of 128 in 2,048 for XL,
which makes 1.52 billion parameters of its 1.3, and 40 of 128 in 5,140 for 13B). Below them stand small ones of the same
make. The paper does not give the width of its locally banded attention; 256 tokens is used here, in every second
layer, the first dense.
"""

from __future__ import annotations

import difflib
from typing import Any

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig

_GPT2: dict[str, Any] = {
    "context_length": 1024,
    "positions": "learned",
    "norm": "layer",
    "mlp": "gelu_tanh",
    "bias": True,
    "tie_embeddings": True,
    "init": "gpt2",
}
_GPT3: dict[str, Any] = _GPT2 | {"context_length": 2048, "windows": (0, 256)}
#: Black et al. 2021: GPT-3's make, with queries, keys and values without biases.
_GPT_NEO: dict[str, Any] = _GPT3 | {"qkv_bias": False}
_LLAMA: dict[str, Any] = {
    "positions": "rotary",
    "norm": "rms",
    "mlp": "swiglu",
    "tie_embeddings": False,
    "init": "gpt2",
}
_QWEN3: dict[str, Any] = _LLAMA | {
    "context_length": 40_960,
    "rope_theta": 1e6,
    "norm_eps": 1e-6,
    "qk_norm": True,
    "head_dim": 128,
    "tie_embeddings": True,
}
_MYNAH: dict[str, Any] = {
    "context_length": 256,
    "positions": "rotary",
    "norm": "rms",
    "norm_weight": False,
    "mlp": "relu2",
    "qk_norm": True,
    "tie_embeddings": False,
    "value_embeddings": True,
    "bigram_buckets": 20_480,
    "init": "zero_out",
}


def _shape(n_layer: int, n_embd: int, n_head: int, **more: Any) -> dict[str, Any]:
    return {"n_layer": n_layer, "n_embd": n_embd, "n_head": n_head, **more}


PRESETS: dict[str, dict[str, Any]] = {
    # GPT-2 (Radford et al. 2019)
    "gpt2": _GPT2 | _shape(12, 768, 12),
    "gpt2-medium": _GPT2 | _shape(24, 1024, 16),
    "gpt2-large": _GPT2 | _shape(36, 1280, 20),
    "gpt2-xl": _GPT2 | _shape(48, 1600, 25),
    # GPT-3 (Brown et al. 2020, table 2.1)
    "gpt3-small": _GPT3 | _shape(12, 768, 12),
    "gpt3-medium": _GPT3 | _shape(24, 1024, 16),
    "gpt3-large": _GPT3 | _shape(24, 1536, 16),
    "gpt3-xl": _GPT3 | _shape(24, 2048, 24, head_dim=128),
    "gpt3-2.7b": _GPT3 | _shape(32, 2560, 32),
    "gpt3-6.7b": _GPT3 | _shape(32, 4096, 32),
    "gpt3-13b": _GPT3 | _shape(40, 5140, 40, head_dim=128),
    "gpt3-175b": _GPT3 | _shape(96, 12288, 96),
    # the same make, for one machine's minutes
    "gpt3-nano": _GPT3 | _shape(4, 128, 4, context_length=256, windows=(0, 64)),
    "gpt3-micro": _GPT3 | _shape(4, 192, 6, context_length=256, windows=(0, 64)),
    "gpt3-mini": _GPT3 | _shape(6, 384, 6, context_length=256, windows=(0, 64)),
    # GPT-Neo (Black et al. 2021), Llama (Touvron et al. 2023; TinyLlama: Zhang et al. 2024), Qwen3 (Yang et al. 2025)
    "gpt-neo-125m": _GPT_NEO | _shape(12, 768, 12),
    "gpt-neo-1.3b": _GPT_NEO | _shape(24, 2048, 16),
    "gpt-neo-2.7b": _GPT_NEO | _shape(32, 2560, 20),
    "tinyllama-1.1b": _LLAMA | _shape(22, 2048, 32, n_kv_head=4, ffn_hidden=5632, context_length=2048),
    "llama2-7b": _LLAMA | _shape(32, 4096, 32, ffn_hidden=11_008, context_length=4096),
    "llama2-13b": _LLAMA | _shape(40, 5120, 40, ffn_hidden=13_824, context_length=4096),
    "qwen3-0.6b": _QWEN3 | _shape(28, 1024, 16, n_kv_head=8, ffn_hidden=3072),
    "qwen3-1.7b": _QWEN3 | _shape(28, 2048, 16, n_kv_head=8, ffn_hidden=6144),
    # the modern small default
    "nano": _MYNAH | _shape(2, 128, 2),
    "micro": _MYNAH | _shape(4, 192, 3),
    "mini": _MYNAH | _shape(6, 256, 4),
    "small": _MYNAH | _shape(6, 384, 6),
    "base": _MYNAH | _shape(12, 768, 12, context_length=1024),
}


def fields_of(name: str) -> dict[str, Any]:
    """Return the fields of a `ModelConfig` that a preset sets, all but the vocabulary.

    Raises:
        ConfigError: if there is no preset of that name (the nearest is suggested).
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"no preset {name!r}; {hint}known: {', '.join(PRESETS)}")
    return PRESETS[name]


def preset(name: str, vocab_size: int, **changes: Any) -> ModelConfig:
    """Return a preset's config for a vocabulary, with fields changed as asked; widths left out follow from these.

    Raises:
        ConfigError: if there is no preset of that name (the nearest is suggested).
    """
    return ModelConfig(**{**fields_of(name), "vocab_size": vocab_size, **changes})
