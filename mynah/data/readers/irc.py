"""IRC logs of the usual clients, untangled by who answers whom.

    [09:19] <nick> text                     mIRC, XChat, ZNC, the Ubuntu logs
    09:19 <@nick> text                      irssi
    2020-01-31 09:19:00<TAB>nick<TAB>text   WeeChat
    === nick [~user@host] has joined        of the server: left out

Times are kept where the day is known: from the line itself, from a line that says which day begins (`Day changed`,
`Log opened`), or from the name of the file (2004-12-25.txt), from where a clock that runs back by half a day begins the
next one. Lines stay in the order of the file, whatever the clock does.

A reply annotation beside the log (Kummerfeld et al. 2019, "A Large-Scale Corpus for Conversation
Disentanglement": lines `parent child -`, counted from 0) decides; without one, a line answers the last words
of the nick it begins with, or goes on with what its own speaker said shortly before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import PurePath

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import APP, messages_to_records

_CLOCK, _ZONE = r"\d{1,2}:\d\d(?::\d\d)?", r"(?:Z|[+-]\d\d:?\d\d)?"
_STAMP = rf"(?:\[?(?:\d{{4}}-\d\d-\d\d[T ])?{_CLOCK}{_ZONE}\]?)"
_SAID = re.compile(rf"{_STAMP}\s*<[\s@+%&~]*(?P<nick>[^\s<>]+)>\s?(?P<text>.*)")
_TABBED = re.compile(rf"{_STAMP}\t[@+%&~]?(?P<nick>[^\s\t<>*-]+)\t(?P<text>.*)")
_ANNOUNCED = re.compile(
    rf"(?:{_STAMP}\s*)?(?:===|-!-|\*\*\*?|-->|<--|--\t|\*\s|\d\d:\d\d\s+-!-|Session |---)|{_STAMP}\t(?:-->|<--|--|\*)"
)
_TIME = re.compile(rf"\[?(?P<day>\d{{4}}-\d\d-\d\d)?[T ]?(?P<clock>{_CLOCK})(?P<zone>{_ZONE})")
_DAY_TOLD = re.compile(r"--- (?:Day changed|Log opened) ")
_NEW_DAY = re.compile(r"--- (?:Day changed|Log opened) \w{3} (\w{3} \d\d) (?:\d\d:\d\d:\d\d )?(\d{4})")
_DAY_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)")
#: A line goes on with what its speaker said at most this many lines before.
_NEAR = 25
TEXT, SPEAKER, ID, PARENT, TIME = "text", "speaker", "id", "reply_to", "time"


def is_irc(given: Input, encoding: str) -> bool:
    """Whether most of the first lines are an IRC log's, and a fifth of them are somebody's words."""
    lines = [line for line in given.first_lines(encoding, 200) if line.strip()]
    said = sum(_said(line) is not None for line in lines)
    announced = sum(_ANNOUNCED.match(line) is not None for line in lines)
    return said >= 2 and said * 5 >= len(lines) and (said + announced) * 5 >= len(lines) * 4


def read(given: Input, reading: Reading, annotation: Input | None = None) -> Iterator[Record | Rejected]:
    """Yield the conversations of a log: who begins one is the user, who answers the assistant."""
    encoding = encoding_of(given, reading)
    links = _links(annotation) if annotation else {}
    how = "annotated replies" if links else "the nick that a line begins with"
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(form="an IRC log", layout=f"threads by {how}")
    assistant = reading.config.columns.assistant
    layout = Layout(
        "messages",
        text=TEXT,
        speaker=SPEAKER,
        message_id=ID,
        reply_to=PARENT,
        time=TIME,
        assistant=assistant,
    )
    yield from messages_to_records(given.name, _message_rows(given, encoding, links), layout, reading)


def _message_rows(given: Input, encoding: str, links: Mapping[int, int]) -> Iterator[Row | Rejected]:
    """Yield each line that somebody says, with the line that it answers."""
    last_by: dict[str, int] = {}
    clock = _Clock(given.name)
    for number, line in enumerate(given.lines(encoding)):
        found = _said(line)
        if found is None:
            clock.hear(line)
            if line.strip():
                yield Rejected(given.name, number + 1, APP, bad=False)
            continue
        nick, text = found["nick"], found["text"].strip()
        addressed, rest = _addressed(text, last_by)
        parent = links.get(number)
        if parent is None:
            before = last_by.get(nick, -_NEAR - 1)
            parent = last_by[addressed] if addressed else before if number - before <= _NEAR else -1
        last_by[nick] = number
        # A nick that was only named in greeting stays; one that addresses is no part of what is said.
        yield Row(
            number + 1,
            {
                TEXT: rest,
                SPEAKER: nick,
                ID: str(number),
                PARENT: str(parent) if parent >= 0 else "",
                TIME: clock.time(line),
            },
        )


class _Clock:
    """Knows which day it is in a log."""

    def __init__(self, name: str) -> None:
        found = _DAY_IN_NAME.search(PurePath(name).name)
        self.day = _date("-".join(found.groups()), "%Y-%m-%d") if found else None
        self.last = datetime.min

    def hear(self, line: str) -> None:
        """Take a line that nobody said: a day may begin with it."""
        if _DAY_TOLD.match(line):
            found = _NEW_DAY.match(line)
            self.day = _date(" ".join(found.groups()), "%b %d %Y") if found else None
            self.last = datetime.min

    def time(self, line: str) -> str:
        """Return when a line was said, in ISO 8601; empty if its day is not known."""
        found = _TIME.match(line)
        if found is None or not (found["day"] or self.day):
            return ""
        if found["day"]:
            return f"{found['day']}T{found['clock'].zfill(5)}{found['zone']}"
        assert self.day is not None
        try:
            time = datetime.combine(self.day, clock_time.fromisoformat(found["clock"].zfill(5)))
        except ValueError:
            return ""
        if self.last - time > timedelta(hours=12):
            self.day += timedelta(days=1)
            time += timedelta(days=1)
        self.last = max(self.last, time)
        return f"{self.last.isoformat()}{found['zone']}"


def _date(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:
        return None


def _said(line: str) -> re.Match[str] | None:
    return _SAID.match(line) or _TABBED.match(line)


def _addressed(text: str, nicks: Mapping[str, int]) -> tuple[str | None, str]:
    """Return the nick that a line speaks to (one that has spoken), and what it says to it."""
    found = re.match(r"@?([^\s:,]+)[:,]\s*(.*)", text)
    if found and found[1] in nicks and found[2]:
        return found[1], found[2]
    return None, text


def _links(annotation: Input) -> dict[int, int]:
    """Return line -> the line it answers; a line that begins a conversation answers itself."""
    links: dict[int, int] = {}
    for line in annotation.lines("utf-8"):
        numbers = re.findall(r"\d+", line)
        if len(numbers) >= 2:
            first, second = sorted(map(int, numbers[:2]))
            links[second] = min(first, links.get(second, first)) if first != second else -1
    return links


def is_annotation(given: Input) -> bool:
    """Whether every line of a file is two line numbers, as a reply annotation's."""
    lines = [line for line in given.first_lines("utf-8", 50) if line.strip()]
    return bool(lines) and all(re.fullmatch(r"\d+ \d+(?: -)?\s*", line) for line in lines)
