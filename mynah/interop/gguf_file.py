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
from mynah.interop.families import FAMILIES
from mynah.interop.gguf_names import (
    ARCHITECTURES,
    CONTROL,
    CUTS,
    FRACTIONS,
    STOP_KEYS,
    USER_DEFINED,
    Architecture,
    heads_of,
    to_halves,
)
from mynah.model.tensor_files import write_tensors
from mynah.tokenizer.foreign import CHAT_TEMPLATE, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    import gguf

MAGIC = b"GGUF"
#: Bytes of a value of each type of metadata; 8 is a string, 9 an array.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
#: Keys of config.json that say what begins and ends a text; generation_config.json has them.
_IDS = ("bos_token_id", "eos_token_id")


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
    source = describe_gguf(path, directory)
    write_tensors(directory / "model.safetensors", {name: source.get(name) for name in source.shapes()})


def describe_gguf(path: Path, directory: Path) -> GGUFSource:
    """Write all but the weights of what a file holds; return where those are.

    Raises:
        ArtifactError, ConfigError: as `gguf_to_hugging_face`.
    """
    file = _open(path)
    name = str(file.get("general.architecture"))
    if name not in ARCHITECTURES:
        raise ConfigError(f"{path}: architecture {name!r}; Mynah reads {', '.join(ARCHITECTURES)} from GGUF")
    config = _config(file, name)
    _write_tokenizer(file, config, directory)
    source = GGUFSource(file, ARCHITECTURES[name], config)
    artifacts.write_json(
        directory / "config.json", {k: v for k, v in config.items() if k not in _IDS or v >= 0}
    )
    return source


class GGUFSource:
    """The tensors of a file, by Hugging Face's names and as it lays them out."""

    def __init__(self, file: _File, architecture: Architecture, config: dict[str, Any]) -> None:
        """Look at what is there; no tensor is read.

        Raises:
            ArtifactError: if one is of no such model.
        """
        self._file, self._architecture, self._config = file, architecture, config
        self._tensors: dict[str, Any] = {}
        for tensor in file.reader.tensors:
            if (theirs := architecture.to_hf(str(tensor.name))) is None:
                raise ArtifactError(
                    f"{file.path}: tensor {tensor.name} is not part of a {architecture.model_type} model"
                )
            self._tensors[theirs] = tensor
        if config["tie_word_embeddings"]:
            self._tensors.pop("lm_head.weight", None)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by name."""
        return {
            name: (shape_of(tensor)[::-1] if self._is_turned(tensor) else shape_of(tensor))
            for name, tensor in self._tensors.items()
        }

    def get(self, name: str) -> Tensor:
        """Read a tensor: float16 as it is, all else float32.

        Raises:
            ArtifactError: if it is damaged.
            ConfigError: if it is quantized in a way that is not read.
        """
        tensor = self._tensors[name]
        values = _dense(self._file.path, str(tensor.name), tensor)
        if self._architecture.in_pairs and (heads := heads_of(str(tensor.name), self._config)):
            values = to_halves(values, heads)
        values = values.T if self._is_turned(tensor) else values
        return torch.from_numpy(
            np.array(values, order="C")
        )  # not the file's own memory, which cannot be written

    def _is_turned(self, tensor: Any) -> bool:
        return self._architecture.is_turned(str(tensor.name), len(tensor.shape))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a tensor of a file as torch has it."""
    return tuple(int(n) for n in tensor.shape[::-1])


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


