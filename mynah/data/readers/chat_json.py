"""Chats that an app exported as JSON: Telegram, Messenger, Instagram, Discord, Slack, Skype and Google Chat.

Messenger has two forms: `sender_name, content, timestamp_ms`, its UTF-8 written as if it were Latin-1, which is
Instagram's too, and of encrypted chats `senderName, text, timestamp`.
"""

from __future__ import annotations

import html
import itertools
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import SequenceMatcher
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.data.layout import Layout
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, OTHERS, messages_to_records

#: Columns of the rows that this module makes; a chat is cut at silences, not one conversation.
TIME, SPEAKER, TEXT, CHAT, THREAD = "time", "speaker", "text", "chat", "thread"
EARLIER = "what a message was before it was edited"
#: Slack's kinds of messages that a person wrote; all others are the app's.
_SLACK_WRITTEN = frozenset(
    ("", "thread_broadcast", "me_message", "bot_message", "file_share", "file_comment")
)
#: Discord's kinds of messages that a person wrote.
_DISCORD_WRITTEN = frozenset(("Default", "Reply", "0", "19"))
#: Skype marks up what it writes; Google sets a narrow space before AM and PM.
_MARKUP = re.compile(r"</?(?:b|i|s|pre|a|at|ss|quote|legacyquote|e_m)\b[^<>]*>")
_QUOTE = re.compile(r"<(?P<end>/?)quote\b[^<>]*>")
_SPACES = re.compile("[\u00a0\u202f]")
#: What Messenger and Instagram write in a person's place.
_META_NOTE = re.compile(
    r"(?:.{1,80} )?(?:[Rr]eacted .{1,12} to your message"
    r"|sent an? (?:attachment|photo|video|link|GIF|sticker|voice message|live location)"
    r"|created a poll: .*|[Tt]his poll is no longer available|voted .{1,80} in the poll.*"
    r"|[Ll]iked a message|missed your (?:video )?call|called you|missed an? (?:audio|video) call"
    r"|started an? (?:audio|video) (?:call|chat)|unsent a message"
    r"|(?:set|changed) the .{1,40} (?:theme|colou?r|emoji|nickname).*|named the group .*"
    r"|added .{1,80} to the group|left the group|joined the (?:call|group).*|pinned a message)\.?\s*"
)
#: Instagram writes a message that was edited behind (so, newest first, above) what it was before.
_EDITED = re.compile(r"\s*\(edited\)\s*$")
#: How alike the two are, at least, and how many messages of one person may lie between.
EDITED_LIKE, EDITED_WITHIN = 0.5, 5
_LINK = re.compile(r"<(https?://[^|>\s]+|mailto:[^|>\s]+)(?:\|([^>]*))?>")
_MENTION = re.compile(r"<([@#!])([\w^.-]+)(?:\|([^>]*))?>")


#: A chat's messages, from the first at each call.
Messages = Callable[[], Iterable[Any]]


