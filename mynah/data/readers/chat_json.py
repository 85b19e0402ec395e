"""Chats that an app exported as JSON: Telegram, Messenger and Instagram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mynah.data.readers.table import Row

#: Columns of the rows that this module makes; a chat is cut at silences, not one conversation.
TIME, SPEAKER, TEXT, CHAT = "time", "speaker", "text", "chat"


@dataclass
class ChatJson:
    """A JSON export: its rows, and afterwards how much of it was no message."""

    value: Mapping[str, Any]
    #: messages of the app itself (somebody joined), and messages without words (a picture)
    system: int = 0
    media: int = 0

    def rows(self) -> Iterator[Row]:
        """Yield each message as a row of time (ISO 8601), speaker, text and chat; the line is its number."""
        self.system = self.media = 0
        number = 0
        for chat, messages in _chats(self.value):
            for message in messages:
                number += 1
                if not isinstance(message, dict) or message.get("type", "message") == "service":
                    self.system += 1
                    continue
                speaker, text = _speaker(message), _text(message)
                if not speaker:
                    self.system += 1
                elif not text.strip():
                    self.media += 1
                else:
                    yield Row(number, {TIME: _time(message), SPEAKER: speaker, TEXT: text, CHAT: chat})


def is_chat_json(value: Any) -> bool:
    """Whether a value is the export of a chat app: messages that say who sent them, and when."""
    if not isinstance(value, dict):
        return False
    for _, messages in _chats(value):
        shown = [m for m in messages[:50] if isinstance(m, dict)]
        if any(
            ("sender_name" in m and "timestamp_ms" in m)
            or ("from" in m and "text" in m and ("date" in m or "date_unixtime" in m))
            for m in shown
        ):
            return True
    return False


def _chats(value: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield name and messages of each chat: of the one exported, or of all in a Telegram account."""
    chats = value.get("chats")
    listed = chats.get("list") if isinstance(chats, dict) else [value]
    for number, chat in enumerate(listed if isinstance(listed, list) else []):
        messages = chat.get("messages") if isinstance(chat, dict) else None
        if isinstance(messages, list):
            yield f"{number} {chat.get('name') or chat.get('title') or ''}".strip(), messages


def _speaker(message: Mapping[str, Any]) -> str:
    if "sender_name" in message:
        return repair(str(message["sender_name"] or "")).strip()
    # An account that was deleted has no name any more, but still its id.
    return str(message.get("from") or message.get("from_id") or "").strip()


def _text(message: Mapping[str, Any]) -> str:
    """Return a message's words; Telegram writes formatted text as a list of pieces."""
    if "sender_name" in message:
        return repair(str(message.get("content") or ""))
    text = message.get("text")
    if isinstance(text, list):
        return _join(text)
    return text if isinstance(text, str) else ""


def _join(pieces: list[Any]) -> str:
    """Join the pieces of a formatted text; only a link, which continues no word, is set apart."""
    joined = ""
    for piece in pieces:
        kind, words = (piece.get("type"), piece.get("text")) if isinstance(piece, dict) else ("", piece)
        if isinstance(words, str):
            apart = (
                kind == "link" and joined and not joined[-1].isspace() and joined[-1] not in "([{<\"'（「“"
            )
            joined += f" {words}" if apart else words
    return joined


def repair(text: str) -> str:
    """Undo Messenger's and Instagram's export: UTF-8 whose bytes were written as if they were Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:  # it was right already
        return text


def _time(message: Mapping[str, Any]) -> str:
    """Return a message's time in ISO 8601; empty if it has none that can be read."""
    stamp, divisor = message.get("date_unixtime"), 1
    if "timestamp_ms" in message:
        stamp, divisor = message["timestamp_ms"], 1000
    try:
        return datetime.fromtimestamp(float(str(stamp)) / divisor, tz=UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(message.get("date") or "")
