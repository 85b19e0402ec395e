"""The messages of one source, however many: what threads them in arrays, their words in a file.

About 60 bytes a message are in memory, and names once each; with what sorting them needs it is some 230 bytes at the
highest, which is why no more than `MOST` are threaded together. The words lie in a temporary file without a name once
they are more than `IN_MEMORY` bytes.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections import Counter

import numpy as np
import numpy.typing as npt

from mynah.data.chats.times import NO_TIME, Times
from mynah.data.layout import Layout
from mynah.data.sources import Row

#: Messages that are threaded together; of a longer table or chat each such part is threaded by itself.
MOST = 2_000_000
#: Words of all messages that are kept in memory, in bytes.
IN_MEMORY = 64 << 20
#: What mail programs put before the subject of a reply.
_REPLIED = re.compile(r"^(?:(?:re|aw|sv|antw|fw|fwd|wg|rv|res|回复|答复|转发)\s*[:：]\s*)+", re.IGNORECASE)
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
        #: subjects that have been said, by chat
        self._said: set[tuple[str, str]] = set()
        #: what names a conversation, a chat, a thread: hashes, 0 where it is empty
        self.conversations, self.chats, self.threads = array("q"), array("q"), array("q")
        #: how many messages of its chat had been left out before each
        self.left_out = array("q")
        self._left_out: Counter[str] = Counter()
        self.ids = array("q")
        #: hashes of the messages that each answers, and where each message's begin
        self.parents, self.parent_starts = array("q"), array("q", [0])
        self._times = Times()
        self._has_times = False
        self._ends = array("q", [0])
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed with this object

    def __len__(self) -> int:
        return len(self.lines)

    def leave_out(self, row: Row | None = None) -> None:
        """Note that the next message is left out; None: of a source whose chats come one after the other."""
        self._left_out[self._chat_of(row) if row else ""] += 1

    def _chat_of(self, row: Row) -> str:
        column = self.layout.conversation or self.layout.chat
        return row.cells[column].strip() if column else ""

    def add(self, row: Row) -> None:
        """Take the next message."""
        layout, cells = self.layout, row.cells
        self.lines.append(row.line)
        chat = self._chat_of(row)
        self.left_out.append(self._left_out[""] + (self._left_out[chat] if chat else 0))
        text = cells[self.text]
        if layout.title and (title := cells[layout.title].strip()):
            # The subject of a ticket or thread is said once, by who opened it.
            subject = (chat, _REPLIED.sub("", title).lower())
            if subject not in self._said:
                self._said.add(subject)
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
            self._times.add(cells[layout.time])
            self._has_times = self._has_times or bool(cells[layout.time].strip())

    @property
    def unread_times(self) -> str | None:
        """The column of times, if it has some and none can be read."""
        if not self._has_times:
            return None
        return None if bool(np.any(self.times != NO_TIME)) else self.layout.time

    @property
    def times(self) -> Indices:
        """(N,) int64: microseconds since 1970; see `timed` for which are known."""
        return self._times.best.array if self.layout.time else np.full(len(self), NO_TIME)

    @property
    def timed(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether a message's time is known."""
        return np.asarray(self.times != NO_TIME)

    def time_of(self, index: int) -> str:
        """Return a message's time in ISO 8601, in the time zone that it was written in; empty if unknown."""
        return self._times.best.text(index) if self.layout.time else ""

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
