"""Read files of any supported kind into records, and account for every row that could not be used."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from mynah.config import Config
from mynah.data.exchanges import split_exchange
from mynah.data.layout import Columns, Layout, guess_layout, known_names
from mynah.data.readers import json_records, plain
from mynah.data.readers.chat_json import ChatJson, is_chat_json
from mynah.data.readers.chat_text import ChatText, is_chat_text
from mynah.data.readers.encoding import check_is_file, detect_encoding
from mynah.data.readers.table import Row, Table, open_table, sniff_delimiter
from mynah.data.records import (
    Conversation,
    Document,
    Message,
    Record,
    Rejected,
    merge_turns,
)
from mynah.data.threads import build_conversations
from mynah.errors import ConfigError, DataError

Form = Literal["table", "json", "text", "chat", "yaml", "cornell"]
SAMPLE_ROWS = 500


class CollectConfig(Config):
    """How input files are read; everything left out is detected, and the guess is printed."""

    encoding: str | None = Field(None, description="encoding of the input, such as gb18030")
    delimiter: str | None = Field(None, description="one character between the cells of a table")
    header: bool | None = Field(None, description="whether a table's first row names its columns")
    form: Form | None = Field(None, description="read every file as this form")
    gap_hours: float = Field(
        6.0, gt=0, description="a silence this long begins a new conversation, where nothing else tells them"
    )
    columns: Columns = Columns()


@dataclass
class Source:
    """What was understood of one file, for the user to check."""

    file: str
    form: str
    encoding: str
    layout: str
    rows: int = 0
    rejected: int = 0
    conversations: int = 0
    documents: int = 0

    def describe(self) -> str:
        """Say in one line what the file is and what came out of it."""
        made = [
            f"{n:,} {what}"
            for n, what in ((self.conversations, "conversations"), (self.documents, "texts"))
            if n
        ]
        bad = f", {self.rejected:,} rows rejected" if self.rejected else ""
        return (
            f"{self.file}: {self.form}, {self.encoding}; {self.layout}; "
            f"{self.rows:,} rows -> {' and '.join(made) or 'nothing'}{bad}"
        )


@dataclass
class Collected:
    """Everything read, in file order."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


def collect(paths: Sequence[Path], config: CollectConfig) -> Collected:
    """Read every file into conversations and documents.

    Raises:
        DataError: if a file is missing, empty, a directory, binary or of no layout that can be told;
            if more than half of a file's rows are bad; or if nothing usable is left.
        ConfigError: if a column named in `config` is missing from a table; the file is named.
    """
    if not paths:
        raise ConfigError("no input file given; example: mynah build chats.csv")
    if config.delimiter is not None and len(config.delimiter) != 1:
        raise ConfigError("--delimiter: expected one character; a tab is written '\\t'")
    result = Collected()
    cornell: dict[Path, str] = {}
    for path in paths:
        check_is_file(path)
        encoding = _encoding(path, config)
        form = config.form or _form(path, encoding, config)
        if form == "cornell":
            cornell[path] = encoding
        else:
            _read_one(path, form, encoding, config, result)
    if cornell:
        _read_cornell(cornell, result)
    usable = sum(any(t.strip() for t in record.texts) for record in result.records)
    if usable == 0:
        raise DataError(f"{paths[0]}: no usable row found: every text is empty")
    return result


def _encoding(path: Path, config: CollectConfig) -> str:
    if config.encoding is None:
        return detect_encoding(path)
    try:
        with path.open(encoding=config.encoding, errors="replace") as file:
            file.read(1 << 16)
    except LookupError:
        raise ConfigError(f"--encoding {config.encoding}: no such encoding") from None
    except UnicodeError:
        raise ConfigError(f"--encoding {config.encoding}: {path.name} is not in it") from None
    return config.encoding


