"""An exchange: a reply of the log, what it replied to, what was said before, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from mynah.data.records import Conversation, Message, Record, as_conversation


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its reply."""

    question: str
    reply: str
    #: what was said before the question, oldest first
    before: tuple[Message, ...] = ()
    #: file and line of the reply, or of the record where lines of messages are not known
    place: str = ""
    #: when the reply was given, in ISO 8601; empty if unknown
    time: str = ""
    #: the names of who asked and who replied, as far as they are known
    names: tuple[str, ...] = ()

    @property
    def history(self) -> tuple[Message, ...]:
        """The conversation up to the reply, the question last."""
        return (*self.before, Message("user", self.question))


def exchanges_of(records: Iterable[Record]) -> Iterator[Exchange]:
    """Yield every reply to a user's turn, in order; a label, a translation, a chosen reply is one too."""
    for record in records:
        conversation = as_conversation(record)
        if not isinstance(conversation, Conversation):
            continue
        turns = conversation.messages
        for number, (asked, said) in enumerate(pairwise(turns)):
            if asked.role == "user" and said.role == "assistant":
                yield Exchange(
                    asked.content,
                    said.content,
                    turns[:number],
                    place_of(conversation.place, said),
                    said.time,
                    tuple(dict.fromkeys(name for name in (asked.name, said.name) if name)),
                )


def place_of(place: str, message: Message) -> str:
    """Return file and line of a message of a record that stands at `place`."""
    if not message.line:
        return place
    return f"{place.rpartition(':')[0] or place}:{message.line}"
