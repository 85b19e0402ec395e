"""Chats that an app exported as text, one message a line with its time: WhatsApp and Signal.

    [31/12/2023, 9:05:07 PM] Ann: See you tomorrow          WhatsApp on iOS
    31/12/2023, 21:05 - Ann: See you tomorrow               WhatsApp on Android
    31-12-23 21:05:07 Ann: See you tomorrow                 WhatsApp in other times and languages
    2023-12-31, 9:05:07 PM: Ann: See you tomorrow
    [2023-12-31, 21:05] Ann: See you tomorrow               Signal (signal-export)
    [31/12, 21:05] Ann: See you tomorrow                    copied out of WhatsApp on a phone, without a year
    [9:05 PM, 12/31/2023] Ann: See you tomorrow             and in a browser

The order of day, month and year follows the phone's language and is not written anywhere: it is the order in
which every date of the file exists and time runs backwards least often.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mynah.data.chats.notices import is_encryption_notice, is_poll
from mynah.data.chats.times import MONTHS
from mynah.data.layout import Layout
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import MARKS_OF_A_MESSAGE, Reading, Row
from mynah.data.tables.to_records import ABOVE, APP, MEDIA, messages_to_records

#: Columns of the rows that this module makes.
TIME, SPEAKER, TEXT = "time", "speaker", "text"
#: A name is no longer than this; what is longer before a colon is a sentence.
_LONGEST_NAME = 80
#: Characters that direct the text's layout, and the spaces that iOS puts before AM and PM.
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_DATE_MARK, _LONGEST_DATE = re.compile(r"[\u200e\u200f](?=\d+[/،.\- ]|[/.\-،])"), 24
_SPACES = re.compile("[\u00a0\u202f\u2007]")
_HEADER = re.compile(
    r"(?:\[?(?P<date>\d{1,4}[./\-年]\s?\d{1,2}[./\-月]\s?\d{1,4}日?\.?)|\[(?P<day>\d{1,2}[./\-月]\d{1,2}日?\.?))[,،、]?\s+"
    r"(?P<half>[^\d\s\[\]:]{1,6}\s?)?"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?"
    r"(?:\s?(?P<half_after>[AaPp]\.?\s?[Mm]\.?|[صم]|[πμ]\.?\s?μ\.?|vorm\.|nachm\.|ÖÖ|ÖS|SA|CH|पूर्वाह्न|अपराह्न))?"
    r"(?:(?P<bracket>\])\s?|\s+[-\u2013\u2014]\s+|(?P<bare>:?\s)(?=[^:]{1,80}:\s))"
    r"(?P<rest>.*)"
)
#: What is copied in a browser has the hour first.
_HOUR_FIRST = re.compile(
    r"\[(?P<clock>[^\d\s\[\]:]{0,6}\s?\d{1,2}[:.]\d{2}(?:\s?[^\d\s\[\]:,]{1,6})?)[,،、]\s?(?P<date>\d{1,4}[./-]\d{1,2}(?:[./-]\d{1,4})?)\]"
)
#: Viber on a phone names the month.
_NAMED = re.compile(
    r"\[(?P<month>[^\W\d_]{3,10})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})(?:,| at)? "
    r"(?P<clock>\d{1,2}:\d{2}(?::\d{2})?(?: ?[AP]M)?)\]"
)
_MORNING = ("am", "上午", "凌晨", "早上", "清晨", "오전", "午前", "ص", "πμ", "vorm", "öö", "sa", "पूर्वाह्न")
_AFTERNOON = ("pm", "下午", "晚上", "中午", "傍晚", "오후", "午後", "م", "μμ", "nachm", "ös", "ch", "अपराह्न")
#: What stands for a picture, a voice message or a message taken back: all of a message, in the languages
#: that exports come in most. iOS marks its own words with an invisible left-to-right mark besides.
_PLACEHOLDER = re.compile(
    r"<(?=[^<>\n]*[\s\u4e00-\u9fff])[^<>\n]*>"
    r"|(?:image|video|audio|sticker|gif|document|contact card)\s(?:omitted|vynechán.*)"
    r"|(?:bild|video|audio|sticker|gif|dokument|kontaktkarte)\sweggelassen"
    r"|(?:imagen|imagem|vídeo|video|áudio|audio|sticker|figurinha|gif|documento)\s(?:omitid|ocultad)[oa]"
    r"|(?:image|vidéo|audio|sticker|gif|document)\sabsente?"
    r"|(?:immagine|video|audio|gif|documento|sticker)\s(?:omess[oa]|non inclus[oa])"
    r"|(?:afbeelding|video|audio|gif|sticker|document)\sweggelaten"
    r"|(?:изображение|видео|аудиофайл|стикер|gif|документ)\sотсутствует"
    r"|(?:görüntü|video|ses|çıkartma|gif|belge)\sdahil edilmedi"
    r"|(?:圖片|影片|語音|音訊|貼圖|文件|檔案|媒體)已?(?:略去|忽略|省略)|(?:画像|動画|音声|スタンプ)は省略されました"
    r"|(?:missed|silenced) (?:group )?(?:voice |video )?call.*|(?:voice|video) call, (?:\d|no answer).*"
    r"|live location shared"
    r"|(?:verpasster (?:sprach|video)anruf|live-standort wird geteilt|未接(?:语音|视频)通话|未接聽?(?:語音|視訊)通話).*"
    r"|(?:this message was deleted|you deleted this message|null|waiting for this message.*)\.?"
    r"|(?:diese nachricht wurde gelöscht|du hast diese nachricht gelöscht)\.?"
    r"|(?:se eliminó este mensaje|eliminaste este mensaje|este mensaje fue eliminado)\.?"
    r"|(?:mensagem apagada|(?:essa|esta) mensagem foi apagada|você apagou esta mensagem)\.?"
    r"|(?:ce message a été supprimé|vous avez supprimé ce message)\.?"
    r"|(?:questo messaggio è stato eliminato|hai eliminato questo messaggio)\.?"
    r"|(?:dit bericht is verwijderd|(?:u hebt|je hebt) dit bericht verwijderd)\.?"
    r"|(?:данное сообщение удалено|вы удалили данное сообщение|это сообщение удалено)\.?"
    r"|(?:bu mesaj silindi|bu mesajı sildiniz|pesan ini telah dihapus|ta wiadomość została usunięta)\.?"
    r"|(?:このメッセージは削除されました|삭제된 메시지입니다|تم حذف هذه الرسالة|यह संदेश हटा दिया गया था)[.。]?"
    r"|(?:图片|视频|音频|语音|贴图|表情|文件|媒体)(?:已省略|已忽略|省略)|(?:此?消息已(?:被)?(?:删除|撤回)|你已(?:删除|撤回)此?消息)[。.]?"
    r"|(?:此|這則)訊息已(?:被)?刪除|您已刪除此訊息"
    r"|\S+\.(?:jpe?g|png|webp|gif|mp4|3gp|mov|opus|ogg|m4a|mp3|aac|pdf|vcf|docx?|xlsx?|zip)\s\(.{3,40}\)",
    re.IGNORECASE,
)
#: A file that is named before what was said of it, and on iOS behind it.
_FILE = re.compile(
    r"[^\n]{1,120}\.(?:jpe?g|png|webp|gif|mp4|3gp|mov|opus|ogg|m4a|mp3|aac|pdf|vcf|docx?|xlsx?|pptx?|zip)\s\([^()\n]{3,40}\)\s*\n"
)
_FILE_BEHIND = re.compile(r"\s*<[^<>\n:]{3,20}: ?\d{8}-[A-Z]+-[^<>\n]+>\s*$")
#: What signal-export writes: files as in Markdown, reactions behind a message, and before it what it answers.
_MARKDOWN = re.compile(
    r"!?\[[^\]\n]*\]\((?:\.{0,2}/)?media/[^()\n]*\)|\s*\(- [^\n]{1,60}: \S{1,12} -\)\s*$"
    r"|\A(?:> ?[^\n]*\n)+\n?"
)
_OPENING = {"“": "”", "„": "“”", "«": "»", "「": "」", '"': '"'}
_LEVELS = frozenset(
    "info warn warning error err debug trace fatal critical notice verbose note todo fixme http https get "
    "post put".split()
)
_MODULE = re.compile(r"[A-Za-z_][\w-]*[./\[][\w\[\]/.-]*[\w\[\]/-]|(?:GET|POST|PUT|DELETE) .*")
#: A name without a blank after its colon.
_CLOSE = re.compile(r"(?P<name>[^:/\n]{1,40}):(?P<first>[^\s/.,;:)].*)")
_EDITED = re.compile(
    r"\s*<[^<>\n]{0,30}(?:edited|bearbeitet|editad[ao]|modifié|modificato|bewerkt|изменено|düzenlendi|已编辑|已編輯)[^<>\n]{0,9}>\s*$",
    re.I,
)


@dataclass
class ChatText:
    """A text export, to be walked row by row."""

    given: Input
    encoding: str

    @cached_property
    def order(self) -> str:
        """The order that its dates are in: "dmy", "mdy" or "ymd"."""
        return _date_order(self.given, self.encoding)

    def message_rows(self) -> Iterator[Row | Rejected]:
        """Yield each message as a row of time (ISO 8601), speaker and text, and what is no message of a person."""
        begun = False
        for line, header, more in self._messages():
            if not begun and line > 1:
                yield Rejected(self.given.name, 1, f"{ABOVE}, lines 1 to {line - 1}", bad=False)
            begun = True
            name, first = _said(header)
            # iOS sets it before its own words; the name of a group may hold a colon.
            marked = first is not None and (first.startswith("\u200e") or ": \u200e" in first)
            text = _words("\n".join([first or "", *more]))
            if (
                first is None
                or not 0 < len(name) <= _LONGEST_NAME
                or _is_cut_quote(name)
                or is_encryption_notice(text)
            ):
                yield Rejected(self.given.name, line, APP, bad=False)
            elif not text or marked or _PLACEHOLDER.fullmatch(text) or is_poll(text):
                yield Rejected(self.given.name, line, MEDIA, bad=False)
            else:
                time = _time(header, self.order)
                yield Row(line, {TIME: time.isoformat() if time else "", SPEAKER: name, TEXT: text})

    def _messages(self) -> Iterator[tuple[int, re.Match[str], list[str]]]:
        """Yield line number, header and further lines of each message."""
        current: tuple[int, re.Match[str], list[str]] | None = None
        for number, line in enumerate(self.given.lines(self.encoding), start=1):
            if header := _header(line):
                if current:
                    yield current
                current = number, header, []
            elif current:
                current[2].append(line.rstrip("\n"))
        if current:
            yield current


def _said(header: re.Match[str]) -> tuple[str, str | None]:
    """Return who said something and the first line of it; None for that if nobody did."""
    rest = header["rest"]
    name, colon, first = rest.partition(": ")
    if not colon and rest.endswith(":"):
        return _MARKS.sub("", rest[:-1]).strip(), ""
    if (not colon or ":" in name) and header["bracket"] and (close := _CLOSE.fullmatch(rest)):
        return _MARKS.sub("", close["name"]).strip(), close["first"]
    return _MARKS.sub("", name).strip(), first if colon else None


def _words(text: str) -> str:
    """Return a message without the app's remarks: that it was edited, which ends it, and what file it came with."""
    text = _MARKDOWN.sub("", _MARKS.sub("", text).strip()).strip()
    if text.endswith(">"):
        text = text[:-160] + _FILE_BEHIND.sub("", _EDITED.sub("", text[-160:]))
    return text[found.end() :].strip() if (found := _FILE.match(text)) else text


