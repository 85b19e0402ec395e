"""JSON of any layout: chat exports, conversations, questions about passages, classes of texts, flat records."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from mynah.data.preprocess import join_words
from mynah.data.readers import chat_feishu, chat_json, chat_teams
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.json_account import Account, characters_of, words_of
from mynah.data.readers.json_choices import with_choices
from mynah.data.readers.json_dialogues import (
    is_conversation,
    is_preference,
    left_out,
    to_preference,
    to_record,
    turns_of,
)
from mynah.data.readers.json_sets import as_usual, is_flat_reply, is_reply_to_leave_out, trees_of
from mynah.data.readers.json_tickets import desk_of, is_ticket, read_tickets
from mynah.data.readers.json_trees import unfold
from mynah.data.readers.json_values import read_values
from mynah.data.readers.plain import cut
from mynah.data.records import Conversation, Document, Labelled, Message, Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import NO_LABEL, SAMPLE_ROWS, rows_to_records
from mynah.errors import DataError

Numbered = tuple[int, Any]
_FEW_CHATS = 2


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of a JSON file.

    Raises:
        DataError: if it is not JSON, or of no layout that can be told.
    """
    encoding = encoding_of(given, reading)

    def values() -> Iterator[Numbered | Rejected]:
        return map(partial(_unfolded, given.name), read_values(given, encoding))

    reading.tell(form="JSON")
    yield from _read(given.name, values, reading)


def read_stream(
    name: str, values: Callable[[], Iterator[Any]], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the records of values that another format gives, from the first at each call.

    Raises:
        DataError: if they are of no layout that can be told.
    """
    return _read(name, lambda: map(partial(_unfolded, name), enumerate(values(), start=1)), reading)


def _sample(values: Iterable[Numbered | Rejected]) -> Iterator[Numbered | Rejected]:
    """Yield the first values, of chats only a few: each may be years long."""
    chats = 0
    for item in itertools.islice(values, SAMPLE_ROWS):
        yield item
        chats += not isinstance(item, Rejected) and chat_json.is_chat_json(item[1])
        if chats == _FEW_CHATS:
            return


def _chats(name: str, items: Iterable[Numbered | Rejected]) -> Iterator[tuple[str, chat_json.Messages]]:
    """Yield the chats among values one after the other; what is none comes as a message that is left out."""
    for item in items:
        if isinstance(item, Rejected):
            yield "", partial(iter, [item])
        elif chat_json.is_chat_json(item[1]):
            for chat, messages in chat_json.chats_of(item[1]):
                yield f"{item[0]} {chat}", messages
        else:
            yield "", partial(iter, [Rejected(name, item[0], "a chat without messages", bad=False)])


def _bare(item: Numbered | Rejected) -> Any:
    return item if isinstance(item, Rejected) else item[1]


def _unfolded(name: str, item: Numbered | Rejected) -> Numbered | Rejected:
    """Put a value into the usual shape; what somebody judged bad is left out wherever it stands in a set."""
    if isinstance(item, Rejected):
        return item
    number, value = item
    if is_reply_to_leave_out(value):
        return Rejected(name, number, "judged bad by who made the set", False, characters_of(value))
    return number, with_choices(unfold(as_usual(value)))


def _read(
    name: str, values: Callable[[], Iterator[Numbered | Rejected]], reading: Reading
) -> Iterator[Record | Rejected]:
    """Tell the layout by the first values, unwrapping what holds all others; `values` begins anew at each call."""
    rest = values()
    first = list(_sample(rest))
    good = [item[1] for item in first if not isinstance(item, Rejected)]
    items = itertools.chain(first, rest)
    if any(chat_feishu.messages_in(value) for value in good):
        yield from chat_feishu.read_messages(name, items, reading)
    elif any(chat_teams.messages_in(value) for value in good):
        yield from chat_teams.read_messages(name, items, reading)
    elif chat_json.is_messages(good):
        yield from chat_json.read_messages(lambda: map(_bare, values()), name, reading)
    elif any(map(chat_json.is_chat_json, good)):
        yield from chat_json.read_chats(_chats(name, items), name, reading)
    elif any(map(is_flat_reply, good)):
        flat: list[Any] = []
        for item in items:  # what replies to a message may stand anywhere after it
            if isinstance(item, Rejected):
                yield item
            else:
                flat.append(item[1])
        yield from read_stream(name, lambda: iter(trees_of(flat)), reading)
    elif any(map(is_ticket, good)):
        yield from read_tickets(name, items, reading)
    elif (desk := desk_of(good)) is not None:
        yield from read_tickets(name, enumerate(desk, start=1), reading)
    elif any(map(is_preference, good)):
        reading.tell(layout="preferences: a prompt, the better and the worse reply")
        for item in items:
            yield from (
                [item] if isinstance(item, Rejected) else with_account(name, item, to_preference(name, *item))
            )
    elif any(map(is_conversation, good)):
        reading.tell(layout="whole conversations")
        yield from _each(name, items, reading, is_conversation, "not a conversation")
    elif any(map(_passages, good)):
        reading.tell(layout="passages with questions; each passage is a text, each question an exchange")
        for item in items:
            if isinstance(item, Rejected):
                yield item
            else:
                yield from _answered(name if len(good) == 1 else f"{name}#{item[0]}", _passages(item[1]))
    elif len(good) == 1 and (cells := _notebook(good[0])) is not None:
        reading.tell(form="a notebook", layout="the words and the code of its cells")
        yield from cut(iter(cells), name)
    elif len(good) == 1 and (classes := _classes(good[0])):
        reading.tell(layout="lists of texts by class")
        for number, (label, text) in enumerate(classes, start=1):
            reading.source.rows += 1
            yield (
                Labelled(text, label, f"{name}:{number}")
                if text.strip()
                else Rejected(name, number, "empty text")
            )
    elif len(good) == 1 and (inner := _inner(good[0])) is not None:
        yield from read_stream(name, lambda: iter(inner), reading)
    else:
        yield from _flat(name, good, items, reading)


def _each(
    name: str, items: Iterable[Numbered | Rejected], reading: Reading, fits: Any, otherwise: str
) -> Iterator[Record | Rejected]:
    reading.used.add("columns.assistant")
    account, kept = Account(reading), 0
    for item in items:
        reading.source.rows += 1
        if isinstance(item, Rejected):
            yield item
        elif not fits(item[1]):
            yield Rejected(name, item[0], otherwise)
        else:
            record = to_record(name, item[0], item[1], reading.config.columns.assistant)
            made = None if isinstance(record, Rejected) else record
            account.note(item[1], made)
            kept += sum(map(len, made.texts)) if made else 0
            for entry in with_account(name, item, record):
                kept += entry.characters if isinstance(entry, Rejected) else 0
                yield entry
    account.close(kept)


def with_account(name: str, item: Numbered, record: Record | Rejected) -> Iterator[Record | Rejected]:
    """Yield a record, and what of its value is left out; of one that is rejected all is."""
    yield record
    if not isinstance(record, Rejected):
        for reason, characters in left_out(item[1]):
            yield Rejected(name, item[0], reason, bad=False, characters=characters)


def _inner(value: Any) -> list[Any] | None:
    """Return the records that an object wraps: {"data": [...]}, or {"dialogue-17": {...}, ...}."""
    if not isinstance(value, dict):
        return None
    if len(value) > 1 and all(isinstance(item, dict) for item in value.values()):
        shown = list(itertools.islice(value.values(), 5))
        if all(turns_of(item) for item in shown) or len({frozenset(item) for item in shown}) == 1:
            return list(value.values())
    lists = [item for item in value.values() if isinstance(item, list) and item]
    wrapped = [item for item in lists if isinstance(item[0], dict | list)]
    if len(wrapped) < 2:
        return wrapped[0] if wrapped else None
    # Parts of one set (train, test): lists of objects that have the same keys.
    keys = {frozenset(item[0]) if isinstance(item[0], dict) else None for item in wrapped}
    return [*itertools.chain(*wrapped)] if len(keys) == 1 and None not in keys else None


def _passages(value: Any) -> list[dict[str, Any]]:
    """Return the passages of SQuAD's layout: objects with a context and questions (`qas`) about it."""
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("qas"), list) and isinstance(value.get("context"), str):
        return [value]
    inner = value.get("paragraphs") or value.get("data")
    if not isinstance(inner, list) or not inner or not isinstance(inner[0], dict):
        return []
    return [passage for item in inner for passage in _passages(item)]


