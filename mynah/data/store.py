"""Records and their account on disk: Parquet shards, read and written in bounded memory.

A folder of records holds `part-00000.parquet`, `part-00001.parquet`, ... of about `SHARD_CHARACTERS` each.
`dropped.parquet` beside them has a row for every record that a step dropped or changed.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mynah import artifacts
from mynah.data.records import Record, as_dict, from_dict, kind_of
from mynah.errors import ArtifactError

#: A shard is closed when it holds this much text, in characters; the first of many hold less, so that a small set is
#: work for all cores too: as much, or an eighth of what stands in the shards before.
SHARD_CHARACTERS, FIRST_SHARD_CHARACTERS = 4 << 20, 512 << 10
#: A row group is written when it holds this much text or this many records.
GROUP_CHARACTERS, GROUP_RECORDS = 2 << 20, 10_000
DROPPED = "dropped.parquet"
RowT = TypeVar("RowT")

_MESSAGE = pa.struct(
    [*((key, pa.string()) for key in ("role", "content", "name", "time")), ("line", pa.int64())]
)
_TEXTS = ("text", "label", "source", "target", "chosen", "rejected")
SCHEMA = pa.schema(
    [
        ("place", pa.string()),
        ("kind", pa.string()),
        *((key, pa.string()) for key in _TEXTS),
        ("messages", pa.list_(_MESSAGE)),
    ]
)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the account: what a step did to a record, and why; never what the record says."""

    action: Literal["dropped", "changed", "warned"]
    step: str
    reason: str
    #: the record's place: file and line or record
    place: str


CHANGE_SCHEMA = pa.schema([(field.name, pa.string()) for field in fields(Change)])


class _ParquetWriter:
    """Rows into one Parquet file, a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.writer: pq.ParquetWriter | None = None
        self.rows: list[dict[str, Any]] = []

    def flush(self) -> None:
        self.write(pa.Table.from_pylist(self.rows, self.schema))
        self.rows = []

    def add(self, table: pa.Table) -> None:
        if self.rows:
            self.flush()
        self.write(table.cast(self.schema))

    def write(self, table: pa.Table) -> None:
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, self.schema, compression="zstd")
        self.writer.write_table(table)

    def close(self) -> None:
        if self.rows or self.writer is None:
            self.flush()
        assert self.writer is not None
        self.writer.close()


class RecordWriter:
    """Writes records into the shards of a folder, and counts them by kind.

    The folder is a stage's partial directory: it counts only once its manifest is written.

    Args:
        folder: made if it is not there.
        growing: begin with small shards.
    """

    def __init__(self, folder: Path, growing: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.shard: _ParquetWriter | None = None
        self.shards = 0
        self.in_group = self.in_shard = self.in_all = 0
        self.limit = FIRST_SHARD_CHARACTERS if growing else SHARD_CHARACTERS

    def write(self, record: Record) -> None:
        """Add a record."""
        if self.shard is None:
            self.shard = _ParquetWriter(self.folder / f"part-{self.shards:05}.parquet", SCHEMA)
            self.shards += 1
            self.in_shard = 0
        self.counts[kind_of(record)] += 1
        row = as_dict(record)
        self.shard.rows.append({**row, "kind": kind_of(record)})
        self.in_group += sum(map(len, record.texts))
        if self.in_group >= min(GROUP_CHARACTERS, self.limit) or len(self.shard.rows) >= GROUP_RECORDS:
            self.in_shard += self.in_group
            self.in_all += self.in_group
            self.in_group = 0
            self.shard.flush()
            if self.in_shard >= self.limit:
                self.shard.close()
                self.shard = None
                self.limit = max(self.limit, min(self.in_all // 8, SHARD_CHARACTERS))

    def close(self) -> None:
        """Finish the last shard; a folder without records has one empty shard."""
        if self.shard is None and self.shards == 0:
            self.shard = _ParquetWriter(self.folder / "part-00000.parquet", SCHEMA)
        if self.shard is not None:
            self.shard.close()
            self.shard = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Account:
    """Writes `dropped.parquet` and keeps the counts by action, step and reason."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.file = None if folder is None else _ParquetWriter(folder / DROPPED, CHANGE_SCHEMA)
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def note(self, change: Change) -> None:
        """Add a line."""
        self.counts[change.action, change.step, change.reason] += 1
        if self.file is not None:
            self.file.rows.append(dict(zip(CHANGE_SCHEMA.names, astuple(change), strict=True)))
            if len(self.file.rows) >= GROUP_RECORDS:
                self.file.flush()

    def take(self, folder: Path) -> None:
        """Add all lines of another folder's account.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        for batch in _batches(folder / DROPPED, size=GROUP_RECORDS):
            table = pa.Table.from_batches([batch])
            counted = table.group_by(["action", "step", "reason"]).aggregate([([], "count_all")])
            for row in counted.to_pylist():
                self.counts[row["action"], row["step"], row["reason"]] += row["count_all"]
            if self.file is not None:
                self.file.add(table)

    def by_step(self, action: str) -> dict[str, int]:
        """Return how many records each step has dropped, changed or warned of."""
        found: Counter[str] = Counter()
        for (what, step, _), count in sorted(self.counts.items()):
            if what == action:
                found[step] += count
        return dict(found)

    def close(self) -> None:
        """Finish the file."""
        if self.file is not None:
            self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def begin_folder(out: Path) -> Path:
    """Return a folder to fill that becomes `out` by `finish_folder`; named for this process.

    Two workers may hold the same shard for a moment, when one of them was thought dead.
    """
    host = socket.gethostname().replace(".", "-")
    partial = out.with_name(f"{out.name}.{host}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def finish_folder(partial: Path, out: Path) -> None:
    """Let a folder that has been filled take its place, by one rename."""
    for path in partial.rglob("*"):  # it counts as done by its name alone, so it must be whole on the disk
        if path.is_file():
            artifacts.sync_file(path)
    artifacts.sync_directory(partial)
    try:
        partial.rename(out)
    except OSError:
        if not out.is_dir():
            raise
        shutil.rmtree(partial, ignore_errors=True)  # another worker was first, with the same result
    artifacts.sync_directory(out.parent)


def write_records(folder: Path, records: Iterable[Record]) -> Counter[str]:
    """Write records into the shards of a folder; return how many of each kind."""
    with RecordWriter(folder) as writer:
        for record in records:
            writer.write(record)
    return writer.counts


def shards_of(folder: Path) -> list[Path]:
    """Return the shards of a folder in order.

    Raises:
        ArtifactError: if there are none.
    """
    found = sorted(folder.glob("part-*.parquet"))
    if not found:
        raise ArtifactError(f"{folder}: no records in it (no part-*.parquet)")
    return found


def read_records(folder: Path) -> Iterator[Record]:
    """Read records one at a time.

    Raises:
        ArtifactError: if the folder holds no shards, or one is damaged.
    """
    for path in shards_of(folder):
        yield from read_shard(path)


def read_shard(path: Path) -> Iterator[Record]:
    """Read the records of one shard.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    yield from _read(path, from_dict)


