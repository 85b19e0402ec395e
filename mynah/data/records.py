"""The records that flow through the data stages: conversations, documents, labelled texts, pairs,
preferences.

Each is the ecosystem's own shape (`as_dict`): `{"messages": [{"role", "content"}]}`, `{"text"}`,
`{"text", "label"}`, `{"source", "target"}`, `{"messages", "chosen", "rejected"}`. All carry `place`, the file
and the line or record that they came from, which stays theirs through every stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str
    #: who said it, where the source says so
    name: str = ""
    #: when, in ISO 8601; empty if unknown
    time: str = ""
    #: the line on which it stands, where each message has its own; 0: that of its record
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order, oldest first."""

    messages: tuple[Message, ...]
    place: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each turn."""
        return tuple(message.content for message in self.messages)

    def with_texts(self, texts: Sequence[str]) -> Conversation:
        """Return the same turns with other words, one for each turn."""
        messages = zip(self.messages, texts, strict=True)
        return replace(self, messages=tuple(replace(m, content=text) for m, text in messages))

    @property
    def can_teach_replies(self) -> bool:
        """Whether an assistant turn follows a user turn, so that there is a reply to learn."""
        roles = [message.role for message in self.messages]
        return "user" in roles and "assistant" in roles[roles.index("user") :]


@dataclass(frozen=True, slots=True)
class Document:
    """Running text without speakers."""

    text: str
    place: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, as a tuple of one, so that all records can be walked alike."""
        return (self.text,)

    def with_texts(self, texts: Sequence[str]) -> Document:
        """Return the document with another text."""
        (text,) = texts
        return replace(self, text=text)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and its class."""

    text: str
    label: str
    place: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text; a label is a name, not text to be cleaned."""
        return (self.text,)

    def with_texts(self, texts: Sequence[str]) -> Labelled:
        """Return the label with another text."""
        (text,) = texts
        return replace(self, text=text)


@dataclass(frozen=True, slots=True)
class Pair:
    """A text and its translation."""

    source: str
    target: str
    place: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Source and target."""
        return (self.source, self.target)

    def with_texts(self, texts: Sequence[str]) -> Pair:
        """Return another source and target."""
        source, target = texts
        return replace(self, source=source, target=target)


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt with the better and the worse reply to it."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    place: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each turn of the prompt, then the chosen and the rejected reply."""
        return (*(message.content for message in self.messages), self.chosen, self.rejected)

    def with_texts(self, texts: Sequence[str]) -> Preference:
        """Return the same turns and replies with other words."""
        *turns, chosen, rejected = texts
        messages = tuple(replace(m, content=t) for m, t in zip(self.messages, turns, strict=True))
        return replace(self, messages=messages, chosen=chosen, rejected=rejected)


Record = Conversation | Document | Labelled | Pair | Preference
#: What each kind of record is called where it is counted and stored.
KINDS: dict[type[Record], str] = {
    Conversation: "conversation",
    Document: "document",
    Labelled: "labelled",
    Pair: "pair",
    Preference: "preference",
}


def kind_of(record: Record) -> str:
    """Return a record's kind: conversation, document, labelled, pair or preference."""
    return KINDS[type(record)]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not used: where it stood and why, never what it said."""

    file: str
    line: int
    reason: str
    #: False where nothing is wrong: a picture in a web archive, the licence around a book
    bad: bool = True
    #: of its text, where that is known
    characters: int = field(default=0, compare=False)

    @property
    def place(self) -> str:
        """File and line, written as the place of a record is."""
        return f"{self.file}:{self.line}" if self.line else self.file


def merge_turns(
    messages: Iterable[Message], separator: str = "\n", within: timedelta | None = None
) -> tuple[Message, ...]:
    """Join neighbouring messages of one person in one role into one turn.

    Args:
        messages: oldest first.
        separator: stands between what is joined.
        within: only join what was said at most this long after the message before; None, or where a time is
            not known: join always.
    """
    merged: list[tuple[Message, list[str]]] = []
    last = ""
    for message in messages:
        former = merged[-1][0] if merged else None
        same = former is not None and _who(former) == _who(message)
        if same and not _apart(last, message.time, within):
            merged[-1][1].append(message.content)
        else:
            merged.append((message, [message.content]))
        last = message.time
    return tuple(
        replace(first, content=separator.join(said)) if len(said) > 1 else first for first, said in merged
    )


def _who(message: Message) -> tuple[Role, str]:
    return message.role, message.name.strip().lower()


def _apart(before: str, after: str, within: timedelta | None) -> bool:
    if within is None or not before or not after:
        return False
    return datetime.fromisoformat(after) - datetime.fromisoformat(before) > within


def as_conversation(record: Record) -> Conversation | Document:
    """Return a record as a chatbot learns from it: a label, a translation, a chosen reply is what it says."""
    if isinstance(record, Conversation | Document):
        return record
    if isinstance(record, Labelled):
        asked: tuple[Message, ...] = (Message("user", record.text),)
        reply = record.label
    elif isinstance(record, Pair):
        asked, reply = (Message("user", record.source),), record.target
    else:
        asked, reply = record.messages, record.chosen
    return Conversation((*asked, Message("assistant", reply)), record.place)


def as_dict(record: Record) -> dict[str, Any]:
    """Return a record in the ecosystem's own shape, with its place."""
    if isinstance(record, Document):
        return {"text": record.text, "place": record.place}
    if isinstance(record, Labelled):
        return {"text": record.text, "label": record.label, "place": record.place}
    if isinstance(record, Pair):
        return {"source": record.source, "target": record.target, "place": record.place}
    made: dict[str, Any] = {"messages": [_message_dict(m) for m in record.messages]}
    if isinstance(record, Preference):
        made |= {"chosen": record.chosen, "rejected": record.rejected}
    return {**made, "place": record.place}


def _message_dict(message: Message) -> dict[str, str | int]:
    made = {"role": message.role, "content": message.content}
    return made | {key: getattr(message, key) for key in ("name", "time", "line") if getattr(message, key)}


def from_dict(value: dict[str, Any]) -> Record:
    """Return the record that `as_dict` made.

    Raises:
        KeyError, TypeError: if the dict is of no kind.
    """
    place = str(value.get("place") or "")
    if value.get("messages") is not None:
        messages = tuple(
            Message(m["role"], m["content"], m.get("name") or "", m.get("time") or "", m.get("line") or 0)
            for m in value["messages"]
        )
        if value.get("chosen") is not None:
            return Preference(messages, value["chosen"], value["rejected"], place)
        return Conversation(messages, place)
    if value.get("source") is not None:
        return Pair(value["source"], value["target"], place)
    if value.get("label") is not None:
        return Labelled(value["text"], value["label"], place)
    return Document(value["text"], place)
