"""Transcripts: a line a turn after its speaker's name and perhaps a time; blank lines between conversations.

Customer: Where is my parcel?
2024-01-31 10:00:00 Agent: On its way.

Or each under its speaker's name, as what is copied out of WeChat; or in Markdown, with the name in bold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from mynah.data.layout import Layout
from mynah.data.readers.chat_text import is_log
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import messages_to_records

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?"
_TIME = rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}[T ]{_CLOCK}(?:[.,]\d+)?Z?|{_CLOCK}"
_STAMP = rf"(?:[\[(]?(?P<time>{_TIME})[\])]?\s*[-–|]?\s*)?"
#: In Markdown a speaker is bold or a heading, and what is said may have blank lines and stand below.
_MARKED = re.compile(
    rf"(?:#{{1,6}}\s+|\*\*|__)(?:#{{1,6}}\s+|\*\*)?{_STAMP}(?P<who>[^\W\d_][^:：\n*#]{{0,39}}?)\s?(?:[:：]\s?(?:\*\*|__)|(?:\*\*|__)\s?[:：]|[:：])"
    r"\s*(?P<text>.*)"
)
_TURN = re.compile(
    # 千牛 sets the time behind the name, which may be that of a shop and its clerk.
    rf"(?P<behind>[^\W\d_][^\n()（）]{{0,59}}?)\s?[(（](?P<later>{_TIME})[)）]\s?[:：]\s*(?P<words>\S.*)"
    rf"|{_STAMP}[\[<]?(?P<who>[^\W\d_][^:：\n\[\]<>]{{0,39}}?)[\]>]?\s?[:：]\s*(?P<text>\S.*)"
)
#: A name on a line of its own, with a colon.
_HEADED = re.compile(r"(?P<who>[^\W\d_][^:：\n*#.!?,;。！？，；]{0,29})[:：](?P<text>)")
_RULE, _TITLE = re.compile(r"(?:[-*_]\s?){3,}"), re.compile(r"#\s+\S.*")
#: Characters of a line that are looked at to tell what it is.
_LOOKED_AT = 500
_WORDS = re.compile(r"\S\s+\S|[\u3040-\u9fff]{3}")
#: Speakers of a transcript come back; what stands before a colon in prose or in settings does not.
_MOST_SPEAKERS, _TURNS_A_SPEAKER = 40, 3
#: Lines above the first turn, at most.
_ABOVE = 10
TEXT, SPEAKER, TIME, CONVERSATION = "text", "speaker", "time", "conversation"


def is_transcript(given: Input, encoding: str) -> bool:
    """Whether most of the first lines are turns of a few speakers who come back."""
    lines = [short for line in given.first_lines(encoding, 400) if (short := line[:_LOOKED_AT].strip())]
    if is_marked(lines) or is_headed(lines):
        return True
    # A title, who was there.
    begins = next((n for n, line in enumerate(lines) if _turn(line)), 0)
    lines = lines[begins:] if begins <= _ABOVE else lines
    turns = [found for line in lines if (found := _turn(line))]
    behind = sum((turn := _TURN.match(line)) is not None and turn["behind"] is not None for line in lines)
    if behind >= 4 and 10 * behind >= 9 * len(lines):  # nothing else looks so
        return True
    speakers = Counter(who.lower() for who, _, _ in turns)
    worded = sum(_WORDS.search(text) is not None for _, _, text in turns)
    return (
        len(turns) * 10 >= 8 * len(lines)
        and 2 <= len(speakers) <= _MOST_SPEAKERS
        and len(turns) >= max(4, _TURNS_A_SPEAKER * len(speakers))
        and 3 * worded >= len(turns)  # settings have values, people words
        and not is_log(list(speakers))
    )


def _turn(line: str) -> tuple[str, str, str] | None:
    """Return who speaks in a line, when, and the words; None if it is no turn."""
    found = _TURN.match(line)
    if found is None:
        return None
    who, time, text = (
        found["who"] or found["behind"], found["time"] or found["later"] or "", found["text"] or found["words"]
    )  # fmt: skip
    return who.strip(), time, text.strip()


def is_marked(lines: list[str]) -> bool:
    """Whether lines begin with a speaker in bold or as a heading, and two or a few take turns."""
    heads = [found["who"].strip().lower() for line in lines if (found := _MARKED.match(line))]
    speakers = Counter(heads)
    apart = sum(one != other for one, other in pairwise(heads))
    return (
        len(heads) >= 4
        and 2 <= len(speakers) <= 6
        and min(speakers.values()) >= 2
        and 10 * apart >= 8 * (len(heads) - 1)
        and _MARKED.match(lines[0] if _MARKED.match(lines[0]) else lines[1] if len(lines) > 1 else "")
        is not None
    )


def is_headed(lines: list[str]) -> bool:
    """Whether a few names that come back stand on lines of their own, each above one line or a few."""
    heads = [n for n, line in enumerate(lines) if _HEADED.fullmatch(line)]
    speakers = Counter(lines[n] for n in heads)
    return (
        len(heads) >= 4
        and heads[0] == 0
        and 2 <= len(speakers) <= _MOST_SPEAKERS
        and len(heads) >= _TURNS_A_SPEAKER * len(speakers)
        and 4 * len(heads) >= len(lines)
        and all(two - one > 1 for one, two in pairwise(heads))
        and not is_log([name[:-1] for name in speakers])
    )


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield conversations cut at blank lines, or at silences where there are none."""
    encoding = encoding_of(given, reading)
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    shown = [short for line in given.first_lines(encoding, 400) if (short := line[:_LOOKED_AT].strip())]
    pattern = _MARKED if is_marked(shown) else _HEADED if is_headed(shown) else None
    if pattern is not None:
        reading.tell(
            form=f"a transcript{' in Markdown' if pattern is _MARKED else ''}",
            layout="turns under their speakers, cut at rules and titles",
        )
        layout = Layout(
            "messages",
            text=TEXT,
            speaker=SPEAKER,
            conversation=CONVERSATION,
            assistant=reading.config.columns.assistant,
        )
        yield from messages_to_records(given.name, _marked_turns(given, encoding, pattern), layout, reading)
        return
    turns = blanks = 0
    for item in _turns(given, encoding):
        if isinstance(item, Row):
            turns += 1
            blanks = int(item.cells[CONVERSATION])
    reading.tell(form="a transcript", layout=f"cut at {'blank lines' if blanks else 'silences'}")
    # A blank line after every turn sets turns apart, not conversations.
    cut = 0 < blanks < 0.8 * turns
    layout = Layout(
        "messages",
        text=TEXT,
        speaker=SPEAKER,
        time=TIME,
        conversation=CONVERSATION if cut else None,
        assistant=reading.config.columns.assistant,
    )
    yield from messages_to_records(given.name, _turns(given, encoding), layout, reading)


