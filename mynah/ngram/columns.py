"""Columns of numbers that may be longer than memory: arrays, or files that are read and written a piece at a time."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.errors import ArtifactError

Array = npt.NDArray[Any]


class Column:
    """Numbers of one dtype that are added at the end and read anywhere."""

    def __init__(self, dtype: npt.DTypeLike, path: Path | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self.path = path
        self.length = 0
        self._parts: list[Array] = []
        if path is not None:
            path.touch()

    def __len__(self) -> int:
        return self.length

    def append(self, values: Array) -> None:
        """Add values at the end."""
        values = np.ascontiguousarray(values, self.dtype)
        if self.path is None:
            self._parts.append(values)
        else:
            self._put(self.length, values)
        self.length += len(values)

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Return the values from `start` to `stop`; of a column in memory a view."""
        stop = self.length if stop is None else min(stop, self.length)
        if self.path is None:
            if len(self._parts) != 1:
                self._parts = [np.concatenate(self._parts) if self._parts else np.empty(0, self.dtype)]
            return self._parts[0][start:stop]
        # Opened anew each time: of a large text there are more sorted runs than files that may be open at once.
        values = np.fromfile(self.path, self.dtype, max(0, stop - start), offset=start * self.dtype.itemsize)
        if len(values) != max(0, stop - start):
            raise ArtifactError(f"{self.path}: cut short while it was in use")
        return values

    def map(self) -> Array:
        """Return all values: of a column in a file as a map of it, in which nothing is to be changed."""
        if self.path is None or not self.length:
            return self.read()
        return np.memmap(self.path, self.dtype, "c")

    def write(self, start: int, values: Array) -> None:
        """Set the values from `start` on, which must be there already."""
        if self.path is None:
            self.read(start, start + len(values))[:] = values
        else:
            self._put(start, np.ascontiguousarray(values, self.dtype))

    def _put(self, start: int, values: Array) -> None:
        assert self.path is not None
        with self.path.open("r+b") as file:
            file.seek(start * self.dtype.itemsize)
            file.write(values.data.cast("B"))

    def drop(self) -> None:
        """Give back what the column takes."""
        self._parts = []
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def let_go(array: Array) -> None:
    """Give back the memory of a map in which nothing was changed; what is read again is read from its file again."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