def read_changes(folder: Path) -> Iterator[Change]:
    """Read the lines of a folder's account.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    yield from _read(folder / DROPPED, lambda row: Change(**row))


def gather(folders: Iterable[Path], out: Path) -> Counter[str]:
    """Give the shards of folders a place in another one, in order; return how many records of each kind they hold.

    Links and no moves: if the work is cut off here, a later run finds the folders whole. Shards without records
    are left out, except where there are no others.

    Raises:
        ArtifactError: if a shard is damaged.
    """
    counts: Counter[str] = Counter()
    number = 0
    empty = None
    for folder in folders:
        for shard in shards_of(folder):
            found = _kinds_in(shard)
            empty = empty or shard
            if found:
                counts.update(found)
                _link(shard, out / f"part-{number:05}.parquet")
                number += 1
    if not number and empty is not None:
        _link(empty, out / "part-00000.parquet")
    return counts


def _link(shard: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(shard, place)
    except OSError:  # a file system without links, such as a mounted object store
        shutil.copyfile(shard, place)


def _kinds_in(shard: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in _batches(shard, GROUP_RECORDS, ["kind"]):
        for value in batch.column(0).value_counts().to_pylist():
            counts[value["values"]] += value["counts"]
    return counts


def count_records(folder: Path) -> int:
    """Return how many records a folder holds.

    Raises:
        ArtifactError: if it holds no shards, or one is damaged.
    """
    return sum(map(count_in_shard, shards_of(folder)))


def count_in_shard(shard: Path) -> int:
    """Return how many records a shard holds.

    Raises:
        ArtifactError: if it is damaged.
    """
    return _kinds_in(shard).total()


def _read(path: Path, make: Callable[[dict[str, Any]], RowT]) -> Iterator[RowT]:
    try:
        for batch in _batches(path):
            for row in batch.to_pylist():
                yield make(row)
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: not records that Mynah wrote: {type(error).__name__}") from None


def _batches(path: Path, size: int = 1024, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=size, columns=columns)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (pa.ArrowException, KeyError) as error:
        raise ArtifactError(f"{path}: not records that Mynah wrote: {type(error).__name__}") from None
