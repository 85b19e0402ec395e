"""Conversations as plain text: transcripts (`Agent: ...`), turns between marks, and classes before their texts.

Customer: Where is my parcel?              a line a turn, perhaps after a time; blank lines between conversations
2024-01-31 10:00:00 Agent: On its way.
Hello . __eou__ Hi there . __eou__         DailyDialog: a line a conversation
E / M hello / M hi there                   a conversation begins with E, each turn with M
__label__spam You have won                 fastText: a line a text and its class
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.reading import Reading, Row
from mynah.data.records import Conversation, Labelled, Message, Record, Rejected, Role, merge_turns
from mynah.data.rows import messages_to_records

_EOU = re.compile(r"__eo[us]__|<eou>", re.IGNORECASE)
_CLASS = re.compile(r"__label__(\S+)\s+(.*\S)")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?"
_TIME = rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}[T ]{_CLOCK}(?:[.,]\d+)?Z?|{_CLOCK}"
_STAMP = rf"(?:[\[(]?(?P<time>{_TIME})[\])]?\s*[-–|]?\s*)?"
_TURN = re.compile(rf"{_STAMP}[\[<]?(?P<who>[^\W\d_][^:：\n\[\]<>]{{0,39}})[\]>]?\s?[:：]\s*(?P<text>\S.*)")
#: Characters of a line that are looked at to tell what it is.
_LOOKED_AT = 500
#: Speakers of a transcript come back; what stands before a colon in prose or in settings does not.
_MOST_SPEAKERS, _TURNS_A_SPEAKER = 40, 3
TEXT, SPEAKER, TIME, CONVERSATION = "text", "speaker", "time", "conversation"


def kind_of_lines(given: Input, encoding: str) -> str | None:
    """Return "eou", "marks", "classes" or "transcript" for a text that is one of these, else None."""
    lines = [short for line in given.first_lines(encoding, 400) if (short := line[:_LOOKED_AT].strip())]
    if len(lines) < 2:
        return None
    if sum(_EOU.search(line) is not None for line in lines) * 2 > len(lines):
        return "eou"
    if sum(_CLASS.match(line) is not None for line in lines) * 10 >= 9 * len(lines):
        return "classes"
    if lines[0] == "E" and sum(line == "E" or line.startswith("M ") for line in lines) * 10 >= 9 * len(lines):
        return "marks"
    turns = [found for line in lines if (found := _TURN.match(line))]
    speakers = Counter(found["who"].strip().lower() for found in turns)
    if (
        len(turns) * 10 >= 8 * len(lines)
        and 2 <= len(speakers) <= _MOST_SPEAKERS
        and len(turns) >= max(4, _TURNS_A_SPEAKER * len(speakers))
    ):
        return "transcript"
    return None


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations (or labelled texts) of a file of which `kind_of_lines` tells what it is."""
    encoding = encoding_of(given, reading)
    kind = kind_of_lines(given, encoding) or "transcript"
    if kind == "transcript":
        yield from _transcript(given, encoding, reading)
    elif kind == "classes":
        reading.tell(form="fastText's layout", layout="class, text; each line teaches: text -> class")
        for number, line in enumerate(given.lines(encoding), start=1):
            found = _CLASS.match(line.strip())
            if found:
                yield Labelled(found[2], found[1], f"{given.name}:{number}")
            elif line.strip():
                yield Rejected(given.name, number, "no class before the text")
    else:
        reading.tell(form="dialogue lines", layout="turns in turn, user first")
        split = _by_marks if kind == "marks" else _by_line
        for number, turns in split(given.lines(encoding)):
            roles: tuple[Role, Role] = ("user", "assistant")
            messages = [Message(roles[i % 2], turn) for i, turn in enumerate(turns)]
            if len(messages) < 2:
                yield Rejected(given.name, number, "fewer than two turns")
            else:
                yield Conversation(merge_turns(messages), f"{given.name}:{number}")


def _by_line(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, [turn for part in _EOU.split(line) if (turn := part.strip())]


def _by_marks(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    start, turns = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        if line.strip() == "E":
            if turns:
                yield start, turns
            start, turns = number, []
        elif line.startswith("M ") and line[2:].strip():
            turns.append(line[2:].strip())
    if turns:
        yield start, turns


def _transcript(given: Input, encoding: str, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield conversations cut at blank lines, or at silences where there are none."""
    turns = blanks = 0
    for item in _turns(given, encoding):
        if isinstance(item, Row):
            turns += 1
            blanks = int(item.cells[CONVERSATION])
    reading.tell(form="a transcript", layout=f"cut at {'blank lines' if blanks else 'silences'}")
    # A blank line after every turn sets turns apart, not conversations.
    cut = 0 < blanks < 0.8 * turns
    layout = Layout(
        "messages",
        text=TEXT,
        speaker=SPEAKER,
        time=TIME,
        conversation=CONVERSATION if cut else None,
        assistant=reading.config.columns.assistant,
    )
    yield from messages_to_records(given.name, _turns(given, encoding), layout, reading)


def _turns(given: Input, encoding: str) -> Iterator[Row | Rejected]:
    """Yield each turn, which may go on over lines, with the number of blank lines between turns before it."""
    turn: Row | None = None
    blanks, blank = 0, False
    for number, line in enumerate(given.lines(encoding), start=1):
        found = _TURN.match(line.strip())
        if not line.strip() or re.fullmatch(r"[-=*_#]{3,}", line.strip()):
            blank = True
        elif found is not None:
            if turn is not None:
                blanks += blank
                yield turn
            cells = {
                TEXT: found["text"].strip(),
                SPEAKER: found["who"].strip(),
                TIME: found["time"] or "",
                CONVERSATION: str(blanks),
            }
            turn, blank = Row(number, cells), False
        elif turn is not None and not blank:
            turn.cells[TEXT] += "\n" + line.strip()
        else:
            yield Rejected(given.name, number, "no speaker before the text")
    if turn is not None:
        yield turn
