"""Models in llama.cpp's file format: read, and written out as the Hugging Face directory they were made from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.families import FAMILIES
from mynah.interop.gguf_names import ARCHITECTURES, FRACTIONS, Architecture, heads_of, to_halves
from mynah.interop.gguf_reader import GGUFFile
from mynah.interop.gguf_rope import FACTORS, scaling_of
from mynah.interop.gguf_tokenizer import write_tokenizer
from mynah.model.tensor_files import write_tensors

_EMBEDDING = "token_embd.weight"
#: Layers of Gemma 3 27B, the one size whose scores are divided by another number than the root of a head's width.
_LAYERS_OF_27B = 62


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
    source = describe_gguf(path, directory)
    write_tensors(directory / "model.safetensors", {name: source.get(name) for name in source.shapes()})


def describe_gguf(path: Path, directory: Path) -> GGUFSource:
    """Write all but the weights of what a file holds; return where those are.

    Raises:
        ArtifactError, ConfigError: as `gguf_to_hugging_face`.
    """
    file = GGUFFile(path)
    name = str(file.get("general.architecture"))
    if name not in ARCHITECTURES:
        raise ConfigError(f"{path}: architecture {name!r}; Mynah reads {', '.join(ARCHITECTURES)} from GGUF")
    if _EMBEDDING not in file.tensors:
        raise ArtifactError(f"{path}: tensor {_EMBEDDING} is missing")
    try:
        config = _config(file, name)
        config |= write_tokenizer(file, int(file.get(f"{name}.context_length")), directory)
    except ConfigError:
        raise
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ArtifactError(f"{path}: damaged metadata: {error}") from None
    source = GGUFSource(file, ARCHITECTURES[name], config)
    artifacts.write_json(directory / "config.json", config)
    return source


class GGUFSource:
    """The tensors of a file, by Hugging Face's names and as it lays them out."""

    def __init__(self, file: GGUFFile, architecture: Architecture, config: dict[str, Any]) -> None:
        """Look at what is there; no tensor is read.

        Raises:
            ArtifactError: if one is of no such model.
        """
        self._file, self._architecture, self._config = file, architecture, config
        self._family = FAMILIES[config["model_type"]]
        #: Hugging Face's names -> the file's
        self._names: dict[str, str] = {}
        for name in file.tensors:
            if name == FACTORS:  # said in config.json
                continue
            if (theirs := architecture.to_hf(name)) is None:
                raise ArtifactError(f"{file.path}: tensor {name} is not part of a {self._family.name} model")
            self._names[theirs] = name

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by name."""
        shapes = {theirs: self._file.tensors[name].shape for theirs, name in self._names.items()}
        return {
            theirs: shape[::-1] if self._is_turned(self._names[theirs]) else shape
            for theirs, shape in shapes.items()
        }

    def get(self, name: str) -> Tensor:
        """Read a tensor: float16 as it is, all else float32.

        Raises:
            ArtifactError: if it is damaged.
            ConfigError: if it is quantized in a way that is not read.
        """
        ours = self._names[name]
        values = self._file.read(ours)
        if self._architecture.in_pairs and (heads := heads_of(ours, self._config)):
            values = to_halves(values, heads)
        values = values.T if self._is_turned(ours) else values
        # These files hold the scale itself, Hugging Face what is added to 1.
        if re.sub(r"\.\d+\.", ".{i}.", name.removeprefix(self._family.prefix)) in self._family.less_one:
            values = values - 1
        return torch.from_numpy(np.array(values, order="C"))

    def _is_turned(self, name: str) -> bool:
        return self._architecture.is_turned(name, len(self._file.tensors[name].shape))


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
    settings = described.settings
    heads, width = int(get("attention.head_count")), int(get("embedding_length"))
    head_dim = int(get("attention.key_length", get("rope.dimension_count", width // heads)))
    defaults = {
        "attention.head_count_kv": heads,
        "attention.key_length": head_dim,
        "rope.freq_base": described.theta,
    }
    config: dict[str, Any] = {
        "model_type": described.model_type,
        "vocab_size": file.tensors[_EMBEDDING].shape[0],
        "tie_word_embeddings": "output.weight" not in file.tensors,
        **described.fixed,
        **{
            theirs: (float if key in FRACTIONS else int)(get(key, defaults.get(key)))
            for key, theirs in settings.items()
        },
    }
    if int(get("block_count")) > len(file.tensors):
        raise ValueError(f"{int(get('block_count'))} layers of {len(file.tensors)} tensors")
    if "rope.freq_base" in settings:
        config |= _rotary(file, architecture, config)
    return config | {"architectures": [FAMILIES[config["model_type"]].architecture]}


def _rotary(file: GGUFFile, architecture: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return what models with rotary positions have beside: how these are scaled, and windows."""

    def get(key: str, default: Any = None) -> Any:
        return file.get(f"{architecture}.{key}", default)

    head_dim = config["head_dim"]
    for key in ("attention.value_length", "rope.dimension_count"):
        if (other := int(get(key, head_dim))) != head_dim:
            raise ConfigError(f"{file.path}: {key} {other}; expected the width of a head, {head_dim}")
    more: dict[str, Any] = {}
    if (scaling := scaling_of(file, architecture, head_dim, config["rope_theta"])) is not None:
        more["rope_scaling"] = scaling
    window = int(get("attention.sliding_window", 0))
    if config["model_type"] == "gemma3_text":
        more |= _gemma(config, window, get)
    elif config["model_type"] == "llama" and window:
        more |= {"model_type": "mistral", "sliding_window": window}
    return more


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
