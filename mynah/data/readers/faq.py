"""Questions and answers under one another in a text: numbered or marked, or as headings of a Markdown page.

Q1. How do I return something?      1、问：怎么退款？        ### How do I return something?
A1. Within 60 days.                 答：在订单页申请。       Within 60 days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Message, Record, Rejected
from mynah.data.sources import Reading

_NUMBER = r"(?:[(（]?\d{1,4}[.、)）:：]\s*)?"
_ASKED = re.compile(
    rf"\s*(?:#+\s+)?[*_]{{0,2}}{_NUMBER}(?:Q|Question|Frage|Pregunta|问|問|问题|問題)\s?\d{{0,4}}\s?[.:：、)）]\s*[*_]{{0,2}}\s*(?P<text>.*\S)",
    re.IGNORECASE,
)
_ANSWERED = re.compile(
    rf"\s*[*_]{{0,2}}{_NUMBER}(?:A|Answer|Antwort|Respuesta|R|答|回答|答案)\s?\d{{0,4}}\s?[.:：、)）]\s*[*_]{{0,2}}\s*(?P<text>.*\S)",
    re.IGNORECASE,
)
#: A heading that asks; in a page of answers most do.
_HEADING = re.compile(r"(?P<level>#{1,6})\s+(?P<text>.*\S)\s*#*")
_ASKS = re.compile(r".*[?？][*_\s]*")
#: Questions that make a page one of answers; of its headings of one level this share asks.
_FEWEST, _SHARE = 3, 0.8
#: ... or, where a heading says that it is one, this share.
_SHARE_OF_NAMED = 0.4
_NAMED = re.compile(
    r"FAQ|frequently asked|häufig|preguntas frecuentes|questions fréquentes|常见问题|常見問題", re.IGNORECASE
)
_LOOKED_AT = 400


def form_of_faq(given: Input, encoding: str) -> str:
    """Return "marked" if questions and answers are marked in turn, "headings" if headings ask; else ""."""
    lines = [line.rstrip("\r\n") for line in given.first_lines(encoding, _LOOKED_AT)]
    asks = [line for line in lines if _ASKED.fullmatch(line) or _ANSWERED.fullmatch(line)]
    marks = ["Q" if _ASKED.fullmatch(line) else "A" for line in asks]
    turns = "".join(marks)
    first = next((line for line in lines if line.strip()), "")
    if (
        turns.count("QA") >= _FEWEST
        and 10 * turns.count("QA") >= 9 * turns.count("Q")
        and _ASKED.fullmatch(first)
    ):
        return "marked"
    return "headings" if given.suffix in (".md", ".markdown") and _asking_level(lines) else ""


def _asking_level(lines: list[str]) -> int:
    """Return the level of the headings that ask; 0 if there is none."""
    found = [(len(match["level"]), match["text"]) for line in lines if (match := _HEADING.fullmatch(line))]
    share = _SHARE_OF_NAMED if any(_NAMED.search(text) for _, text in found) else _SHARE
    for level in range(1, 7):
        texts = [text for of, text in found if of == level]
        asking = sum(_ASKS.fullmatch(text) is not None for text in texts)
        if asking >= _FEWEST and asking >= share * len(texts):
            return level
    return 0


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield each question with its answer."""
    encoding = encoding_of(given, reading)
    form = form_of_faq(given, encoding) or "marked"
    reading.tell(form="questions and answers", layout="each question with what stands below it")
    reading.account_for_lines(given, 12)
    level = _asking_level([line.rstrip("\r\n") for line in given.first_lines(encoding, _LOOKED_AT)])
    question, start, answer = "", 0, list[str]()
    above: list[str] = []
    for number, raw in enumerate(given.lines(encoding), start=1):
        line = raw.rstrip("\r\n")
        asked = _question(line, form, level)
        if asked is None and form == "headings" and _is_over(line, level):
            asked = ""
        if asked is not None:
            yield from _exchange(given.name, start, question, answer)
            if above:
                size = sum(map(len, above))
                yield Rejected(given.name, 1, "what stands above the questions", bad=False, characters=size)
                above = []
            question, start, answer = asked, number, []
        elif question:
            answered = _ANSWERED.fullmatch(line) if form == "marked" and not any(answer) else None
            answer.append(answered["text"] if answered else line)
        elif line.strip():
            above.append(raw)
    yield from _exchange(given.name, start, question, answer)


def _question(line: str, form: str, level: int) -> str | None:
    if form == "marked":
        return found["text"] if (found := _ASKED.fullmatch(line)) else None
    heading = _HEADING.fullmatch(line)
    return heading["text"] if heading and len(heading["level"]) == level else None


def _is_over(line: str, level: int) -> bool:
    """Whether a heading above the questions ends the answer before it."""
    heading = _HEADING.fullmatch(line)
    return heading is not None and len(heading["level"]) < level


def _exchange(name: str, line: int, question: str, answer: list[str]) -> Iterator[Record | Rejected]:
    if not question:
        return
    text = "\n".join(answer).strip()
    if not text:
        yield Rejected(name, line, "a question without an answer", characters=len(question))
        return
    messages = Message("user", question.strip(" *_")), Message("assistant", text)
    yield Conversation(messages, f"{name}:{line}")