def _form(path: Path, encoding: str, config: CollectConfig) -> Form:
    """Tell a file's form from its content; the name decides only where the content cannot."""
    suffix = path.suffix.lower()
    if plain.looks_like_json(path, encoding):
        return "json"
    if plain.is_cornell(path, encoding):
        return "cornell"
    if is_chat_text(path, encoding):
        return "chat"
    if suffix in (".yml", ".yaml"):
        return "yaml"
    if suffix in (".csv", ".tsv", ".tab") or config.delimiter is not None:
        return "table"
    if suffix in (".txt", ".md", ".text", ""):
        # Running text has commas too: as a table it must be cut by tabs into equally many cells.
        return "table" if sniff_delimiter(path, encoding) == "\t" else "text"
    return "table" if sniff_delimiter(path, encoding) else "text"


def _read_one(path: Path, form: Form, encoding: str, config: CollectConfig, result: Collected) -> None:
    source = Source(path.name, form, encoding, "")
    items: Iterable[Record | Rejected]
    if form == "text":
        source.layout = "running text"
        items = plain.read_text(path, encoding)
    elif form == "yaml":
        source.layout = "chatterbot conversations, user first"
        items = plain.read_chatterbot(path, encoding)
    elif form == "chat":
        items = _read_chat(path.name, ChatText(path, encoding), config, source)
    elif form == "json":
        items = _read_json(path, encoding, config, source)
    else:
        table = open_table(path, encoding, config.delimiter, known_names(), config.header)
        items = _read_table(table, config, source)
    _take(items, source, result)


def _take(items: Iterable[Record | Rejected], source: Source, result: Collected) -> None:
    """Add a file's records to the result and refuse the file if most of it is bad."""
    examples: list[Rejected] = []
    units = 0
    for item in items:
        units += 1
        if isinstance(item, Rejected):
            source.rejected += 1
            result.rejected.append(item)
            if len(examples) < 1:
                examples.append(item)
        else:
            result.records.append(item)
            source.conversations += isinstance(item, Conversation)
            source.documents += isinstance(item, Document)
    source.rows = source.rows or units
    if source.rejected * 2 > source.rows:
        first = examples[0]
        raise DataError(
            f"{source.file}: {source.rejected:,} of {source.rows:,} rows are bad, more than half; "
            f"the first is line {first.line}: {first.reason}; "
            "check --encoding, --delimiter and the column flags"
        )
    result.sources.append(source)


def _read_json(
    path: Path, encoding: str, config: CollectConfig, source: Source
) -> Iterator[Record | Rejected]:
    objects = iter(json_records.read_objects(path, encoding))
    sample = list(itertools.islice(objects, SAMPLE_ROWS))
    values = [item[1] for item in sample if not isinstance(item, Rejected)]
    if any(map(is_chat_json, values)):
        for value in filter(is_chat_json, values):
            yield from _read_chat(path.name, ChatJson(value), config, source)
        return
    if any(json_records.conversation_keys(value) for value in values):
        source.layout = "whole conversations"
        for item in itertools.chain(sample, objects):
            if isinstance(item, Rejected):
                yield item
            elif not json_records.conversation_keys(item[1]):
                yield Rejected(path.name, item[0], "not a conversation")
            else:
                yield json_records.to_conversation(path, item[0], item[1])
        return
    flat = [cells for cells in map(json_records.flat_cells, values) if cells is not None]
    if not flat:
        raise DataError(
            f"{path}: JSON without conversations or flat records; expected objects with messages, "
            "conversations, or fields such as instruction/output, question/answer, text"
        )
    columns = tuple(dict.fromkeys(name for cells in flat for name in cells))

    def rows() -> Iterator[Row | Rejected]:
        for item in itertools.chain(sample, objects):
            if isinstance(item, Rejected):
                yield item
                continue
            cells = json_records.flat_cells(item[1])
            if cells is None:
                yield Rejected(path.name, item[0], "not a flat record")
            else:
                yield Row(item[0], {name: cells.get(name, "") for name in columns})

    yield from _rows_to_records(path, columns, flat, rows(), config, source)


