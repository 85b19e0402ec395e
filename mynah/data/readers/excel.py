"""Excel workbooks (xlsx, xlsb, xls) and OpenDocument sheets: every sheet with rows is a table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.table import column_names, is_header
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import SAMPLE_ROWS, normal_cell, rows_to_records
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
                sheet = workbook.get_sheet_by_name(name)
                if sheet.height and any(_rows_of_sheet(sheet)):
                    empty = False
                    shown = given.name if len(names) == 1 else f"{given.name}/{name}"
                    yield from _sheet(shown, partial(_rows_of_sheet, sheet), reading)
        except (CalamineError, OSError) as error:
            raise DataError(f"{given.name}: a damaged workbook ({type(error).__name__})") from None
    if empty:
        raise DataError(f"{given.name}: no rows in this workbook")


def _rows_of_sheet(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not blank, with their numbers: made one by one, as there may be a million."""
    for number, values in enumerate(sheet.iter_rows(), start=1):
        cells = list(map(_cell, values))
        if any(map(str.strip, cells)):
            yield number, cells


def _sheet(
    name: str, rows: Callable[[], Iterator[tuple[int, list[str]]]], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the records of a sheet, whose rows can be walked more than once."""
    (_, top), *following = itertools.islice(rows(), 1 + SAMPLE_ROWS)
    header = reading.config.header
    if header is None:
        header = is_header(top, [cells for _, cells in following[:20]], known_names())
    columns = column_names(top, header)
    named = (Row(number, dict(zip(columns, cells, strict=True))) for number, cells in rows())
    sample = [
        dict(zip(columns, cells, strict=True)) for _, cells in ([] if header else [(0, top)]) + following
    ]
    yield from rows_to_records(name, columns, sample, itertools.islice(named, int(header), None), reading)


def _cell(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return normal_cell(value)
