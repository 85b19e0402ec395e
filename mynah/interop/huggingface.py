"""Read and write Hugging Face model directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.families import FAMILIES, Family
from mynah.interop.loading import Filled, load_foreign, to_foreign
from mynah.interop.parity import NOT_SAID, Limits, expect, prove, settled
from mynah.interop.sources import INDEX, SafetensorsSource, check_has_weights, weight_files
from mynah.model.config import ModelConfig
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.tokenizer.foreign import CHAT_TEMPLATE, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG
from mynah.tokenizer.tokenizer import Tokenizer

#: What is written in a model's own numbers; families that lay them out otherwise round float16 and bfloat16.
_EXACT, _ROUNDED = Limits(1e-4, 1e-6), Limits(2e-2, 1e-2)


def from_hugging_face(directory: Path, dtype: torch.dtype = torch.float32) -> tuple[Transformer, Tokenizer]:
    """Read a directory's model and tokenizer.

    Args:
        directory: `config.json`, `tokenizer.json` and safetensors files.
        dtype: of the model's numbers, whatever those of the files are.

    Raises:
        ArtifactError: if files are missing or damaged, or the tensors are not those of the config; if the weights are
            those of an adapter alone, or pickles; if the tokenizer has tokens that the model has no row for.
        ConfigError: if the family is not one of `FAMILIES`, or is of a make that Mynah does not compute.
    """
    check_has_weights(directory)
    _, config = read_config(directory)
    tokenizer = Tokenizer.load(directory)
    if tokenizer.vocab_size > config.vocab_size:
        raise ArtifactError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size:,} tokens, the model {config.vocab_size:,}; "
            "expected the tokenizer that it was trained with"
        )
    return read_hugging_face(directory, dtype), tokenizer


def read_hugging_face(
    directory: Path, dtype: torch.dtype = torch.float32, filled: Filled | None = None
) -> Transformer:
    """Read a directory's model as it was saved, without its tokenizer; `filled` is for `load_foreign`.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    check_has_weights(directory)
    family, config = read_config(directory)
    source = SafetensorsSource(directory)
    return load_foreign(source, family, config, directory, dtype, filled)


def check_readable(directory: Path) -> None:
    """Refuse a directory that cannot be a model to start from, before any work is done; no tensor is read.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    check_has_weights(directory)
    read_config(directory)
    weight_files(directory)


def read_config(directory: Path) -> tuple[Family, ModelConfig]:
    """Return of which family a directory's model is, and its config.

    Raises:
        ArtifactError, ConfigError: as `from_hugging_face`.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise ArtifactError(f"{directory}: no config.json; expected a Hugging Face model directory")
    foreign = artifacts.read_json(path)
    name = foreign.get("model_type") if isinstance(foreign, dict) else None
    if not isinstance(name, str) or name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ConfigError(f"{directory}: model_type {name!r}; Mynah reads {known}")
    if (quantized := foreign.get("quantization_config")) is not None:
        kind = quantized.get("quant_method", "quantized") if isinstance(quantized, dict) else "quantized"
        raise ConfigError(f"{directory}: weights are {kind}; expected them in float32, float16 or bfloat16")
    family = FAMILIES[name]
    try:
        return family, build_config(ModelConfig, family.read(foreign, directory), str(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: a key is missing, or of another kind: {error}") from None


def to_hugging_face(model: Transformer, tokenizer: Tokenizer, directory: Path, *, talks: bool = True) -> None:
    """Write a model and its tokenizer as a directory that `transformers` reads.

    What was written is read back and compared before it is put in place; the numbers read take the place of the
    model's own, which are the same.

    Args:
        model: of a make that one of `FAMILIES` can say.
        tokenizer: the one it was trained with.
        directory: new, or empty; it is there when it is whole.
        talks: whether it was fine-tuned on conversations: only then its chat template goes with it.

    Raises:
        ConfigError: if no family can say what the model computes; what stands against it is named.
        ArtifactError: if the directory holds something, cannot be written, or what was written is not the model.
    """
    family = family_of(model.config)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArtifactError(f"{directory}: holds something already; name a new folder")
    expected = expect(model, tokenizer, talks=talks)
    tensors = dict(to_foreign(model, family))
    with artifacts.new_directory(directory, Manifest("export", "", __version__, {}, {}, 0)) as partial:
        tokenizer.save(partial, talks=talks)
        artifacts.write_json(partial / "config.json", config_json(model, tokenizer, family))
        write_tensors(partial / "model.safetensors", tensors)
        limits = _EXACT if model.dtype == torch.float32 else _ROUNDED
        prove(expected, model, partial, read_config(partial), SafetensorsSource(partial), limits)


def config_json(model: Transformer, tokenizer: Tokenizer, family: Family) -> dict[str, Any]:
    """Return what `config.json` says of a model of a family."""
    return {
        "model_type": family.name,
        "architectures": [family.architecture],
        "dtype": str(model.dtype).removeprefix("torch."),
        "bos_token_id": tokenizer.control.bos,
        "eos_token_id": tokenizer.control.end,
        **family.write(model.config),
    }


def family_of(config: ModelConfig) -> Family:
    """Return the family that computes what a config says.

    A family can say it if the config comes back the same from what the family writes of it.

    Raises:
        ConfigError: if none can; what stands against the nearest is named.
    """
    if config.prior:
        raise ConfigError(
            "the model goes on from an n-gram model, which no other program can run; "
            "build one without to export it: mynah build ... --prior none"
        )
    unsaid = {name: _lost(config, family) for name, family in FAMILIES.items()}
    nearest = min(unsaid, key=lambda name: len(unsaid[name]))
    if unsaid[nearest]:
        named = ", ".join(f"{field} {value!r}" for field, value in unsaid[nearest].items())
        raise ConfigError(
            f"no model of transformers has {named} (the nearest is {nearest!r}); "
            "write it as ONNX (--onnx), or build one that can be exported: mynah build ... --size gpt2"
        )
    return FAMILIES[nearest]


def _lost(config: ModelConfig, family: Family) -> dict[str, Any]:
    """Return the fields of a config, and their values, that do not come back from what a family writes of it."""
    said = json.loads(json.dumps(family.write(config)))
    read = family.read(said, Path("config.json"))
    left_out = set(NOT_SAID)
    try:
        again = ModelConfig(**read)
    except ValueError:  # it has no word for a head's width, and cannot be of the one that it works out
        again = ModelConfig(**{**read, "n_head": 1, "n_kv_head": 1, "head_dim": 2})
        left_out |= {"n_head", "n_kv_head"}
    lost = {}
    for field in ModelConfig.model_fields:
        if field not in left_out and settled(config, field) != settled(again, field):
            lost[field] = settled(config, field)
    return lost


def hash_of_directory(base: Path) -> str:
    """Return a hash over the files of a base directory that decide what is loaded."""
    names = ["config.json", TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE, INDEX]
    files = [base / name for name in names] + sorted(base.glob("*.safetensors"))
    return artifacts.sha256_of_json(
        {path.name: artifacts.sha256_of_file(path) for path in files if path.is_file()}
    )
