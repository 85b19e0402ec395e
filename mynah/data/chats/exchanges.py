"""Find the speakers inside a text: rows such as `Q: ... A: ...` or `Customer: ... Agent: ...`."""

from __future__ import annotations

import re

from mynah.data.chats.markers import split_template
from mynah.data.records import Message, Role, merge_turns

_USER = r"q|question|user|human|customer|client|visitor|问|問|用户|用戶|客户|客戶|顾客"
_ASSISTANT = r"a|answer|assistant|bot|agent|support|ai|答|助手|客服|机器人|回答"
_BEGINS = re.compile(rf"\s*(?:{_USER}|{_ASSISTANT})[ \t]*[:：]", re.IGNORECASE)
_MARK = re.compile(
    r"(?:^|\n|(?<=[.?!。？！]\s)|(?<=[。？！]))[ \t]*"
    rf"(?:(?P<user>{_USER})|(?P<assistant>{_ASSISTANT}))[ \t]*[:：]",
    re.IGNORECASE,
)


def split_exchange(text: str) -> tuple[Message, ...] | None:
    """Return the turns of a text that names its speakers, or None if it does not (or names only one)."""
    if (turns := split_template(text)) is not None:
        return turns
    if not _BEGINS.match(text):  # most texts: seen at once, without a search through all of it
        return None
    marks = list(_MARK.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        return None
    messages = []
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        role: Role = "user" if mark.group("user") else "assistant"
        said = text[mark.end() : following.start() if following else len(text)].strip()
        if said:
            messages.append(Message(role, said))
    turns = merge_turns(messages)
    return turns if {turn.role for turn in turns} >= {"user", "assistant"} else None
