"""Mynah's own file of an n-gram model: mapped into memory, so that it opens in milliseconds whatever its size.

    magic and version    8 bytes
    length of the head   uint64, little-endian
    SHA-256 of the head  32 bytes
    the head             JSON: what the model is; name, dtype, place and length of each column; SHA-256 of the columns
    the columns          each from a multiple of 64 bytes on

The head and the length of the file are checked whenever a file is opened. The columns' hash is checked when that is
asked for (`mynah ngram info`), as it takes reading all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.ngram.columns import let_go

MAGIC, VERSION = b"MYNAHNG", 1
_ALIGN, _FRONT = 64, 48
Array = npt.NDArray[Any]


def write_columns(path: Path, about: dict[str, Any], columns: dict[str, Array]) -> None:
    """Write columns and what there is to say about them.

    Args:
        path: takes its place when it is whole.
        about: JSON.
        columns: one-dimensional; maps of files are copied in pieces.

    Raises:
        ArtifactError: if it cannot be written.
    """
    listed: list[dict[str, Any]] = []
    place = 0
    digest = hashlib.sha256()
    for name, column in columns.items():
        stored = column.dtype.newbyteorder("<").str
        listed.append({"name": name, "dtype": stored, "place": place, "length": len(column)})
        for piece in _pieces(column):
            digest.update(piece)
        let_go(column)
        place = _aligned(place + column.nbytes)
    head = json.dumps({**about, "columns": listed, "sha256": digest.hexdigest()}, sort_keys=True).encode()
    front = MAGIC + bytes([VERSION]) + len(head).to_bytes(8, "little") + hashlib.sha256(head).digest()
    with artifacts.replacing(path) as partial, partial.open("wb") as file:
        file.write(front + head)
        begin = _aligned(file.tell())
        for column, known in zip(columns.values(), listed, strict=True):
            file.write(bytes(begin + known["place"] - file.tell()))
            for piece in _pieces(column):
                file.write(piece)
            let_go(column)


def _pieces(column: Array) -> Iterator[memoryview]:
    for start in range(0, len(column), 1 << 20):
        yield np.ascontiguousarray(column[start : start + (1 << 20)]).data.cast("B")


def _aligned(place: int) -> int:
    return -(-place // _ALIGN) * _ALIGN


def open_columns(path: Path, verify: bool = False) -> tuple[dict[str, Any], dict[str, Array]]:
    """Map a file; return what it says about itself, and its columns.

    Args:
        path: what `write_columns` wrote.
        verify: read all of it and check the hash.

    Raises:
        ArtifactError: if it is missing, of another kind or version, or damaged.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            front = file.read(_FRONT)
            if len(front) < _FRONT or front[:7] != MAGIC:
                raise ArtifactError(
                    f"{path}: is no n-gram model of Mynah's; make one: mynah ngram train TEXT -o MODEL.ng"
                )
            if front[7] != VERSION:
                raise ArtifactError(
                    f"{path}: has version {front[7]} of the format, expected {VERSION}; train it again"
                )
            length = int.from_bytes(front[8:16], "little")
            head = file.read(length) if length <= size else b""
        if hashlib.sha256(head).digest() != front[16:48]:
            raise ArtifactError(f"{path}: is damaged, its head does not match its hash; train it again")
        about = json.loads(head)
        columns = {}
        for known in about.pop("columns"):
            dtype, items = np.dtype(known["dtype"]), known["length"]
            place = _aligned(_FRONT + length) + known["place"]
            if (end := place + items * dtype.itemsize) > size:
                raise ArtifactError(
                    f"{path}: is cut short, {size:,} bytes of at least {end:,}; train it again"
                )
            # Copy on write: what is mapped for reading alone would make the compiled loops compile once more.
            columns[known["name"]] = (
                np.memmap(path, dtype, "c", place, items) if items else np.empty(0, dtype)
            )
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except OSError as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from None
    expected = about.pop("sha256")
    if verify:
        digest = hashlib.sha256()
        for column in columns.values():
            for piece in _pieces(column):
                digest.update(piece)
        if digest.hexdigest() != expected:
            raise ArtifactError(f"{path}: is damaged, its numbers do not match their hash; train it again")
    return about, columns
