"""Lines of a class and a text.

__label__spam You have won                     fastText
DESC:manner How did serfdom develop ?          TREC's questions
i feel so happy today;joy                      a text, a mark (; @ ||| or \t) and the class
65514_!_102_!_news_story_!_headline_!_words    Toutiao: id, number and name of the class, text, key words
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Labelled, Record, Rejected
from mynah.data.sources import Reading

_LAYOUTS = (
    ("fastText's layout", re.compile(r"__label__(?P<label>\S+)(?:\s+__label__\S+)*\s+(?P<text>.*\S)")),
    ("a class before a colon", re.compile(r"(?P<label>[A-Z]{2,8}:[A-Za-z]+)\s+(?P<text>.*\S)")),
    (
        "a class behind a mark",
        re.compile(r"(?P<text>.*\w.*[^\s;@|])\s*(?:;|@|\|{1,3})\s*(?P<label>[^\W\d_][\w/ -]{0,29})"),
    ),
    (
        "cells between _!_",
        re.compile(r"[^_]*_!_[^_]*_!_(?P<label>\w+?)_!_(?P<text>.*?\S)\s*(?:_!_.*)?"),
    ),
)
#: Characters of a line that are looked at to tell what it is.
_LOOKED_AT = 500


def layout_of(given: Input, encoding: str) -> tuple[str, re.Pattern[str]] | None:
    """Return the name and the pattern of a file of which most of the first lines are a class and a text."""
    lines = [short for line in given.first_lines(encoding, 400) if (short := line[:_LOOKED_AT].strip())]
    for name, pattern in _LAYOUTS:
        labels = [found["label"] for line in lines if (found := pattern.fullmatch(line))]
        # Classes repeat; what stands before a text in other ways does not.
        repeat = pattern is _LAYOUTS[0][1] or len(set(labels)) * 3 <= len(labels)
        enough = len(labels) >= (2 if pattern is _LAYOUTS[0][1] else 10)
        if repeat and enough and len(labels) * 10 >= 9 * len(lines):
            return name, pattern
    return None


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the labelled texts of a file of which `layout_of` tells what it is."""
    encoding = encoding_of(given, reading)
    name, pattern = layout_of(given, encoding) or _LAYOUTS[0]
    reading.tell(form=name, layout="class, text; each line teaches: text -> class")
    for number, line in enumerate(given.lines(encoding), start=1):
        if found := pattern.fullmatch(line.strip()):
            yield Labelled(found["text"], found["label"], f"{given.name}:{number}")
        elif line.strip():
            yield Rejected(given.name, number, "no class before the text")
