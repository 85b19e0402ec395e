"""A model as one file in llama.cpp's format, checked before it is put in place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError, MissingDependency
from mynah.interop.families import Family
from mynah.interop.gguf_file import describe_gguf
from mynah.interop.gguf_names import (
    ARCHITECTURES,
    CONTROL,
    CUTS,
    FRACTIONS,
    LLAMA3,
    NORMAL,
    STOP_KEYS,
    UNUSED,
    USER_DEFINED,
    Architecture,
    Cut,
    heads_of,
    to_pairs,
)
from mynah.interop.huggingface import family_of, read_config
from mynah.interop.loading import to_foreign
from mynah.interop.modelfile import modelfile
from mynah.interop.parity import Limits, expect, prove, template_of
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import PRE_TOKENIZE, Tokenizer

if TYPE_CHECKING:
    import gguf

Quant = Literal["f32", "f16", "q8_0"]
#: Rounding to 11 bits is an error of 2^-12 a weight, to 8 bits with a scale for each 32 some 2^-8; blocks add to it.
#: SmolLM2 is off by 0.002 and 0.07, by 4e-6 and 0.002 nats; weights in the wrong place by about 1.
LIMITS = {"f32": Limits(1e-4, 1e-6), "f16": Limits(1e-2, 1e-3), "q8_0": Limits(0.2, 0.02)}
#: Families that are another's special case there.
_AS = {"mistral": "llama"}
#: Families that are written.
_WRITTEN = ("llama", "qwen2", "qwen3", "smollm3", "gpt2", *_AS)


def to_gguf(
    model: Transformer,
    tokenizer: Tokenizer,
    path: Path,
    *,
    quant: Quant = "f16",
    talks: bool = True,
) -> Path:
    """Write a model and its tokenizer as a GGUF file, with a `Modelfile` for Ollama beside it.

    Beside the model, one tensor is in memory at a time. The file is read back and compared with the model before it is
    put in place; the numbers of the file take the place of the model's own for that.

    Args:
        model: of a family that llama.cpp has.
        tokenizer: the one it was trained with, byte-level BPE.
        path: of the file, new.
        quant: numbers of its matrices; all else is float32.
        talks: whether it was fine-tuned on conversations: only then its chat template goes with it.

    Returns:
        Where the Modelfile is.

    Raises:
        ConfigError: if llama.cpp cannot compute the model, or cut text as its tokenizer does.
        ArtifactError: if there is something of that name, it cannot be written, or what was written is not the model.
    """
    beside = path.with_suffix(".Modelfile")
    for file in (path, beside):
        if file.exists():
            raise ArtifactError(f"{file}: is there already; name a new file")
    family = family_of(model.config)
    name, architecture = _architecture(family, model.config)
    said = {"architecture": name, **family.write(model.config)}
    with (
        tempfile.TemporaryDirectory() as folder,
        artifacts.replacing(beside) as note,
        artifacts.replacing(path) as temporary,
    ):
        expected = expect(model, tokenizer, talks=talks)
        try:
            _write(temporary, model, tokenizer, (family, architecture, said), quant, talks)
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be written: {error.strerror or error}") from None
        source = describe_gguf(temporary, Path(folder))
        prove(expected, model, Path(folder), read_config(Path(folder)), source, LIMITS[quant])
        template = template_of(Path(folder), tokenizer)
        artifacts.write_text(note, modelfile(path.name, tokenizer, template))
    return beside


def _architecture(family: Family, config: ModelConfig) -> tuple[str, Architecture]:
    """Return llama.cpp's name of a family, and what it is.

    Raises:
        ConfigError: if there is none, or it is without a part that the model has.
    """
    if family.name not in _WRITTEN:
        known = ", ".join(_WRITTEN)
        raise ConfigError(f"Mynah writes no GGUF of a {family.name}; it does of {known}; leave .gguf out")
    name = _AS.get(family.name, family.name)
    parts = {
        "attention windows": any(config.layer_windows),
        "scaled rotary positions": config.rope_scaling is not None,
        "the exact GELU": config.mlp == "gelu",
    }
    if has := [part for part, is_there in parts.items() if is_there]:
        raise ConfigError(f"the model has {has[0]}, which Mynah does not write to GGUF; leave .gguf out")
    return name, ARCHITECTURES[name]


def _write(
    path: Path,
    model: Transformer,
    tokenizer: Tokenizer,
    made: tuple[Family, Architecture, dict[str, Any]],
    quant: Quant,
    talks: bool,
) -> None:
    try:
        import gguf
    except ImportError:
        raise MissingDependency("gguf", "bases", "writing GGUF files") from None
    family, architecture, said = made
    name = said["architecture"]
    writer = gguf.GGUFWriter(path, name)
    try:
        writer.add_file_type(
            {
                "f32": gguf.LlamaFileType.ALL_F32,
                "f16": gguf.LlamaFileType.MOSTLY_F16,
                "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
            }[quant]
        )
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for key, theirs in architecture.settings.items():
            add = writer.add_float32 if key in FRACTIONS else writer.add_uint32
            add(f"{name}.{key}", said[theirs])
        writer.add_vocab_size(model.config.vocab_size)
        if model.config.positions == "rotary":
            writer.add_value_length(model.config.head_dim)
            writer.add_rope_dimension_count(model.config.head_dim)
        _add_tokenizer(writer, tokenizer, model.config.vocab_size, talks)
        _add_tensors(writer, model, (family, architecture, said), quant)
    finally:
        writer.close()


def _add_tensors(
    writer: gguf.GGUFWriter,
    model: Transformer,
    made: tuple[Family, Architecture, dict[str, Any]],
    quant: Quant,
) -> None:
    """Write the tensors, one at a time; where each will lie is said before any."""
    import gguf

    family, architecture, said = made
    for theirs, tensor in to_foreign(model, family):
        name, shape = _laid_out(theirs, tensor, architecture)
        kind = _kind(name, shape, quant)
        sizes = gguf.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(sizes)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for theirs, tensor in to_foreign(model, family):
        name, shape = _laid_out(theirs, tensor, architecture)
        values: npt.NDArray[Any] = tensor.float().numpy()
        if architecture.is_turned(name, values.ndim):
            values = values.T
        if architecture.in_pairs and (heads := heads_of(name, said)):
            values = to_pairs(values, heads)
        writer.write_tensor_data(gguf.quantize(np.ascontiguousarray(values), _kind(name, shape, quant)))


def _laid_out(theirs: str, tensor: Tensor, architecture: Architecture) -> tuple[str, tuple[int, ...]]:
    """Return GGUF's name and shape of a tensor of Hugging Face's."""
    name = architecture.from_hf(theirs)
    assert name is not None, theirs
    return name, tuple(tensor.shape[::-1] if architecture.is_turned(name, tensor.ndim) else tensor.shape)


def _kind(name: str, shape: tuple[int, ...], quant: Quant) -> gguf.GGMLQuantizationType:
    """Return the numbers of a tensor: learned positions and what is no matrix are float32 for llama.cpp."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if quant == "f32" or len(shape) == 1 or name.startswith("position_embd"):
        return GGMLQuantizationType.F32
    kind = GGMLQuantizationType[quant.upper()]
    return GGMLQuantizationType.F16 if shape[-1] % GGML_QUANT_SIZES[kind][0] else kind


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, rows: int, talks: bool) -> None:
    """Write the vocabulary, as many tokens as the model has rows, and what the tokens are for.

    Raises:
        ConfigError: if it is none that llama.cpp has a name for.
    """
    data = json.loads(tokenizer.backend.to_str())
    pre = _pre_of(data)
    kinds = {token["id"]: CONTROL if token["special"] else USER_DEFINED for token in data["added_tokens"]}
    tokens, types = [], []
    for i in range(max(rows, tokenizer.vocab_size)):
        token = tokenizer.backend.id_to_token(i)
        tokens.append(f"[PAD{i}]" if token is None else token)
        types.append(UNUSED if token is None else kinds.get(i, NORMAL))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]])
    foreign = tokenizer.foreign
    stops = [tokenizer.control.end, *sorted(tokenizer.template.stop_ids - {tokenizer.control.end})]
    if len(stops) > len(STOP_KEYS):
        raise ConfigError(f"replies end at {len(stops)} tokens; a GGUF file names {len(STOP_KEYS)} at most")
    writer.add_bos_token_id(tokenizer.control.bos)
    for key, stop in zip(STOP_KEYS, stops, strict=False):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", stop)
    named = foreign.named if foreign is not None else {"pad_token": tokenizer.bos_token}
    for name, key in (("pad_token", "padding"), ("unk_token", "unknown")):
        if (number := tokenizer.backend.token_to_id(named.get(name, ""))) is not None:
            writer.add_uint32(f"tokenizer.ggml.{key}_token_id", number)
    writer.add_add_bos_token(foreign is None or tokenizer.control.bos in foreign.begins)
    if (template := tokenizer.jinja(talks=talks)) is not None:
        writer.add_chat_template(template)


