"""A trained model from its folder: whole, or an adapter over a base; with the prior that it goes on from, if any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mynah import artifacts
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.bases import find_base
from mynah.interop.huggingface import hash_of_directory, read_config, read_hugging_face
from mynah.model.config import ModelConfig
from mynah.model.gain import LEAST_GAIN, gain_of_bfloat16
from mynah.model.lora import LoRAConfig, adapter_tensors, add_adapter, load_adapter_tensors, merge_adapter
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.model.weights import load_model, load_tensors, read_tensors
from mynah.ngram.prior import PRIOR, NGramPrior

ADAPTER, ABOUT = "adapter.safetensors", "adapter.json"
#: Rows of the product that is timed to choose in which numbers a base computes.
_ROWS = 256


@dataclass(frozen=True)
class Adapter:
    """What a folder with an adapter says of it."""

    lora: LoRAConfig
    #: the base as it was asked for: a name, or a path
    base: str
    #: `hash_of_directory` of it
    base_hash: str


def quick_dtype(config: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the numbers in which a frozen base is held: bfloat16 where products are faster in it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type != "cpu":
        return torch.float32
    gain = gain_of_bfloat16(_ROWS, config.n_embd, config.ffn_hidden)
    return torch.bfloat16 if gain >= LEAST_GAIN else torch.float32


def adapted_base(
    directory: Path, lora: LoRAConfig, seed: int, device: torch.device, dtype: torch.dtype | None = None
) -> tuple[Transformer, LoRAConfig]:
    """Return a base, frozen, with an adapter that changes nothing yet, and the adapter's shape.

    Args:
        directory: of the base.
        lora: the shape asked for; whether queries, keys and values share a pair follows from the base's family.
        seed: of the adapter.
        device: where it is to be.
        dtype: of the frozen weights; None: `quick_dtype`.

    Raises:
        ArtifactError, ConfigError: if the base cannot be read, or has none of the targets.
    """
    family, shape = read_config(directory)
    config = lora.model_copy(update={"joint_qkv": not family.qkv})
    model = read_hugging_face(directory, dtype or quick_dtype(shape, device)).to(device)
    add_adapter(model, config, seed)
    return model, config


def save_adapter(model: Transformer, adapter: Adapter, out: Path) -> None:
    """Write a model's adapter, and of which base it is.

    Raises:
        ArtifactError: if it cannot be written.
    """
    about = {
        "lora": adapter.lora.model_dump(mode="json"),
        "base": adapter.base,
        "base_hash": adapter.base_hash,
    }
    artifacts.write_json(out / ABOUT, about)
    write_tensors(out / ADAPTER, {name: tensor.cpu() for name, tensor in adapter_tensors(model).items()})


def read_adapter_of(folder: Path) -> Adapter:
    """Return what a folder says of its adapter.

    Raises:
        ArtifactError: if it is damaged.
    """
    about = artifacts.read_json(folder / ABOUT)
    try:
        lora = build_config(LoRAConfig, about["lora"], str(folder / ABOUT))
        return Adapter(lora, str(about["base"]), str(about["base_hash"]))
    except (KeyError, TypeError):
        raise ArtifactError(f"{folder / ABOUT}: damaged: a key is missing") from None


def open_adapter(
    folder: Path, device: torch.device, dtype: torch.dtype | None = None
) -> tuple[Transformer, Adapter]:
    """Return a base with the adapter of a folder on it; `device` and `dtype` as in `adapted_base`.

    Raises:
        ArtifactError: if one of the two is missing or damaged, or the base is not the one that it was trained on.
    """
    adapter = read_adapter_of(folder)
    try:
        base = find_base(adapter.base)
    except ConfigError as error:
        raise ArtifactError(f"{folder}: an adapter of a base that is not here: {error}") from None
    if hash_of_directory(base) != adapter.base_hash:
        raise ArtifactError(
            f"{folder}: an adapter of another {adapter.base}: the files in {base} have changed since; bring "
            "them back, or build the run anew"
        )
    model, _ = adapted_base(base, adapter.lora, 0, device, dtype)
    load_adapter_tensors(model, read_tensors(folder / ADAPTER), folder / ADAPTER)
    return model, adapter


def load_trained(
    folder: Path,
    prior: Path,
    bos: int,
    device: torch.device = torch.device("cpu"),
    dtype: torch.dtype | None = None,
) -> Transformer:
    """Read a model, in evaluation mode; an adapter is added to the weights of its base.

    Args:
        folder: of the model.
        prior: folder of the prior.
        bos: the token that begins a text.
        device: where it is to be.
        dtype: of the weights of a base with its adapter; None: `quick_dtype`. Others are float32.

    Raises:
        ArtifactError: if something is missing or damaged, or an adapter's base is another one.
    """
    if (folder / ABOUT).is_file():
        adapted, _ = open_adapter(folder, device, dtype)
        model = Transformer(adapted.config).to(device, adapted.embed.weight.dtype)
        load_tensors(model, merge_adapter(adapted), folder)
        return model.eval()
    model = load_model(folder)
    if model.config.prior:
        model.prior = NGramPrior.load(prior / PRIOR, bos)
    return model.to(device)
