"""Small pure steps from text to text, and the pass over all records that counts what each one did."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import ftfy
from pydantic import Field

from mynah.config import Config
from mynah.data.preprocess import remove_stop_words
from mynah.data.records import Conversation, Document, Message, Record, merge_turns


class CleanConfig(Config):
    """Which steps run. Those that destroy what a reply is made of are off by default."""

    repair: bool = Field(True, description="mend mis-decoded text (ftfy) and normalise to NFC")
    control: bool = Field(True, description="remove control and zero-width characters")
    whitespace: bool = Field(True, description="fold runs of spaces and of blank lines")
    deduplicate: bool = Field(True, description="drop exact repeats after the first")
    lowercase: bool = Field(False, description="lower-case all text (a bot then writes so too)")
    stop_words: tuple[str, ...] = Field(
        (), description="languages ('en', 'zh') whose stop words are removed; ruins generation"
    )


@dataclass
class Cleaned:
    """The records that are left and the count of changed texts and dropped records by step."""

    records: list[Record] = field(default_factory=list)
    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def repair_unicode(text: str) -> str:
    """Mend mojibake and normalise to NFC; full-width punctuation stays, it is right in Chinese."""
    fixed = ftfy.fix_text(
        text,
        fix_character_width=False,
        uncurl_quotes=False,
        remove_control_chars=False,  # a step of its own, so that it is counted as what it is
        normalization="NFC",
    )
    return str(fixed)


# Zero-width joiner and non-joiner stay: emoji and several scripts are spelled with them.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)


def remove_control(text: str) -> str:
    """Remove control characters, zero-width marks and direction overrides; tabs and line ends stay."""
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def fold_whitespace(text: str) -> str:
    """Fold runs of spaces inside a line, drop them at its end, allow one blank line; keep indentation."""
    text = re.sub(r"(?<=\S)[^\S\n]{2,}", " ", text)
    text = re.sub(r"(?<=\S)[\t\u00a0\u3000](?=\S)", " ", text)
    text = re.sub(r"[^\S\n]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def steps_of(config: CleanConfig) -> list[tuple[str, Callable[[str], str]]]:
    """Return the chosen steps in the order in which they run."""
    steps: list[tuple[str, Callable[[str], str]]] = []
    if config.repair:
        steps.append(("repair", repair_unicode))
    if config.control:
        steps.append(("control", remove_control))
    if config.whitespace:
        steps.append(("whitespace", fold_whitespace))
    if config.lowercase:
        steps.append(("lowercase", str.lower))
    for language in config.stop_words:
        steps.append((f"stop words {language}", remove_stop_words(language)))
    return steps


def clean(records: Iterable[Record], config: CleanConfig) -> Cleaned:
    """Run the steps over every text; drop records left empty, and exact repeats.

    Two records repeat each other if they agree after case and white space are folded.

    Raises:
        ConfigError: if a language of `stop_words` has no list.
    """
    result = Cleaned()
    steps = steps_of(config)
    seen: set[bytes] = set()
    for record in records:
        cleaned = _clean_record(record, steps, result.changed)
        if cleaned is None:
            result.dropped["empty after cleaning"] += 1
            continue
        if config.deduplicate:
            key = fingerprint(cleaned)
            if key in seen:
                result.dropped["exact repeat"] += 1
                continue
            seen.add(key)
        result.records.append(cleaned)
    return result


def clean_text(text: str, config: CleanConfig) -> str:
    """Clean one text as the training text was cleaned, for example a line typed in a chat."""
    for _, step in steps_of(config):
        text = step(text)
    return text


def fingerprint(record: Record) -> bytes:
    """Return a hash of a record's content that ignores case, white space and where it came from."""
    parts = []
    if isinstance(record, Conversation):
        parts = [f"{m.role}\x1f{m.content}" for m in record.messages]
    else:
        parts = [record.text]
    folded = "\x1e".join(parts).casefold()
    return hashlib.sha256(re.sub(r"\s+", " ", folded).strip().encode("utf-8", "replace")).digest()


def _clean_record(
    record: Record, steps: list[tuple[str, Callable[[str], str]]], changed: Counter[str]
) -> Record | None:
    def run(text: str) -> str:
        for name, step in steps:
            after = step(text)
            if after != text:
                changed[name] += 1
            text = after
        return text

    if isinstance(record, Document):
        text = run(record.text)
        return replace(record, text=text) if text.strip() else None
    messages = [Message(m.role, run(m.content)) for m in record.messages]
    kept = merge_turns(m for m in messages if m.content.strip())
    return replace(record, messages=kept) if kept else None