def _read_chat(
    file: str, chat: ChatText | ChatJson, config: CollectConfig, source: Source
) -> Iterator[Conversation]:
    """Yield the conversations of a chat app's export: cut at silences, roles as in a table of messages."""
    rows = list(chat.rows())
    layout = Layout(
        "messages",
        text="text",
        speaker="speaker",
        time="time",
        chat="chat" if isinstance(chat, ChatJson) else None,
        assistant=config.columns.assistant,
    )
    threaded = build_conversations(rows, layout, file, timedelta(hours=config.gap_hours))
    source.rows += len(rows) + chat.system + chat.media
    source.layout = f"a chat app's export, cut at {config.gap_hours:g} hours of silence; {threaded.roles}"
    if isinstance(chat, ChatText):
        source.layout += f"; dates read as {'/'.join(chat.order)}"
    if chat.system + chat.media:
        source.layout += (
            f"; left out: {chat.system:,} messages of the app, {chat.media:,} media and deleted messages"
        )
    yield from threaded.conversations


def _read_table(table: Table, config: CollectConfig, source: Source) -> Iterator[Record | Rejected]:
    source.form = "table cut by " + {"\t": "tabs", ",": "commas", ";": "semicolons"}.get(
        table.delimiter, f"'{table.delimiter}'"
    )
    if not table.has_header:
        source.form += " without a header"
    head = itertools.islice(table.rows(), SAMPLE_ROWS)
    sample = [row.cells for row in head if isinstance(row, Row)]
    yield from _rows_to_records(table.path, table.columns, sample, table.rows(), config, source)


def _rows_to_records(
    path: Path,
    columns: Sequence[str],
    sample: Sequence[dict[str, str]],
    rows: Iterable[Row | Rejected],
    config: CollectConfig,
    source: Source,
) -> Iterator[Record | Rejected]:
    layout = guess_layout(str(path), columns, sample, config.columns)
    source.layout = layout.describe()
    if layout.kind == "messages":
        good: list[Row] = []
        for row in rows:
            source.rows += 1
            if isinstance(row, Rejected):
                yield row
            elif not row.cells[layout.text or ""].strip():
                yield Rejected(path.name, row.line, "empty text")
            else:
                good.append(row)
        threaded = build_conversations(good, layout, path.name, timedelta(hours=config.gap_hours))
        source.layout += f"; {threaded.roles}"
        yield from threaded.conversations
        return
    for row in rows:
        source.rows += 1
        yield row if isinstance(row, Rejected) else _row_to_record(path, row, layout)


def _row_to_record(path: Path, row: Row, layout: Layout) -> Record | Rejected:
    place = f"{path.name}:{row.line}"
    if layout.kind == "text":
        text = row.cells[layout.text or ""]
        if not text.strip():
            return Rejected(path.name, row.line, "empty text")
        turns = split_exchange(text)
        return Conversation(turns, place) if turns else Document(text, place)
    if layout.kind == "labelled":
        question, answer = row.cells[layout.text or ""], row.cells[layout.label or ""]
    else:
        parts = [row.cells[column].strip() for column in layout.question]
        question, answer = "\n".join(p for p in parts if p), row.cells[layout.answer or ""]
    if not question.strip() or not answer.strip():
        missing = "question" if not question.strip() else "answer"
        return Rejected(path.name, row.line, f"empty {missing}")
    return Conversation(merge_turns([Message("user", question), Message("assistant", answer)]), place)


def _read_cornell(files: dict[Path, str], result: Collected) -> None:
    lines = [path for path, encoding in files.items() if plain.is_cornell_lines(path, encoding)]
    conversations = [path for path in files if path not in lines]
    if len(lines) != 1 or len(conversations) != 1:
        raise DataError(
            f"{next(iter(files))}: the '+++$+++' layout comes as two files, one of lines and one of "
            "conversations; name both"
        )
    encoding = files[lines[0]]
    source = Source(conversations[0].name, "cornell", encoding, "first speaker = user")
    _take(plain.read_cornell(lines[0], conversations[0], encoding), source, result)
