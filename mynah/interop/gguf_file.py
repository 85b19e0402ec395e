"""Models in llama.cpp's file format: read, and written out as the Hugging Face directory they were made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.families import FAMILIES
from mynah.interop.gguf_reader import GGUFFile
from mynah.interop.gguf_rope import FACTORS, scaling_of
from mynah.interop.gguf_tokenizer import write_tokenizer
from mynah.model.tensor_files import write_tensors

_EMBEDDING = "token_embd.weight"
#: Names of tensors; what follows the layer in the second table.
_WHOLE = {
    _EMBEDDING: "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OF_GEMMA_LAYER = _OF_LAYER | {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
#: Layers of Gemma 3 27B, the one size whose scores are divided by another number than the root of a head's width.
_LAYERS_OF_27B = 62


@dataclass(frozen=True)
class _Architecture:
    """A `general.architecture` of these files."""

    #: `model_type` of Hugging Face
    name: str
    tensors: dict[str, str] = field(default_factory=lambda: _OF_LAYER)
    #: whether the rows of queries and keys are in another order: of each head, pairs that are turned together stand
    #: beside each other
    in_pairs: bool = False
    #: base of the wavelengths, if the file names none
    theta: float = 10_000.0


ARCHITECTURES = {
    "llama": _Architecture("llama", in_pairs=True),
    "qwen2": _Architecture("qwen2"),
    "qwen3": _Architecture("qwen3"),
    "gemma3": _Architecture("gemma3_text", _OF_GEMMA_LAYER, theta=1e6),
}


def gguf_to_hugging_face(path: Path, directory: Path) -> None:
    """Write what a file holds as a Hugging Face directory: weights, tokenizer, chat template.

    Quantized weights become float32, exactly what the file says; others stay as they are.

    Args:
        path: of the file.
        directory: there already, and empty.

    Raises:
        ArtifactError: if the file is damaged, or lacks something.
        ConfigError: if its architecture, a quantization or its tokenizer is none that Mynah reads.
    """
    file = GGUFFile(path)
    architecture = str(file.get("general.architecture"))
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"{path}: architecture {architecture!r}; Mynah reads {', '.join(ARCHITECTURES)} from GGUF"
        )
    if _EMBEDDING not in file.tensors:
        raise ArtifactError(f"{path}: tensor {_EMBEDDING} is missing")
    try:
        config = _config(file, architecture)
        config |= write_tokenizer(file, config["max_position_embeddings"], directory)
    except ConfigError:
        raise
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ArtifactError(f"{path}: damaged metadata: {error}") from None
    _write_weights(file, config, directory)
    artifacts.write_json(directory / "config.json", config)


def licence_of(path: Path) -> str:
    """Return what a file says of its licence, or "unknown"."""
    return str(GGUFFile(path).get("general.license", "unknown"))


def languages_of(path: Path) -> list[str]:
    """Return the languages that a file says it speaks, as ISO codes; none if it does not say."""
    return [str(code) for code in GGUFFile(path).get("general.languages", [])]


def _config(file: GGUFFile, architecture: str) -> dict[str, Any]:
    """Return config.json, but for the tokens."""

    def get(key: str, default: Any = None) -> Any:
        return file.get(f"{architecture}.{key}", default)

    described = ARCHITECTURES[architecture]
    heads, width = int(get("attention.head_count")), int(get("embedding_length"))
    head_dim = int(get("attention.key_length", get("rope.dimension_count", width // heads)))
    for key in ("attention.value_length", "rope.dimension_count"):
        if (other := int(get(key, head_dim))) != head_dim:
            raise ConfigError(f"{file.path}: {key} {other}; expected the width of a head, {head_dim}")
    theta = float(get("rope.freq_base", described.theta))
    scaling = scaling_of(file, architecture, head_dim, theta)
    config: dict[str, Any] = {
        "model_type": described.name,
        "vocab_size": file.tensors[_EMBEDDING].shape[0],
        "hidden_size": width,
        "intermediate_size": int(get("feed_forward_length")),
        "num_hidden_layers": int(get("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(get("attention.head_count_kv", heads)),
        "head_dim": head_dim,
        "max_position_embeddings": int(get("context_length")),
        "rms_norm_eps": float(get("attention.layer_norm_rms_epsilon")),
        "rope_theta": theta,
        "tie_word_embeddings": "output.weight" not in file.tensors,
    }
    if config["num_hidden_layers"] > len(file.tensors):
        raise ValueError(f"{config['num_hidden_layers']} layers of {len(file.tensors)} tensors")
    if scaling is not None:
        config["rope_scaling"] = scaling
    window = int(get("attention.sliding_window", 0))
    if described.name == "gemma3_text":
        config |= _gemma(config, window, get)
    else:
        config["hidden_act"] = "silu"
        if described.name == "llama" and window:
            config |= {"model_type": "mistral", "sliding_window": window}
    return config | {"architectures": [FAMILIES[config["model_type"]].architecture]}


def _gemma(config: dict[str, Any], window: int, get: Any) -> dict[str, Any]:
    """Return what a Gemma 3 has beside; what its file leaves out is as llama.cpp has it."""
    pattern, n_layer = get("attention.sliding_window_pattern", 6), config["num_hidden_layers"]
    # Either which layers have a window, or of how many layers the last has none.
    banded = (
        [bool(one) for one in pattern]
        if np.ndim(pattern)
        else [bool((i + 1) % pattern) for i in range(n_layer)]
    )
    kinds = ["sliding_attention" if window and one else "full_attention" for one in banded]
    by_width = config["hidden_size"] // config["num_attention_heads"]
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": by_width if n_layer == _LAYERS_OF_27B else config["head_dim"],
        "final_logit_softcapping": get("final_logit_softcapping", 0.0) or None,
        "attn_logit_softcapping": get("attn_logit_softcapping", 0.0) or None,
        "rope_local_base_freq": float(get("rope.freq_base_swa", 10_000.0)),
        "sliding_window": window or None,
        "layer_types": kinds,
    }


def _write_weights(file: GGUFFile, config: dict[str, Any], directory: Path) -> None:
    tensors: dict[str, Tensor] = {}
    described = ARCHITECTURES[str(file.get("general.architecture"))]
    family = FAMILIES[config["model_type"]]
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for name in file.tensors:
        if name == FACTORS:  # said in config.json
            continue
        if (theirs := _name(name, described.tensors)) is None:
            raise ArtifactError(f"{file.path}: tensor {name} is not part of a {family.name} model")
        values = file.read(name)
        part = name.split(".")[2] if name.startswith("blk.") else ""
        if described.in_pairs and part in heads:
            values = _halves(values, heads[part])
        # These files hold the scale itself, Hugging Face what is added to 1.
        if re.sub(r"\.\d+\.", ".{i}.", theirs.removeprefix(family.prefix)) in family.less_one:
            values = values - 1
        tensors[theirs] = torch.from_numpy(values)
    write_tensors(directory / "model.safetensors", tensors)


def _name(name: str, of_layer: dict[str, str]) -> str | None:
    if name in _WHOLE:
        return _WHOLE[name]
    block, _, rest = name.partition(".")
    layer, _, part = rest.partition(".")
    stem, _, kind = part.rpartition(".")
    if block != "blk" or not layer.isdigit() or stem not in of_layer or kind not in ("weight", "bias"):
        return None
    return f"model.layers.{layer}.{of_layer[stem]}.{kind}"


def _halves(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Put the rows of each head so that what is turned together stands in its two halves."""
    paired = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)
