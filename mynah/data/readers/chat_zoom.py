"""What was written in the chat of a Zoom meeting, as Zoom saves it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import APP, messages_to_records

_HEAD = re.compile(
    r"(?P<time>(?:\d{4}-\d{2}-\d{2} )?\d{1,2}:\d{2}:\d{2})\s+(?:From|来自|Von|De)\s+(?P<who>.{1,80}?)"
    r"(?:\s+(?:to|To|发送给|an|à|a)\s+.{1,80}?)?\s?[:：]\s*(?P<text>.*)$"
)
_REACTED = re.compile(r"(?:Reacted to|Removed a .{1,12} reaction from) [\"“].*", re.DOTALL)
_REPLYING = re.compile(r"Replying to [\"“][^\"”]*[\"”]\s*")


def is_zoom(start: str) -> bool:
    """Whether a text begins with a time and from whom, and such lines come again."""
    lines = [line for line in start.split("\n")[:100] if line.strip()]
    heads = sum(_HEAD.match(line.strip("\r")) is not None for line in lines)
    return bool(lines) and _HEAD.match(lines[0].strip("\r")) is not None and heads >= 2


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of a chat, cut at silences."""
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(form="a Zoom chat", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages", text="text", speaker="speaker", time="time", assistant=reading.config.columns.assistant
    )
    yield from messages_to_records(given.name, _rows(given, encoding_of(given, reading)), layout, reading)


def _rows(given: Input, encoding: str) -> Iterator[Row | Rejected]:
    head: re.Match[str] | None = None
    begun, said = 0, list[str]()
    for number, line in enumerate(given.lines(encoding), start=1):
        line = line.rstrip("\r\n")
        found = _HEAD.match(line)
        if found is None:
            said.append(line.strip())
            continue
        if head is not None:
            yield _row(given.name, begun, head, said)
        head, begun, said = found, number, [found["text"]]
    if head is not None:
        yield _row(given.name, begun, head, said)


def _row(name: str, number: int, head: re.Match[str], said: list[str]) -> Row | Rejected:
    text = "\n".join(said).strip()
    if _REACTED.fullmatch(text):
        return Rejected(name, number, APP, bad=False, characters=len(text))
    return Row(
        number, {"text": _REPLYING.sub("", text), "speaker": head["who"].strip(), "time": head["time"]}
    )
