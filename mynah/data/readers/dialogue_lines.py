"""Conversations as lines of text: turns between marks, cut by tabs, or numbered.

Hello . __eou__ Hi there . __eou__         DailyDialog: a line a conversation
E / M hello / M hi there                   a conversation begins with E, each turn with M
1<TAB>hello<TAB>hi there<TAB>how are you   Douban: a line a conversation, perhaps after 1 (right) or 0 (wrong)
1 hello<TAB>hi there                       ParlAI (PersonaChat, bAbI): a line an exchange, numbered from 1
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Message, Record, Rejected, Role, merge_turns
from mynah.data.sources import Reading

_EOU = re.compile(r"__eo[us]__|<eou>", re.IGNORECASE)
_NUMBERED = re.compile(r"(\d{1,4}) (\S.*)")
_PERSONA = re.compile(r"(?:your|partner's) persona: ", re.IGNORECASE)
_WORDED = re.compile(r"[^\W\d_]")
#: Characters of a line that are looked at to tell what it is.
_LOOKED_AT = 500


def kind_of_lines(given: Input, encoding: str) -> str | None:
    """Return "eou", "marks", "numbered" or "tabs" for a text that is one of these, else None."""
    lines = [short for line in given.first_lines(encoding, 400) if (short := line[:_LOOKED_AT].strip())]
    if len(lines) < 2:
        return None
    if sum(_EOU.search(line) is not None for line in lines) * 2 > len(lines):
        return "eou"
    if lines[0] == "E" and sum(line == "E" or line.startswith("M ") for line in lines) * 10 >= 9 * len(lines):
        return "marks"
    if _is_numbered(lines):
        return "numbered"
    return "tabs" if _is_tabbed(lines) else None


def _is_numbered(lines: list[str]) -> bool:
    """Whether lines are numbered from 1, again and again, and some hold a question and its answer."""
    numbers = [int(found[1]) for line in lines if (found := _NUMBERED.match(line))]
    follow = sum(after in (1, before + 1) for before, after in pairwise(numbers))
    answered = sum("\t" in line for line in lines)
    return (
        len(numbers) * 10 >= 9 * len(lines)
        and numbers[0] == 1
        and follow * 10 >= 9 * (len(numbers) - 1)
        and answered * 5 >= len(lines)
        and (numbers.count(1) > 1 or any(_PERSONA.search(line) for line in lines))
    )


def _is_tabbed(lines: list[str]) -> bool:
    """Whether lines are cut by tabs into turns: words in every cell, now more and now fewer, as no table has them."""
    marks, cut = zip(*map(_turns_of, lines), strict=True)
    good = sum(len(turns) >= 2 and all(map(_WORDED.search, turns)) for turns in cut)
    lengths = [len(turns) for turns in cut]
    usual = max(map(lengths.count, set(lengths)))
    varied = usual * 10 <= 8 * len(lines) or (all(marks) and min(lengths) >= 4)
    return good * 10 >= 9 * len(lines) and varied


def _turns_of(line: str) -> tuple[str, list[str]]:
    """Return the mark that a line of turns may begin with, 0 or 1, and its turns."""
    cells = [cell.strip() for cell in line.strip().split("\t")]
    mark = cells.pop(0) if cells[0] in ("0", "1") else ""
    return mark, cells


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of a file of which `kind_of_lines` tells what it is."""
    encoding = encoding_of(given, reading)
    kind = kind_of_lines(given, encoding) or "eou"
    if kind == "numbered":
        reading.tell(
            form="numbered exchanges", layout="each file's question and answer; personas as instructions"
        )
        yield from _numbered(given, encoding)
        return
    reading.tell(form="dialogue lines", layout="turns in turn, user first")
    split = {"marks": _by_marks, "tabs": _by_tabs, "eou": _by_eou}[kind]
    for number, turns in split(given.lines(encoding)):
        roles: tuple[Role, Role] = ("user", "assistant")
        messages = [Message(roles[i % 2], turn) for i, turn in enumerate(turns)]
        if turns and turns[0] is _WRONG:
            yield Rejected(given.name, number, "marked as a wrong reply", bad=False)
        elif len(messages) < 2:
            yield Rejected(given.name, number, "fewer than two turns")
        else:
            yield Conversation(merge_turns(messages), f"{given.name}:{number}")


#: Stands for the turns of a line whose reply is marked as wrong.
_WRONG = "\0"


def _by_eou(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, [turn for part in _EOU.split(line) if (turn := part.strip())]


def _by_tabs(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            mark, turns = _turns_of(line)
            yield number, [_WRONG] if mark == "0" else [turn for turn in turns if turn]


def _by_marks(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    start, turns = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        if line.strip() == "E":
            if turns:
                yield start, turns
            start, turns = number, []
        elif line.startswith("M ") and line[2:].strip():
            turns.append(line[2:].strip())
    if turns:
        yield start, turns


def _numbered(given: Input, encoding: str) -> Iterator[Record | Rejected]:
    """Yield the episodes of ParlAI's layout, each from a line numbered 1 to the next."""
    start, turns, before = 0, list[Message](), list[str]()
    persona: list[str] = []

    def episode() -> Iterator[Record | Rejected]:
        if turns:
            told = [Message("system", "\n".join(persona))] if persona else []
            yield Conversation(merge_turns([*told, *turns]), f"{given.name}:{start}")
        elif start:
            yield Rejected(given.name, start, "an episode without an answer", bad=False)

    for number, line in enumerate(given.lines(encoding), start=1):
        found = _NUMBERED.match(line.strip())
        if found is None:
            if line.strip():
                yield Rejected(given.name, number, "no number before the text")
            continue
        if found[1] == "1":
            yield from episode()
            start, turns, before, persona = number, [], [], []
        # The third cell is a reward, the fourth holds replies to choose from.
        question, _, rest = found[2].partition("\t")
        answer = rest.split("\t")[0].split("|")[0].strip()
        if mark := _PERSONA.match(question):
            persona.append(question[mark.end() :].strip())
        elif answer:
            turns.append(Message("user", "\n".join([*before, question.strip()])))
            turns.append(Message("assistant", answer))
            before = []
        else:  # a statement, which the next question is about
            before.append(question.strip())
    yield from episode()
