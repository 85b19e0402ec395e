"""Training data of Rasa assistants, in YAML and in its older Markdown: examples by intent, entities marked in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Labelled, Record, Rejected
from mynah.data.sources import Reading

LAYOUT = "examples by intent, marks of entities taken away; each line teaches: text -> intent"
#: What stands in the place of a synonym, a regular expression or a word list.
OTHER = "no example of an intent"
_HEAD = re.compile(r"##\s*(intent|synonym|regex|lookup)\s*:\s*(.+?)\s*$")
_ENTITY = re.compile(r"\[([^\[\]\n]+)\](?:\([^()\n]*\)|\{[^{}\n]*\})(?:\{[^{}\n]*\})?")


def is_markdown(start: str) -> bool:
    """Whether a text begins with the examples of an intent, as Rasa's Markdown has them."""
    heads = [line for line in start.split("\n") if line.startswith("##")]
    return bool(heads) and sum(_HEAD.match(line) is not None for line in heads) * 5 >= 4 * len(heads)


def read_markdown(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the examples of a Markdown file."""
    encoding = encoding_of(given, reading)
    reading.tell(form="Rasa's Markdown", layout=LAYOUT)
    reading.account_for_lines(given, 8)
    kind = intent = ""
    for number, line in enumerate(given.lines(encoding), start=1):
        if found := _HEAD.match(line):
            kind, intent = found[1], found[2]
            reading.drop("headings", len(line))
        elif line.strip().startswith(("-", "*")) and kind:
            reading.source.rows += 1
            text = plain_example(line.strip()[1:])
            if kind == "intent" and text:
                yield Labelled(text, intent, f"{given.name}:{number}")
                reading.drop("marks of entities", len(line) - len(text))
            else:
                yield Rejected(given.name, number, OTHER, bad=False, characters=len(line))


def examples_of(value: Any) -> list[Any] | None:
    """Return the list `nlu` of Rasa's YAML, or None if a value is none."""
    found = value.get("nlu") if isinstance(value, dict) else None
    return found if isinstance(found, list) else None


def read_examples(name: str, listed: list[Any], reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the examples of a YAML file that was read."""
    reading.tell(form="Rasa's YAML", layout=LAYOUT)
    number = 0
    for item in listed:
        intent = item.get("intent") if isinstance(item, dict) else None
        for text in _texts(item.get("examples")) if isinstance(item, dict) else ():
            number += 1
            reading.source.rows += 1
            if isinstance(intent, str) and text:
                yield Labelled(text, intent, f"{name}:{number}")
            else:
                yield Rejected(name, number, OTHER, bad=False)


def _texts(examples: Any) -> Iterator[str]:
    """Yield examples: a block of lines that begin with a dash, or a list of texts or of objects with a text."""
    if isinstance(examples, str):
        for line in examples.splitlines():
            if line.strip().startswith("-"):
                yield plain_example(line.strip()[1:])
    elif isinstance(examples, list):
        for item in examples:
            text = item.get("text") if isinstance(item, dict) else item
            if isinstance(text, str):
                yield plain_example(text.strip().removeprefix("- "))


def plain_example(text: str) -> str:
    """Return an example without the marks of entities in it: "in [Graz](city)" is "in Graz"."""
    return _ENTITY.sub(r"\1", text).strip()
