"""Subtitles: SubRip (.srt) and WebVTT (.vtt), read as running text without numbers and times."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.preprocess import TERMINAL
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading

_TIMES = re.compile(r"(?:\d{1,2}:)?\d{1,2}:\d\d[,.]\d{3} --> (?:\d{1,2}:)?\d{1,2}:\d\d[,.]\d{3}.*")
_VOICE = re.compile(r"<v(?:\.\S*)? ([^<>]+)>")
_MARKUP = re.compile(r"</?[a-z][^<>]*>|\{\\[^{}]*\}|<\d\d:\d\d[^<>]*>", re.IGNORECASE)


def is_subtitles(start: str) -> bool:
    """Whether a text begins with the times of a first caption, and others come soon after it."""
    lines = [line.strip() for line in start.split("\n")[:200]]
    cues = [number for number, line in enumerate(lines) if _TIMES.fullmatch(line)]
    return bool(cues) and cues[0] < 12 and len(cues) * 8 >= len(lines) - cues[0]


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield what is said, cut into pieces; a speaker that is named stands before it."""
    reading.tell(form="subtitles", layout="running text, numbers and times left out")
    yield from cut(_said(given, encoding_of(given, reading)), given.name)


def _said(given: Input, encoding: str) -> Iterator[str]:
    """Yield the lines of captions in order; what stands before the first, and notes, are left out."""
    within, last = False, ""
    for line in given.lines(encoding):
        text = line.strip()
        if _TIMES.fullmatch(text):
            within = True
        elif not text:
            within = False
            yield "\n" if last.endswith(TERMINAL) else ""
        elif within:
            told = _MARKUP.sub("", _VOICE.sub(r"\1: ", text)).strip()
            if told and told != last:  # a caption that rolls up repeats its last line
                last = told
                yield f"{told}\n"
