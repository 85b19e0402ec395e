"""Where foreign tensors come from: one at a time, so that a model is never in memory twice.

`mynah.interop.loading` knows which of them make a model; another format is another `TensorSource`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
#: Ends of files that hold weights as pickles, which run code when they are read.
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class TensorSource(Protocol):
    """Tensors of a model by the names that its family has at Hugging Face."""

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of each tensor by name, without reading any."""

    def get(self, name: str) -> Tensor:
        """Read one of them, on the CPU, float32, float64, float16 or bfloat16.

        Raises:
            ArtifactError: if it cannot be read, or is of other numbers.
        """


class SafetensorsSource:
    """The tensors of a Hugging Face directory: `model.safetensors`, or the shards that its index names."""

    def __init__(self, directory: Path) -> None:
        """Look at what is there; the headers are read and checked, no tensor is.

        Raises:
            ArtifactError: if a file is missing or damaged.
        """
        self._file_of: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for path in weight_files(directory):
            for name, shape in _shapes_in(path).items():
                self._file_of[name], self._shapes[name] = path, shape

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of each tensor by name."""
        return self._shapes

    def get(self, name: str) -> Tensor:
        """Read a tensor.

        Raises:
            ArtifactError: if it cannot be read, or is of other numbers than floating-point ones of 16 bits or more.
        """
        from safetensors import SafetensorError, safe_open

        path = self._file_of[name]
        try:
            # Opened anew for each: what was read of a file that stays open counts as the process's own memory.
            with safe_open(path, framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None
        if tensor.dtype not in _NUMBERS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ArtifactError(f"{path}: tensor {name} is {kind}; expected float32, float16 or bfloat16")
        return tensor


def _shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a safetensors file, or damaged: {error}") from None


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that hold a directory's weights; one that is whole goes before an index.

    Raises:
        ArtifactError: if there are none, the index is damaged, or names what is not there.
    """
    check_has_weights(directory)
    if (whole := directory / WHOLE).is_file():
        return [whole]
    index = directory / INDEX
    if not index.is_file():
        raise ArtifactError(f"{whole}: missing")
    found = artifacts.read_json(index)
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict) or not all(_is_name(value) for value in places.values()):
        raise ArtifactError(f"{index}: damaged: expected a weight_map of names of files beside it")
    shards = sorted(set(places.values()))
    lost = [shard for shard in shards if not (directory / shard).is_file()]
    if lost:
        raise ArtifactError(
            f"{index}: names {', '.join(lost)}, which {'is' if len(lost) == 1 else 'are'} not there "
            f"({len(shards) - len(lost)} of {len(shards)} files are); download what is missing"
        )
    return [directory / shard for shard in shards]


def _is_name(value: object) -> bool:
    """Whether something is the name of a file in the same folder."""
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\:")


def check_has_weights(directory: Path) -> None:
    """Refuse a directory that holds an adapter alone, or weights as pickles alone, and say what to do.

    Raises:
        ArtifactError: if it is one.
    """
    if (directory / WHOLE).is_file() or (directory / INDEX).is_file():
        return
    pickles = sorted(path.name for path in directory.glob("*") if path.suffix in _PICKLES)
    weights = [name for name in pickles if not name.startswith(("adapter", "training_args", "optimizer"))]
    if (directory / ADAPTER).is_file() and not weights:
        adapter = artifacts.read_json(directory / ADAPTER)
        base = adapter.get("base_model_name_or_path") if isinstance(adapter, dict) else None
        raise ArtifactError(
            f"{directory}: holds only an adapter (of {base or 'a base that it does not name'}), not a model; "
            "the base is needed: merge the two with peft (merge_and_unload, save_pretrained) and read the result"
        )
    if weights:
        more = f" and {len(weights) - 1} more" if len(weights) > 1 else ""
        raise ArtifactError(
            f"{directory}: weights are in {weights[0]}{more} alone, pickles, which can run code and are not read; "
            "convert them to safetensors by loading and saving with transformers: "
            "AutoModelForCausalLM.from_pretrained(old).save_pretrained(new)"
        )
