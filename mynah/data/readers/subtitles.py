"""Subtitles: SubRip (.srt) and WebVTT (.vtt), without their numbers and times."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator

from mynah.data.layout import Layout
from mynah.data.preprocess import TERMINAL
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import messages_to_records

_TIMES = re.compile(r"(?:\d{1,2}:)?\d{1,2}:\d\d[,.]\d{3} --> (?:\d{1,2}:)?\d{1,2}:\d\d[,.]\d{3}.*")
_VOICE = re.compile(r"<v(?:\.\S*)? ([^<>]+)>")
_SPOKEN = re.compile(r"([^\W\d_][^:：\n]{0,39}?)\s?[:：]\s+(\S.*)", re.DOTALL)
_MARKUP = re.compile(r"</?[a-z][^<>]*>|\{\\[^{}]*\}|<\d\d:\d\d[^<>]*>", re.IGNORECASE)


def is_subtitles(start: str) -> bool:
    """Whether a text begins with the times of a first caption, and others come soon after it."""
    lines = [line.strip() for line in start.split("\n")[:200]]
    cues = [number for number, line in enumerate(lines) if _TIMES.fullmatch(line)]
    return bool(cues) and cues[0] < 12 and len(cues) * 8 >= len(lines) - cues[0]


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield what is said: conversations of a meeting whose captions name who speaks, else running text in pieces."""
    encoding = encoding_of(given, reading)
    speakers = _speakers(given, encoding)
    if speakers:
        reading.tell(form="subtitles", layout="captions by speaker, numbers and times left out")
        layout = Layout(
            "messages", text="text", speaker="speaker", assistant=reading.config.columns.assistant
        )
        yield from messages_to_records(given.name, _turns(given, encoding), layout, reading)
    else:
        reading.tell(form="subtitles", layout="running text, numbers and times left out")
        yield from cut(_said(given, encoding), given.name)


def captions(given: Input, encoding: str) -> Iterator[tuple[int, float, str]]:
    """Yield (line, seconds at which it is shown, text) of each caption; its lines are joined by spaces."""
    start, begun, words = 0.0, 0, list[str]()
    within = False
    for number, line in enumerate(given.lines(encoding), start=1):
        text = line.strip()
        if found := _TIMES.fullmatch(text):
            if words:
                yield begun, start, " ".join(words)
            within, begun, words, start = True, number, [], _seconds(found[0])
        elif not text:
            within = False
        elif within:
            told = _MARKUP.sub("", _VOICE.sub(r"\1: ", text)).strip()
            words += [told] if told else []
    if words:
        yield begun, start, " ".join(words)


def _seconds(times: str) -> float:
    total = 0.0
    for part in times.split(" -->")[0].replace(",", ".").split(":"):
        total = 60 * total + float(part)
    return total


def _speakers(given: Input, encoding: str) -> set[str]:
    """Return who speaks, if most captions say so and each of a few comes back; else nobody."""
    shown = list(itertools.islice(captions(given, encoding), 200))
    named = Counter(found[1] for _, _, text in shown if (found := _SPOKEN.match(text)))
    few = 2 <= len(named) <= 20 and named.total() >= 2 * len(named)
    return set(named) if few and 10 * named.total() >= 6 * len(shown) else set()


def _turns(given: Input, encoding: str) -> Iterator[Row]:
    """Yield each caption with who says it; one that names nobody goes on what was said before."""
    turn: Row | None = None
    for number, _, text in captions(given, encoding):
        found = _SPOKEN.match(text)
        who = found[1] if found else turn.cells["speaker"] if turn is not None else ""
        said = found[2] if found else text
        if turn is not None and turn.cells["speaker"] == who:
            turn = Row(turn.line, {"speaker": who, "text": f"{turn.cells['text']} {said}"})
        else:
            if turn is not None:
                yield turn
            turn = Row(number, {"speaker": who, "text": said})
    if turn is not None:
        yield turn


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
