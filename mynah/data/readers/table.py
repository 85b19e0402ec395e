"""CSV, TSV and their relatives: find the delimiter and the header, then stream rows."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mynah.data.readers import chat_days
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.header import (
    LOOKED_AT,
    UNSURE,
    column_names,
    doubled_names,
    first_row_of_table,
    header_score,
    settle_header,
    tell_doubled,
)
from mynah.data.tables.to_records import SAMPLE_ROWS, rows_to_records
from mynah.data.vocabulary import known_names
from mynah.errors import DataError

#: A cell may be this long; a chat export with a whole document in one cell is read, not refused.
MAX_CELL = 64 << 20
#: A record may run over this many lines; a quote still open then was never meant to be closed.
LONGEST_RECORD = 20_000
#: Lines that are looked at to find delimiter and header; a quoted cell may run over some of them.
_LINES = 2000
DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class Table:
    """An opened table: its columns and how to walk its rows (again and again, each time from the top)."""

    given: Input
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    has_header: bool
    #: rows above it: a title, notes
    above: int = 0
    #: names that its header gives to more than one column
    doubled: tuple[str, ...] = ()
    #: its first row, and what speaks for that being a header, near zero where nothing tells
    first_row: tuple[str, ...] = ()
    score: float = UNSURE
    #: False where `"` is an ordinary character, as in most tab-separated logs.
    quoted: bool = True

    def read_rows(self) -> Iterator[Row | Rejected]:
        """Yield each row, or what was wrong with it; a bad row never stops the walk.

        A quote that is never closed would swallow the rest of the file: its own line is rejected, and reading
        goes on with the next.
        """
        csv.field_size_limit(MAX_CELL)
        quotes: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        lines = _Lines(self.given.lines(self.encoding, newline=""))
        header_due, above = self.has_header, self.above
        while True:
            start = lines.begin_record()
            try:
                cells = next(csv.reader(lines, delimiter=self.delimiter, strict=True, quoting=quotes))
            except StopIteration:
                return
            except csv.Error as error:
                lines.keep_only_first()
                yield Rejected(self.given.name, start, f"malformed row: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                if len(cells) > 1 and not above:  # nothing but delimiters; a blank line is no row
                    yield Rejected(self.given.name, start, "empty row")
            elif above:
                above -= 1
                yield Rejected(self.given.name, start, "what stands above the table", bad=False)
            elif header_due:
                header_due = False
            elif len(cells) != len(self.columns):
                found = f"{len(cells)} fields found, {len(self.columns)} expected"
                yield Rejected(self.given.name, start, found)
            else:
                yield Row(start, dict(zip(self.columns, cells, strict=True)))


class _Lines:
    """The lines of a file for one record after another, some of which can be given back."""

    def __init__(self, file: Iterable[str]) -> None:
        self.source = iter(file)
        self.waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 1

    def begin_record(self) -> int:
        """Forget what the last record took; return the number of the line that comes next."""
        self.number += len(self.taken)
        self.taken = []
        return self.number

    def keep_only_first(self) -> None:
        """Give back all lines but the first of this record."""
        self.waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= LONGEST_RECORD:
            raise StopIteration
        line = self.waiting.popleft() if self.waiting else next(self.source)
        self.taken.append(line)
        return line


def open_table(given: Input, encoding: str, delimiter: str | None, header: bool | None = None) -> Table:
    """Find delimiter, columns and header of a table.

    Args:
        given: the file.
        encoding: its encoding.
        delimiter: one character, or None to find it.
        header: whether the first row is one; None to find out.

    Raises:
        DataError: if it has only a header row.
    """
    told = _told_delimiter(given, encoding)
    delimiter = delimiter or told or sniff_delimiter(given, encoding) or ","
    rows = _first_rows(given, encoding, delimiter, 1 + LOOKED_AT)
    above = first_row_of_table(rows[1:] if told else rows) + (told is not None)
    if not rows[above:]:
        raise DataError(f"{given.name}: no rows found")
    first, rest = rows[above], rows[above + 1 :]
    score = UNSURE
    if header is None:
        score = header_score(first, rest)
        header = score > 0
    doubled = doubled_names(first) if header else ()
    table = Table(
        given, encoding, delimiter, column_names(first, header), header, above, doubled, tuple(first), score
    )
    bare = replace(table, quoted=False)
    return bare if delimiter == "\t" and _bad_rows(bare) < _bad_rows(table) else table


def _told_delimiter(given: Input, encoding: str) -> str | None:
    """Return the delimiter that a first line tells, as Excel writes it for itself: `sep=;`."""
    line = next(iter(given.first_lines(encoding, 1)), "").strip('\ufeff\r\n"')
    return line[4] if len(line) == 5 and line.lower().startswith("sep=") else None


def _bad_rows(table: Table) -> int:
    """Count the bad ones among the first rows, to tell whether quotes are quotes here."""
    return sum(isinstance(row, Rejected) for row in itertools.islice(table.read_rows(), 5000))


def sniff_delimiter(given: Input, encoding: str) -> str | None:
    """Return the delimiter that cuts the first rows into equally many (two or more) cells, or None."""
    best: tuple[float, int, str] | None = None
    for delimiter in DELIMITERS:
        counts = [len(row) for row in _first_rows(given, encoding, delimiter, 50)]
        if not counts:
            continue
        mode = max(set(counts), key=counts.count)
        share = counts.count(mode) / len(counts)
        if mode > 1 and share >= 0.8 and (best is None or (share, mode) > best[:2]):
            best = (share, mode, delimiter)
    return best[2] if best else None


def has_known_header(given: Input, encoding: str, delimiter: str) -> bool:
    """Whether the first row is nothing but names, two of them usual ones of columns."""
    rows = _first_rows(given, encoding, delimiter, 2)
    names = [re.sub(r"[\W_]+", "", cell.lower()) for cell in rows[0]] if len(rows) == 2 else []
    return sum(name in known_names() for name in names) >= 2 and all(len(name) <= 40 for name in names)


def _first_rows(given: Input, encoding: str, delimiter: str, count: int) -> list[list[str]]:
    csv.field_size_limit(MAX_CELL)
    rows: list[list[str]] = []
    reader = csv.reader(given.first_lines(encoding, _LINES), delimiter=delimiter)
    with contextlib.suppress(csv.Error):  # read_rows() names the place; the rows so far are enough here
        rows.extend(itertools.islice((row for row in reader if any(row)), count))
    return rows


def _settled(table: Table, reading: Reading) -> Table:
    """Return the table, with or without a header if that was in doubt; tell what is odd about its header."""
    if reading.config.header is not None:
        tell_doubled(table.doubled, reading)
        return table
    header = settle_header(table.score, table.first_row, _shown(table), reading)
    if header != table.has_header:
        columns = column_names(table.first_row, header)
        table = replace(table, has_header=header, columns=columns, doubled=())
    tell_doubled(table.doubled, reading)
    return table


def _shown(table: Table) -> list[list[str]]:
    """Return three rows after the first."""
    rows = (row for row in table.read_rows() if isinstance(row, Row))
    start = 0 if table.has_header else 1
    return [[*row.cells.values()] for row in itertools.islice(rows, start, start + 3)]


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of a table."""
    config, encoding = reading.config, encoding_of(given, reading)
    table = _settled(open_table(given, encoding, config.delimiter, config.header), reading)
    reading.used |= {"delimiter", "header"}
    cut = {"\t": "tabs", ",": "commas", ";": "semicolons"}.get(table.delimiter, f"'{table.delimiter}'")
    reading.tell(form=f"table cut by {cut}" + ("" if table.has_header else " without a header"))
    sample = [row.cells for row in itertools.islice(table.read_rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    rows = table.read_rows()
    if table.columns == chat_days.KAKAO_COLUMNS:
        rows = chat_days.without_notes(given.name, rows)
    yield from rows_to_records(given.name, table.columns, sample, rows, reading)
