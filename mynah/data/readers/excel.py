"""Excel workbooks (xlsx, xlsb, xls) and OpenDocument sheets: every sheet with rows is a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.table import column_names, is_header
from mynah.data.reading import Reading, Row
from mynah.data.records import Record, Rejected
from mynah.data.rows import SAMPLE_ROWS, normal_cell, rows_to_records
from mynah.data.vocabulary import known_names
from mynah.errors import DataError


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of all sheets.

    Raises:
        DataError: if the workbook is damaged or has no rows.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    reading.tell(form="a workbook")
    empty = True
    with given.local() as path:
        try:
            workbook = CalamineWorkbook.from_path(str(path))
            names = workbook.sheet_names
            for name in names:
                rows = [
                    [_cell(value) for value in row] for row in workbook.get_sheet_by_name(name).iter_rows()
                ]
                while rows and not any(cell.strip() for cell in rows[0]):
                    del rows[0]
                if not rows:
                    continue
                empty = False
                yield from _sheet(given.name if len(names) == 1 else f"{given.name}/{name}", rows, reading)
        except (CalamineError, OSError) as error:
            raise DataError(f"{given.name}: a damaged workbook ({type(error).__name__})") from None
    if empty:
        raise DataError(f"{given.name}: no rows in this workbook")


def _sheet(name: str, rows: list[list[str]], reading: Reading) -> Iterator[Record | Rejected]:
    header = reading.config.header
    if header is None:
        header = is_header(rows[0], rows[1:21], known_names())
    columns = column_names(rows[0], header)
    first = 1 if header else 0

    def named() -> Iterator[Row | Rejected]:
        for number, row in enumerate(rows[first:], start=first + 1):
            if any(cell.strip() for cell in row):
                yield Row(number, dict(zip(columns, row, strict=True)))

    sample = [dict(zip(columns, row, strict=True)) for row in rows[first : first + SAMPLE_ROWS]]
    yield from rows_to_records(name, columns, sample, named(), reading)


def _cell(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return normal_cell(value)
