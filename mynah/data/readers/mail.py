"""Mail: mbox files and single messages (EML), threaded by what answers what."""

from __future__ import annotations

import email
import email.policy
import itertools
import re
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime

from mynah.data.layout import Layout
from mynah.data.markup import parse_html, tree_text
from mynah.data.quoted import own_words
from mynah.data.readers.encoding import encoding_of_bytes
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, messages_to_records

#: A message is read up to this size; what is larger carries files.
LARGEST_MESSAGE = 16 << 20
_START = re.compile(rb"From \S+\s.{0,200}?\d{2}:\d{2}")
_HEADER = re.compile(
    rb"^(?:From|To|Subject|Date|Message-ID|Received|Return-Path|Delivered-To|MIME-Version|X-[\w-]+): ",
    re.IGNORECASE,
)
_LONGEST_HEADER = 2000
_PART_HEADER = re.compile(rb"^(Content-[A-Za-z-]+:.{0,1000}).*", re.MULTILINE)
_BAD_DATE = (TypeError, ValueError, OverflowError)


def is_mail(head: bytes) -> bool:
    """Whether a file begins as an mbox or as a message does: a `From ` line, or three usual headers."""
    if _START.match(head):
        return True
    lines = head.split(b"\n\n")[0].split(b"\r\n\r\n")[0].splitlines()
    return sum(_HEADER.match(line) is not None for line in lines[:40]) >= 3


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the threads of a mailbox: who writes first is the user, unless an assistant is told."""
    reading.tell(form="mail", layout="threads by In-Reply-To; quoted text and signatures left out")
    rows = itertools.chain.from_iterable(
        _rows_of_message(given, line, data) for line, data in _messages(given)
    )
    yield from messages_to_records(given.name, _linked(rows), _layout(reading), reading)


def read_files(files: list[Input], reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the threads of messages that are a file each, as those of a mailbox."""
    reading.tell(form="mail", layout="threads by In-Reply-To; quoted text and signatures left out")
    rows = [
        row
        for number, given in enumerate(files, start=1)
        for row in _rows_of_message(given, number, given.head(LARGEST_MESSAGE))
    ]
    rows.sort(key=lambda row: row.cells["time"] if isinstance(row, Row) else "")
    yield from messages_to_records(reading.source.file, _linked(rows), _layout(reading), reading)


#: What stands before the subject of a reply.
_REPLY = re.compile(r"(?:(?:re|aw|sv|antw|rv|res|回复|答复)\s*[:：]\s*)+", re.IGNORECASE)


def _linked(rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """Yield rows; a reply that does not say what it replies to replies to the last message of its subject."""
    last: dict[str, str] = {}
    for row in rows:
        if isinstance(row, Row):
            subject = row.cells["subject"]
            about = _REPLY.sub("", subject).strip().lower()
            if not row.cells["reply_to"] and about and _REPLY.match(subject) and about in last:
                row = Row(row.line, {**row.cells, "reply_to": last[about]})
            last[about] = row.cells["id"]
        yield row


def _layout(reading: Reading) -> Layout:
    return Layout(
        "messages",
        text="text",
        speaker="speaker",
        time="time",
        message_id="id",
        reply_to="reply_to",
        assistant=reading.config.columns.assistant,
    )


def _messages(given: Input) -> Iterator[tuple[int, bytes]]:
    """Yield the line that each message begins in, and its bytes."""
    start, lines, size, blank = 1, list[bytes](), 0, True
    with given.open() as file:
        number = 0
        while line := file.readline(1 << 20):
            number += 1
            if blank and _START.match(line):
                if lines:
                    yield start, b"".join(lines)
                start, lines, size = number, [], 0
            elif size < LARGEST_MESSAGE:
                # mboxrd writes >From for a line of the message that begins with From.
                lines.append(line[1:] if line.startswith(b">From ") else line)
                size += len(line)
            blank = not line.strip()
    if lines:
        yield start, b"".join(lines)


def _with_short_headers(data: bytes) -> bytes:
    """Cut headers at twice what RFC 5322 allows: the standard library's parser is far from linear in their length."""
    head, blank, body = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    head = b"\n".join(line[:_LONGEST_HEADER] for line in head[: 1 << 16].split(b"\n"))
    return head + blank + _PART_HEADER.sub(rb"\1", body)


def _rows_of_message(given: Input, line: int, data: bytes) -> Iterator[Row | Rejected]:
    yield _row(given, line, data)
    if len(data) >= LARGEST_MESSAGE:
        yield Rejected(
            given.name, line, f"the rest of a message of more than {LARGEST_MESSAGE >> 20} MiB", bad=False
        )


def _row(given: Input, line: int, data: bytes) -> Row | Rejected:
    try:
        data = _with_short_headers(data)
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        if str(message.get("Auto-Submitted") or "no").lower() != "no":
            return Rejected(given.name, line, APP, bad=False)
        text = own_words(_body(message))
        names = getaddresses([str(message.get("From") or "")])
        parents = (
            str(message.get("In-Reply-To") or "").split() or str(message.get("References") or "").split()[-1:]
        )
        cells = {
            "text": text,
            "speaker": next((name or address for name, address in names if name or address), ""),
            "subject": str(message.get("Subject") or ""),
            "time": _time(str(message.get("Date") or "")),
            "id": str(message.get("Message-ID") or f"line-{line}").strip(),
            "reply_to": parents[0] if parents else "",
        }
    except (
        ValueError,
        LookupError,
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        # The standard parser of headers fails in many ways on what is no mail.
        return Rejected(given.name, line, f"not a message ({type(error).__name__})")
    if not text:
        return Rejected(given.name, line, "a message without text")
    return Row(line, {key: value.replace("\x00", "") for key, value in cells.items()})


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    raw = part.get_payload(decode=True)
    data = raw if isinstance(raw, bytes) else b""
    try:
        text = data.decode(part.get_content_charset() or "ascii")
    except (LookupError, UnicodeDecodeError):  # none is told, or it is not true
        text = data.decode(encoding_of_bytes(data), "replace")
    if part.get_content_subtype() == "html":
        tree = parse_html(text.encode("utf-8", "replace"), "utf-8")
        return tree_text(tree) if tree is not None else ""
    return text


def _time(date: str) -> str:
    try:
        return parsedate_to_datetime(date).isoformat()
    except _BAD_DATE:
        return ""
