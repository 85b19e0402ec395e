"""The two files of a Cornell-style corpus: one of lines, one of conversations, fields cut by +++$+++."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Message, Record, Rejected, merge_turns
from mynah.data.sources import Reading
from mynah.errors import DataError

MARK = "+++$+++"
_LIST = re.compile(r"\[(.*)\]\s*$")


def first_line(given: Input) -> str:
    """Return a file's first line, as far as it is ASCII."""
    return given.head(1 << 14).partition(b"\n")[0].decode("ascii", "replace")


def is_cornell(given: Input) -> bool:
    """Whether the first line is in the `a +++$+++ b` layout of the Cornell movie dialogues."""
    return MARK in first_line(given)


def read(files: list[Input], reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations; the first to speak is the user, everybody else the assistant.

    Raises:
        DataError: if it is not one file of each kind.
    """
    # The last field of a conversation is a list of the ids of its lines.
    listed = [given for given in files if _LIST.search(first_line(given))]
    lines = [given for given in files if given not in listed]
    if len(lines) != 1 or len(listed) != 1:
        raise DataError(
            f"{files[0].name}: the '{MARK}' layout comes as two files, one of lines and one of conversations; "
            "name both"
        )
    encoding = encoding_of(lines[0], reading)
    reading.tell(form="Cornell layout", layout="first speaker = user")
    said: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines[0].lines(encoding), start=1):
        fields = [field.strip() for field in line.rstrip("\n").split(MARK)]
        if len(fields) < 3:
            yield Rejected(lines[0].name, number, f"{len(fields)} fields found, 3 expected")
            continue
        said[fields[0]] = (fields[1], fields[-1])
    for number, line in enumerate(listed[0].lines(encoding), start=1):
        found = _LIST.search(line)
        ids = [part.strip(" '\"") for part in found.group(1).split(",")] if found else []
        known = [said[i] for i in ids if i in said]
        if 2 <= len(known) < len(ids):
            yield Rejected(
                listed[0].name, number, f"{len(ids) - len(known)} lines that are not there", bad=False
            )
        if len(known) < 2:
            yield Rejected(listed[0].name, number, "fewer than two known lines")
            continue
        first = known[0][0]
        messages = [Message("user" if who == first else "assistant", text, who) for who, text in known]
        yield Conversation(merge_turns(messages), f"{listed[0].name}:{number}")
