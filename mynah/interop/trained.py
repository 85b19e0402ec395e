"""A trained model from its folder: whole, or an adapter over a base; with the prior that it goes on from, if any."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mynah import artifacts
from mynah.config import build_config
from mynah.device import BASE_BYTES, USABLE, available_memory
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.bases import find_base
from mynah.interop.held import Held, quick_dtype, quickest_that_fits
from mynah.interop.huggingface import hash_of_directory, read_config, read_hugging_face
from mynah.model.config import ModelConfig
from mynah.model.lora import LoRAConfig, adapter_tensors, add_adapter, load_adapter_tensors, merge_in_place
from mynah.model.quantized import Bits, can_quantize, quantize_map
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.model.weights import load_model, read_tensors
from mynah.ngram.prior import PRIOR, NGramPrior

ADAPTER, ABOUT = "adapter.safetensors", "adapter.json"


@dataclass(frozen=True)
class Adapter:
    """What a folder with an adapter says of it."""

    lora: LoRAConfig
    #: the base as it was asked for: a name, or a path
    base: str
    #: `hash_of_directory` of it
    base_hash: str


def adapted_base(
    directory: Path, lora: LoRAConfig, seed: int, device: torch.device, held: Held | None = None
) -> tuple[Transformer, LoRAConfig]:
    """Return a base, frozen, with an adapter that changes nothing yet, and the adapter's shape.

    Beside the base as it is held, one tensor of it is in memory at a time.

    Args:
        directory: of the base.
        lora: the shape asked for; whether queries, keys and values share a pair follows from the base's family.
        seed: of the adapter.
        device: where it is to be.
        held: how its weights are held; None: in `quick_dtype`.

    Raises:
        ArtifactError, ConfigError: if the base cannot be read, or has none of the targets.
    """
    family, shape = read_config(directory)
    config = lora.model_copy(update={"joint_qkv": not family.qkv})
    held = held or Held(quick_dtype(shape, device))
    filled = partial(_put_into_bits, bits=held.bits) if held.bits is not None else None
    model = read_hugging_face(directory, held.dtype, filled).to(device)
    add_adapter(model, config, seed)
    return model, config


def _put_into_bits(model: Transformer, name: str, bits: Bits) -> None:
    """Put the weight of that name, which has just been read, into few bits, if it is one of a block's maps."""
    place, _, kind = name.rpartition(".")
    if kind == "weight" and place.startswith("blocks.") and can_quantize(model.get_submodule(place)):
        quantize_map(model, place, bits)


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
        # Adapters of before `layers` was a setting were on all blocks.
        lora = build_config(LoRAConfig, {"layers": 1.0, **about["lora"]}, str(folder / ABOUT))
        return Adapter(lora, str(about["base"]), str(about["base_hash"]))
    except (KeyError, TypeError):
        raise ArtifactError(f"{folder / ABOUT}: damaged: a key is missing") from None


def find_base_of(folder: Path, adapter: Adapter) -> Path:
    """Return where the base of a folder's adapter is; its files are not looked at.

    Raises:
        ArtifactError: if it is not here.
    """
    try:
        return find_base(adapter.base)
    except ConfigError as error:
        raise ArtifactError(f"{folder}: an adapter of a base that is not here: {error}") from None


def open_adapter(folder: Path, device: torch.device, held: Held | None = None) -> tuple[Transformer, Adapter]:
    """Return a base with the adapter of a folder on it; `device` and `held` as in `adapted_base`.

    Raises:
        ArtifactError: if one of the two is missing or damaged, or the base is not the one that it was trained on.
    """
    adapter = read_adapter_of(folder)
    base = find_base_of(folder, adapter)
    if hash_of_directory(base) != adapter.base_hash:
        raise ArtifactError(
            f"{folder}: an adapter of another {adapter.base}: the files in {base} have changed since; bring "
            "them back, or build the run anew"
        )
    model, _ = adapted_base(base, adapter.lora, 0, device, held)
    load_adapter_tensors(model, read_tensors(folder / ADAPTER), folder / ADAPTER)
    return model, adapter


def load_trained(
    folder: Path,
    prior: Path,
    bos: int,
    device: torch.device = torch.device("cpu"),
    held: Held | None = None,
    *,
    merged: bool = True,
) -> Transformer:
    """Read a model, in evaluation mode.

    An adapter is added to the weights of its base, or, where these are held in few bits, computed beside them.

    Args:
        folder: of the model.
        prior: folder of the prior.
        bos: the token that begins a text.
        device: where it is to be.
        held: how the weights of a base with its adapter are held; None: as is quickest and fits the memory. Others are
            float32.
        merged: whether an adapter is added; if not, it is computed beside its base in any case.

    Raises:
        ArtifactError: if something is missing or damaged, or an adapter's base is another one.
    """
    if (folder / ABOUT).is_file():
        base = find_base_of(folder, read_adapter_of(folder))
        held = held or held_to_run(read_config(base)[1], device)
        adapted, _ = open_adapter(folder, device, held)
        return (merge_in_place(adapted) if merged and not held.bits else adapted).eval()
    model = load_model(folder)
    if model.config.prior:
        model.prior = NGramPrior.load(prior / PRIOR, bos)
    return model.to(device)


def load_base(directory: Path, device: torch.device) -> Transformer:
    """Read a base as it came, in evaluation mode, held as is quickest and fits the memory.

    Raises:
        ArtifactError, ConfigError: if it cannot be read.
    """
    held = held_to_run(read_config(directory)[1], device)
    return adapted_base(directory, LoRAConfig(), 0, device, held)[0].eval()  # a new adapter changes nothing


def held_to_run(config: ModelConfig, device: torch.device) -> Held:
    """Return how a base is held to be talked to: as is quickest and fits the memory that is free."""
    available = available_memory(device)
    return quickest_that_fits(
        config,
        device,
        lambda held: available is None or held.bytes_of(config) + BASE_BYTES <= USABLE * available,
    )
