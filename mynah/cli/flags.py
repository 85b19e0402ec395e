"""Flags that several commands share: how input is read, how it is cleaned."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from mynah.data.sources import Ask

_INPUT = Group("How the input is read (detected; the guess is printed)", sort_key=2)
_CLEAN = Group("How it is cleaned", sort_key=3)
_COLUMNS = (
    "text", "question", "answer", "conversation", "chat", "message_id", "reply_to", "speaker", "direction", "time",
    "label", "type", "title",
)  # fmt: skip


@Parameter(name="*")
@dataclass(frozen=True)
class InputFlags:
    """How input is read; each flag overrides a key of [collect]."""

    text_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the text."
    question_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with what the user says; of a translation, the source."
    answer_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the reply; of a translation, the target."
    conversation_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that is equal within a conversation."
    chat_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that is equal within a chat, which is cut at silences."
    message_id_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with a message's id."
    reply_to_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the id of the message replied to."
    speaker_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that says who speaks."
    direction_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that is true (or 'in') for the user's messages."
    time_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the time."
    label_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the class of a text."
    type_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that tells text from pictures and notices."
    title_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the heading of a text."
    assistant: Annotated[
        tuple[str, ...], Parameter(name=("--assistant", "--me"), group=_INPUT, negative="")
    ] = ()
    "Who the assistant is: a name among the speakers; --me in your own chats. May be given several times."
    gap: Annotated[float | None, Parameter(group=_INPUT)] = None
    "Hours of silence that begin a new conversation, where no column tells them. Default 6."
    merge: Annotated[float | None, Parameter(group=_INPUT)] = None
    "Join one speaker's messages only if they come within this many minutes. Default: always."
    encoding: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Encoding of the input, such as gb18030."
    delimiter: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Character between the cells of a table."
    header: Annotated[bool | None, Parameter(group=_INPUT)] = None
    "Whether a table's first row names its columns."
    rows_are: Annotated[str | None, Parameter(group=_INPUT)] = None
    "What a row is: messages, pairs, labelled, translation or text."
    form: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Read files as: table, json, text, chat, irc, yaml, xml, ... (an unknown one lists all)."
    query: Annotated[str | None, Parameter(group=_INPUT)] = None
    "SELECT that gives the rows of a database."
    folder_labels: Annotated[bool | None, Parameter(group=_INPUT)] = None
    "Whether the folders that texts lie in are their classes."
    languages: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Of texts in several languages, the source and the target: --languages en,fr. Default: each from the first."

    depth: Annotated[int | None, Parameter(group=_INPUT)] = None
    "Of a web site: links to follow from the first page. Default 2."
    pages: Annotated[int | None, Parameter(group=_INPUT)] = None
    "Of a web site: pages at most. Default 1000."
    delay: Annotated[float | None, Parameter(group=_INPUT)] = None
    "Of a web site: seconds between requests; robots.txt may ask for more. Default 1."

    def to_recipe(self) -> dict[str, Any]:
        """Return the flags as the section [collect]."""
        return {
            "web": {"depth": self.depth, "pages": self.pages, "delay_seconds": self.delay},
            "encoding": self.encoding,
            "delimiter": "\t" if self.delimiter in ("\\t", "tab") else self.delimiter,
            "form": self.form,
            "header": self.header,
            "query": self.query,
            "gap_hours": self.gap,
            "merge_minutes": self.merge,
            "folder_labels": self.folder_labels,
            "languages": self.languages.split(",") if self.languages else None,
            "columns": {
                **{name: getattr(self, f"{name}_column") for name in _COLUMNS},
                "rows_are": self.rows_are,
                "assistant": self.assistant or None,
            },
        }


@Parameter(name="*")
@dataclass(frozen=True)
class CleanFlags:
    """How records are cleaned; each flag overrides a key of [clean]."""

    language: Annotated[tuple[str, ...], Parameter(group=_CLEAN, negative="")] = ()
    "Keep what is in this language (en, zh, ...). May be given several times."
    near: Annotated[bool | None, Parameter(group=_CLEAN)] = None
    "Drop records that are nearly equal to an earlier one (MinHash)."
    max_replies: Annotated[int | None, Parameter(group=_CLEAN)] = None
    "Keep at most this many conversations with the same reply."
    quality: Annotated[Literal["off", "warn", "drop"] | None, Parameter(group=_CLEAN)] = None
    "The rules of C4, Gopher and FineWeb for documents."
    judge: Annotated[Path | None, Parameter(group=_CLEAN)] = None
    "A run of mynah build whose n-gram model judges how surprising each text is."
    max_perplexity: Annotated[float | None, Parameter(group=_CLEAN)] = None
    "Drop what that model finds more surprising than this, a token."
    personal: Annotated[
        Literal["off", "warn", "tag", "mask", "pseudonym"] | None, Parameter(group=_CLEAN)
    ] = None
    "What is done about personal data: e-mail, phones, cards, names, ..."
    keep: Annotated[tuple[str, ...], Parameter(group=_CLEAN, negative="")] = ()
    "A kind of personal data that is left alone; all others get a pseudonym, or what --personal says. May be repeated."
    drop: Annotated[tuple[str, ...], Parameter(group=_CLEAN, negative="")] = ()
    "A kind of personal data because of which a record is dropped; others get a pseudonym, or what --personal says."
    script: Annotated[Literal["t2s", "s2t"] | None, Parameter(group=_CLEAN)] = None
    "Write Chinese in one script: t2s simplified, s2t traditional."
    lowercase: Annotated[bool | None, Parameter(group=_CLEAN, negative="")] = None
    "Lower-case all text."
    stop_words: Annotated[tuple[str, ...], Parameter(group=_CLEAN, negative="")] = ()
    "Remove stop words of a language, en or zh; ruins generation."

    def to_recipe(self) -> dict[str, Any]:
        """Return the flags as the section [clean]."""
        wanted = self.personal
        if wanted is None and (self.keep or self.drop):
            wanted = "pseudonym"
        return {
            "script": self.script,
            "lowercase": self.lowercase,
            "stop_words": self.stop_words or None,
            "language": {"keep": self.language or None},
            "duplicates": {"near": self.near, "replies": self.max_replies},
            "quality": {
                **dict.fromkeys(("c4", "gopher", "repetition", "fineweb"), self.quality),
                "perplexity": None if self.max_perplexity is None and self.judge is None else "drop",
                "max_perplexity": self.max_perplexity,
                "model": None if self.judge is None else str(self.judge),
            },
            "personal": {"action": wanted, "keep": self.keep or None, "drop": self.drop or None},
        }


def given(value: dict[str, Any]) -> dict[str, Any]:
    """Drop what was not given, at every depth."""
    kept = {k: given(v) if isinstance(v, dict) else v for k, v in value.items()}
    return {k: v for k, v in kept.items() if v is not None and v != {}}


def as_source(text: str) -> Path | str:
    """Return a path, or a URL as it is."""
    return text if "://" in text else Path(text)


def ask_on_terminal() -> Ask | None:
    """Return what asks who the assistant is and which reading is right; None where nobody could answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    from mynah.data.sources import Ask

    return Ask(_ask_speaker, _ask_reading)


def _ask_reading(source: str, readings: Sequence[str]) -> int:
    print(f"{source}: which of these is right?")
    for number, reading in enumerate(readings, start=1):
        print(f"  {number}  {reading}")
    answer = input("number, or Enter for the first: ").strip()
    return int(answer) - 1 if answer.isdecimal() and 1 <= int(answer) <= len(readings) else 0


def _ask_speaker(source: str, speakers: Counter[str]) -> str:
    names = [name for name, _ in speakers.most_common(9)]
    print(f"{source}: who shall the bot learn to be? (--me NAME answers this beforehand)")
    for number, name in enumerate(names, start=1):
        print(f"  {number}  {name} ({speakers[name]:,} messages)")
    answer = input("number or name, or Enter to let it be chosen: ").strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    return answer
