"""Telegram's HTML export; of the files of one chat (`messages.html`, `messages2.html`) each is read by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
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


def is_export(start: str) -> bool:
    """Whether a page is Telegram's, by the classes of its elements."""
    return "<html" in start[:500].lower() and "page_wrap" in start and 'class="history"' in start


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export, cut at silences.

    Raises:
        DataError: if it is no HTML.
    """
    encoding_of(given, reading)
    page = given.head(LARGEST + 1)
    if len(page) > LARGEST:
        yield Rejected(given.name, 0, f"what stands beyond the first {LARGEST >> 20} MiB")
    tree = parse_html(page[:LARGEST], reading.source.encoding)
    if tree is None:
        raise DataError(f"{given.name}: no HTML that can be read")
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages", text="text", speaker="speaker", time="time", assistant=reading.config.columns.assistant
    )
    yield from messages_to_records(given.name, _message_rows(given.name, tree), layout, reading)


def _message_rows(name: str, tree: Any) -> Iterator[Row | Rejected]:
    """Yield each message that a person wrote, and what is none."""
    speaker = ""
    for number, message in enumerate(
        tree.xpath("//div[contains(concat(' ', @class, ' '), ' message ')]"), start=1
    ):
        if "service" in (message.get("class") or "").split():
            yield Rejected(name, number, APP, bad=False)
            continue
        names = message.xpath("./div[@class='body']/div[contains(@class, 'from_name')]")
        if names:  # a message that follows its speaker's last one does not name him again
            speaker = re.sub(r"\s+", " ", tree_text(names[0]))
        texts = message.xpath(".//div[@class='text']")
        text = "\n".join(filter(None, map(tree_text, texts)))
        if not text or not speaker:
            yield Rejected(name, number, MEDIA, bad=False)
            continue
        times = message.xpath(".//div[contains(@class, 'date')]/@title")
        yield Row(number, {"text": text, "speaker": speaker, "time": _time(str(times[0])) if times else ""})


def _time(title: str) -> str:
    """Return `01.02.2023 10:00:00 UTC+01:00` in ISO 8601; empty if it is not that."""
    found = re.match(r"(\d{2})\.(\d{2})\.(\d{4}) (\d{2}:\d{2}:\d{2})(?: UTC([+-]\d{2}:\d{2}))?", title)
    if not found:
        return ""
    try:
        return datetime.fromisoformat(
            f"{found[3]}-{found[2]}-{found[1]}T{found[4]}{found[5] or ''}"
        ).isoformat()
    except ValueError:
        return ""
