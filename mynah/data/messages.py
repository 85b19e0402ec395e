"""The messages of one source, however many: what threads them in arrays, their words in a file.

About 60 bytes a message are in memory, and names once each; 10 million messages take less than 1 GB with what sorting
them needs. The words lie in a temporary file without a name once they are more than `IN_MEMORY` bytes.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

from mynah.data.layout import Layout
from mynah.data.reading import Row

#: Words of all messages that are kept in memory, in bytes.
IN_MEMORY = 64 << 20
#: Messages whose times are looked at to find the format of all.
_FIRST_TIMES = 2000
_NO_TIME = -(1 << 63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_TIME_FORMATS = (
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
    "%b %d, %Y %I:%M:%S %p",
    "%A, %B %d, %Y at %I:%M:%S %p %Z",
)

_REDDIT = re.compile(r"^t[1-6]_(?=[0-9a-z]+$)")
Indices = npt.NDArray[np.int64]


class Names:
    """Gives each distinct text a number, in the order in which they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        #: the number of each message's text
        self.codes = array("i")

    def add(self, text: str) -> None:
        """Note the text of the next message."""
        self.codes.append(self.numbers.setdefault(text, len(self.numbers)))

    @property
    def texts(self) -> list[str]:
        """The distinct texts by number."""
        return list(self.numbers)


class Messages:
    """Takes the rows of a table that are messages, one after the other, and gives back what is asked of them.

    Args:
        layout: what the columns are; its `text` is set.
    """

    def __init__(self, layout: Layout) -> None:
        assert layout.text is not None
        self.layout, self.text = layout, layout.text
        self.lines = array("q")
        self.speakers, self.directions = Names(), Names()
        #: what names a conversation, a chat, a thread: hashes, 0 where it is empty
        self.conversations, self.chats, self.threads = array("q"), array("q"), array("q")
        self.ids = array("q")
        #: hashes of the messages that each answers, and where each message's begin
        self.parents, self.parent_starts = array("q"), array("q", [0])
        self._times, self._offsets = array("q"), array("i")
        self._waiting: list[str] = []
        self._formats: tuple[str, ...] | None = None
        self._ends = array("q", [0])
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with this object

    def __len__(self) -> int:
        return len(self.lines)

    def add(self, row: Row) -> None:
        """Take the next message."""
        layout, cells = self.layout, row.cells
        self.lines.append(row.line)
        text = cells[self.text]
        if layout.title and (title := cells[layout.title].strip()):
            text = f"{title}\n\n{text}"
        words = text.encode("utf-8", "surrogatepass")
        self._file.write(words)
        self._ends.append(self._ends[-1] + len(words))
        if layout.speaker:
            self.speakers.add(cells[layout.speaker].strip())
        if layout.direction:
            self.directions.add(cells[layout.direction])
        if layout.conversation:
            self.conversations.append(_key(cells[layout.conversation].strip()))
        if layout.chat:
            self.chats.append(_key(cells[layout.chat]))
        if layout.thread:
            self.threads.append(_key(cells[layout.thread]))
        if layout.message_id and layout.reply_to:
            self.ids.append(_key(_id(cells[layout.message_id])))
            named = (part for part in re.split(r"[,;\s]+", cells[layout.reply_to]) if part)
            self.parents.extend(_key(_id(part)) for part in named)
            self.parent_starts.append(len(self.parents))
        if layout.time:
            self._add_time(cells[layout.time])

    def _add_time(self, text: str) -> None:
        if self._formats is None:
            self._waiting.append(text)
            if len(self._waiting) == _FIRST_TIMES:
                self._flush_times()
            return
        time = parse_time(text, self._formats)
        self._times.append(_NO_TIME if time is None else (time - _EPOCH) // _MICROSECOND)
        offset = time.utcoffset() if time is not None else None
        self._offsets.append(int(offset.total_seconds()) if offset is not None else 0)

    def _flush_times(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._formats = formats_for(waiting)
        for text in waiting:
            self._add_time(text)

    @property
    def times(self) -> Indices:
        """(N,) int64: microseconds since 1970; see `timed` for which are known."""
        if not self.layout.time:
            return np.full(len(self), _NO_TIME)
        if self._waiting:
            self._flush_times()
        return np.frombuffer(self._times, dtype=np.int64)

    @property
    def timed(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether a message's time is known."""
        return np.asarray(self.times != _NO_TIME)

    def time_of(self, index: int) -> str:
        """Return a message's time in ISO 8601, in the time zone that it was written in; empty if unknown."""
        if not self.layout.time or self._times[index] == _NO_TIME:
            return ""
        zone = timezone(timedelta(seconds=self._offsets[index]))
        return (_EPOCH + self._times[index] * _MICROSECOND).astimezone(zone).isoformat()

    def words_of(self, index: int) -> str:
        """Return what a message says."""
        begin, end = self._ends[index], self._ends[index + 1]
        self._file.seek(begin)
        return self._file.read(end - begin).decode("utf-8", "surrogatepass")


def _key(text: str) -> int:
    """Return a hash that holds within this process; 0 for an empty text."""
    return hash(text) if text else 0


def _id(text: str) -> str:
    """Fold an id: a spreadsheet may have turned 12 into 12.0, and Reddit writes before it what it is of (t1_abc)."""
    return _REDDIT.sub("", text.strip()).removesuffix(".0")


def parse_time(text: str, formats: Sequence[str] = _TIME_FORMATS) -> datetime | None:
    """Read a time in ISO 8601, Unix seconds or milliseconds, or a common export format; else None."""
    text = text.strip()
    parsed: datetime | None = None
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{13}", text):
        seconds = float(text) / (1000 if len(text) == 13 else 1)
        return datetime.fromtimestamp(seconds, tz=UTC)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        for form in formats:
            try:
                parsed = datetime.strptime(text, form)
                break
            except ValueError:
                continue
    if parsed is not None and parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed


def formats_for(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the one export format that reads most of a column: 1/12 and 1/13 must mean the same order."""

    def readable(form: str) -> int:
        return sum(parse_time(text, (form,)) is not None for text in texts)

    return (max(_TIME_FORMATS, key=readable),)
