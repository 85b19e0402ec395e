"""SQLite files and database URLs: the rows of a SELECT, or of the one table that holds text."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.guess import guess_layout
from mynah.data.tables.to_records import SAMPLE_ROWS, normal_cell, rows_to_records
from mynah.errors import ConfigError, DataError, MissingDependency, MynahError

_BATCH = 1000


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of an SQLite file, opened read-only.

    Raises:
        ConfigError: if the SELECT fails.
        DataError: if the file is damaged, or more than one table may be meant and none is told.
    """
    reading.tell(form="SQLite")
    reading.used.add("query")
    with given.local() as path:
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True)
            ) as database:
                database.text_factory = lambda data: data.decode("utf-8", "replace")
                query = reading.config.query or _only_table(given.name, database, reading)
                try:
                    cursor = database.execute(query)
                except (sqlite3.Error, sqlite3.Warning) as error:
                    raise ConfigError(f"--query: {error}; tables: {', '.join(_tables(database))}") from None
                if cursor.description is None:
                    raise ConfigError("--query: gives no rows; expected a SELECT")
                columns = [str(column[0]) for column in cursor.description]
                yield from _records(given.name, columns, cursor, reading)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DataError(f"{given.name}: a damaged SQLite file ({type(error).__name__})") from None


def read_url(url: str, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records that a SELECT gives on any database that SQLAlchemy knows.

    Raises:
        ConfigError: if no SELECT is given, or the database refuses.
        MissingDependency: without SQLAlchemy.
    """
    try:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise MissingDependency("sqlalchemy", "database", "reading from a database URL") from None
    if not reading.config.query:
        raise ConfigError("a database needs --query 'SELECT ...'")
    name = reading.source.file
    reading.used.add("query")
    try:
        engine = sqlalchemy.create_engine(url)
        reading.tell(form=engine.dialect.name)
        with engine.connect().execution_options(stream_results=True, yield_per=_BATCH) as connection:
            result = connection.execute(sqlalchemy.text(reading.config.query))
            yield from _records(name, list(result.keys()), result, reading)
    except (SQLAlchemyError, ImportError) as error:
        # The text of such an error may hold the password that stands in the URL.
        raise ConfigError(f"{name}: the database refuses ({type(error).__name__})") from None


def shown_url(url: str) -> str:
    """Return a database URL without user, password and settings, which may hold one."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _records(name: str, columns: Sequence[str], rows: Any, reading: Reading) -> Iterator[Record | Rejected]:
    numbered = (
        Row(number, {c: normal_cell(value) for c, value in zip(columns, row, strict=True)})
        for number, row in enumerate(rows, start=1)
    )
    sample = list(islice(numbered, SAMPLE_ROWS))
    yield from rows_to_records(name, columns, [row.cells for row in sample], chain(sample, numbered), reading)


def _tables(database: sqlite3.Connection) -> list[str]:
    found = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table','view') ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_")]


def _only_table(name: str, database: sqlite3.Connection, reading: Reading) -> str:
    """Return a SELECT of the one table whose columns make sense."""
    fitting = []
    tables = _tables(database)
    for table in tables:
        select = f'SELECT * FROM "{table.replace(chr(34), chr(34) * 2)}"'
        cursor = database.execute(select + " LIMIT 50")
        columns = [str(column[0]) for column in cursor.description]
        sample = [{c: normal_cell(v) for c, v in zip(columns, row, strict=True)} for row in cursor]
        with contextlib.suppress(MynahError):
            if sample:
                guess_layout(table, columns, sample, reading.config.columns)
                fitting.append((table, select))
    if len(fitting) != 1:
        listed = ", ".join(table for table, _ in fitting) if fitting else ", ".join(tables) or "none"
        raise DataError(
            f"{name}: {'several tables' if fitting else 'no table'} with text in it ({listed}); "
            "say which rows with --query 'SELECT ...'"
        )
    reading.source.layout = f"table {fitting[0][0]}"
    return fitting[0][1]
