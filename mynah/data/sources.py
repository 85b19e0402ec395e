"""How input is to be read, and what was understood of each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from mynah import artifacts
from mynah.config import Config
from mynah.data.layout import Columns

#: What was understood of each source, in the folder of `collect`.
SOURCES = "sources.json"
#: Asked who the assistant is: given a source's name and its speakers (most messages first); "" to let it be
#: chosen.
AskSpeaker = Callable[[str, Counter[str]], str]


class WebConfig(Config):
    """How a web site is read."""

    depth: int = Field(2, ge=0, description="links to follow from the first page")
    pages: int = Field(1000, ge=1, description="pages at most")
    delay_seconds: float = Field(1.0, ge=0, description="pause between requests; robots.txt may ask for more")


class CollectConfig(Config):
    """How input is read; everything left out is detected, and the guess is printed."""

    encoding: str | None = Field(None, description="encoding of the input, such as gb18030")
    delimiter: str | None = Field(None, description="one character between the cells of a table")
    header: bool | None = Field(None, description="whether a table's first row names its columns")
    form: str | None = Field(None, description="read every file as this form")
    query: str | None = Field(None, description="SELECT that gives the rows of a database")
    gap_hours: float = Field(
        6.0, gt=0, description="a silence this long begins a new conversation, where nothing else tells them"
    )
    merge_minutes: float | None = Field(
        None, gt=0, description="join one speaker's messages only if they come this close; None: always"
    )
    folder_labels: bool | None = Field(
        None, description="whether the folders that texts lie in are their classes; None: found out"
    )
    columns: Columns = Columns()
    web: WebConfig = WebConfig()

    @property
    def gap(self) -> timedelta:
        """The silence that begins a new conversation."""
        return timedelta(hours=self.gap_hours)

    @property
    def merge(self) -> timedelta | None:
        """The time within which one speaker's messages are one turn."""
        return None if self.merge_minutes is None else timedelta(minutes=self.merge_minutes)


@dataclass
class Source:
    """What was understood of one source (a file, or files that belong together), for the user to check."""

    file: str
    form: str = ""
    encoding: str = ""
    layout: str = ""
    rows: int = 0
    rejected: int = 0
    #: messages of a chat app itself (somebody joined), and messages without words (a picture)
    system: int = 0
    media: int = 0
    #: messages that repeat what somebody else said
    others: int = 0
    #: messages among colleagues
    notes: int = 0
    #: records by kind
    records: dict[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """Say in one line what the source is and what came out of it."""
        told = [part for part in (self.form, self.encoding) if part]
        parts = [f"{self.file}: {', '.join(told)}", self.layout]
        left = [
            f"{n:,} {what}"
            for n, what in (
                (self.system, "messages of the app"),
                (self.media, "media and deleted messages"),
                (self.others, "forwarded messages and those by a bot"),
                (self.notes, "internal notes"),
            )
            if n
        ]
        if left:
            parts.append(f"left out: {', '.join(left)}")
        bad = f", {self.rejected:,} rows rejected" if self.rejected else ""
        parts.append(f"{self.rows:,} rows -> {told_kinds(self.records)}{bad}")
        return "; ".join(part for part in parts if part)


def told_kinds(counts: Mapping[str, int]) -> str:
    """Return counts by kind in words: "3 conversations and 1 text"."""
    made = [f"{n:,} {_NAMES[kind][n != 1]}" for kind, n in counts.items() if n]
    return " and ".join(made) or "nothing"


_NAMES = {
    "conversation": ("conversation", "conversations"),
    "document": ("text", "texts"),
    "labelled": ("labelled text", "labelled texts"),
    "pair": ("pair of texts", "pairs of texts"),
    "preference": ("preference", "preferences"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: where it stands and its cells by column name."""

    line: int
    cells: dict[str, str]


@dataclass
class Reading:
    """What a reader is told, and what it tells of the source it reads."""

    config: CollectConfig
    source: Source
    ask: AskSpeaker | None = None
    #: whether it is the only source, which a setting must then fit
    alone: bool = True

    def tell(self, **fields: Any) -> None:
        """Set fields of the source."""
        for name, value in fields.items():
            setattr(self.source, name, value)


def is_url(path: Path | str) -> bool:
    """Whether a source is a URL and not a file."""
    return isinstance(path, str) and "://" in path


def is_web(url: str) -> bool:
    """Whether a URL is that of a web site and not of a database."""
    return url.startswith(("http://", "https://"))


def read_sources(folder: Path) -> tuple[list[Source], list[tuple[str, str]]]:
    """Return what collecting understood: the sources, and (name, reason) of what was passed over.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    value = artifacts.read_json(folder / SOURCES)
    return [Source(**source) for source in value["sources"]], [tuple(item) for item in value["left_out"]]