def _answered(name: str, passages: list[dict[str, Any]]) -> Iterator[Record | Rejected]:
    for number, passage in enumerate(passages, start=1):
        place = f"{name}:{passage.get('id') or number}"
        yield Document(passage["context"], place)
        for index, asked in enumerate(passage["qas"], start=1):
            text = _first_answer(asked)
            question = str(asked.get("question") or "").strip() if isinstance(asked, dict) else ""
            if text and question:
                messages = Message("user", f"{passage['context']}\n\n{question}"), Message("assistant", text)
                yield Conversation(messages, f"{place}/{index}")
            else:
                yield Rejected(f"{place}/{index}", 0, "a question without an answer", bad=False)


def _first_answer(asked: Any) -> str:
    """Return the first answer to a question: SQuAD's list of objects, a list of texts, or a text."""
    found = (asked.get("answers") or asked.get("answer")) if isinstance(asked, dict) else None
    for _ in range(3):
        if isinstance(found, list):
            found = found[0] if found else None
        elif isinstance(found, dict):
            found = found.get("text")
    return found.strip() if isinstance(found, str) else ""


def _notebook(value: Any) -> list[str] | None:
    """Return the lines of a Jupyter notebook, a blank line between cells; None if it is none."""
    cells = value.get("cells") if isinstance(value, dict) and "nbformat" in value else None
    if not isinstance(cells, list):
        return None
    lines: list[str] = []
    for cell in cells:
        source = cell.get("source") if isinstance(cell, dict) else None
        text = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
        lines += [*text.rstrip("\n").split("\n"), ""] if text.strip() else []
    return [f"{line}\n" for line in lines]


