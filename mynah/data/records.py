"""The two records that flow through the data stages, and their JSON lines on disk.

A conversation is the ecosystem's own `{"messages": [{"role", "content"}]}`, a document is `{"text"}`;
both carry `source`, the file and line they came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mynah import artifacts
from mynah.errors import ArtifactError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order, oldest first."""

    messages: tuple[Message, ...]
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each turn."""
        return tuple(message.content for message in self.messages)

    @property
    def can_teach_replies(self) -> bool:
        """Whether an assistant turn follows a user turn, so that there is a reply to learn."""
        roles = [message.role for message in self.messages]
        return "user" in roles and "assistant" in roles[roles.index("user") :]


@dataclass(frozen=True, slots=True)
class Document:
    """Running text without speakers."""

    text: str
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, as a tuple of one, so that both records can be walked alike."""
        return (self.text,)


Record = Conversation | Document


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be used: where it stood and why, never what it said."""

    file: str
    line: int
    reason: str


def merge_turns(messages: Iterable[Message], separator: str = "\n") -> tuple[Message, ...]:
    """Join neighbouring messages of one role into one turn."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            merged[-1] = Message(message.role, merged[-1].content + separator + message.content)
        else:
            merged.append(message)
    return tuple(merged)


def to_json(record: Record) -> dict[str, object]:
    """Return a record as the dict that is written to disk."""
    if isinstance(record, Document):
        return {"text": record.text, "source": record.source}
    messages = [{"role": m.role, "content": m.content} for m in record.messages]
    return {"messages": messages, "source": record.source}


def from_json(value: dict[str, object]) -> Record:
    """Return the record that `to_json` made.

    Raises:
        KeyError, TypeError: if the dict is neither.
    """
    source = str(value.get("source", ""))
    if "text" in value:
        return Document(str(value["text"]), source)
    messages = value["messages"]
    if not isinstance(messages, list):
        raise TypeError("messages is not a list")
    return Conversation(tuple(Message(m["role"], m["content"]) for m in messages), source)


def write_records(path: Path, records: Iterable[Record]) -> int:
    """Write records as JSON lines, atomically; return how many.

    Raises:
        ArtifactError: if the file cannot be written.
    """
    count = 0
    with (
        artifacts.replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for record in records:
            file.write(json.dumps(to_json(record), ensure_ascii=False) + "\n")
            count += 1
    return count


def read_records(path: Path) -> Iterator[Record]:
    """Read records one at a time from JSON lines that `write_records` made.

    Raises:
        ArtifactError: with file and line if a line is not a record.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield from_json(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise ArtifactError(f"{path}:{number}: not a record") from None
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None


def write_rejected(path: Path, rejected: Iterable[Rejected]) -> None:
    """Write rejected rows as JSON lines: file, line, reason, and never what the row said."""
    lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rejected)
    artifacts.write_text(path, "".join(lines))