def _pre_of(data: dict[str, Any]) -> str:
    """Return llama.cpp's name of how a tokenizer.json cuts text.

    Raises:
        ConfigError: if it has none.
    """
    cut = _cut_of(data)
    for name, known in CUTS.items():
        if cut == known:
            return name
    raise ConfigError(
        "the model's tokenizer is no byte-level BPE that Mynah knows llama.cpp's name of; "
        "export it as a directory and convert that with llama.cpp: leave .gguf out"
    )


def _cut_of(data: dict[str, Any]) -> Cut | None:
    """Return how a tokenizer.json cuts text; None: in another way than any that has a name."""
    model, normalizer = data["model"], data["normalizer"]
    affixes = [
        model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    ]
    if model["type"] != "BPE" or any(affixes) or (normalizer or {"type": "NFC"})["type"] != "NFC":
        return None
    steps = data["pre_tokenizer"] or {}
    pattern, digits, gpt2 = None, False, None
    for step in steps.get("pretokenizers", [steps]):
        match step:
            case {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}:
                # Mynah's own finds the same pieces.
                pattern = LLAMA3 if pattern == PRE_TOKENIZE else pattern
            case {"type": "Digits", "individual_digits": True}:
                digits = True
            case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": gpt2}:
                pass
            case _:
                return None
    if gpt2 is not (pattern is None):
        return None
    return Cut(pattern, digits, bool(model.get("ignore_merges")), normalizer is not None)
