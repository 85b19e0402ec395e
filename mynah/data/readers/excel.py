"""Excel workbooks (xlsx, xlsb, xls) and OpenDocument sheets: every sheet with rows is a table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import partial
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.header import (
    LOOKED_AT,
    column_names,
    doubled_names,
    first_row_of_table,
    header_score,
    settle_header,
    tell_doubled,
)
from mynah.data.tables.to_records import SAMPLE_ROWS, normal_cell, rows_to_records
from mynah.errors import DataError


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of all sheets.

    Raises:
        DataError: if the workbook is damaged or has no rows.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    reading.tell(form="a workbook")
    empty = True
    layouts: dict[str, str] = {}
    with given.local() as path:
        try:
            workbook = CalamineWorkbook.from_path(str(path))
            names = workbook.sheet_names
            for name in names:
                sheet = workbook.get_sheet_by_name(name)
                if sheet.height and any(_rows_of_sheet(sheet)):
                    empty = False
                    shown = given.name if len(names) == 1 else f"{given.name}/{name}"
                    try:
                        yield from _sheet(shown, partial(_rows_of_sheet, sheet), reading)
                        layouts[reading.source.layout] = name
                    except DataError as error:
                        if len(names) == 1:
                            raise
                        yield Rejected(shown, 0, f"a sheet that is passed over: {error}", bad=False)
            if len(layouts) > 1:
                reading.tell(layout="; ".join(f"{name}: {layout}" for layout, name in layouts.items()))
        except (CalamineError, OSError) as error:
            raise DataError(f"{given.name}: a damaged workbook ({type(error).__name__})") from None
    if empty:
        raise DataError(f"{given.name}: no rows in this workbook")


def _rows_of_sheet(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not blank, with their numbers: made one by one, as there may be a million.

    A cell that is merged over several rows says what it says in each of them.
    """
    merged = _merged_down(sheet)
    held: dict[
        int, tuple[int, str]
    ] = {}  # column -> last row and text of the cell that reaches into this row
    first_row, first_column = sheet.start or (0, 0)
    for number, values in enumerate(sheet.iter_rows(), start=1):
        cells = list(map(_cell, values))
        row = first_row + number - 1
        for column, (last, text) in list(held.items()):
            if row > last:
                del held[column]
            elif column < len(cells) and not cells[column].strip():
                cells[column] = text
        for column, last in merged.get(row, ()):
            if 0 <= column - first_column < len(cells):
                held[column - first_column] = (last, cells[column - first_column])
        if any(map(str.strip, cells)):
            yield number, cells


def _merged_down(sheet: Any) -> dict[int, list[tuple[int, int]]]:
    """Return by row the (column, last row) of cells that are merged with those under them."""
    found: dict[int, list[tuple[int, int]]] = {}
    for (row, column), (last, _) in sheet.merged_cell_ranges or ():
        if last > row:
            found.setdefault(row, []).append((column, last))
    return found


def _sheet(
    name: str, rows: Callable[[], Iterator[tuple[int, list[str]]]], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the records of a sheet, whose rows can be walked more than once."""
    reading.used.add("header")
    seen = list(itertools.islice(rows(), 1 + SAMPLE_ROWS))
    above = first_row_of_table([cells for _, cells in seen[: 1 + LOOKED_AT]])
    for number, cells in seen[:above]:
        characters = sum(map(len, cells))
        yield Rejected(name, number, "what stands above the table", bad=False, characters=characters)
        reading.source.characters += characters
    (_, top), *following = seen[above:]
    header = reading.config.header
    if header is None:
        below = [cells for _, cells in following[:LOOKED_AT]]
        header = settle_header(header_score(top, below), top, below, reading)
    columns = column_names(top, header)
    tell_doubled(doubled_names(top) if header else (), reading)
    named = (Row(number, dict(zip(columns, cells, strict=True))) for number, cells in rows())
    sample = [
        dict(zip(columns, cells, strict=True)) for _, cells in ([] if header else [(0, top)]) + following
    ]
    yield from rows_to_records(
        name, columns, sample, itertools.islice(named, above + int(header), None), reading
    )


def _cell(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return normal_cell(value)