@dataclass
class ChatJson:
    """A JSON export, to be walked row by row."""

    #: name and messages of each chat; messages begin anew at each call
    chats: Iterable[tuple[str, Messages]]
    #: for places
    name: str
    #: Slack writes people as ids; their names
    people: Mapping[str, str] = field(default_factory=dict)
    #: who the assistant is, where that was told
    assistant: Sequence[str] = ()

    def message_rows(self) -> Iterator[Row | Rejected]:
        """Yield each message as a row of time (ISO 8601), speaker, text, chat and thread, numbered.

        The thread is that of Slack or Google Chat, or in a group (Telegram, Discord) the chain of replies.
        """
        number = 0
        for chat, messages in self.chats:
            threads, edits = _threads(messages()), _Edits()
            for index, message in enumerate(messages()):
                number += 1
                if isinstance(message, Rejected):
                    yield message
                    continue
                if not isinstance(message, dict) or not _is_written(message):
                    yield Rejected(self.name, number, APP, bad=False)
                    continue
                speaker, words = self._speaker(message), self._text(message)
                text = edits.latest(speaker, words) if "sender_name" in message else words
                if text is None:
                    yield Rejected(self.name, number, EARLIER, bad=False)
                elif (
                    message.get("forwarded_from") or message.get("via_bot") or self._is_bots(message, speaker)
                ):
                    yield Rejected(self.name, number, OTHERS, bad=False)
                elif not speaker:
                    yield Rejected(self.name, number, APP, bad=False)
                elif not text.strip():
                    yield Rejected(self.name, number, MEDIA, bad=False)
                else:
                    thread = int(threads[index])
                    cells = {
                        TIME: _time(message),
                        SPEAKER: speaker,
                        TEXT: text,
                        CHAT: chat,
                        THREAD: f"{chat}\0{thread}" if thread else "",
                    }
                    yield Row(number, cells)

    def _is_bots(self, message: Mapping[str, Any], speaker: str) -> bool:
        """Whether a bot of Slack posted it, a build server say, that was not told to be the assistant."""
        posted = message.get("subtype") == "bot_message" or bool(message.get("bot_id"))
        return "ts" in message and posted and speaker not in self.assistant

    def _speaker(self, message: Mapping[str, Any]) -> str:
        if "sender_name" in message:
            return repair(str(message["sender_name"] or "")).strip()
        if "senderName" in message:
            return str(message["senderName"] or "").strip()
        author = message.get("author")
        if isinstance(author, dict):
            return str(author.get("nickname") or author.get("name") or author.get("id") or "").strip()
        if "ts" in message:
            profile = message.get("user_profile")
            named = profile.get("real_name") if isinstance(profile, dict) else None
            user = str(message.get("user") or "")
            return self.people.get(user) or str(
                named or message.get("username") or user or message.get("bot_id") or ""
            )
        if isinstance(creator := message.get("creator"), dict):
            return str(creator.get("name") or creator.get("email") or "").strip()
        if "messagetype" in message:
            account = str(message.get("from") or "")
            return str(message.get("displayName") or account.partition(":")[2] or account)
        # An account that was deleted has no name any more, but still its id.
        return str(message.get("from") or message.get("from_id") or "").strip()

    def _text(self, message: Mapping[str, Any]) -> str:
        """Return a message's words; Telegram writes formatted text as a list of pieces."""
        if "sender_name" in message:
            return repair(str(message.get("content") or ""))
        if isinstance(message.get("author"), dict):
            return str(message.get("content") or "")
        if "messagetype" in message:
            content = str(message.get("content") or "")
            own = _MARKUP.sub("", _unquoted(content))
            return html.unescape(own if own.strip() else _MARKUP.sub("", content))
        text = message.get("text")
        if text is None and isinstance(rich := message.get("rich_message"), dict):
            return "\n".join(filter(None, map(_block, rich.get("blocks") or [])))
        if isinstance(text, list):
            return _join(text)
        if not isinstance(text, str):
            return ""
        return slack_text(text, self.people) if "ts" in message else text


