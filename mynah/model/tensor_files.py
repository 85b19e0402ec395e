"""Tensors on disk as safetensors: written without a copy, read part by part.

The library's own writer puts a file together in memory first, while no other thread may run: a training step would wait
for it. So the few lines of the format are written here; the library reads them.

A file is a JSON header, which says where each tensor lies, and the tensors' bytes
(https://github.com/huggingface/safetensors, "Format"). Of a tensor that several processes hold in parts, each writes
its own; the header's metadata then say where a part lies in the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mynah import artifacts
from mynah.errors import ArtifactError

#: Key of the metadata that holds {name: {"at": first index of each dimension, "of": shape of the whole}}.
PARTS = "parts"
_DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Where a part lies in a tensor: first index, length, and length of the whole, of each dimension."""

    at: tuple[int, ...]
    shape: tuple[int, ...]
    of: tuple[int, ...]

    @classmethod
    def whole(cls, shape: Iterable[int]) -> Part:
        """Return the part that is all of it."""
        size = tuple(shape)
        return cls((0,) * len(size), size, size)

    @property
    def slices(self) -> tuple[slice, ...]:
        """What cuts it out of the whole."""
        return tuple(slice(a, a + n) for a, n in zip(self.at, self.shape, strict=True))

    def within(self, other: Part) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
        """Return what both have in common, as slices of this one and of the other; None if nothing."""
        mine, theirs = [], []
        for a, n, b, m in zip(self.at, self.shape, other.at, other.shape, strict=True):
            begin, end = max(a, b), min(a + n, b + m)
            if begin >= end:
                return None
            mine.append(slice(begin - a, end - a))
            theirs.append(slice(begin - b, end - b))
        return tuple(mine), tuple(theirs)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], parts: Mapping[str, Part] | None = None) -> None:
    """Write a safetensors file atomically and durably; the bytes are those of the tensors, which are not copied.

    Args:
        path: of the file.
        tensors: on the CPU.
        parts: of those that are parts of a larger one.

    Raises:
        ArtifactError: if it cannot be written.
    """
    metadata = {"format": "pt"}
    if parts is not None:
        said = {name: {"at": part.at, "of": part.of} for name, part in sorted(parts.items())}
        metadata[PARTS] = json.dumps(said)
    header: dict[str, Any] = {"__metadata__": metadata}
    # Wide numbers first: each then lies at a multiple of its width.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    bytes_of, end = [], 0
    for name, tensor in ordered:
        view = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
        begin, end = end, end + len(view)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": tensor.shape, "data_offsets": [begin, end]}
        bytes_of.append(view)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    artifacts.write_bytes(path, len(head).to_bytes(8, "little") + head, *bytes_of)


class TensorFiles:
    """The tensors of several files, each whole or in parts, read only as far as they are asked for."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Open.

        Raises:
            ArtifactError: if a file is missing or damaged.
        """
        from safetensors import SafetensorError, safe_open

        self.paths = list(paths)
        self._found: dict[str, list[tuple[Any, Part]]] = {}
        for path in self.paths:
            try:
                file: Any = safe_open(path, framework="pt")
                parts = json.loads((file.metadata() or {}).get(PARTS, "{}"))
                names = list(file.keys())
                for name in names:
                    shape = tuple(file.get_slice(name).get_shape())
                    said = parts.get(name)
                    part = Part(tuple(said["at"]), shape, tuple(said["of"])) if said else Part.whole(shape)
                    self._found.setdefault(name, []).append((file, part))
            except FileNotFoundError:
                raise ArtifactError(f"{path}: missing") from None
            except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
                raise ArtifactError(f"{path}: damaged: {error}") from None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the whole tensors by name."""
        return {name: pieces[0][1].of for name, pieces in self._found.items()}

    def read(self, name: str, part: Part, into: Tensor) -> None:
        """Copy a part of a tensor.

        Args:
            name: one of `shapes`.
            part: which one.
            into: of the part's shape.

        Raises:
            ArtifactError: if the files do not hold all of it.
        """
        copied = 0
        for file, piece in self._found[name]:
            common = part.within(piece)
            if common is None:
                continue
            mine, theirs = common
            found = file.get_slice(name)[theirs] if theirs else file.get_tensor(name)
            into[mine].copy_(found)
            copied += found.numel()
        if copied != into.numel():
            missing = f"{into.numel() - copied:,} of {into.numel():,}"
            raise ArtifactError(f"{self.paths[0].parent}: {missing} numbers of {name} are in no file")
