"""Rows of any table (CSV, Excel, a database, flat JSON, a chat app's messages) become records by their layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mynah.data.chats.exchanges import split_exchange
from mynah.data.chats.messages import MOST, Messages
from mynah.data.chats.threads import build_conversations
from mynah.data.choices import ask, index_of, reply
from mynah.data.layout import Columns, Layout
from mynah.data.markup import is_html_text, plain_text
from mynah.data.quoted import own_words, quotes, without_closing
from mynah.data.records import Conversation, Document, Labelled, Message, Pair, Record, Rejected, merge_turns
from mynah.data.sources import MARKS, Alternative, Reading, Row
from mynah.data.tables.column_contents import is_class, is_prose, mean, normal_name
from mynah.data.tables.guess import ONES, guess_layout
from mynah.data.tables.journals import find_journal
from mynah.data.vocabulary import INTERNAL_COLUMNS

#: Rows that are looked at to guess a layout.
SAMPLE_ROWS = 500
#: What is left out of chats, as the account calls it.
APP, MEDIA = "a message of the app itself", "a picture, sound or deleted message"
NOTE = "an internal note"
OTHERS = "somebody else's words: forwarded, or by a bot"
ABOVE = "what stands above the first message"
#: Values of a type column that mark a message with words, and one of the app itself.
_TEXT_TYPES = frozenset("text 文本 文字 1 message chat quote 引用回复 引用 回复".split())
_SYSTEM_TYPES = frozenset("system 系统通知 系统消息 系统 10000 notice revoke 撤回".split())


#: What forums leave of a message that was taken back.
_TAKEN_BACK = frozenset(("[removed]", "[deleted]", "[deleted by user]", "[ removed by reddit ]"))


def rows_to_records(
    file: str,
    columns: Sequence[str],
    sample: Sequence[Mapping[str, str]],
    rows: Iterable[Row | Rejected],
    reading: Reading,
) -> Iterator[Record | Rejected]:
    """Turn a table's rows into records, by a layout guessed from its columns and a sample of its rows.

    Args:
        file: for messages and places.
        columns: names, in order.
        sample: the cells of the first rows.
        rows: all rows, the sample's too.
        reading: settings and the account.

    Raises:
        ConfigError: if a column given in the settings is missing.
        DataError: if no sense can be made of the columns.
    """
    assistant = reading.config.columns.assistant
    told = reading.config.columns != Columns(assistant=assistant)
    if not told and (journal := find_journal(columns, sample)) is not None:
        reading.source.layout = journal.describe()
        rows = _accounted(rows, columns, Layout("pairs", question=journal.columns), reading)
        yield from messages_to_records(
            file, journal.messages(rows, reading), journal.layout(assistant), reading
        )
        return
    layout = guess_layout(file, columns, sample, reading.config.columns, reading.config.languages)
    if layout.otherwise is not None and sample:
        layout = _choose(file, layout, layout.otherwise, sample, reading)
    reading.source.layout = layout.describe()
    _note_use(layout, reading)
    _warn_of_text_left_out(columns, sample, layout, reading)
    rows = _accounted(rows, columns, layout, reading)
    if layout.kind in ("messages", "pairs", "text"):
        rows = _plain(rows, layout, sample, reading)
    if layout.kind == "translation":
        reading.used.add("languages")
    if layout.kind == "messages":
        yield from messages_to_records(file, rows, layout, reading)
        return
    named = _numbered_classes(layout, sample, reading) if layout.kind == "labelled" else {}
    for row in rows:
        reading.source.rows += 1
        made = row if isinstance(row, Rejected) else _row_to_record(file, row, layout)
        if isinstance(made, Rejected) and isinstance(row, Row):
            made = replace(made, characters=sum(len(row.cells[column]) for column in layout.said))
        if isinstance(made, Labelled) and named:
            made = replace(made, label=named.get(made.label, made.label))
        if isinstance(made, Conversation) and layout.kind == "text" and isinstance(row, Row):
            said = sum(len(row.cells[column]) for column in layout.said)
            reading.drop(MARKS, max(0, said - sum(map(len, made.texts))))
        yield made


#: What is taken out of cells, as the account calls it.
MARKUP, QUOTED = "mark-up of HTML", "quoted mail and signatures"
#: A column is HTML if this share of its cells begins as HTML does.
_HTML_SHARE = 0.3
#: Messages are mail if more than this share ends with a closing and a name.
_CLOSED_SHARE = 0.1


def _plain(
    rows: Iterable[Row | Rejected], layout: Layout, sample: Sequence[Mapping[str, str]], reading: Reading
) -> Iterator[Row | Rejected]:
    """Yield rows without the mark-up of columns that are HTML and without the mail that columns of mail quote."""
    marked, quoting = set[str](), set[str]()
    for column in layout.said:
        shown = [cell for cells in sample if (cell := cells.get(column, "").strip())]
        if shown and sum(map(is_html_text, shown)) >= _HTML_SHARE * len(shown):
            marked.add(column)
            shown = list(map(plain_text, shown))
        closed = sum(without_closing(cell) != cell for cell in shown) if layout.kind == "messages" else 0
        if any(map(quotes, shown)) or _CLOSED_SHARE * len(shown) < closed:
            quoting.add(column)
    if not marked and not quoting:
        yield from rows
        return
    for row in rows:
        if isinstance(row, Row):
            cells = dict(row.cells)
            for what, columns, change in ((MARKUP, marked, plain_text), (QUOTED, quoting, own_words)):
                for column in columns:
                    before, cells[column] = cells[column], change(cells[column])
                    reading.drop(what, max(0, len(before) - len(cells[column])))
            row = Row(row.line, cells)
        yield row


def _choose(
    file: str, layout: Layout, other: Layout, sample: Sequence[Mapping[str, str]], reading: Reading
) -> Layout:
    """Choose between two layouts that are nearly as good, each shown with three rows."""
    both = [
        Alternative(made.describe(), flag, [_shown(file, cells, made) for cells in sample[:3]])
        for made, flag in ((layout, ""), (other, layout.otherwise_flag))
    ]
    return (layout, other)[reading.choose(both)]


def _shown(file: str, cells: Mapping[str, str], layout: Layout) -> str:
    """Return what a row becomes, to be shown."""
    cells = {column: cells.get(column, "") for column in layout.columns}
    if layout.kind == "messages":
        return f"{cells[layout.speaker or layout.direction or '']}: {cells[layout.text or '']}"
    record = _row_to_record(file, Row(0, cells), layout)
    if isinstance(record, Rejected):
        return f"({record.reason})"
    label = (record.label,) if isinstance(record, Labelled) else ()
    return " -> ".join((*record.texts, *label))


#: A column that is not used and holds this share of the text of one that is, is told.
_AS_MUCH = 0.5


def _warn_of_text_left_out(
    columns: Sequence[str], sample: Sequence[Mapping[str, str]], layout: Layout, reading: Reading
) -> None:
    """Say which columns hold sentences as well and are not used: one of them may be what was asked."""
    taken = max((mean(column, sample) for column in layout.said), default=0.0)
    left = [
        column
        for column in columns
        if column not in layout.columns
        and mean(column, sample) >= _AS_MUCH * taken
        and is_prose(column, sample)
        and not is_class(column, sample)
    ]
    # Of two sentences of which one is wrong, that is left out on purpose.
    wrong = layout.text is not None and normal_name(layout.text) == "sentencegood"
    if left and not wrong and layout.kind in ("text", "labelled"):
        reading.source.warnings.append(
            f"{', '.join(left[:3])}: sentences too, and not used; if they belong together: --question-column NAME "
            "--answer-column NAME"
        )


def _note_use(layout: Layout, reading: Reading) -> None:
    """Note which settings of columns a layout has a use for."""
    given, used = reading.config.columns, {"columns.rows_are"}
    for name in type(given).model_fields:
        if isinstance(column := getattr(given, name), str) and column in layout.columns:
            used.add(f"columns.{name}")
    reading.used |= used


def _accounted(
    rows: Iterable[Row | Rejected], columns: Sequence[str], layout: Layout, reading: Reading
) -> Iterator[Row | Rejected]:
    """Yield rows, and account for their characters: those of columns of which no word comes into records by column."""
    said = [column for column in layout.said if column not in layout.labels]
    spare = [column for column in columns if column not in layout.columns]
    counts, characters, words = [0] * len(spare), 0, 0
    for row in rows:
        if isinstance(row, Row):
            cells = row.cells
            characters += sum(map(len, cells.values()))
            for column in said:
                words += len(cells[column])
            for number, column in enumerate(spare):
                counts[number] += len(cells[column])
        yield row
    reading.source.characters += characters
    for column, count in zip(spare, counts, strict=True):
        reading.drop(f"column {column}", count)
    reading.drop(MARKS, characters - words - sum(counts))


def messages_to_records(
    file: str, rows: Iterable[Row | Rejected], layout: Layout, reading: Reading
) -> Iterator[Record | Rejected]:
    """Turn rows that are one message each into conversations; see `build_conversations`.

    What is no message of a person comes as a `Rejected` with the reason `APP`, `MEDIA` or `OTHERS`, and is counted so.
    """
    assert layout.text is not None
    source, text = reading.source, layout.text
    reading.used |= {"columns.assistant", "gap_hours", "merge_minutes"}
    messages, parts = Messages(layout), _Parts(file, reading)
    for row in rows:
        source.rows += 1
        if not isinstance(row, Rejected) and (what := _other_kind(row, layout)) is not None:
            if what == MEDIA:
                messages.leave_out(row)
            row = Rejected(file, row.line, what, bad=False, characters=len(row.cells[text]))
        elif not isinstance(row, Rejected) and _is_internal(row, layout.internal):
            row = Rejected(file, row.line, NOTE, bad=False, characters=len(row.cells[text]))
        elif isinstance(row, Rejected) and row.reason in (MEDIA, OTHERS):
            messages.leave_out()
        if isinstance(row, Rejected):
            source.system += row.reason == APP
            source.media += row.reason == MEDIA
            source.others += row.reason == OTHERS
            source.notes += row.reason == NOTE
            yield row
        elif row.cells[text].strip().lower() in _TAKEN_BACK:
            source.media += 1
            messages.leave_out(row)
            yield Rejected(file, row.line, MEDIA, bad=False)
        elif row.cells[text].strip():
            if len(messages) == MOST:
                yield from parts.thread(messages, last=False)
                messages = Messages(layout)
            messages.add(row)
        else:
            yield Rejected(file, row.line, "empty text")
    if len(messages):
        yield from parts.thread(messages, last=True)
        source.layout = "; ".join(filter(None, (source.layout, *parts.told)))


class _Parts:
    """Threads the messages of a source part by part; who is the assistant of one is that of the next."""

    def __init__(self, file: str, reading: Reading) -> None:
        self.file, self.reading = file, reading
        #: how roles were given, in words, and that there are parts
        self.told: list[str] = []
        self._assistant: tuple[str, ...] = ()
        self._heard = self._asked = False

    def thread(self, messages: Messages, last: bool) -> Iterator[Conversation]:
        """Yield the conversations of a part.

        Raises:
            ConfigError: if the assistant that was given speaks in no part.
        """
        reading, config = self.reading, self.reading.config
        if not self._asked and (column := messages.unread_times):
            reading.source.warnings.append(
                f"none of the times in {column} can be read: messages stay in their order and are not cut at silences"
            )
        conversations, roles = build_conversations(
            messages,
            self.file,
            config.gap,
            config.merge,
            ask=None if self._asked else reading.ask,
            strict=reading.alone and last and not self._heard,
            before=self._assistant,
        )
        if not last and not self._asked:
            self.told.append(
                f"in parts of {MOST:,} messages, and a conversation that crosses from one to the next is cut"
            )
        if roles.told not in self.told:
            self.told.append(roles.told)
        self._asked, self._heard = True, self._heard or roles.heard
        self._assistant = roles.assistant or self._assistant
        yield from conversations


def _other_kind(row: Row, layout: Layout) -> str | None:
    """Return what a row is if a column says that it is no message with words."""
    if layout.direction and row.cells[layout.direction].strip().lower() in _SYSTEM_TYPES:
        return APP
    kind = row.cells[layout.type].strip().lower() if layout.type is not None else ""
    if not kind or kind in _TEXT_TYPES:
        return None
    return APP if kind in _SYSTEM_TYPES else MEDIA


def _is_internal(row: Row, column: str | None) -> bool:
    """Whether a column says that a message is one among colleagues."""
    if column is None:
        return False
    return row.cells[column].strip().lower() in INTERNAL_COLUMNS[normal_name(column)]


def _row_to_record(file: str, row: Row, layout: Layout) -> Record | Rejected:
    place = f"{file}:{row.line}"
    if layout.kind == "text":
        parts = [row.cells[column] for column in (layout.title, layout.text) if column]
        text = "\n\n".join(part for part in parts if part.strip())
        if not row.cells[layout.text or ""].strip():
            return Rejected(file, row.line, "empty text")
        turns = split_exchange(text)
        return Conversation(turns, place) if turns else Document(text, place)
    if layout.kind == "labelled":
        parts = [row.cells[column].strip("\n") for column in (layout.title, layout.text) if column]
        text, label = "\n".join(part for part in parts if part.strip()), _label_of(row, layout)
        if not text.strip() or label in ("", "-"):  # SNLI marks so what its readers did not agree on
            return Rejected(file, row.line, f"empty {'label' if text.strip() else 'text'}")
        return Labelled(text, label, place)
    options = [option for column in layout.choices if (option := row.cells[column].strip())]
    question = ask([row.cells[column] for column in layout.question], options)
    answer = row.cells[layout.answer or ""].strip("\r\n")
    if options and (right := index_of(answer, options, layout.first_choice)) is not None:
        answer = reply(options, right)
    if "\n" not in answer:  # the first line of several may be indented code
        answer = answer.strip()
    if not question.strip() or not answer.strip():
        return Rejected(file, row.line, f"empty {'answer' if question.strip() else 'question'}")
    if layout.kind == "translation":
        return Pair(question, answer, place)
    return Conversation(merge_turns([Message("user", question), Message("assistant", answer)]), place)


#: The label of a text that is of no class where it may be of several.
NO_LABEL = "none"


def _numbered_classes(
    layout: Layout, sample: Sequence[Mapping[str, str]], reading: Reading
) -> dict[str, str]:
    """Return the name of each class that a table gives as a number, where a file beside it lists them in order.

    Numbers begin with 0 or with 1: with 0 if that is there, with 1 if the last is there.
    """
    names, column = reading.class_names, layout.label
    values = {cell for row in sample if column and (cell := row[column].strip())}
    if not names or not values or not all(value.isdecimal() for value in values):
        return {}
    numbers = {int(value) for value in values}
    first = 0 if 0 in numbers else 1 if len(names) in numbers else None
    if first is None or max(numbers) - first >= len(names):
        reading.source.warnings.append(
            f"its classes are numbers up to {max(numbers)}, and the {len(names)} names listed in the file beside it "
            "do not go with these; the numbers are kept"
        )
        return {}
    reading.source.layout += "; the names of classes are those listed beside it"
    return {str(number): name for number, name in enumerate(names, start=first)}


def _label_of(row: Row, layout: Layout) -> str:
    """Return a row's class; of several the names of those it has, with commas between."""
    if layout.label is not None:
        return row.cells[layout.label].strip()
    return ", ".join(c for c in layout.labels if row.cells[c].strip() in ONES) or NO_LABEL


def normal_cell(value: object) -> str:
    """Return a value of a database or spreadsheet as the text a table would show."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return re.sub(r"\x00", "", str(value))
