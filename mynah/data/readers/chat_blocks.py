"""Chats that an app exported as blocks of lines, each headed by time and name: QQ, Discord, iMessage, Feishu.

2023-12-31 21:05:07 Ann(12345678)       QQ; the words follow below
[31-Dec-23 09:05 PM] ann#1234           Discord
Ann, [31.12.2023 21:05]                 Telegram, as it is copied
ann — Today at 9:05 PM                  Discord, as it is copied; [21:05] Ann (Teams), Ann  0:05 (Otter)
Ann 2023年12月31日 21:05                 Feishu, DingTalk, WeCom, as they are copied
Dec 31, 2023 9:05:07 PM                 iMessage; the name has a line of its own
Ann
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.layout import Layout
from mynah.data.readers.chat_text import is_log
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import ABOVE, APP, MEDIA, messages_to_records

_QQ = re.compile(
    r"(?P<time>\d{4}[-/]\d\d[-/]\d\d \d{1,2}:\d\d:\d\d)(?: (?P<half>[AP]M))? +"
    r"(?P<who>\S.{0,79}?)(?:\(\d{4,12}\)|<[^<>\s]+@[^<>\s]+>)?"
)
_DISCORD = re.compile(
    r"\[(?P<time>\d{1,4}[-./](?:\d{1,2}|[A-Za-z]{3})[-./]\d{2,4} \d{1,2}:\d\d(?: ?[AP]M)?)\] (?P<who>\S[^:]{0,79})"
)
_IMESSAGE = re.compile(r"(?P<time>[A-Z][a-z]{2} \d\d?, \d{4} +\d{1,2}:\d\d:\d\d [AP]M)(?: \(.*\))?")
_NAME_FIRST = re.compile(
    r"(?P<who>(?!\d{4}[-/])\S.{0,39}?)[ \t:：]+(?P<time>\d{4}(?:[-/.]\d{1,2}[-/.]\d{1,2}|年\d{1,2}月\d{1,2}日),?\s+"
    r"(?:(?P<half>上午|下午|AM|PM) ?)?\d{1,2}:\d\d(?::\d\d)?)[:：]?"
)
#: What is copied out of Telegram; and out of Discord, Teams and Otter, of today or yesterday, or since the beginning.
_TELEGRAM = re.compile(r"(?P<who>\S.{0,59}?), \[(?P<time>\d{1,2}\.\d{1,2}\.\d{2,4} \d{1,2}:\d\d(?::\d\d)?)\]")
_COPIED = re.compile(
    r"(?P<who>\S[^\n:]{0,39}?)(?: — (?:(?:Today|Yesterday) at )?|[ \t]{2,})"
    r"(?P<clock>\d{1,2}:\d\d(?::\d\d)?(?: ?[AP]M)?)\s*"
)
_TEAMS = re.compile(r"\[(?:(?:Today|Yesterday) )?(?P<clock>\d{1,2}:\d\d(?: ?[AP]M)?)\] (?P<who>\S[^:]{0,79})")
_HEADS = (_QQ, _DISCORD, _IMESSAGE, _NAME_FIRST, _TELEGRAM, _COPIED, _TEAMS)
#: Heads without a day: nobody knows how long a silence was.
_DAYLESS = (_COPIED, _TEAMS)
#: What QQ writes above a chat, and between chats.
_RULE = re.compile(r"={10,}")
_NOTES = re.compile(
    r"消息(?:记录|分组|对象).*|(?:Guild|Channel|Topic|After|Before): .*|Exported \d+ message.*"
)
_CHAT = re.compile(r"(?:消息对象:|Channel: )(?P<name>.*)")
#: QQ's account for its own messages; what Discord says of those who join or pin.
_APP = re.compile(r"系统消息(?:\(10000\))?")
_JOINED = re.compile(
    r"(?:Joined the server|Pinned a message|Started a (?:call|thread)|Added .+ to the group)\.?.*"
)
_PLACEHOLDERS = re.compile(r"(?:\[(?:图片|表情|语音|视频|文件|闪照|动画表情|红包)\]\s*)+")
#: What iMessage's exporter writes below a message: where an attached file lies, and that it is a reply.
_BESIDE = re.compile(
    r"(?:~?/|attachments/)(?:[^/\n]+/)*[^/\n]+\.\w{2,5}|This message responded to an earlier message\."
)
#: Discord lists what is attached to a message below it.
_ATTACHED = re.compile(r"\{(?:Attachments|Embed|Reactions|Stickers)\}")


def head_of(given: Input, encoding: str) -> re.Pattern[str] | None:
    """Return the pattern of the lines that head messages, if a file is such an export."""
    lines = [line.rstrip() for line in given.first_lines(encoding, 300)]
    for pattern in _HEADS:
        heads = [n for n, line in enumerate(lines[:-1]) if pattern.fullmatch(line)]
        # Below each head stand words (or a blank line, and what is attached), and not another head.
        followed = sum(
            bool(lines[n + 1]) or _ATTACHED.fullmatch("".join(lines[n + 2 : n + 3])) is not None
            for n in heads
        ) - sum(pattern.fullmatch(lines[n + 1]) is not None for n in heads)
        who = [lines[n + 1] if pattern is _IMESSAGE else _speaker(pattern, lines[n]) for n in heads]
        if (
            len(heads) >= 2
            and followed * 10 >= 8 * len(heads)
            and len(heads) * 8 >= len(lines)
            and len(set(who)) <= max(2, len(heads) // 2)  # speakers come back
            and not is_log(who)
        ):
            return pattern
    return None


def _speaker(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.fullmatch(line)
    return found["who"].removesuffix(" (pinned)") if found else ""


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences."""
    encoding = encoding_of(given, reading)
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages",
        text="text",
        speaker="speaker",
        time="time",
        chat="chat",
        assistant=reading.config.columns.assistant,
    )
    head = head_of(given, encoding) or _QQ
    yield from messages_to_records(given.name, _message_rows(given, encoding, head), layout, reading)


