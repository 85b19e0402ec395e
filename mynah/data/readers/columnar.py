"""Parquet, Arrow and Feather files: batches of rows, a column at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.json_file import read_stream
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import DataError

_BATCH = 1024


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of a Parquet or Arrow file; rows are what they would be in JSON.

    Raises:
        DataError: if it is damaged.
    """
    import pyarrow as pa

    reading.tell(form="Parquet" if given.head(4) == b"PAR1" else "Arrow")
    with given.local() as path:
        try:
            yield from read_stream(given.name, lambda: _values(str(path)), reading)
        except (pa.ArrowException, OSError, SystemError, UnicodeDecodeError) as error:
            raise DataError(f"{given.name}: a damaged columnar file ({type(error).__name__})") from None


def _values(path: str) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open(path, "rb") as file:  # noqa: PTH123
        magic = file.read(4)
    if magic == b"PAR1":
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH):
                yield from _plain(batch)
        return
    with pa.OSFile(path) as source:
        opened = pa.ipc.open_stream(source) if magic[:4] == b"\xff\xff\xff\xff" else pa.ipc.open_file(source)
        batches = (
            opened
            if isinstance(opened, pa.RecordBatchStreamReader)
            else (opened.get_batch(i) for i in range(opened.num_record_batches))
        )
        for batch in batches:
            batch.validate(full=True)  # a damaged batch would be read beyond its end
            for start in range(0, batch.num_rows, _BATCH):
                yield from _plain(batch.slice(start, _BATCH))


def _plain(batch: Any) -> list[dict[str, Any]]:
    """Return a batch's rows; what is no number, text or list (a time) is written as text."""
    rows: list[dict[str, Any]] = batch.to_pylist()
    for row in rows:
        for key, value in row.items():
            if value is not None and not isinstance(value, str | int | float | list | dict):
                row[key] = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return rows
