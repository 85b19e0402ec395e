"""Messages of Feishu (Lark) as its open platform gives them: `im/v1/messages`, page by page or joined."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mynah.data.readers.chat_pages import gather, tell_layout
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, messages_to_records

#: Kinds of messages with words; all others are files, cards and what the app says.
_TEXT, _POST, _SYSTEM = "text", "post", "system"


def messages_in(value: Any) -> list[Any] | None:
    """Return the messages that a value is, or that an answer of the platform holds; None if it is neither."""
    if not isinstance(value, dict):
        return None
    if _is_message(value):
        return [value]
    data = value.get("data")
    items = (data if isinstance(data, dict) else value).get("items")
    return items if isinstance(items, list) and any(map(_is_message, items[:20])) else None


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("msg_type") or value.get("message_type"), str)
        and isinstance(value.get("sender"), dict)
        and ("body" in value or "content" in value)
    )


def read_messages(
    name: str, items: Iterable[tuple[int, Any] | Rejected], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the conversations of each chat: threads of replies, else cut at silences."""
    layout, messages = tell_layout(reading), list[Any]()
    yield from gather(name, items, messages_in, messages)
    messages.sort(key=lambda message: str(message.get("create_time") if isinstance(message, dict) else ""))
    rows = (_row(name, number, message) for number, message in enumerate(messages, start=1))
    yield from messages_to_records(name, rows, layout, reading)


def _row(name: str, number: int, message: Any) -> Row | Rejected:
    if not _is_message(message):
        return Rejected(name, number, "not a message")
    kind = message.get("msg_type") or message.get("message_type")
    if kind == _SYSTEM or message.get("deleted") is True:
        return Rejected(name, number, APP, bad=False)
    body = message.get("body")
    content = body.get("content") if isinstance(body, dict) else message.get("content")
    try:
        said = json.loads(content) if isinstance(content, str) else content
    except ValueError:
        said = {"text": content}
    text = _words(said if isinstance(said, dict) else {}, kind, _mentioned(message))
    if not text:
        return Rejected(name, number, MEDIA, bad=False)
    sender = message["sender"]
    return Row(
        number,
        {
            "text": text,
            "speaker": str(sender.get("name") or sender.get("sender_name") or sender.get("id") or "?"),
            "time": str(message.get("create_time") or ""),
            "chat": str(message.get("chat_id") or ""),
            "thread": str(message.get("thread_id") or message.get("root_id") or ""),
        },
    )


def _mentioned(message: dict[str, Any]) -> dict[str, str]:
    """Return the names of those whom placeholders such as @_user_1 stand for."""
    listed = message.get("mentions")
    found = listed if isinstance(listed, list) else []
    return {str(m.get("key")): str(m.get("name") or "") for m in found if isinstance(m, dict)}


def _words(said: dict[str, Any], kind: str, names: dict[str, str]) -> str:
    if kind == _TEXT:
        text = str(said.get("text") or "")
    elif kind == _POST:
        inner = next((v for v in said.values() if isinstance(v, dict) and "content" in v), said)
        lines = inner.get("content") if isinstance(inner.get("content"), list) else []
        parts = ["".join(_piece(piece) for piece in line) for line in lines or () if isinstance(line, list)]
        text = "\n".join(filter(None, [str(inner.get("title") or ""), *parts]))
    else:
        return ""
    text = re.sub(r"@_user_\d+", lambda found: f"@{names.get(found[0]) or ''}".rstrip("@"), text)
    text = re.sub(r"<at\b[^<>]*>([^<>]*)</at>", r"@\1", text)
    return re.sub(r"</?(?:p|b|i|u|s|a|br)\b[^<>]*>", "", text).strip()


def _piece(piece: Any) -> str:
    if not isinstance(piece, dict):
        return ""
    if piece.get("tag") == "at":
        return f"@{piece.get('user_name') or ''}"
    return str(piece.get("text") or "")
