"""Models in llama.cpp's file format: read, and written out as the Hugging Face directory they were made from.

The `gguf` package parses the files and knows the arithmetic of their quantizations.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError, MissingDependency
from mynah.model.tensor_files import write_tensors
from mynah.tokenizer.foreign import CHAT_TEMPLATE, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    import gguf

MAGIC = b"GGUF"
#: `general.architecture` -> `model_type` of Hugging Face. Llama's files have the rows of queries and keys in another
#: order: of each head, pairs that are turned together stand beside each other.
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_IN_PAIRS = ("llama",)
_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
#: Names of tensors; what follows the layer in the second table.
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
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
#: Bytes of a value of each type of metadata; 8 is a string, 9 an array.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_CONTROL, _USER_DEFINED = 3, 4
#: `tokenizer.ggml.pre` -> how text is cut before merges, as the models' own tokenizer.json have it.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_CUT: dict[str, str | None] = {"gpt-2": None, "smollm": "digits", "llama-bpe": _LLAMA3, "qwen2": _QWEN2}


@dataclass(frozen=True)
class _File:
    """An open file."""

    path: Path
    reader: gguf.GGUFReader

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of its metadata.

        Raises:
            ArtifactError: if there is none, and no default.
        """
        field = self.reader.get_field(key)
        value = field.contents() if field is not None else default
        if value is None:
            raise ArtifactError(f"{self.path}: {key} is missing in its metadata")
        return value


def is_gguf(path: Path) -> bool:
    """Whether a file begins as one of this format does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


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
    file = _open(path)
    architecture = str(file.get("general.architecture"))
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"{path}: architecture {architecture!r}; Mynah reads {', '.join(ARCHITECTURES)} from GGUF"
        )
    shapes = {str(tensor.name): tuple(int(n) for n in tensor.shape[::-1]) for tensor in file.reader.tensors}
    config = _config(file, architecture, shapes)
    _write_tokenizer(file, config, directory)
    _write_weights(file, config, directory)
    artifacts.write_json(directory / "config.json", config)


def licence_of(path: Path) -> str:
    """Return what a file says of its licence, or "unknown"."""
    return str(_open(path).get("general.license", "unknown"))


def languages_of(path: Path) -> list[str]:
    """Return the languages that a file says it speaks, as ISO codes; none if it does not say."""
    return [str(code) for code in _open(path).get("general.languages", [])]


def _open(path: Path) -> _File:
    try:
        import gguf
    except ImportError:
        raise MissingDependency("gguf", "bases", "reading GGUF files") from None
    _check_metadata(path)
    try:
        return _File(path, gguf.GGUFReader(path))
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError, OSError) as error:
        raise ArtifactError(f"{path}: damaged, cut short or of an unknown quantization: {error}") from None


def _check_metadata(path: Path) -> None:
    """Walk the metadata, so that sizes that lie are found before anybody believes them.

    Raises:
        ArtifactError: if the file is none of this format, ends early, or names a size that it cannot hold.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic, version, tensors, values = struct.unpack("<4sIQQ", file.read(24))
            if magic != MAGIC:
                raise ArtifactError(f"{path}: not a GGUF file")
            if version not in (2, 3):
                raise ArtifactError(f"{path}: GGUF of version {version}; Mynah reads 2 and 3")
            if max(tensors, values) > size:
                raise ArtifactError(
                    f"{path}: damaged: names {tensors} tensors and {values} values in {size} bytes"
                )
            for _ in range(values):
                _skip(file, _number(file, "<Q"), size)
                _skip_value(file, _number(file, "<I"), size)
    except (OSError, struct.error, ValueError) as error:
        raise ArtifactError(f"{path}: damaged or cut short: {error}") from None


def _number(file: BinaryIO, form: str) -> int:
    return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])


def _skip(file: BinaryIO, count: int, size: int) -> None:
    if file.tell() + count > size:
        raise ValueError(f"{count} bytes named at byte {file.tell()} of {size}")
    file.seek(count, 1)


def _skip_value(file: BinaryIO, kind: int, size: int) -> None:
    if kind == _STRING:
        _skip(file, _number(file, "<Q"), size)
    elif kind == _ARRAY:
        inner, count = _number(file, "<I"), _number(file, "<Q")
        if inner in _SIZES:
            _skip(file, count * _SIZES[inner], size)
        elif inner == _STRING and count <= size:
            for _ in range(count):
                _skip(file, _number(file, "<Q"), size)
        else:
            raise ValueError(f"an array of {count} values of type {inner}")
    elif kind in _SIZES:
        _skip(file, _SIZES[kind], size)
    else:
        raise ValueError(f"a value of type {kind}")


