"""Chats that an app exported as text with a line for each day and the hour before each message: LINE and KakaoTalk.

2023/12/31（日）                         LINE
21:05<TAB>Ann<TAB>See you tomorrow
下午09:05<TAB>小明<TAB>明天見

2023.12.31 Sunday                        LINE on a computer; where the name ends is not written
09:05 Ann See you tomorrow

--------------- Sunday, December 31, 2023 ---------------     KakaoTalk on a computer
[Ann] [9:05 PM] See you tomorrow
2023년 12월 31일 오후 9:05, Ann : See you tomorrow            KakaoTalk on a phone
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import ABOVE, APP, MEDIA, messages_to_records

_BEFORE = r"(?P<half>上午|下午|午前|午後|오전|오후|AM|PM)?\s?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?:\s?(?P<half_after>[AP]M))?"
_LINE = re.compile(rf"{_BEFORE}{_CLOCK}\t(?P<who>[^\t]{{1,80}})\t(?P<text>.+)")
_LINE_NOTE = re.compile(rf"{_BEFORE}{_CLOCK}\t+[^\t]+")
_KAKAO = re.compile(rf"\[(?P<who>[^\]\n]{{1,80}})\] \[{_BEFORE}{_CLOCK}\] (?P<text>.+)")
_PHONE = re.compile(
    rf"(?P<day>\d{{4}}[년.] ?\d{{1,2}}[월.] ?\d{{1,2}}[일.]|[A-Z][a-z]+ \d{{1,2}}, \d{{4}})(?: at)? {_BEFORE}{_CLOCK}, "
    rf"(?P<who>[^:\n]{{1,80}}) : (?P<text>.+)"
)
_PHONE_NOTE = re.compile(rf"\d{{4}}년 \d{{1,2}}월 \d{{1,2}}일 {_BEFORE}{_CLOCK}(?:, [^:]+)?")
_HEADS = (_LINE, _KAKAO, _PHONE)
#: LINE on a computer.
_LINE_TITLE = re.compile(
    r"\[LINE\] ?(?:Chat history (?:with|in) (?P<with>.+)|(?P<ja>.+)のトーク履歴|與(?P<zh>.+?)的?聊天記?錄|.*)"
)
_LINE_PC = re.compile(rf"{_BEFORE}{_CLOCK} (?P<rest>\S.*)")
_LINE_PC_NOTE = re.compile(
    rf"{_BEFORE}{_CLOCK} .*(?:unsent a message|(?:joined|left) the (?:group|chat)|invited .* to the group"
    r"|メッセージの送信を取り消しました|が参加しました|が退出しました|已收回訊息|加入(?:了)?(?:群組|聊天)|離開(?:了)?(?:群組|聊天))\.?"
)
_LINE_PC_STICKER = re.compile(
    "Stickers?|Photos?|Videos?|Voice messages?|スタンプ|写真|動画|ボイスメッセージ|貼圖|圖片|照片|影片|語音訊息"
)
#: Lines of one first word that must agree on the second for it to be of the name.
_AGREEING, _AGREED = 4, 0.95
#: The line of a day: its date and the day of the week (a message may be a bare date), perhaps between dashes.
_DATE = r"(?:\d{4}[./年년-]\s?\d{1,2}[./月월-]\s?\d{1,2}[日일.]?|[A-Za-z]{3,9} \d{1,2}, \d{4}|\d{1,2}/\d{1,2}/\d{4})"
_DAY = re.compile(
    rf"(?:-{{5,}}\s*)?(?P<day>{_DATE})\s?(?:[(（][^()（）]{{1,9}}[)）]|\S{{1,4}}요일|星期.|[A-Z][a-z]+day)(?:\s*-{{5,}})?"
    rf"|(?:-{{5,}}\s*)?[A-Z][a-z]{{2,8}},? (?P<late>{_DATE})(?:\s*-{{5,}})?|-{{5,}}\s*(?P<ruled>{_DATE})\s*-{{5,}}"
)
_PLACEHOLDER = re.compile(
    r"\[(?:Sticker|Photo|Video|Voice message|File|Album|Location|貼圖|照片|影片|語音訊息|檔案|相簿|位置資訊"
    r"|スタンプ|写真|動画|ボイスメッセージ|ファイル|アルバム)\]"
    r"|(?:사진|동영상|이모티콘|음성메시지)(?: \d+장)?|삭제된 메시지입니다\.?|Photo|Video|Emoticon|☎ .*"
)
#: KakaoTalk's table has the same columns for what the app says as for what people say.
KAKAO_COLUMNS = ("Date", "User", "Message")
_KAKAO_NOTE = re.compile(
    r".* (?:joined|left) this chatroom\.?|.*님이 (?:들어왔습니다|나갔습니다)\.?|.*님을 초대했습니다\.?"
)
_AFTERNOON = frozenset("下午 午後 오후 PM".split())
_MORNING = frozenset("上午 午前 오전 AM".split())


def head_of(given: Input, encoding: str) -> re.Pattern[str] | None:
    """Return the pattern of the lines that begin messages, if a file is such an export."""
    lines = [line.rstrip() for line in given.first_lines(encoding, 200)]
    filled = [line for line in lines if line]
    if filled and _LINE_TITLE.fullmatch(filled[0].lstrip("\ufeff")) and any(map(_LINE_PC.fullmatch, filled)):
        return _line_pc(given, encoding)
    if filled and _DAY.fullmatch(filled[0].lstrip("\ufeff")):  # its title was cut off
        said = [match["rest"].split(" ", 1)[0] for line in filled if (match := _LINE_PC.fullmatch(line))]
        if 2 * len(said) > len(filled) and len(said) >= _AGREEING * len(set(said)) > _AGREEING:
            return _line_pc(given, encoding)
    days = sum(_DAY.fullmatch(line) is not None for line in filled)
    for pattern in _HEADS:
        found = [match["who"] for line in filled if (match := pattern.fullmatch(line))]
        back = len(set(found)) <= max(2, len(found) // 2)  # speakers come back, rooms of a timetable do not
        if back and len(found) >= 2 and len(found) * 5 >= len(filled) and (days or pattern is _PHONE):
            return pattern
    return None


def _line_pc(given: Input, encoding: str) -> re.Pattern[str]:
    """Return the pattern of messages of LINE on a computer: the names are what its lines have in common."""
    found = defaultdict[str, list[list[str]]](list)
    title = ""
    for line in map(str.rstrip, given.lines(encoding)):
        if not title and (named := _LINE_TITLE.fullmatch(line.lstrip("\ufeff"))) is not None:
            title = named["with"] or named["ja"] or named["zh"] or " "
        elif (match := _LINE_PC.fullmatch(line)) is not None and not _LINE_PC_NOTE.fullmatch(line):
            words = match["rest"].split(" ")
            found[words[0]].append(words)
    names = [title] if title.strip() else []
    for said in found.values():
        length = 1
        while len(said) >= _AGREEING:
            longer, count = Counter(tuple(words[: length + 1]) for words in said).most_common(1)[0]
            if count < _AGREED * len(said) or any(
                len(w) <= length + 1 for w in said if w[: length + 1] == [*longer]
            ):
                break
            said, length = [words for words in said if words[: length + 1] == [*longer]], length + 1
        names.append(" ".join(said[0][:length]))
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.compile(rf"{_BEFORE}{_CLOCK} (?P<who>{either}) (?P<text>.+)")


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences."""
    encoding = encoding_of(given, reading)
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages", text="text", speaker="speaker", time="time", assistant=reading.config.columns.assistant
    )
    head = head_of(given, encoding) or _LINE
    yield from messages_to_records(given.name, _message_rows(given, encoding, head), layout, reading)


