"""Chats that an app exported as text with a line for each day and the hour before each message: LINE and KakaoTalk.

2023/12/31（日）                         LINE
21:05<TAB>Ann<TAB>See you tomorrow
下午09:05<TAB>小明<TAB>明天見

--------------- Sunday, December 31, 2023 ---------------     KakaoTalk on a computer
[Ann] [9:05 PM] See you tomorrow
2023년 12월 31일 오후 9:05, Ann : See you tomorrow            KakaoTalk on a phone
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.reading import Reading, Row
from mynah.data.records import Record, Rejected
from mynah.data.rows import APP, MEDIA, messages_to_records

_BEFORE = r"(?P<half>上午|下午|午前|午後|오전|오후|AM|PM)?\s?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?:\s?(?P<half_after>[AP]M))?"
_LINE = re.compile(rf"{_BEFORE}{_CLOCK}\t(?P<who>[^\t]{{1,80}})\t(?P<text>.+)")
_LINE_NOTE = re.compile(rf"{_BEFORE}{_CLOCK}\t[^\t]+")
_KAKAO = re.compile(rf"\[(?P<who>[^\]\n]{{1,80}})\] \[{_BEFORE}{_CLOCK}\] (?P<text>.+)")
_PHONE = re.compile(
    rf"(?P<day>\d{{4}}년 \d{{1,2}}월 \d{{1,2}}일) {_BEFORE}{_CLOCK}, (?P<who>[^:\n]{{1,80}}) : (?P<text>.+)"
)
_PHONE_NOTE = re.compile(rf"\d{{4}}년 \d{{1,2}}월 \d{{1,2}}일 {_BEFORE}{_CLOCK}(?:, [^:]+)?")
_HEADS = (_LINE, _KAKAO, _PHONE)
#: The line of a day: year, month and day in numbers in the order of Asia, or in English words.
_DAY = re.compile(
    r"(?:-{5,}\s*)?(?:[A-Za-z]{3,9},? )?(?P<day>\d{4}[./年년-]\s?\d{1,2}[./月월-]\s?\d{1,2}日?일?"
    r"|[A-Za-z]{3,9} \d{1,2}, \d{4})\s?(?:[(（][^()（）]{1,9}[)）]|\S{1,4}요일|星期.)?(?:\s*-{5,})?"
)
_PLACEHOLDER = re.compile(
    r"\[(?:Sticker|Photo|Video|Voice message|File|Album|Location|貼圖|照片|影片|語音訊息|檔案|相簿|位置資訊"
    r"|スタンプ|写真|動画|ボイスメッセージ|ファイル|アルバム)\]"
    r"|(?:사진|동영상|이모티콘|음성메시지)(?: \d+장)?|삭제된 메시지입니다\.?|Photo|Video|Emoticon|☎ .*"
)
_AFTERNOON = frozenset("下午 午後 오후 PM".split())
_MORNING = frozenset("上午 午前 오전 AM".split())


def head_of(given: Input, encoding: str) -> re.Pattern[str] | None:
    """Return the pattern of the lines that begin messages, if a file is such an export."""
    lines = [line.rstrip() for line in given.first_lines(encoding, 200)]
    filled = [line for line in lines if line]
    days = sum(_DAY.fullmatch(line) is not None for line in filled)
    for pattern in _HEADS:
        heads = sum(pattern.fullmatch(line) is not None for line in filled)
        if heads >= 2 and heads * 5 >= len(filled) and (days or pattern is _PHONE):
            return pattern
    return None


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences."""
    encoding = encoding_of(given, reading)
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages", text="text", speaker="speaker", time="time", assistant=reading.config.columns.assistant
    )
    head = head_of(given, encoding) or _LINE
    yield from messages_to_records(given.name, _rows(given, encoding, head), layout, reading)


def _rows(given: Input, encoding: str, head: re.Pattern[str]) -> Iterator[Row | Rejected]:
    day, row = "", None
    for number, raw in enumerate(given.lines(encoding), start=1):
        line = raw.rstrip()
        found = head.fullmatch(line)
        if found is None and (new := _DAY.fullmatch(line)) is not None:
            day = new["day"]
        elif found is not None:
            if row is not None:
                yield _message(given.name, row)
            time = _time(found["day"] if head is _PHONE else day, found)
            row = Row(number, {"text": found["text"], "speaker": found["who"].strip(), "time": time})
        elif _LINE_NOTE.fullmatch(line) or _PHONE_NOTE.fullmatch(line):
            yield Rejected(given.name, number, APP, bad=False)
        elif row is not None:  # a message goes on
            row.cells["text"] += "\n" + line
    if row is not None:
        yield _message(given.name, row)


def _message(name: str, row: Row) -> Row | Rejected:
    words = row.cells["text"].strip()
    if (
        len(words) > 1 and words[0] == words[-1] == '"' and "\n" in words
    ):  # LINE quotes what has several lines
        words = words[1:-1].replace('""', '"')
    if _PLACEHOLDER.fullmatch(words):
        return Rejected(name, row.line, MEDIA, bad=False)
    return Row(row.line, {**row.cells, "text": words})


def _time(day: str, found: re.Match[str]) -> str:
    """Return a time in ISO 8601; empty if there is no such day or hour."""
    named = re.fullmatch(r"([A-Za-z]{3})[a-z]* (\d{1,2}), (\d{4})", day)
    try:
        if named:
            date = datetime.strptime(f"{named[1]} {named[2]} {named[3]}", "%b %d %Y")
        else:
            year, month, number = map(int, re.findall(r"\d+", day))
            date = datetime(year, month, number)
        hour = int(found["hour"])
        half = found["half"] or found["half_after"]
        if half in _AFTERNOON or half in _MORNING:
            hour = hour % 12 + 12 * (half in _AFTERNOON)
        return date.replace(hour=hour, minute=int(found["minute"])).isoformat()
    except ValueError:
        return ""