def _marked_turns(given: Input, encoding: str, pattern: re.Pattern[str]) -> Iterator[Row | Rejected]:
    """Yield each turn with all that stands below it, up to the next speaker, a rule or a title."""
    turn: Row | None = None
    said: list[str] = []
    conversation = 0
    shown = [line.strip() for line in given.first_lines(encoding, 400)]
    heads = sum(
        (pattern.match(line) if pattern is _MARKED else pattern.fullmatch(line)) is not None for line in shown
    )
    # Rules after nearly every turn set turns apart, not conversations.
    ruled = 10 * sum(_RULE.fullmatch(line) is not None for line in shown) >= 7 * heads
    for number, line in enumerate(given.lines(encoding), start=1):
        line = line.rstrip("\r\n")
        found = pattern.match(line.strip()) if pattern is _MARKED else pattern.fullmatch(line.strip())
        if ruled and _RULE.fullmatch(line.strip()):
            continue
        ends = (_RULE.fullmatch(line.strip()) or _TITLE.fullmatch(line)) is not None and found is None
        if found is None and not ends:
            said.append(line)
            continue
        if turn is not None:
            yield Row(turn.line, {**turn.cells, TEXT: "\n".join(said).strip()})
        elif any(map(str.strip, said)):
            yield Rejected(given.name, 1, "what stands above the first turn", bad=False)
        if found is None:
            turn, said, conversation = None, [], conversation + 1
        else:
            cells = {SPEAKER: found["who"].strip(), CONVERSATION: str(conversation)}
            turn, said = Row(number, cells), [found["text"]]
    if turn is not None:
        yield Row(turn.line, {**turn.cells, TEXT: "\n".join(said).strip()})


def _turns(given: Input, encoding: str) -> Iterator[Row | Rejected]:
    """Yield each turn, which may go on over lines, with the number of blank lines between turns before it."""
    turn: Row | None = None
    more: list[str] = []
    blanks, blank = 0, False
    for number, line in enumerate(given.lines(encoding), start=1):
        found = _turn(line.strip())
        if not line.strip() or re.fullmatch(r"[-=*_#]{3,}", line.strip()):
            blank = True
        elif found is not None:
            if turn is not None:
                blanks += blank
                yield _whole(turn, more)
                more = []
            who, time, text = found
            cells = {TEXT: text, SPEAKER: who, TIME: time, CONVERSATION: str(blanks)}
            turn, blank = Row(number, cells), False
        elif turn is not None and not blank:
            more.append(line.strip())
        else:
            yield Rejected(given.name, number, "no speaker before the text")
    if turn is not None:
        yield _whole(turn, more)


def _whole(turn: Row, more: list[str]) -> Row:
    return Row(turn.line, {**turn.cells, TEXT: "\n".join([turn.cells[TEXT], *more])}) if more else turn