def _config(file: _File, architecture: str) -> dict[str, Any]:
    """Return config.json; ids that are not named are -1."""

    def get(key: str, default: Any = None) -> Any:
        return file.get(f"{architecture}.{key}", default)

    shapes = {str(tensor.name): shape_of(tensor) for tensor in file.reader.tensors}
    if "rope_freqs.weight" in shapes or get("rope.scaling.type", "none") != "none":
        raise ConfigError(
            f"{file.path}: its rotary positions are scaled, which Mynah does not read from GGUF"
        )
    if "token_embd.weight" not in shapes:
        raise ArtifactError(f"{file.path}: tensor token_embd.weight is missing")
    made = ARCHITECTURES[architecture]
    family = FAMILIES[made.model_type]
    heads, width = int(get("attention.head_count")), int(get("embedding_length"))
    defaults = {
        "attention.head_count_kv": heads,
        "attention.key_length": width // heads,
        "rope.freq_base": 10_000.0,
    }
    return {
        "model_type": family.name,
        "architectures": [family.architecture],
        "vocab_size": shapes["token_embd.weight"][0],
        "tie_word_embeddings": "output.weight" not in shapes,
        **{key: int(file.get(f"tokenizer.ggml.{key}", -1)) for key in _IDS},
        **made.fixed,
        **{
            theirs: (float if key in FRACTIONS else int)(get(key, defaults.get(key)))
            for key, theirs in made.settings.items()
        },
    }


def _dense(path: Path, name: str, tensor: Any) -> npt.NDArray[Any]:
    """Return a tensor's numbers, its shape as torch has it: float16 as it is, all else float32."""
    from gguf import GGMLQuantizationType, dequantize

    shape = shape_of(tensor)
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


def _write_tokenizer(file: _File, config: dict[str, Any], directory: Path) -> None:
    """Write the tokenizer's files; byte-level BPE is what is read."""
    kind, pre = str(file.get("tokenizer.ggml.model")), str(file.get("tokenizer.ggml.pre", "gpt-2"))
    if kind != "gpt2" or pre not in CUTS:
        raise ConfigError(
            f"{file.path}: its tokenizer is {kind!r} with pre-tokenizer {pre!r}; Mynah reads 'gpt2' with "
            f"{', '.join(CUTS)} from GGUF; take the model's safetensors instead"
        )
    from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as Backend

    tokens = list(map(str, file.get("tokenizer.ggml.tokens")))
    kinds = list(map(int, file.get("tokenizer.ggml.token_type")))
    merges = [tuple(str(merge).split(" ", 1)) for merge in file.get("tokenizer.ggml.merges")]
    if len(kinds) != len(tokens) or any(len(merge) != 2 for merge in merges):
        raise ArtifactError(f"{file.path}: its tokens, their types and merges do not fit together")
    cut = CUTS[pre]
    try:
        model = models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=cut.ignore_merges)  # type: ignore[arg-type]
    except Exception as error:  # `tokenizers` raises bare Exceptions
        raise ArtifactError(f"{file.path}: not a tokenizer: {error}") from None
    backend = Backend(model)
    byte_level: Callable[[bool], Any] = lambda regex: pre_tokenizers.ByteLevel(  # noqa: E731
        add_prefix_space=False, use_regex=regex
    )
    if cut.digits:
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level(True)])
    elif cut.pattern is not None:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(cut.pattern), "isolated"), byte_level(False)]
        )
    else:
        backend.pre_tokenizer = byte_level(True)
    if cut.nfc:
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    added = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (CONTROL, USER_DEFINED)
    ]
    for token in added:
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
    }
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    settings["model_max_length"] = int(file.get(f"{file.get('general.architecture')}.context_length"))
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
    ids = {key: config[key] for key in _IDS if config[key] >= 0}
    if file.get("tokenizer.ggml.add_bos_token", False) and "bos_token" in settings:
        token = settings["bos_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{token} $A", pair=f"{token} $A $B", special_tokens=[(token, ids["bos_token_id"])]
        )
    artifacts.write_text(directory / TOKENIZER, json.dumps(json.loads(backend.to_str()), ensure_ascii=False))
    artifacts.write_json(directory / TOKENIZER_CONFIG, settings)
    stops = [int(file.get(f"tokenizer.ggml.{key}_token_id", -1)) for key in STOP_KEYS]
    stops = [stop for stop in dict.fromkeys(stops) if 0 <= stop < len(tokens)]
    said = {**ids, "eos_token_id": stops} if len(stops) > 1 else ids
    artifacts.write_json(directory / GENERATION_CONFIG, said)
    if template := str(file.get("tokenizer.chat_template", "")):
        artifacts.write_text(directory / CHAT_TEMPLATE, template)