def read_chats(
    chats: Iterable[tuple[str, Messages]], name: str, reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield the conversations of an export's chats: cut at silences, threads apart."""
    yield from _read(ChatJson(chats, name, assistant=reading.config.columns.assistant), reading)


def read_messages(
    messages: Messages, name: str, reading: Reading, people: Mapping[str, str] | None = None
) -> Iterator[Record | Rejected]:
    """Yield the conversations of one chat whose messages come by themselves; they begin anew at each call."""
    chat = ChatJson([("", messages)], name, people or {}, reading.config.columns.assistant)
    yield from _read(chat, reading)


def _read(chat: ChatJson, reading: Reading) -> Iterator[Record | Rejected]:
    reading.tell(form="a chat app's export", layout=f"cut at {reading.config.gap_hours:g} hours of silence")
    layout = Layout(
        "messages",
        text=TEXT,
        speaker=SPEAKER,
        time=TIME,
        chat=CHAT,
        thread=THREAD,
        assistant=reading.config.columns.assistant,
    )
    yield from messages_to_records(chat.name, chat.message_rows(), layout, reading)


def is_messages(values: Sequence[Any]) -> bool:
    """Whether a list is a chat app's messages themselves, as in the files of a Slack export."""
    return any(isinstance(value, dict) and _is_message(value) for value in values[:50])


def is_chat_json(value: Any) -> bool:
    """Whether a value is the export of a chat app: messages that say who sent them, and when."""
    if not isinstance(value, dict):
        return False
    return any(
        isinstance(m, dict) and _is_message(m)
        for _, messages in chats_of(value)
        for m in itertools.islice(messages(), 50)
    )


def _is_message(message: Mapping[str, Any]) -> bool:
    return (
        ("sender_name" in message and "timestamp_ms" in message)
        or ("senderName" in message and "isUnsent" in message)
        or (
            isinstance(message.get("text"), str | list)
            and isinstance(message.get("from"), str | None)
            and "from" in message
            and isinstance(message.get("date") or message.get("date_unixtime"), str)
        )
        or ("ts" in message and message.get("type") == "message")
        or ("messagetype" in message and "originalarrivaltime" in message)
        or (isinstance(message.get("creator"), dict) and "created_date" in message)
        or (
            isinstance(message.get("author"), dict)
            and "id" in message["author"]
            and "timestamp" in message
            and "content" in message
        )
    )


def _is_written(message: Mapping[str, Any]) -> bool:
    """Whether a person (or a bot) wrote it; the app itself notes who joined, called or pinned."""
    kind = str(message.get("type", ""))
    if "ts" in message:
        return str(message.get("subtype") or "") in _SLACK_WRITTEN
    if "messagetype" in message:
        return str(message["messagetype"]) in ("Text", "RichText")
    if "sender_name" in message:
        return not _META_NOTE.fullmatch(repair(str(message.get("content") or "")))
    if "senderName" in message:
        return kind in ("text", "media", "link") or bool(message.get("isUnsent"))
    if isinstance(message.get("author"), dict):
        return kind in ("", *_DISCORD_WRITTEN)
    return kind != "service"


def chats_of(value: Mapping[str, Any]) -> Iterator[tuple[str, Messages]]:
    """Yield name and messages of each chat: of the one exported, or of all in a Telegram account."""
    chats = value.get("chats")
    listed = chats.get("list") if isinstance(chats, dict) else [value]
    if isinstance(value.get("conversations"), list) and "userId" in value:  # Skype
        listed = value["conversations"]
    for number, chat in enumerate(listed if isinstance(listed, list) else []):
        messages = chat.get("messages") or chat.get("MessageList") if isinstance(chat, dict) else None
        if isinstance(messages, list):
            channel = chat.get("channel")
            name = channel.get("name") if isinstance(channel, dict) else None
            name = name or chat.get("name") or chat.get("title") or chat.get("displayName") or ""
            yield f"{number} {name}".strip(), partial(iter, messages)


class _Edits:
    """Knows what each person's last messages were that had been edited."""

    def __init__(self) -> None:
        self._edited: dict[str, tuple[str, int]] = {}

    def latest(self, speaker: str, text: str) -> str | None:
        """Return a message without the remark that it was edited; None: it is what one was before that."""
        if _EDITED.search(text):
            text = _EDITED.sub("", text)
            self._edited[speaker] = text, EDITED_WITHIN
            return text
        edited, left = self._edited.pop(speaker, ("", 0))
        if not edited:
            return text
        if SequenceMatcher(None, edited, text, autojunk=False).quick_ratio() >= EDITED_LIKE:
            return None
        if left > 1:
            self._edited[speaker] = edited, left - 1
        return text


def _block(block: Any) -> str:
    """Return the words of a block of Telegram's rich messages: a paragraph, a list with its items."""
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return ""
    text = block.get("text")
    words = _join(text) if isinstance(text, list) else text if isinstance(text, str) else ""
    inner = [_block(item) for name in ("items", "blocks") for item in block.get(name) or []]
    return "\n".join(filter(None, (words, *inner)))


def _id_of(message: Mapping[str, Any]) -> str:
    return str(message.get("ts") or message.get("id") or message.get("message_id") or "")


def _threads(messages: Iterable[Any]) -> npt.NDArray[np.int64]:
    """Return (N,) int64: what is equal for the messages of one thread, 0 for those that are in none.

    Slack and Google Chat name the thread. Elsewhere a chain of replies is one if three or more people talk: between
    two, a reply only quotes what the chat is about anyway. Of years of a chat there may be millions: hashes are kept.
    """
    ids, named, answered = array("q"), array("q"), array("q")
    talkers: set[str] = set()
    for message in messages:
        if not isinstance(message, dict):
            for column in (ids, named, answered):
                column.append(0)
            continue
        author = message.get("author")
        author = author.get("id") or author.get("name") if isinstance(author, dict) else author
        talkers.add(str(message.get("from_id") or message.get("from") or author))
        reference = message.get("reference")
        to = message.get("reply_to_message_id") or (
            reference.get("messageId") if isinstance(reference, dict) else None
        )
        topic = message.get("thread_ts") or message.get("topic_id")
        for column, name in ((ids, _id_of(message)), (named, topic), (answered, to)):
            column.append(hash(str(name)) if name else 0)
    if any(named) or len(talkers) < 3:
        return np.array(named, dtype=np.int64)
    return _chains(np.array(ids, dtype=np.int64), np.array(answered, dtype=np.int64))


def _chains(ids: npt.NDArray[np.int64], answered: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each message 1 + the place of the first one of its chain of replies, 0 for those in none."""
    known, place = np.unique(ids, return_index=True)
    found = np.minimum(np.searchsorted(known, answered), max(0, len(known) - 1))
    replies = (
        np.flatnonzero((answered != 0) & (known[found] == answered)) if len(known) else np.empty(0, np.int64)
    )
    first = np.arange(len(ids))
    first[replies] = place[found[replies]]
    inside = np.zeros(len(ids), dtype=bool)
    inside[replies] = inside[first[replies]] = True
    for _ in range(len(ids).bit_length()):  # each step goes twice as far up; a circle of replies has no end
        first = first[first]
    return np.where(inside, first + 1, 0)


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


def slack_text(text: str, people: Mapping[str, str]) -> str:
    """Return Slack's mark-up as people read it: <@U024BE7LH> is a name, <URL|words> the words."""

    def mention(found: re.Match[str]) -> str:
        mark, name, label = found.groups()
        shown = label or people.get(name, name.partition("^")[0])
        return f"{'@' if mark == '!' else mark}{shown}"

    text = _LINK.sub(lambda m: f"{m[2]} ({m[1]})" if m[2] and m[2] not in m[1] else m[1], text)
    return html.unescape(_MENTION.sub(mention, text))


def _unquoted(content: str) -> str:
    """Return a message of Skype without what it repeats of the one that it answers; quotes may hold quotes."""
    kept, depth, at = [], 0, 0
    for tag in _QUOTE.finditer(content):
        if depth == 0:
            kept.append(content[at : tag.start()])
        depth = max(0, depth - 1) if tag["end"] else depth + 1
        at = tag.end()
    return "".join(kept) + (content[at:] if depth == 0 else "")


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
    elif "senderName" in message:
        stamp, divisor = message.get("timestamp"), 1000
    elif "ts" in message:
        stamp = message["ts"]
    try:
        return datetime.fromtimestamp(float(str(stamp)) / divisor, tz=UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(
            message.get("date")
            or message.get("timestamp")
            or message.get("originalarrivaltime")
            or _SPACES.sub(" ", str(message.get("created_date") or ""))
        )