def _classes(value: Any) -> list[tuple[str, str]] | None:
    """Return (label, text) of {"class": [texts]} or {"part": [[text, class], ...]}; None if it is neither."""
    if not isinstance(value, dict) or not value or not all(isinstance(v, list) for v in value.values()):
        return None
    found: list[tuple[str, str]] = []
    for key, items in value.items():
        for item in items:
            if isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item):
                found.append((item[1], item[0]))
            elif (text := _pieces(item)) is not None:
                found.append((key, text))
            else:
                return None
    return found if len(found) >= 2 * len(value) else None  # classes have a few texts each


def _pieces(item: Any) -> str | None:
    """Return a text that may come in marked pieces, as utterances with slots do."""
    if isinstance(item, str):
        return item
    pieces = item.get("data") if isinstance(item, dict) and len(item) == 1 else None
    if not isinstance(pieces, list):
        return None
    texts = [piece.get("text") for piece in pieces if isinstance(piece, dict)]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]


def _flat(
    name: str, good: list[Any], items: Iterable[Numbered | Rejected], reading: Reading
) -> Iterator[Record | Rejected]:
    flat = [cells for cells in map(flat_cells, good) if cells is not None]
    if not flat:
        raise DataError(
            f"{name}: JSON without conversations or flat records; expected objects with messages, "
            "conversations, or fields such as instruction/output, question/answer, text"
        )
    columns = tuple(dict.fromkeys(column for cells in flat for column in cells))
    if _are_nested(good, flat):
        reading.tell(layout="documents: the words of each record's fields in order, nested ones too")
        for item in items:
            reading.source.rows += 1
            if isinstance(item, Rejected):
                yield item
            else:
                reading.source.characters += characters_of(item[1])
                yield from _document(name, item)
        return

    def flat_rows() -> Iterator[Row | Rejected]:
        for item in items:
            if isinstance(item, Rejected):
                yield item
                continue
            cells = flat_cells(item[1])
            if cells is None:
                yield Rejected(name, item[0], "not a flat record")
            else:
                for key, inner in _nested(item[1]):
                    characters = characters_of(inner)
                    reading.source.characters += characters
                    reading.drop(f"field {key}", characters)
                yield Row(item[0], {column: cells.get(column, "") for column in columns})

    yield from rows_to_records(name, columns, flat, flat_rows(), reading)


def _nested(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a record that are no cells of a table: objects and lists of them."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) and _cell(key, item) is None and key != "translation":
                yield str(key), item


def _are_nested(values: list[Any], flat: list[dict[str, str]]) -> bool:
    """Whether records hold most of their words in nested fields, sentences and not names."""
    inside = [text for value in values for _, item in _nested(value) for text in words_of(item)]
    plain = sum(len(text) for cells in flat for text in cells.values())
    return sum(map(len, inside)) > plain and sum(map(len, inside)) > _SENTENCE * len(inside)


def _document(name: str, item: Numbered) -> Iterator[Record | Rejected]:
    """Yield the words of a value as texts, each field a paragraph."""
    lines = [line for text in words_of(item[1]) for line in (f"{text.strip()}\n", "\n")]
    if not lines:
        yield Rejected(name, item[0], "no words")
    for number, text in enumerate(cut(iter(lines), name), start=1):
        yield Document(text.text, f"{name}:{item[0]}" + (f"/{number}" if number > 1 else ""))


#: Words in nested fields that are this long on average are sentences.
_SENTENCE = 30
#: Fields with the classes of a text.
_CLASSES = (
    "cats",
    "scores",
    "labels",
    "label",
    "categories",
    "tags",
    "emotions",
    "intents",
    "topics",
    "accept",
)


def _cell(key: str, item: Any) -> str | None:
    """Return a field as a cell's text; None if it is nested deeper than a cell is."""
    if isinstance(item, str):
        return item
    if isinstance(item, bool | int | float):
        return str(item)
    if item is None:
        return ""
    classes = key.lower() in _CLASSES
    if isinstance(item, list) and all(isinstance(part, str) for part in item):
        if key.lower() in ("tokens", "words"):
            return join_words(item)
        return (", " if classes else "\n").join(item)
    if classes and isinstance(item, list) and all(isinstance(part, int) for part in item):
        return ", ".join(map(str, item))
    if classes and isinstance(item, dict) and all(isinstance(part, int | float) for part in item.values()):
        return ", ".join(str(name) for name, score in item.items() if score >= _IS_OF) or NO_LABEL
    return None


#: A text is of a class from this score on.
_IS_OF = 0.5


def flat_cells(value: Any) -> dict[str, str] | None:
    """Return a record's fields as text, as a table's row would have them; None if there are none.

    A list of strings is a text of that many lines; what is nested deeper is left out.
    """
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        return None
    cells: dict[str, str] = {}
    for key, item in value.items():
        if key == "translation" and isinstance(item, dict):
            cells |= {str(code): text for code, text in item.items() if isinstance(text, str)}
        elif (cell := _cell(str(key), item)) is not None:
            cells[str(key)] = cell
    return cells or None