def _message_rows(given: Input, encoding: str, head: re.Pattern[str]) -> Iterator[Row | Rejected]:
    day, row, more, on_pc = "", None, list[str](), head not in _HEADS
    for number, raw in enumerate(given.lines(encoding), start=1):
        line = raw.rstrip()
        found = head.fullmatch(line)
        if found is None and (new := _DAY.fullmatch(line)) is not None:
            day = new["day"] or new["late"] or new["ruled"]
        elif found is not None and on_pc and _LINE_PC_NOTE.fullmatch(line):
            yield Rejected(given.name, number, APP, bad=False)
        elif found is not None:
            if row is None and number > 1:
                yield Rejected(given.name, 1, f"{ABOVE}, lines 1 to {number - 1}", bad=False)
            if row is not None:
                yield _message(given.name, row, more, on_pc)
            more = []
            time = _time(found["day"] if head is _PHONE else day, found)
            row = Row(number, {"text": found["text"], "speaker": found["who"].strip(), "time": time})
        elif _LINE_NOTE.fullmatch(line) or _PHONE_NOTE.fullmatch(line) or _KAKAO_NOTE.fullmatch(line):
            yield Rejected(given.name, number, APP, bad=False)
        elif row is not None:  # a message goes on
            more.append(line)
    if row is not None:
        yield _message(given.name, row, more, on_pc)


def _message(name: str, row: Row, more: list[str], on_pc: bool) -> Row | Rejected:
    words = "\n".join([row.cells["text"], *more]).strip()
    if (
        len(words) > 1 and words[0] == words[-1] == '"' and "\n" in words
    ):  # LINE quotes what has several lines
        words = words[1:-1].replace('""', '"')
    if _PLACEHOLDER.fullmatch(words) or (on_pc and _LINE_PC_STICKER.fullmatch(words)):
        return Rejected(name, row.line, MEDIA, bad=False)
    return Row(row.line, {**row.cells, "text": words})


def without_notes(name: str, rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """Mark the rows of KakaoTalk's table that are pictures or the app's own words."""
    for row in rows:
        words = row.cells["Message"].strip() if isinstance(row, Row) else ""
        if isinstance(row, Row) and _KAKAO_NOTE.fullmatch(words):
            yield Rejected(name, row.line, APP, bad=False)
        elif isinstance(row, Row) and _PLACEHOLDER.fullmatch(words):
            yield Rejected(name, row.line, MEDIA, bad=False)
        else:
            yield row


def _time(day: str, found: re.Match[str]) -> str:
    """Return a time in ISO 8601; empty if there is no such day or hour."""
    named = re.fullmatch(r"([A-Za-z]{3})[a-z]* (\d{1,2}), (\d{4})", day)
    try:
        if named:
            date = datetime.strptime(f"{named[1]} {named[2]} {named[3]}", "%b %d %Y")
        else:
            numbers = list(map(int, re.findall(r"\d+", day)))
            if numbers[-1] > 31:  # LINE in English: month, day, year
                numbers = [numbers[2], *numbers[:2]]
            date = datetime(numbers[0], numbers[1], numbers[2])
        hour = int(found["hour"])
        half = found["half"] or found["half_after"]
        if half in _AFTERNOON or half in _MORNING:
            hour = hour % 12 + 12 * (half in _AFTERNOON)
        return date.replace(hour=hour, minute=int(found["minute"])).isoformat()
    except (ValueError, IndexError):
        return ""