def _is_cut_quote(name: str) -> bool:
    """Whether a name ends within quotation marks: it is the app's words on a group whose name holds a colon."""
    return any(
        mark in name and (name.count(mark) % 2 if mark == end else not any(e in name for e in end))
        for mark, end in _OPENING.items()
    )


def is_chat_text(given: Input, encoding: str) -> bool:
    """Whether a text begins with a message's header, and has one on a fifth of its first lines."""
    lines = [line for line in given.first_lines(encoding, 100) if line.strip()]
    headers = [_header(line) for line in lines]
    found = [header["rest"] for header in headers if header is not None]
    # A diary has times without names, a program's log the names of levels and modules.
    named = [rest.partition(":")[0].strip() for rest in found if ":" in rest]
    if any(header["bare"] for header in headers if header is not None) and len(set(named)) > max(
        2, len(named) // 2
    ):
        return False  # speakers come back
    return (
        bool(lines)
        and headers[0] is not None
        and len(found) >= max(2, len(lines) // 5)
        and 4 * len(named) >= len(found)
        and not is_log(named)
    )


def is_log(names: Sequence[str]) -> bool:
    """Whether what stands for speakers are the levels, modules or paths of a program's log."""
    short = [
        name for name in names if len(name) <= _LONGEST_NAME
    ]  # no module's is longer, and the pattern takes its time
    logged = sum(
        name.lower().split(" ")[0].strip("[]") in _LEVELS or _MODULE.fullmatch(name) is not None
        for name in short
    )
    return bool(names) and 2 * logged > len(names)


def _header(line: str) -> re.Match[str] | None:
    """Match the head of a line; a mark that directs the text may stand before it."""
    bare = _SPACES.sub(" ", line.rstrip("\n").lstrip("\ufeff\u200e\u200f"))
    # Within an Arabic date each number has a mark before it; before a message a mark tells the app's own words.
    if bare[:1] == "[" and (named := _NAMED.match(bare)) and (month := MONTHS.get(named["month"].lower())):
        bare = f"[{named['year']}-{month:02}-{int(named['day']):02}, {named['clock']}]{bare[named.end() :]}"
    bare = _HOUR_FIRST.sub(r"[\g<date>, \g<clock>]", bare, count=1) if bare[:1] == "[" else bare
    found = _HEADER.match(_DATE_MARK.sub("", bare[:_LONGEST_DATE]) + bare[_LONGEST_DATE:])
    # Without brackets or a dash a day comes first, as in no program's log, or a colon ends the time.
    if (
        found is not None
        and found["bare"]
        and len(re.split(r"\D", found["date"] or "")[0]) > 2
        and found["bare"][0] != ":"
    ):
        return None
    return found


def _numbers(date: str) -> tuple[int, int, int]:
    a, b, c = (int(number) for number in re.findall(r"\d+", date))
    return a, b, c


def _time(header: re.Match[str], order: str) -> datetime | None:
    """Return a header's time; None if there is no such day or hour."""
    if header["date"] is None:
        return None  # the year is not known
    parts = dict(zip(order, _numbers(header["date"]), strict=True))
    year = parts["y"] + (2000 if parts["y"] < 100 else 0)
    hour = int(header["hour"])
    half = (header["half"] or header["half_after"] or "").replace(".", "").replace(" ", "").lower()
    if half.startswith(_AFTERNOON):
        hour = hour % 12 + 12
    elif half.startswith(_MORNING):
        hour %= 12
    try:
        return datetime(year, parts["m"], parts["d"], hour, int(header["minute"]), int(header["second"] or 0))
    except ValueError:
        return None


def _date_order(given: Input, encoding: str) -> str:
    """Return the order of the dates of a whole file."""
    orders = ("dmy", "mdy", "ymd")
    impossible, backwards = dict.fromkeys(orders, 0), dict.fromkeys(orders, 0)
    last: dict[str, datetime] = {}
    for header in filter(None, map(_header, given.lines(encoding))):
        if (header["half"] or "").strip() in ("오전", "오후"):  # Korean writes the year first
            return "ymd"
        for order in orders:
            time = _time(header, order)
            if time is None:
                impossible[order] += 1
            else:
                backwards[order] += order in last and time < last[order]
                last[order] = time
    return min(orders, key=lambda order: (impossible[order], backwards[order]))


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences."""
    chat = ChatText(given, encoding_of(given, reading))
    reading.account_for_lines(given, MARKS_OF_A_MESSAGE)
    reading.tell(
        form="a chat app's export",
        layout=f"dates read as {'/'.join(chat.order)}, cut at {reading.config.gap_hours:g} hours of silence",
    )
    layout = Layout(
        "messages", text=TEXT, speaker=SPEAKER, time=TIME, assistant=reading.config.columns.assistant
    )
    yield from messages_to_records(given.name, chat.message_rows(), layout, reading)
