"""What llama.cpp's format calls what Hugging Face calls otherwise: one table, read both ways."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

#: Types of tokens.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
#: Ids that end a reply, in the order in which they are named.
STOP_KEYS = ("eos", "eot", "eom")


@dataclass(frozen=True)
class Architecture:
    """An architecture of llama.cpp."""

    #: `model_type` of Hugging Face
    model_type: str
    #: beginnings of names, before `.weight` or `.bias`: GGUF's -> Hugging Face's; `{i}` is the layer
    stems: dict[str, str]
    #: keys of the metadata, after the architecture's name -> those of config.json
    settings: dict[str, str]
    #: what config.json says of every one of them besides
    fixed: dict[str, str]
    #: whether pairs of rows of queries and keys that are turned together stand beside each other, not in two halves
    in_pairs: bool = False
    #: whether Hugging Face has the matrices of the blocks as (in, out)
    transposed: bool = False
    #: base of the wavelengths, if a file names none
    theta: float = 10_000.0

    def to_hf(self, name: str) -> str | None:
        """Return Hugging Face's name of a tensor; None: it is of no such model."""
        return _translated(name, self.stems)

    def from_hf(self, name: str) -> str | None:
        """Return GGUF's name of a tensor; None: it is of no such model."""
        return _translated(name, {theirs: ours for ours, theirs in self.stems.items()})

    def is_turned(self, name: str, dimensions: int) -> bool:
        """Whether a tensor, by GGUF's name, has rows where Hugging Face's has columns."""
        return self.transposed and dimensions == 2 and name.startswith("blk.")


_LLAMA = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "blk.{i}.attn_norm": "model.layers.{i}.input_layernorm",
    "blk.{i}.attn_q": "model.layers.{i}.self_attn.q_proj",
    "blk.{i}.attn_k": "model.layers.{i}.self_attn.k_proj",
    "blk.{i}.attn_v": "model.layers.{i}.self_attn.v_proj",
    "blk.{i}.attn_output": "model.layers.{i}.self_attn.o_proj",
    "blk.{i}.attn_q_norm": "model.layers.{i}.self_attn.q_norm",
    "blk.{i}.attn_k_norm": "model.layers.{i}.self_attn.k_norm",
    "blk.{i}.ffn_norm": "model.layers.{i}.post_attention_layernorm",
    "blk.{i}.ffn_gate": "model.layers.{i}.mlp.gate_proj",
    "blk.{i}.ffn_up": "model.layers.{i}.mlp.up_proj",
    "blk.{i}.ffn_down": "model.layers.{i}.mlp.down_proj",
}
_GPT2 = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "blk.{i}.attn_norm": "transformer.h.{i}.ln_1",
    "blk.{i}.attn_qkv": "transformer.h.{i}.attn.c_attn",
    "blk.{i}.attn_output": "transformer.h.{i}.attn.c_proj",
    "blk.{i}.ffn_norm": "transformer.h.{i}.ln_2",
    "blk.{i}.ffn_up": "transformer.h.{i}.mlp.c_fc",
    "blk.{i}.ffn_down": "transformer.h.{i}.mlp.c_proj",
}
_GEMMA = _LLAMA | {
    "blk.{i}.post_attention_norm": "model.layers.{i}.post_attention_layernorm",
    "blk.{i}.ffn_norm": "model.layers.{i}.pre_feedforward_layernorm",
    "blk.{i}.post_ffw_norm": "model.layers.{i}.post_feedforward_layernorm",
}
_LLAMA_SETTINGS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
}
_GPT2_SETTINGS = {
    "context_length": "n_positions",
    "embedding_length": "n_embd",
    "block_count": "n_layer",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
}
_SILU = {"hidden_act": "silu"}
#: `general.architecture` -> what it is.
ARCHITECTURES = {
    "llama": Architecture("llama", _LLAMA, _LLAMA_SETTINGS, _SILU, in_pairs=True),
    "qwen2": Architecture("qwen2", _LLAMA, _LLAMA_SETTINGS, _SILU),
    "qwen3": Architecture("qwen3", _LLAMA, _LLAMA_SETTINGS, _SILU),
    "smollm3": Architecture("smollm3", _LLAMA, _LLAMA_SETTINGS, _SILU, in_pairs=True),
    "gemma3": Architecture("gemma3_text", _GEMMA, _LLAMA_SETTINGS, {}, theta=1e6),
    "gpt2": Architecture("gpt2", _GPT2, _GPT2_SETTINGS, {"activation_function": "gelu_new"}, transposed=True),
}
#: Settings that are no whole numbers.
FRACTIONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon", "rope.freq_base")


def _translated(name: str, stems: dict[str, str]) -> str | None:
    stem, _, kind = name.rpartition(".")
    layer = next((part for part in stem.split(".") if part.isdigit()), "")
    pattern = ".".join("{i}" if part.isdigit() else part for part in stem.split("."))
    if kind not in ("weight", "bias") or pattern not in stems:
        return None
    return f"{stems[pattern].replace('{i}', layer)}.{kind}"


def to_halves(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Put the rows of each head so that what is turned together stands in its two halves."""
    return _exchanged(rows, heads, (rows.shape[0] // heads // 2, 2))


def to_pairs(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Put the rows of each head so that what is turned together stands side by side."""
    return _exchanged(rows, heads, (2, rows.shape[0] // heads // 2))


def _exchanged(rows: npt.NDArray[Any], heads: int, parts: tuple[int, int]) -> npt.NDArray[Any]:
    return rows.reshape(heads, *parts, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def heads_of(name: str, config: dict[str, Any]) -> int:
    """Return how many heads the rows of a tensor are of: of queries and of keys; 0 of all others.

    Args:
        name: GGUF's.
        config: config.json.
    """
    key = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(name.split(".")[-2], "")
    return int(config.get(key, 0))


@dataclass(frozen=True)
class Cut:
    """How text is cut before merges, as the models' own tokenizer.json have it."""

    #: a pattern whose finds are pieces; None: GPT-2's
    pattern: str | None = None
    #: every digit is a piece
    digits: bool = False
    #: a piece that is a token is taken as it is
    ignore_merges: bool = False
    #: Unicode's composed form comes first
    nfc: bool = False
    #: texts begin with a token, if the file does not say; no part of how they are cut
    begun: bool = field(default=False, compare=False)


#: Llama 3's.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
#: `tokenizer.ggml.pre` -> what it means; "smaug-bpe" is llama.cpp's name for Llama 3's pattern with all merges.
CUTS = {
    "gpt-2": Cut(),
    "smollm": Cut(digits=True),
    "llama-bpe": Cut(LLAMA3, ignore_merges=True, begun=True),
    "smaug-bpe": Cut(LLAMA3),
    "qwen2": Cut(LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"), nfc=True),
}
