"""Signal's chats as sigtop writes them: a block of headers for each message, a blank line, and the words.

From: Ann (+4900)
Type: incoming
Sent: Mon, 1 Jan 2024 10:00:00 +0100
Reaction: ❤ from Me

See you tomorrow
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import ABOVE, APP, MEDIA, messages_to_records

_FIRST = re.compile(r"From: (?P<who>\S.*)")
_HEADER = re.compile(r"(?P<name>[A-Z][A-Za-z ]{2,20}):(?: (?P<value>.*))?")
#: A second line that every message has.
_TYPE = re.compile(r"Type: (?:incoming|outgoing|[a-z-]+)")


def is_sigtop(start: str) -> bool:
    """Whether a text begins as sigtop's exports do."""
    lines = start.splitlines()[:60]
    return any(
        _FIRST.fullmatch(a) and _TYPE.fullmatch(b) and c.startswith("Sent: ")
        for a, b, c in zip(lines, lines[1:], lines[2:], strict=False)
    )


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences; who sent is the assistant."""
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages",
        text="text",
        speaker="speaker",
        direction="issender",
        time="time",
        assistant=reading.config.columns.assistant,
    )
    yield from messages_to_records(given.name, _rows(given, encoding_of(given, reading)), layout, reading)


def _rows(given: Input, encoding: str) -> Iterator[Row | Rejected]:
    start, block = 0, list[str]()
    for number, raw in enumerate(given.lines(encoding), start=1):
        line = raw.rstrip("\r\n")
        # A message's words may hold "From: ..." too, but not with what follows it.
        if block and _TYPE.fullmatch(line) and _FIRST.fullmatch(block[-1]):
            if start:
                yield _message(given.name, start, block[:-1])
            elif len(block) > 1:
                yield Rejected(given.name, 1, f"{ABOVE}, lines 1 to {number - 2}", bad=False)
            start, block = number - 1, [block[-1]]
        block.append(line)
    if start:
        yield _message(given.name, start, block)


def _message(name: str, line: int, block: list[str]) -> Row | Rejected:
    end = next((n for n, text in enumerate(block) if not text), len(block))
    headers = [found for text in block[:end] if (found := _HEADER.fullmatch(text))]
    told = {found["name"]: found["value"] or "" for found in headers}
    words = block[end + 1 :]
    if "Quote" in told:  # what is answered stands again, marked and between blank lines
        words = [text for text in words if not text.startswith(">")]
    text = "\n".join(words).strip()
    if told["Type"] not in ("incoming", "outgoing"):
        return Rejected(name, line, APP, bad=False)
    if not text:
        return Rejected(name, line, MEDIA, bad=False)
    try:
        time = parsedate_to_datetime(told.get("Sent", "")).isoformat()
    except ValueError:
        time = ""
    sent = told["Type"] == "outgoing"
    return Row(line, {"text": text, "speaker": told["From"], "issender": str(int(sent)), "time": time})
