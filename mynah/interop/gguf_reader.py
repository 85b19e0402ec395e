"""The container of llama.cpp's files: metadata, a table of tensors, their bytes (GGUF, versions 2 and 3).

Names of the bytes' arithmetic, and the arithmetic, are the `gguf` package's; its own reader takes ten seconds for the
metadata of a vocabulary of 262,144.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.errors import ArtifactError, ConfigError, MissingDependency

MAGIC = b"GGUF"
#: Types of metadata that are numbers, and how each is packed; 8 is a string, 9 an array.
_NUMBERS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies in a file, and as what."""

    #: as torch has it: (out, in) of a matrix
    shape: tuple[int, ...]
    #: `GGMLQuantizationType`
    kind: int
    #: bytes from the file's beginning
    offset: int
    #: how many
    size: int


class GGUFFile:
    """A file that is open for reading; its metadata are in memory, its tensors are read one at a time."""

    def __init__(self, path: Path) -> None:
        """Read the metadata and the table of tensors.

        Args:
            path: of the file.

        Raises:
            ArtifactError: if the file is none of this format, ends early, or names a size that it cannot hold.
            MissingDependency: if `gguf` is not installed.
        """
        try:
            import gguf
        except ImportError:
            raise MissingDependency("gguf", "bases", "reading GGUF files") from None
        self.path = path
        self._sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
        #: values by key: numbers, text, lists of text, arrays of numbers
        self.metadata: dict[str, Any] = {}
        #: by name
        self.tensors: dict[str, TensorInfo] = {}
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._at = 0
            self._read()
        except ArtifactError:
            raise
        except (OSError, struct.error, ValueError, TypeError) as error:
            raise ArtifactError(f"{path}: damaged or cut short: {error}") from None

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of the metadata.

        Raises:
            ArtifactError: if there is none, and no default.
        """
        value = self.metadata.get(key, default)
        if value is None:
            raise ArtifactError(f"{self.path}: {key} is missing in its metadata")
        return value

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return a tensor's numbers, its shape as torch has it: float16 as it is, all else float32.

        Raises:
            ConfigError: if it is quantized in a way that `gguf` does not know.
            ArtifactError: if its bytes are not that.
        """
        from gguf import GGMLQuantizationType, dequantize

        info = self.tensors[name]
        stored = np.frombuffer(self._bytes, np.uint8, info.size, info.offset)
        kind = GGMLQuantizationType(info.kind)
        try:
            if kind in (GGMLQuantizationType.F16, GGMLQuantizationType.F32):
                numbers = stored.view("<f2" if kind == GGMLQuantizationType.F16 else "<f4")
                return np.array(numbers).reshape(
                    info.shape
                )  # not the file's own memory, which cannot be written
            rows = stored.reshape(*info.shape[:-1], -1)
            return np.asarray(dequantize(rows, kind), np.float32).reshape(info.shape)
        except NotImplementedError:
            raise ConfigError(
                f"{self.path}: tensor {name} is quantized as {kind.name}, which is not read"
            ) from None
        except ValueError as error:
            raise ArtifactError(f"{self.path}: tensor {name} is damaged: {error}") from None

    def _read(self) -> None:
        size = len(self._bytes)
        magic, version, tensors, values = struct.unpack("<4sIQQ", self._take(24))
        if magic != MAGIC:
            raise ArtifactError(f"{self.path}: not a GGUF file")
        if version not in (2, 3):
            raise ArtifactError(f"{self.path}: GGUF of version {version}; Mynah reads 2 and 3")
        if max(tensors, values) > size:
            raise ArtifactError(
                f"{self.path}: damaged: names {tensors} tensors and {values} values in {size} bytes"
            )
        for _ in range(values):
            key = self._text()
            self.metadata[key] = self._value(self._int("<I"))
        found = [self._tensor() for _ in range(tensors)]
        alignment = int(self.metadata.get(_ALIGNMENT, 32))
        if alignment < 1:
            raise ValueError(f"{_ALIGNMENT} {alignment}")
        begin = -(-self._at // alignment) * alignment
        for name, shape, kind, offset in found:
            self.tensors[name] = self._placed(name, shape, kind, begin + offset)

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._bytes):
            raise ValueError(f"{count} bytes named at byte {self._at} of {len(self._bytes)}")
        taken = self._bytes[self._at : end]
        self._at = end
        return taken

    def _int(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _text(self) -> str:
        return self._take(self._int("<Q")).decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            inner, count = self._int("<I"), self._int("<Q")
            if inner in _NUMBERS:
                form = np.dtype(_NUMBERS[inner])
                return np.frombuffer(self._take(count * form.itemsize), form)
            if inner != _STRING or count > len(self._bytes):
                raise ValueError(f"an array of {count} values of type {inner}")
            return [self._text() for _ in range(count)]
        if kind not in _NUMBERS:
            raise ValueError(f"a value of type {kind}")
        form = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self._take(form.itemsize), form)[0].item()

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self._text(), self._int("<I")
        if not 1 <= dimensions <= 4:
            raise ValueError(f"tensor {name!r} of {dimensions} dimensions")
        shape = tuple(self._int("<Q") for _ in range(dimensions))[::-1]
        return name, shape, self._int("<I"), self._int("<Q")

    def _placed(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
        """Check that a tensor lies in the file, once."""
        if name in self.tensors:
            raise ValueError(f"tensor {name!r} twice")
        if kind not in self._sizes:
            raise ArtifactError(f"{self.path}: tensor {name} is of an unknown quantization, {kind}")
        block, block_bytes = self._sizes[kind]
        if min(shape) < 1 or shape[-1] % block:
            raise ValueError(f"tensor {name!r} of shape {shape} in blocks of {block}")
        size = block_bytes
        for length in (*shape[:-1], shape[-1] // block):
            size *= length
        if offset + size > len(self._bytes):
            raise ValueError(f"tensor {name!r} of {size} bytes at byte {offset} of {len(self._bytes)}")
        return TensorInfo(shape, kind, offset, size)


def is_gguf(path: Path) -> bool:
    """Whether a file begins as one of this format does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False