def _config(file: _File, architecture: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return config.json."""

    def get(key: str, default: Any = None) -> Any:
        return file.get(f"{architecture}.{key}", default)

    if "rope_freqs.weight" in shapes or get("rope.scaling.type", "none") != "none":
        raise ConfigError(
            f"{file.path}: its rotary positions are scaled, which Mynah does not read from GGUF"
        )
    if "token_embd.weight" not in shapes:
        raise ArtifactError(f"{file.path}: tensor token_embd.weight is missing")
    heads, width = int(get("attention.head_count")), int(get("embedding_length"))
    name = ARCHITECTURES[architecture]
    return {
        "model_type": name,
        "architectures": [_CLASSES[name]],
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": width,
        "intermediate_size": int(get("feed_forward_length")),
        "num_hidden_layers": int(get("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(get("attention.head_count_kv", heads)),
        "head_dim": int(get("attention.key_length", width // heads)),
        "max_position_embeddings": int(get("context_length")),
        "rms_norm_eps": float(get("attention.layer_norm_rms_epsilon")),
        "rope_theta": float(get("rope.freq_base", 10_000.0)),
        "hidden_act": "silu",
        "tie_word_embeddings": "output.weight" not in shapes,
        "bos_token_id": file.get("tokenizer.ggml.bos_token_id", -1),
        "eos_token_id": file.get("tokenizer.ggml.eos_token_id", -1),
    }


def _write_weights(file: _File, config: dict[str, Any], directory: Path) -> None:
    tensors: dict[str, Tensor] = {}
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for tensor in file.reader.tensors:
        name = str(tensor.name)
        if (theirs := _name(name)) is None:
            raise ArtifactError(f"{file.path}: tensor {name} is not part of a {config['model_type']} model")
        values = _dense(file.path, name, tensor)
        part = name.split(".")[2] if name.startswith("blk.") else ""
        if config["model_type"] in _IN_PAIRS and part in heads:
            values = _halves(values, heads[part])
        tensors[theirs] = torch.from_numpy(
            np.array(values)
        )  # not the file's own memory, which cannot be written
    if config["tie_word_embeddings"]:
        tensors.pop("lm_head.weight", None)
    write_tensors(directory / "model.safetensors", tensors)


def _name(name: str) -> str | None:
    if name in _WHOLE:
        return _WHOLE[name]
    block, _, rest = name.partition(".")
    layer, _, part = rest.partition(".")
    stem, _, kind = part.rpartition(".")
    if block != "blk" or not layer.isdigit() or stem not in _OF_LAYER or kind not in ("weight", "bias"):
        return None
    return f"model.layers.{layer}.{_OF_LAYER[stem]}.{kind}"


def _dense(path: Path, name: str, tensor: Any) -> npt.NDArray[Any]:
    """Return a tensor's numbers, its shape as torch has it: float16 as it is, all else float32."""
    from gguf import GGMLQuantizationType, dequantize

    shape = tuple(int(n) for n in tensor.shape[::-1])
    try:
        if tensor.tensor_type in (GGMLQuantizationType.F16, GGMLQuantizationType.F32):
            return np.asarray(tensor.data).reshape(shape)
        return np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32).reshape(shape)
    except NotImplementedError:
        raise ConfigError(
            f"{path}: tensor {name} is quantized as {tensor.tensor_type.name}, which is not read"
        ) from None
    except ValueError as error:
        raise ArtifactError(f"{path}: tensor {name} is damaged: {error}") from None


def _halves(rows: npt.NDArray[Any], heads: int) -> npt.NDArray[Any]:
    """Put the rows of each head so that what is turned together stands in its two halves."""
    paired = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)


def _write_tokenizer(file: _File, config: dict[str, Any], directory: Path) -> None:
    """Write the tokenizer's files; byte-level BPE is what is read."""
    kind, pre = str(file.get("tokenizer.ggml.model")), str(file.get("tokenizer.ggml.pre", "gpt-2"))
    if kind != "gpt2" or pre not in _CUT:
        raise ConfigError(
            f"{file.path}: its tokenizer is {kind!r} with pre-tokenizer {pre!r}; Mynah reads 'gpt2' with "
            f"{', '.join(_CUT)} from GGUF; take the model's safetensors instead"
        )
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    tokens = list(map(str, file.get("tokenizer.ggml.tokens")))
    kinds = list(map(int, file.get("tokenizer.ggml.token_type")))
    merges = [tuple(str(merge).split(" ", 1)) for merge in file.get("tokenizer.ggml.merges")]
    if len(kinds) != len(tokens) or any(len(merge) != 2 for merge in merges):
        raise ArtifactError(f"{file.path}: its tokens, their types and merges do not fit together")
    try:
        model = models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=pre == "llama-bpe")  # type: ignore[arg-type]
    except Exception as error:  # `tokenizers` raises bare Exceptions
        raise ArtifactError(f"{file.path}: not a tokenizer: {error}") from None
    backend = Backend(model)
    cut = _CUT[pre]
    byte_level: Callable[[bool], Any] = lambda regex: pre_tokenizers.ByteLevel(  # noqa: E731
        add_prefix_space=False, use_regex=regex
    )
    if cut is None:
        backend.pre_tokenizer = byte_level(True)
    elif cut == "digits":
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level(True)])
    else:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(cut), "isolated"), byte_level(False)]
        )
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    added = [
        AddedToken(token, special=kind == _CONTROL, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    for token in added:
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    settings["model_max_length"] = config["max_position_embeddings"]
    for name, key in (
        ("bos_token", "bos"),
        ("eos_token", "eos"),
        ("unk_token", "unknown"),
        ("pad_token", "padding"),
    ):
        number = int(file.get(f"tokenizer.ggml.{key}_token_id", -1))
        if number >= len(tokens):
            raise ArtifactError(f"{file.path}: its {name} is id {number} of {len(tokens)} tokens")
        if number >= 0:
            settings[name] = tokens[number]
    artifacts.write_text(directory / TOKENIZER, json.dumps(json.loads(backend.to_str()), ensure_ascii=False))
    artifacts.write_json(directory / TOKENIZER_CONFIG, settings)
    ids = {key: config.pop(key) for key in ("bos_token_id", "eos_token_id")}
    known = {key: int(value) for key, value in ids.items() if int(value) >= 0}
    config.update(known)
    artifacts.write_json(directory / GENERATION_CONFIG, known)
    if template := str(file.get("tokenizer.chat_template", "")):
        artifacts.write_text(directory / CHAT_TEMPLATE, template)
