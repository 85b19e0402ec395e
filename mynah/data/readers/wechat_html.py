"""WeChat chats that exporters wrote as pages: as elements for each message, or as a list of objects in a script."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from mynah.data.layout import Layout
from mynah.data.markup import parse_html, tree_text
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, messages_to_records
from mynah.errors import DataError

LARGEST = 64 << 20
_LIST = re.compile(r"chatMessages\s*=\s*\[")
#: One field of an object in a script, or the object's end; braces in strings are part of them.
_FIELD = re.compile(
    r"[\"']?(?P<key>[A-Za-z_]\w*)[\"']?\s*:\s*"
    r"(?:'(?P<single>(?:[^'\\]|\\.)*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\"|`(?P<tick>(?:[^`\\]|\\.)*)`|(?P<bare>[-\w.]+))"
    r"|(?P<end>\}(?=\s*[,\]]))",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "", "t": "\t", "b": "", "f": "", "v": "", "0": ""}
#: Kinds of messages, as WeChat numbers them: words, what the app says, words that answer a message.
_WORDS, _APPS, _SHARED, _ANSWER = "1", ("0", "10000", "10002"), "49", "57"
_TIME = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d? \d\d?:\d\d(?::\d\d)?")


def is_export(given: Input, encoding: str, start: str) -> bool:
    """Whether a page is such an export, by what it is made of."""
    if "<html" not in start[:2000].lower():
        return False
    with given.text(encoding) as file:
        head = file.read(1 << 17)
    by_elements = re.search(r"class=\"msg chat", head) and "nt-box" in head
    return bool(by_elements) or (_LIST.search(head) is not None and "is_send" in head)


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences; who exported it is the assistant, where it says who did.

    Raises:
        DataError: if it is no HTML.
    """
    encoding = encoding_of(given, reading)
    page = given.head(LARGEST + 1)
    if len(page) > LARGEST:
        yield Rejected(given.name, 0, f"what stands beyond the first {LARGEST >> 20} MiB")
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    text = page[:LARGEST].decode(encoding, "replace")
    listed = _LIST.search(text)
    if listed is not None:
        rows = _listed_rows(given.name, text, listed.end())
    else:
        tree = parse_html(text.encode(), "utf-8")
        if tree is None:
            raise DataError(f"{given.name}: no HTML that can be read")
        rows = _element_rows(given.name, tree)
    layout = Layout(
        "messages",
        text="text",
        speaker="speaker",
        time="time",
        direction="issender",
        assistant=reading.config.columns.assistant,
    )
    yield from messages_to_records(given.name, rows, layout, reading)


def _listed_rows(name: str, text: str, start: int) -> Iterator[Row | Rejected]:
    """Yield the messages of a list of objects in a script."""
    fields: dict[str, str] = {}
    number = 0
    for found in _FIELD.finditer(text, start):
        if found["end"] is None:
            value = next(
                (found[kind] for kind in ("single", "double", "tick", "bare") if found[kind] is not None), ""
            )
            fields.setdefault(found["key"], value)
            continue
        if "text" in fields:
            number += 1
            yield _listed(name, number, fields)
        elif number and "type" not in fields:
            return  # the list has ended
        fields = {}


def _listed(name: str, number: int, fields: dict[str, str]) -> Row | Rejected:
    kind = fields.get("type", "")
    if kind in _APPS:
        return Rejected(name, number, APP, bad=False)
    words = _plain(fields["text"])
    if not (kind == _WORDS or (kind == _SHARED and fields.get("sub_type") == _ANSWER)) or not words:
        return Rejected(name, number, MEDIA, bad=False)
    sent = fields.get("is_send", "")
    speaker = _plain(fields.get("displayname", "")) or ("me" if sent in ("1", "true") else "other")
    return Row(
        number,
        {
            "text": words,
            "speaker": speaker,
            "time": fields.get("timestamp", ""),
            "issender": {"true": "1", "false": "0"}.get(sent, sent),
        },
    )


def _plain(value: str) -> str:
    """Return the words of a string of a script, which may hold elements."""

    def meant(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, code)

    text = re.sub(r"<br\s*/?>", "\n", _ESCAPE.sub(meant, value))
    text = re.sub(r"<img[^<>]*\balt=[\"']([^\"'<>]*)[\"'][^<>]*>", r"\1", text)
    return html.unescape(re.sub(r"<[^<>]*>", "", text)).strip()


def _element_rows(name: str, tree: Any) -> Iterator[Row | Rejected]:
    """Yield the messages of a page with an element for each."""
    for number, message in enumerate(
        tree.xpath("//div[contains(concat(' ', @class, ' '), ' msg ')][@msgid]"), start=1
    ):
        kinds = (message.get("class") or "").split()
        if "chat-notice" in kinds or "notice" in kinds:
            yield Rejected(name, number, APP, bad=False)
            continue
        about = message.xpath(".//div[contains(@class, 'nt-box')]")
        names = about[0].xpath("./span") if about else []
        texts = [
            span
            for span in message.xpath(".//span[contains(@class, 'dont-break-out')]")
            if "refermsg" not in (span.get("class") or "").split()
        ]
        words = "\n".join(filter(None, map(tree_text, texts)))
        if not names or "media" in kinds or not words:
            yield Rejected(name, number, MEDIA, bad=False)
            continue
        time = _TIME.search("".join(about[0].itertext()))
        sides = f"{' '.join(kinds)} {names[0].get('class') or ''}"
        sent = "1" if re.search(r"\b(?:chat-|name-)?(?:right|mine)\b", sides) else "0"
        cells = {
            "text": words,
            "speaker": tree_text(names[0]),
            "time": time[0] if time else "",
            "issender": sent,
        }
        yield Row(number, cells)
