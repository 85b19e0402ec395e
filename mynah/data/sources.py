"""How input is to be read, and what was understood of each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from mynah import artifacts
from mynah.config import Config
from mynah.data.layout import Columns

#: What was understood of each source, in the folder of `collect`.
SOURCES = "sources.json"


@dataclass(frozen=True)
class Ask:
    """What is asked of a person at a terminal while sources are read."""

    #: Who the assistant is: given a source's name and its speakers (most messages first); "" to let it be chosen.
    speaker: Callable[[str, Counter[str]], str]
    #: Which of two readings is right: given a source's name and both in words; the number of the right one, from 0.
    reading: Callable[[str, Sequence[str]], int]


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
    languages: tuple[str, ...] = Field(
        (), description="of texts in several languages, the source and the target, such as en and fr"
    )
    columns: Columns = Columns()
    web: WebConfig = WebConfig()

    @property
    def gap(self) -> timedelta:
        """The silence that begins a new conversation."""
        return timedelta(hours=self.gap_hours)

    @property
    def told(self) -> frozenset[str]:
        """The settings that differ from what is found out anyway, `columns.NAME` those of columns."""
        unset, unset_columns = CollectConfig(), Columns()
        own = {
            name
            for name in type(self).model_fields
            if name not in ("columns", "web", "form") and getattr(self, name) != getattr(unset, name)
        }
        columns = type(self.columns).model_fields
        return frozenset(own) | {
            f"columns.{name}"
            for name in columns
            if getattr(self.columns, name) != getattr(unset_columns, name)
        }

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
    #: characters of what it says, and of them those in records, and those left out by reason
    characters: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    #: what may be misread or lost here, in words, with the flag that changes it
    warnings: list[str] = field(default_factory=list)
    #: settings that were given and mean nothing for it
    unused: list[str] = field(default_factory=list)

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
        if self.dropped and self.characters:
            whole = max(self.characters, self.kept + sum(self.dropped.values()))
            shares = sorted(self.dropped.items(), key=lambda item: -item[1])
            named = [
                f"{reason} {100 * count / whole:.0f} %" if count > TOLD_SHARE * whole else reason
                for reason, count in shares
                if reason != MARKS and (count > TOLD_SHARE * whole or reason.startswith(("column ", "field")))
            ]
            shown = named[:MOST_REASONS]
            if len(named) > MOST_REASONS:
                shown.append(f"{len(named) - MOST_REASONS} more")
            if shown:
                parts.append(f"not used, of the characters: {', '.join(shown)}")
        return "; ".join(part for part in parts if part)

    @property
    def unnamed(self) -> int:
        """Characters that went without a reason."""
        return self.characters - self.kept - sum(self.dropped.values())

    def describe_warnings(self) -> list[str]:
        """Say each in a line or a few: what may be misread or lost."""
        told = [f"{self.file}: {warning}" for warning in self.warnings]
        if self.unused:
            flags = ", ".join(map(flag_of, self.unused))
            told.append(f"{self.file}: {flags} of no use here: it was read as {self.form or 'it is'}")
        spare = sum(
            count for reason, count in self.dropped.items() if reason.startswith(("column ", "field"))
        )
        if spare > UNUSED_SHARE * self.characters:
            share = f"{100 * spare / self.characters:.0f} %"
            told.append(
                f"{self.file}: {share} of its characters are in columns or fields of no use (named above); if they "
                "matter, say which is what with the column flags"
            )
        if self.unnamed > LOST_SHARE * self.characters:
            told.append(
                f"{self.file}: {self.unnamed:,} of its {self.characters:,} characters are in no record, and no reason "
                "for it is known; look at what was read: mynah data show"
            )
        return told


#: The share of what is left out is told from this on, and of reasons no more than so many.
TOLD_SHARE, MOST_REASONS = 0.01, 8
#: Columns that are not used are warned of from this share on.
UNUSED_SHARE = 0.5
#: A source that loses more than this share without a reason is warned of.
LOST_SHARE = 0.1


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


#: Characters of a chat's line that are its name, its time and their marks, at most.
MARKS_OF_A_MESSAGE = 80
#: What of a chat's lines is no message.
MARKS = "names, times and marks of the form"


class HasCharacters(Protocol):
    """A file that knows how many characters its lines have, once they have been read."""

    characters: int


@dataclass
class Reading:
    """What a reader is told, and what it tells of the source it reads."""

    config: CollectConfig
    source: Source
    ask: Ask | None = None
    #: whether it is the only source, which a setting must then fit
    alone: bool = True
    #: settings that were of use, by the names of `CollectConfig.told`
    used: set[str] = field(default_factory=set)
    #: names of the classes in the order of their numbers, where a file beside the source lists them
    class_names: tuple[str, ...] = ()
    #: files all of whose lines count, and how many characters a row are marks of the form
    lined: tuple[HasCharacters, ...] = ()
    marks: int = 0

    def tell(self, **fields: Any) -> None:
        """Set fields of the source."""
        for name, value in fields.items():
            setattr(self.source, name, value)

    def drop(self, reason: str, characters: int) -> None:
        """Account for characters of the source that are left out for a reason."""
        if characters:
            self.source.dropped[reason] = self.source.dropped.get(reason, 0) + characters

    def account_for_lines(self, given: HasCharacters, marks: int) -> None:
        """Count all characters of a file's lines, once they have been read, as what the source says.

        Args:
            given: the file.
            marks: of them so many a row are names, times and marks of the form.
        """
        self.lined, self.marks = (*self.lined, given), marks

    def close(self) -> None:
        """Account for lines that were read."""
        source = self.source
        source.characters += sum(given.characters for given in self.lined)
        if self.lined and source.unnamed > 0:
            self.drop(MARKS, min(source.unnamed, self.marks * source.rows))

    def choose(self, readings: Sequence[Alternative]) -> int:
        """Choose between two readings that are nearly as good: ask, or take the first and say so.

        Returns:
            The number of the reading, from 0.
        """
        chosen = 0
        if self.ask is not None:
            chosen = self.ask.reading(self.source.file, [reading.shown() for reading in readings])
        else:
            taken, other = readings
            self.source.warnings.append(
                f"two readings are nearly as good; taken was: {taken.shown()}\n  if it should be: {other.shown()}\n"
                f"  say {other.flag}"
            )
        return chosen


@dataclass(frozen=True)
class Alternative:
    """One of two readings of a table."""

    what: str
    #: the flag that says it
    flag: str
    #: what its first rows become
    rows: Sequence[str]

    def shown(self) -> str:
        """Return it in words with three of its rows."""
        return "\n    ".join([self.what, *(_short(row) for row in self.rows[:3])])


def _short(row: str, most: int = 100) -> str:
    row = " ".join(row.split())
    return row if len(row) <= most else f"{row[: most - 3]}..."


#: The flags of settings that are not called as they are.
_FLAGS = {
    "gap_hours": "--gap",
    "merge_minutes": "--merge",
    "columns.rows_are": "--rows-are",
    "columns.assistant": "--me",
}
#: Settings that may stand beside any source: of several the one or the other has no use for them.
GENERAL = frozenset(("encoding", "gap_hours", "merge_minutes", "folder_labels"))


def flag_of(setting: str) -> str:
    """Return the flag of a setting, by its name in `CollectConfig.told`."""
    if setting in _FLAGS:
        return _FLAGS[setting]
    outer, _, name = setting.rpartition(".")
    return f"--{name.replace('_', '-')}{'-column' if outer else ''}"


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
