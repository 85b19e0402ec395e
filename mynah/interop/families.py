"""Families of open models: what Hugging Face calls their tensors, and who reads and writes their settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mynah.interop.gpt_settings import read_gpt2, read_gpt_neo, write_gpt2, write_gpt_neo
from mynah.interop.llama_settings import (
    read_gemma3,
    read_llama,
    read_mistral,
    read_qwen2,
    read_qwen3,
    read_smollm3,
    write_gemma3,
    write_llama,
    write_mistral,
    write_qwen2,
    write_qwen3,
    write_smollm3,
)
from mynah.interop.rope_settings import Settings
from mynah.model.config import ModelConfig


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
    #: foreign names of queries, keys and values where they are apart, `{part}` being q, k or v and `{kind}` weight or
    #: bias; "" where they are one
    qkv: str
    #: from config.json to the fields of ModelConfig; the path is for errors
    read: Callable[[Settings, Path], Settings]
    #: from a ModelConfig to config.json; what the family has no word for is left out
    write: Callable[[ModelConfig], Settings]
    #: whether the matrices of the blocks are (in, out), not (out, in) as torch has them
    transposed: bool = False
    #: whether attention is without the division by the square root of a head's width, which queries here make up for
    unscaled: bool = False
    #: foreign names of scales that are stored as what is added to 1
    less_one: frozenset[str] = frozenset()


_LLAMA_MATRICES = {
    "embed_tokens.weight": "embed.weight",
    "layers.{i}.self_attn.o_proj.weight": "blocks.{i}.attention.out.weight",
    "layers.{i}.mlp.gate_proj.weight": "blocks.{i}.mlp.gate.weight",
    "layers.{i}.mlp.up_proj.weight": "blocks.{i}.mlp.up.weight",
    "layers.{i}.mlp.down_proj.weight": "blocks.{i}.mlp.down.weight",
}
_LLAMA = _LLAMA_MATRICES | {
    "norm.weight": "norm.weight",
    "layers.{i}.input_layernorm.weight": "blocks.{i}.norm1.weight",
    "layers.{i}.post_attention_layernorm.weight": "blocks.{i}.norm2.weight",
}
_NORMS_OF_HEADS = {
    "layers.{i}.self_attn.q_norm.weight": "blocks.{i}.attention.q_scale",
    "layers.{i}.self_attn.k_norm.weight": "blocks.{i}.attention.k_scale",
}
_GEMMA_NORMS = _NORMS_OF_HEADS | {
    "norm.weight": "norm.weight",
    "layers.{i}.input_layernorm.weight": "blocks.{i}.norm1.weight",
    "layers.{i}.post_attention_layernorm.weight": "blocks.{i}.post_norm1.weight",
    "layers.{i}.pre_feedforward_layernorm.weight": "blocks.{i}.norm2.weight",
    "layers.{i}.post_feedforward_layernorm.weight": "blocks.{i}.post_norm2.weight",
}
_LLAMA_QKV = "layers.{i}.self_attn.{part}_proj.{kind}"
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
            read=read_gpt2,
            write=write_gpt2,
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
            qkv="h.{i}.attn.attention.{part}_proj.{kind}",
            read=read_gpt_neo,
            write=write_gpt_neo,
            unscaled=True,
        ),
        Family(
            "llama",
            "LlamaForCausalLM",
            "model.",
            _LLAMA,
            qkv=_LLAMA_QKV,
            read=read_llama,
            write=write_llama,
        ),
        Family(
            "qwen2",
            "Qwen2ForCausalLM",
            "model.",
            _LLAMA,
            qkv=_LLAMA_QKV,
            read=read_qwen2,
            write=write_qwen2,
        ),
        Family(
            "qwen3",
            "Qwen3ForCausalLM",
            "model.",
            _LLAMA | _NORMS_OF_HEADS,
            qkv=_LLAMA_QKV,
            read=read_qwen3,
            write=write_qwen3,
        ),
        Family(
            "mistral",
            "MistralForCausalLM",
            "model.",
            _LLAMA,
            qkv=_LLAMA_QKV,
            read=read_mistral,
            write=write_mistral,
        ),
        Family(
            "smollm3",
            "SmolLM3ForCausalLM",
            "model.",
            _LLAMA,
            qkv=_LLAMA_QKV,
            read=read_smollm3,
            write=write_smollm3,
        ),
        Family(
            "gemma3_text",
            "Gemma3ForCausalLM",
            "model.",
            _LLAMA_MATRICES | _GEMMA_NORMS,
            qkv=_LLAMA_QKV,
            read=read_gemma3,
            write=write_gemma3,
            less_one=frozenset(_GEMMA_NORMS),
        ),
    )
}
