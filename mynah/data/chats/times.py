"""Times as exports write them: ISO 8601, Unix seconds, and forms of which nobody says which number is the month."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

#: Times that are looked at to find the forms that may be meant.
_FIRST = 2000
#: Forms that are followed to the end of a column; the one that fits best is then taken.
_MOST_FORMS = 3
NO_TIME = -(1 << 63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_FORMS = (
    "%a %b %d %H:%M:%S %z %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M",
    "%Y年%m月%d日 %H:%M",
    "%Y-%m-%d %I:%M:%S %p",
    "%d-%b-%y %I:%M %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %I:%M %p",
    "%m/%d/%y %I:%M %p",
    "%d/%m/%y %I:%M %p",
    "%b %d, %Y %I:%M:%S %p",
    "%A, %B %d, %Y at %I:%M:%S %p %Z",
)
_NAMES_OF_MONTHS = (
    "jan january januar janvier enero janeiro gennaio ene",
    "feb february februar février fevrier febrero fevereiro febbraio fév",
    "mar march märz maerz mars marzo março mär",
    "apr april avril abril aprile avr abr",
    "may mai mayo maio maggio",
    "jun june juni juin junio junho giugno",
    "jul july juli juillet julio julho luglio juil",
    "aug august août aout agosto ago",
    "sep sept september septembre septiembre setembro settembre",
    "oct october oktober octobre octubre outubro ottobre okt out",
    "nov november novembre noviembre novembro",
    "dec december dezember décembre decembre diciembre dezembro dicembre dez déc dic",
)
#: Names and short forms of months in seven languages -> their numbers.
MONTHS = {name: number for number, names in enumerate(_NAMES_OF_MONTHS, 1) for name in names.split()}
_DAY_FIRST = re.compile(
    r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|º)?\.?(?: de| of)? (?P<month>[^\W\d_]{3,10})\.?,?(?: de)? (?P<year>\d{4})"
)
_MONTH_FIRST = re.compile(r"(?P<month>[^\W\d_]{3,10})\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?,? (?P<year>\d{4})")
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})[:h](?P<minute>\d{2})(?::(?P<second>\d{2}))?\s?(?P<half>[ap])?\.?m?\.?"
)
_JOINT = re.compile(
    r"(?<=\d)\s*(?:,|\bà|\bat|\bum|\ba las|\bàs|\balle|·|-)\s+(?=\d{1,2}[:h]\d{2})", re.IGNORECASE
)
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$")
_FRENCH_CLOCK = re.compile(r"\b(\d{1,2})h(\d{2})\b")
#: ISO 8601 but for an hour of one digit.
_SHORT_HOUR = re.compile(r"(\d{4}-\d\d-\d\d[ T])(\d:\d\d.*)")


def parse_time(text: str, forms: Sequence[str] = _FORMS) -> datetime | None:
    """Read a time in ISO 8601, Unix seconds or milliseconds, or one of some forms of exports; else None."""
    text = text.strip()
    parsed: datetime | None = None
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{13}", text):
        seconds = float(text) / (1000 if len(text) == 13 else 1)
        return datetime.fromtimestamp(seconds, tz=UTC)
    if found := _SHORT_HOUR.fullmatch(text):
        text = f"{found[1]}0{found[2]}"
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        if (named := _in_words(text)) is not None:
            return named
        text = _FRENCH_CLOCK.sub(r"\1:\2", _JOINT.sub(" ", _ZONE.sub("", text)))
        for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", *forms):
            try:
                parsed = datetime.strptime(text, form)
                break
            except ValueError:
                continue
    if parsed is not None and parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed


def _in_words(text: str) -> datetime | None:
    """Read a time whose month is a word: "Feb 3, 2024, 10:05 AM", "03. Februar 2024 10:05"; else None."""
    found = _DAY_FIRST.search(text) or _MONTH_FIRST.search(text)
    month = MONTHS.get(found["month"].lower()) if found else None
    if found is None or month is None:
        return None
    clock = _CLOCK.search(text, found.end()) or _CLOCK.search(text[: found.start()])
    hour, minute, second = (
        (int(clock[part] or 0) for part in ("hour", "minute", "second")) if clock else (0, 0, 0)
    )
    if clock and clock["half"]:
        hour = hour % 12 + 12 * (clock["half"].lower() == "p")
    if re.search(r"[+-]\d{2}:?\d{2}$|[A-Z]{3,4}$", _ZONE.sub("", text)):
        return None  # in another zone: one of the forms
    try:
        return datetime(int(found["year"]), month, int(found["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


class Times:
    """A column of times, read as they come.

    Where the first of them can be read in several ways (is 1/12 in January or in December?), each is followed to the
    end, and that one is taken which leaves the fewest times unread and lets time run backwards least often.
    """

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.readings: list[_Reading] = []

    def add(self, text: str) -> None:
        """Take the next time."""
        if self.readings:
            for reading in self.readings:
                reading.add(text)
            return
        self.waiting.append(text)
        if len(self.waiting) == _FIRST:
            self._begin()

    def _begin(self) -> None:
        """Keep the forms that read most of the first times, one of those that read all of them alike."""
        readings = [_Reading(form) for form in _FORMS]
        for reading in readings:
            for text in self.waiting:
                reading.add(text)
        fewest = min(reading.unread for reading in readings)
        distinct = {r.micros.tobytes(): r for r in reversed(readings) if r.unread == fewest}
        self.readings = list(reversed(distinct.values()))[:_MOST_FORMS]
        self.waiting = []

    @property
    def best(self) -> _Reading:
        """The reading that fits best so far."""
        if not self.readings:
            self._begin()
        return min(self.readings, key=lambda reading: (reading.unread, reading.backwards))


class _Reading:
    """What one form makes of a column: microseconds since 1970, and how far off UTC each was written."""

    def __init__(self, form: str) -> None:
        self.form = (form,)
        self.micros, self.offsets = array("q"), array("i")
        self.unread = self.backwards = 0
        self.last = NO_TIME

    def add(self, text: str) -> None:
        """Read the next time."""
        time = parse_time(text, self.form)
        if (
            time is None or not 1 < time.year < 9999
        ):  # the first and last years are what programs write for none
            self.unread += 1
            self.micros.append(NO_TIME)
            self.offsets.append(0)
            return
        micros = (time - _EPOCH) // _MICROSECOND
        self.backwards += micros < self.last
        self.last = micros
        offset = time.utcoffset()
        self.micros.append(micros)
        self.offsets.append(int(offset.total_seconds()) if offset is not None else 0)

    @property
    def array(self) -> npt.NDArray[np.int64]:
        """(N,) int64: microseconds since 1970, or `NO_TIME`."""
        return np.frombuffer(self.micros, dtype=np.int64)

    def text(self, index: int) -> str:
        """Return a time in ISO 8601, in the time zone that it was written in; empty if it was not read."""
        if self.micros[index] == NO_TIME:
            return ""
        zone = timezone(timedelta(seconds=self.offsets[index]))
        return (_EPOCH + self.micros[index] * _MICROSECOND).astimezone(zone).isoformat()