def _message_rows(given: Input, encoding: str, head: re.Pattern[str]) -> Iterator[Row | Rejected]:
    chat, start = "", 0
    found: re.Match[str] | None = None
    block: list[str] = []
    ruled = True  # between rules, or before the first message, stands what the app says of the chat
    for number, raw in enumerate(given.lines(encoding), start=1):
        line = raw.rstrip()
        if ruled and (named := _CHAT.fullmatch(line)) is not None:
            chat = named["name"]
        if (following := head.fullmatch(line)) is not None:
            if found is None and number > 1:
                yield Rejected(given.name, 1, f"{ABOVE}, lines 1 to {number - 1}", bad=False)
            if found is not None:
                yield _message(given.name, start, found, block, chat)
            found, block, start, ruled = following, [], number, False
        elif _RULE.fullmatch(line):
            ruled = True
        elif found is not None and not (ruled and _NOTES.fullmatch(line)):
            block.append(line)
    if found is not None:
        yield _message(given.name, start, found, block, chat)


def _own_lines(block: list[str]) -> list[str]:
    """Return the words of an iMessage: no files, no reactions, and no replies, which stand again in their own place."""
    end = next((n for n, text in enumerate(block) if text == "Tapbacks:"), len(block))
    return [text for text in block[:end] if not (text.startswith("    ") or _BESIDE.fullmatch(text))]


def _usual(time: str, half: str) -> str:
    """Return a time as `YYYY-MM-DD HH:MM`, with the half of the day that a Chinese clock names worked in."""
    year, month, day, hour, minute, *second = map(int, re.findall(r"\d+", time))
    if half in ("下午", "PM") and hour < 12:
        hour += 12
    elif half in ("上午", "AM") and hour == 12:
        hour = 0
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second[0] if second else 0:02}"


def _message(name: str, line: int, head: re.Match[str], block: list[str], chat: str) -> Row | Rejected:
    speaker = (head.groupdict().get("who") or "").removesuffix(" (pinned)")
    if head.re is _IMESSAGE:
        speaker, block = (block[0] if block else ""), _own_lines(block[1:])
    end = next((n for n, text in enumerate(block) if _ATTACHED.fullmatch(text)), len(block))
    words = "\n".join(block[:end]).strip()
    if not speaker or _APP.fullmatch(speaker) or (head.re is _DISCORD and _JOINED.fullmatch(words)):
        return Rejected(name, line, APP, bad=False)
    if not words or _PLACEHOLDERS.fullmatch(words):
        return Rejected(name, line, MEDIA, bad=False)
    if head.re in _DAYLESS:
        return Row(line, {"text": words, "speaker": speaker.strip(), "time": "", "chat": chat})
    half = head.groupdict().get("half")
    time = f"{head['time']} {half}" if half else head["time"]
    if head.re is _NAME_FIRST:
        time = _usual(head["time"], half or "")
    return Row(line, {"text": words, "speaker": speaker.strip(), "time": time, "chat": chat})
