"""What the columns of a table are for: as the user says (`Columns`) and as it is settled on (`Layout`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from mynah.config import Config

#: What a row is.
Kind = Literal["messages", "pairs", "labelled", "translation", "text"]


class Columns(Config):
    """Corrections to the guessed layout; a flag of `mynah collect` and `mynah build` each."""

    text: str | None = Field(None, description="column with the text of a row")
    question: str | None = Field(None, description="column with what the user says")
    answer: str | None = Field(None, description="column with the reply")
    conversation: str | None = Field(None, description="column that is equal within a conversation")
    chat: str | None = Field(None, description="column that is equal within a chat, cut at silences")
    message_id: str | None = Field(None, description="column with the id of a message")
    reply_to: str | None = Field(None, description="column with the id of the message replied to")
    speaker: str | None = Field(None, description="column that says who speaks")
    direction: str | None = Field(None, description="column true (or 'in') for the user's messages")
    time: str | None = Field(None, description="column with the time, to order messages")
    label: str | None = Field(None, description="column with the class of a text")
    type: str | None = Field(None, description="column that tells text from pictures and notices")
    title: str | None = Field(None, description="column with the heading of a text")
    rows_are: Kind | None = Field(
        None, description="what a row is: messages, pairs, labelled, translation or text"
    )
    assistant: tuple[str, ...] = Field((), description="who the assistant is: values of the speaker column")


@dataclass(frozen=True)
class Layout:
    """What each column is for, and how rows become records."""

    kind: Kind
    question: tuple[str, ...] = ()
    answer: str | None = None
    text: str | None = None
    title: str | None = None
    label: str | None = None
    conversation: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    speaker: str | None = None
    direction: str | None = None
    time: str | None = None
    #: equal within a chat, which is many conversations, cut at silences
    chat: str | None = None
    #: equal within a thread of replies, which is one conversation; empty: in no thread
    thread: str | None = None
    type: str | None = None
    #: tells messages among colleagues, which no customer saw
    internal: str | None = None
    assistant: tuple[str, ...] = ()
    #: columns with an option each, and what the first is counted as where the answer is a number
    choices: tuple[str, ...] = ()
    first_choice: int = 0
    #: columns that are 1 where a text is of their class
    labels: tuple[str, ...] = ()
    #: another reading that is nearly as good, and the flag that says it
    otherwise: Layout | None = field(default=None, compare=False)
    otherwise_flag: str = field(default="", compare=False)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are of use."""
        single = (
            self.answer, self.text, self.title, self.label, self.conversation, self.message_id, self.reply_to,
            self.speaker, self.direction, self.time, self.chat, self.thread, self.type, self.internal,
        )  # fmt: skip
        return frozenset(filter(None, (*self.question, *self.choices, *self.labels, *single)))

    @property
    def said(self) -> tuple[str, ...]:
        """The columns whose words come into records."""
        single = (self.title, self.text, self.label, self.answer)
        return tuple(dict.fromkeys(filter(None, (*self.question, *self.choices, *self.labels, *single))))

    def describe(self) -> str:
        """Say the guess in one line, with the names of the flags that correct it."""
        if self.kind in ("pairs", "translation"):
            what = ("question", "answer") if self.kind == "pairs" else ("source", "target")
            options = f", options = {', '.join(self.choices)}" if self.choices else ""
            return f"{what[0]} = {' + '.join(self.question)}{options}, {what[1]} = {self.answer}"
        if self.kind == "labelled":
            title = f"{self.title} + " if self.title else ""
            label = self.label or f"those of {', '.join(self.labels)} that are 1"
            return f"text = {title}{self.text}, label = {label}; each row teaches: text -> label"
        if self.kind == "text":
            title = f"title = {self.title}, " if self.title else ""
            return f"{title}text = {self.text}; each row is one text"
        parts = [f"text = {self.text}"]
        for name in (
            "conversation",
            "chat",
            "message_id",
            "reply_to",
            "speaker",
            "direction",
            "time",
            "type",
            "internal",
            "title",
        ):
            if value := getattr(self, name):
                parts.append(f"{name.replace('_', '-')} = {value}")
        return ", ".join(parts) + "; one row a message"
