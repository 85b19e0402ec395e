"""Where n-grams are counted: in memory, or on the disk a block at a time, on all cores."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy.typing as npt

from mynah.device import held_memory
from mynah.errors import ArtifactError
from mynah.ngram.columns import Array, Column
from mynah.ngram.loops import loops

Result = TypeVar("Result")
#: Told what is being done, how much of it is done, and how much there is.
Watch = Callable[[str, int, int], None]
#: Bytes that a token takes in memory beside what it takes in each order.
_TOKEN_BYTES, _ORDER_BYTES = 50, 24
#: Bytes of memory an item of a block takes while it is sorted and merged, all copies counted.
_BLOCK_BYTES = 150
#: A block is a multiple of this, so that packed numbers end with a whole word.
_UNIT = 64
_PIECE = 1 << 20


@dataclass(frozen=True)
class Workspace:
    """Where columns lie, and how many items of one are in memory at a time."""

    #: None: in memory
    folder: Path | None = None
    #: items of a column that can be held to be read or written at any place
    block: int = 1 << 62
    #: the inner loops to use
    loops: ModuleType = field(default_factory=lambda: loops(0))

    def column(self, dtype: npt.DTypeLike, name: str) -> Column:
        """Return a new, empty column; a name is used once."""
        return Column(dtype, None if self.folder is None else self.folder / name)

    @property
    def piece(self) -> int:
        """Items of a column that are taken at a time where it is gone through from its beginning to its end."""
        return _PIECE if self.folder is None else max(1, self.block // 4)

    def blocks(self, length: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of the blocks of a column."""
        return cut(length, self.block)

    def pieces(self, length: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of the pieces of a column."""
        return cut(length, self.piece)


def in_order(
    work: Callable[[int, int], Result], places: Iterable[tuple[int, int]], ahead: int = 1
) -> Iterator[Result]:
    """Yield `work(start, stop)` for places in their order; on all cores, and `ahead` places more than these."""
    cores = max(1, min(8, os.cpu_count() or 1))
    with ThreadPoolExecutor(cores) as pool:
        running: deque[Future[Result]] = deque()
        for start, stop in places:
            running.append(pool.submit(work, start, stop))
            if len(running) >= cores + ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def cut(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of pieces of a size."""
    for start in range(0, length, size):
        yield start, min(start + size, length)


@contextmanager
def workspace_for(tokens: int, order: int, memory: int, beside: Path | None = None) -> Iterator[Workspace]:
    """Choose between memory and disk for a text; what lies on the disk is gone afterwards.

    Args:
        tokens: of the text.
        order: the highest.
        memory: bytes that may be taken.
        beside: folder on the disk that has room; None: where temporary files go.

    Raises:
        ArtifactError: if the folder cannot be written.
    """
    chosen = loops(tokens)
    # What the program itself, its libraries and the vocabulary hold by now counts too.
    left = max(memory // 4, memory - held_memory())
    if tokens * (_TOKEN_BYTES + order * _ORDER_BYTES) <= left:
        yield Workspace(loops=chosen)
        return
    folder = _new_folder(beside)
    try:
        yield Workspace(folder, max(_UNIT, left // _BLOCK_BYTES // _UNIT * _UNIT), chosen)
    except OSError as error:
        if isinstance(error, ArtifactError) or error.errno is None:
            raise
        raise ArtifactError(f"{folder}: {os.strerror(error.errno)} while n-grams were sorted") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Spool:
    """A column that goes on on the disk when it has become long."""

    column: Column
    #: bytes that are held in memory
    most: int
    beside: Path | None
    folder: Path | None = None

    def append(self, values: Array) -> None:
        """Add values at the end."""
        self.column.append(values)
        if self.folder is None and self.column.length * self.column.dtype.itemsize > self.most:
            self.folder = _new_folder(self.beside)
            on_disk = Column(self.column.dtype, self.folder / "tokens")
            on_disk.append(self.column.read())
            self.column = on_disk


@contextmanager
def spooled(dtype: npt.DTypeLike, most: int, beside: Path | None) -> Iterator[Spool]:
    """Yield a column that is kept in memory as long as it takes no more than `most` bytes."""
    spool = Spool(Column(dtype), most, beside)
    try:
        yield spool
    finally:
        spool.column.drop()
        if spool.folder is not None:
            shutil.rmtree(spool.folder, ignore_errors=True)


def _new_folder(beside: Path | None) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=".ngrams-", dir=beside))
    except OSError as error:
        raise ArtifactError(
            f"{beside or tempfile.gettempdir()}: cannot be written: {error.strerror}"
        ) from None
