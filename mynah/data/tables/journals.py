"""Journals in a cell: all posts of a ticket under one another, each below its time, author and kind, as ServiceNow
exports `comments_and_work_notes`.

    2024-03-02 09:00:00 - Bea Long (Additional comments)
    Please switch it off and on once more.

    2024-03-01 15:00:00 - Joe Doe (Additional comments)
    It still does not print.

Each row becomes the messages of one conversation: what the ticket says first, then its posts, oldest first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mynah.data.layout import Layout
from mynah.data.records import Rejected
from mynah.data.sources import MARKS, Reading, Row
from mynah.data.tables.column_contents import normal_name

_HEAD = re.compile(
    r"^[ \t]*(?P<time>\d{1,4}[-./]\d{1,2}[-./]\d{1,4}[ T]\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?) - "
    r"(?P<who>[^\n()]{1,60}?)[ \t]*\((?P<kind>[^\n()]{2,40})\)[ \t]*$",
    re.MULTILINE,
)
#: Kinds of posts that no customer sees.
_INTERNAL = re.compile(
    r"work\s?notes?|internal|intern|arbeitsnotiz\w*|notes? de travail|notas? de trabajo|工作(?:备注|说明|笔记)",
    re.I,
)
#: Columns that name who opened a ticket, and those that say what it is about, by their names without marks.
_OPENED_BY = ("callerid", "caller", "openedby", "requestedfor", "opened", "requester", "contact", "customer")
_OPENING = ("shortdescription", "subject", "summary", "title"), ("description", "details", "problem")
#: Columns of the rows that `Journal.messages` makes.
TEXT, SPEAKER, ROLE, TICKET, INTERNAL = "text", "speaker", "role", "ticket", "private"


@dataclass(frozen=True)
class Journal:
    """Which columns of a table are a ticket's, and who its agents are."""

    posts: str
    opening: tuple[str, ...]
    opened_by: str | None
    #: who writes in more tickets than others do, or among colleagues
    agents: frozenset[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are of use."""
        return (*self.opening, self.posts, *((self.opened_by,) if self.opened_by else ()))

    def layout(self, assistant: tuple[str, ...]) -> Layout:
        """Return that of the rows that `messages` makes."""
        return Layout(
            "messages",
            text=TEXT,
            speaker=SPEAKER,
            direction=ROLE,
            conversation=TICKET,
            internal=INTERNAL,
            assistant=assistant,
        )

    def describe(self) -> str:
        """Say it in a few words."""
        opening = f"{' + '.join(self.opening)}, then " if self.opening else ""
        return f"a ticket a row: {opening}the posts in {self.posts}, oldest first; work notes left out"

    def messages(self, rows: Iterable[Row | Rejected], reading: Reading) -> Iterator[Row | Rejected]:
        """Yield the posts of each ticket as rows of their own, and account for the lines above them."""
        for row in rows:
            if isinstance(row, Rejected):
                yield row
                continue
            caller = row.cells[self.opened_by].strip() if self.opened_by else ""
            opening = "\n".join(dict.fromkeys(filter(None, (row.cells[c].strip() for c in self.opening))))
            if opening:
                yield _row(row.line, opening, caller or "customer", "customer")
            posts = posts_of(row.cells[self.posts])
            words = sum(len(text) for _, _, _, text in posts)
            reading.drop(MARKS, len(row.cells[self.posts]) - words)
            reading.drop(MARKS, len(caller))
            for _, who, kind, text in reversed(posts):
                if text:
                    customer = who == caller if caller else who not in self.agents
                    role = "customer" if customer else "agent"
                    internal = "true" if _INTERNAL.search(kind) else "false"
                    yield _row(row.line, text, who, role, internal)


def _row(line: int, text: str, who: str, role: str, internal: str = "false") -> Row:
    return Row(line, {TEXT: text, SPEAKER: who, ROLE: role, TICKET: str(line), INTERNAL: internal})


def posts_of(cell: str) -> list[tuple[str, str, str, str]]:
    """Return time, author, kind and words of each post of a journal, newest first where times say so."""
    heads = list(_HEAD.finditer(cell))
    ends = [*(head.start() for head in heads[1:]), len(cell)]
    posts = [
        (head["time"], head["who"].strip(), head["kind"], cell[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    ]
    return posts if len(posts) < 2 or posts[0][0] >= posts[-1][0] else posts[::-1]


def find_journal(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> Journal | None:
    """Return the journal of a table, if most filled cells of a column are one."""
    for column in columns:
        cells = [cell for row in sample if (cell := row.get(column, "").strip())]
        if not cells or 10 * sum(_HEAD.match(cell) is not None for cell in cells) < 8 * len(cells):
            continue
        names = {normal_name(name): name for name in columns if name != column}
        opened_by = next((names[name] for name in _OPENED_BY if name in names), None)
        opening = tuple(
            found for group in _OPENING if (found := next((names[n] for n in group if n in names), None))
        )
        return Journal(column, opening, opened_by, _agents(cells))
    return None


def _agents(cells: Sequence[str]) -> frozenset[str]:
    """Return who writes notes, or in several tickets and more of them than whoever wrote first there."""
    tickets, first = Counter[str](), Counter[str]()
    agents = set[str]()
    for cell in cells:
        posts = posts_of(cell)
        tickets.update({who for _, who, _, _ in posts})
        first[posts[-1][1]] += bool(posts)
        agents |= {who for _, who, kind, _ in posts if _INTERNAL.search(kind)}
    return frozenset(agents | {who for who, n in tickets.items() if n > 1 and 2 * first[who] < n})
