"""Token shards: encoded records on disk, one flat array of ids, where each record begins, and what the loss counts.

They are mapped into memory, not read: however many processes train, the system holds what they look at once.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.data.records import Record
from mynah.errors import ArtifactError
from mynah.tokenizer.examples import KIND_NUMBERS, encode_in_batches
from mynah.tokenizer.template import SAID
from mynah.tokenizer.tokenizer import Tokenizer

_DTYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I64": np.int64}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


class PriorAlong(Protocol):
    """What another model says along one text, for a network that goes on from it."""

    def log_probs(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return log p(token after each position), natural, (M, V)."""


@dataclass(frozen=True)
class TokenSet:
    """Many records as token ids.

    N tokens in R records.
    """

    #: (N,) uint16 or uint32: all records, end to end
    tokens: npt.NDArray[np.unsignedinteger]
    #: (R + 1,) int64: record r is tokens[starts[r]:starts[r + 1]]
    starts: npt.NDArray[np.int64]
    #: (N,) uint8: LAYOUT, HEARD or SAID
    part: npt.NDArray[np.uint8]
    #: (R, 2) int64: UTF-8 bytes of all text of the record, and of its assistant turns
    n_bytes: npt.NDArray[np.int64]
    #: (R,) uint8: one of `KIND_NUMBERS`
    kind: npt.NDArray[np.uint8]
    #: along these tokens, for a network that goes on from a prior; not on disk
    prior: PriorAlong | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def reply(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: True where the assistant speaks."""
        return np.equal(self.part, SAID)

    def record(self, index: int) -> npt.NDArray[np.int64]:
        """Return one record's ids, (T,) int64."""
        return self.tokens[self.starts[index] : self.starts[index + 1]].astype(np.int64)

    def record_part(self, index: int) -> npt.NDArray[np.uint8]:
        """Return what one record's tokens are, (T,) uint8."""
        return self.part[self.starts[index] : self.starts[index + 1]]

    def records_of(self, kind: str) -> npt.NDArray[np.intp]:
        """Return the numbers of the records of a kind: "conversation", "labelled", ..."""
        return np.flatnonzero(self.kind == KIND_NUMBERS[kind])

    def select(self, records: npt.NDArray[np.intp]) -> TokenSet:
        """Return some records, in the given order, as a set of their own; without the prior."""
        spans = [slice(self.starts[r], self.starts[r + 1]) for r in records.tolist()]
        lengths = np.array([span.stop - span.start for span in spans], np.int64)
        return TokenSet(
            np.concatenate([self.tokens[:0], *(self.tokens[span] for span in spans)]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([self.part[:0], *(self.part[span] for span in spans)]),
            self.n_bytes[records],
            self.kind[records],
        )

    def save(self, path: Path) -> None:
        """Write the arrays as one safetensors file.

        Raises:
            ArtifactError: if it cannot be written.
        """
        from safetensors.numpy import save

        arrays = {
            "tokens": self.tokens,
            "starts": self.starts,
            "part": self.part,
            "n_bytes": self.n_bytes,
            "kind": self.kind,
        }
        artifacts.write_bytes(path, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))

    @classmethod
    def load(cls, path: Path) -> TokenSet:
        """Map a file that `save` or `encode_to_file` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        try:
            arrays = _map_arrays(path)
            # Shards of earlier versions do not say of what kind their records are.
            arrays.setdefault("kind", np.zeros(len(arrays["starts"]) - 1, np.uint8))
            return cls(**arrays)
        except FileNotFoundError:
            raise ArtifactError(f"{path}: missing") from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None


def _map_arrays(path: Path) -> dict[str, Any]:
    """Map the arrays of a safetensors file into memory, read only."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > 1 << 20:
            raise ValueError("its header is too long")
        header = json.loads(file.read(size))
    arrays: dict[str, Any] = {}
    for name, info in header.items():
        if name == "__metadata__":
            continue
        dtype, shape = np.dtype(_DTYPES[info["dtype"]]), tuple(info["shape"])
        begin, end = info["data_offsets"]
        if end - begin != dtype.itemsize * int(np.prod(shape)):
            raise ValueError(f"{name} has not the size of its shape")
        if end > begin:
            arrays[name] = np.memmap(path, dtype, "r", 8 + size + begin, shape)
        else:  # nothing cannot be mapped
            arrays[name] = np.zeros(shape, dtype)
    return arrays


def encode_records(records: Iterable[Record], tokenizer: Tokenizer) -> TokenSet:
    """Encode records in memory, each beginning with the tokenizer's beginning-of-text token."""
    made = list(encode_in_batches(records, tokenizer))
    dtype = made[0].tokens.dtype if made else np.dtype(np.uint16)
    lengths = np.concatenate([np.zeros(1, np.int64), *(e.lengths for e in made)])
    return TokenSet(
        np.concatenate([np.zeros(0, dtype), *(e.tokens for e in made)]),
        np.cumsum(lengths),
        np.concatenate([np.zeros(0, np.uint8), *(e.part for e in made)]),
        np.concatenate([np.zeros((0, 2), np.int64), *(e.n_bytes for e in made)]),
        np.concatenate([np.zeros(0, np.uint8), *(e.kind for e in made)]),
    )


def encode_to_file(records: Iterable[Record], tokenizer: Tokenizer, path: Path) -> TokenSet:
    """Encode records into a file, of which memory holds one batch at a time; return it mapped.

    Raises:
        ArtifactError: if it cannot be written.
    """
    lengths, n_bytes, kind = [np.zeros(1, np.int64)], [np.zeros((0, 2), np.int64)], [np.zeros(0, np.uint8)]
    dtype = np.dtype(np.uint16)
    with (
        artifacts.replacing(path) as temporary,
        tempfile.TemporaryFile(dir=path.parent) as tokens,
        tempfile.TemporaryFile(dir=path.parent) as part,
    ):
        for encoded in encode_in_batches(records, tokenizer):
            dtype = encoded.tokens.dtype
            tokens.write(encoded.tokens.data)
            part.write(encoded.part.data)
            lengths.append(encoded.lengths)
            n_bytes.append(encoded.n_bytes)
            kind.append(encoded.kind)
        starts = np.cumsum(np.concatenate(lengths))
        arrays: dict[str, _Whole] = {
            "starts": _Whole.of(starts),
            "n_bytes": _Whole.of(np.concatenate(n_bytes)),
            "tokens": _Whole(dtype, (int(starts[-1]),), tokens),
            "part": _Whole(np.dtype(np.uint8), (int(starts[-1]),), part),
            "kind": _Whole.of(np.concatenate(kind)),
        }
        _write_arrays(temporary, arrays)
    return TokenSet.load(path)


@dataclass(frozen=True)
class _Whole:
    """An array to be written: its bytes are in a file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    bytes: IO[bytes]

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> _Whole:
        return cls(array.dtype, array.shape, io.BytesIO(array.tobytes()))


def _write_arrays(path: Path, arrays: dict[str, _Whole]) -> None:
    """Write a safetensors file piece by piece; arrays of larger numbers come first, so that all lie aligned."""
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.dtype.itemsize * int(np.prod(array.shape))
        header[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": [begin, end]}
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    with path.open("wb") as file:
        file.write(len(told).to_bytes(8, "little") + told)
        for array in arrays.values():
            array.bytes.seek(0)
            shutil.copyfileobj(array.bytes, file, artifacts.PIECE)
