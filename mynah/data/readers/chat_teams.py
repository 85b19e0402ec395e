"""Messages of Microsoft Teams as Microsoft Graph gives them: `chats/{id}/messages` and `channels/{id}/messages`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mynah.data.markup import parse_html, tree_text
from mynah.data.readers.chat_pages import gather, tell_layout
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, OTHERS, messages_to_records


def messages_in(value: Any) -> list[Any] | None:
    """Return the messages that a value is, or that a page of an answer holds; None if it is neither."""
    if not isinstance(value, dict):
        return None
    if _is_message(value):
        return [value]
    items = value.get("value")
    return items if isinstance(items, list) and any(map(_is_message, items[:20])) else None


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {"createdDateTime", "from", "body"} <= value.keys()
        and isinstance(value["body"], dict)
        and "content" in value["body"]
    )


def read_messages(
    name: str, items: Iterable[tuple[int, Any] | Rejected], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the conversations: the replies to a post of a channel, of a chat what is cut at silences."""
    layout, messages = tell_layout(reading), list[Any]()
    yield from gather(name, items, messages_in, messages)
    # The newest comes first.
    messages.sort(key=lambda message: str(message.get("createdDateTime") if _is_message(message) else ""))
    answered = {
        message["replyToId"] for message in messages if _is_message(message) and message.get("replyToId")
    }
    rows = (_row(name, number, message, answered) for number, message in enumerate(messages, start=1))
    yield from messages_to_records(name, rows, layout, reading)


def _row(name: str, number: int, message: Any, answered: set[Any]) -> Row | Rejected:
    if not _is_message(message) or message.get("messageType", "message") != "message":
        return Rejected(name, number, APP, bad=False)
    text = _text(message["body"])
    sender = message["from"] if isinstance(message["from"], dict) else {}
    if isinstance(sender.get("application"), dict):
        return Rejected(name, number, OTHERS, bad=False, characters=len(text))
    user = sender.get("user")
    speaker = str(user.get("displayName") or user.get("id") or "") if isinstance(user, dict) else ""
    if not speaker:
        return Rejected(name, number, APP, bad=False, characters=len(text))
    if not text:
        return Rejected(name, number, MEDIA, bad=False)
    thread = message.get("replyToId") or (message.get("id") if message.get("id") in answered else "")
    cells = {
        "text": text,
        "speaker": speaker,
        "time": str(message["createdDateTime"]),
        "chat": str(message.get("chatId") or message.get("channelIdentity") or ""),
        "thread": str(thread or ""),
    }
    return Row(number, cells)


def _text(body: Mapping[str, Any]) -> str:
    """Return the words of a message without those of the message that it quotes."""
    content = str(body.get("content") or "")
    if body.get("contentType") != "html":
        return content.strip()
    tree = parse_html(content.encode("utf-8", "replace"), "utf-8")
    if tree is None:
        return ""
    for quote in tree.xpath("//blockquote[@itemtype]"):
        quote.drop_tree()
    return tree_text(tree)
