"""Slots of a reply: what cleaning, or the log's own template, put in the place of a name, a number, a date.

What a slot stood for in one conversation belongs to nobody else, so it is filled from what this user has said, and from
nowhere else. Cleaning's tags ([EMAIL], [NAME]) must be filled, or the reply is not said; a template's own
({{Order Number}}) stands as the log has it where the conversation does not tell it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mynah.data.personal.config import KINDS, PersonalConfig
from mynah.data.personal.find import find

_TAG = re.compile(rf"\[(?P<kind>{'|'.join(kind.upper() for kind in KINDS)})\]")
_OWN = re.compile(r"\{\{\s*(?P<what>[^{}]{1,40}?)\s*\}\}")
#: A name to whom a reply is spoken can be left out: "Hi [NAME]," and ", [NAME]!".
_SPOKEN_TO = re.compile(r",?[ \t]*\[NAME\](?=\s*[,.!?:，。！？：])")
#: What a template's own slots are called, and how what fills them looks.
_REFERENCE = re.compile(r"(?<![\w-])#?(?=[A-Z0-9-]*\d)[A-Z]{0,4}-?\d[A-Z0-9-]{3,}(?![\w-])", re.IGNORECASE)
_DATE = re.compile(
    r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\d{1,2}月\d{1,2}[日号]|"
    r"\b\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:january|february|march|april|may|june|july|august|september|october|"
    r"november|december)\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)"
    r"\s+\d{1,2}(?:st|nd|rd|th)?\b",
    re.IGNORECASE,
)
_WANTED = (
    (
        re.compile(r"order|invoice|booking|case|ticket|reference|tracking|订单|单号|编号", re.IGNORECASE),
        "reference",
    ),
    (re.compile(r"date|day|日期", re.IGNORECASE), "date"),
    (re.compile(r"e-?mail|邮箱", re.IGNORECASE), "email"),
    (re.compile(r"phone|mobile|电话|手机", re.IGNORECASE), "phone"),
    (
        re.compile(r"(?:customer|client|person|user|first|last|full|your)\s*name|^name$|姓名", re.IGNORECASE),
        "name",
    ),
)


def has_slots(reply: str) -> bool:
    """Whether a reply holds a tag of cleaning."""
    return _TAG.search(reply) is not None


def filled(reply: str, said: Sequence[str], config: PersonalConfig) -> str | None:
    """Return a reply with its slots filled from what the user has said; None if a tag of cleaning cannot be.

    Args:
        reply: of the log.
        said: the user's own messages as they were typed, oldest first; what was said last counts.
        config: how personal data are recognised.
    """
    if not has_slots(reply) and _OWN.search(reply) is None:
        return reply
    known: dict[str, str] = {}
    for text in said:
        known |= {span.kind: text[span.start : span.end] for span in find(text, KINDS, config.regions)}
        for kind, pattern in (("reference", _REFERENCE), ("date", _DATE)):
            if found := pattern.findall(text):
                known[kind] = found[-1]
    if "name" not in known:
        reply = _SPOKEN_TO.sub("", reply)
    reply = _TAG.sub(lambda tag: known.get(tag["kind"].lower(), tag[0]), reply)
    if has_slots(reply):
        return None
    return _OWN.sub(lambda slot: known.get(_kind_of(slot["what"]), slot[0]), reply)


def _kind_of(what: str) -> str:
    return next((kind for pattern, kind in _WANTED if pattern.search(what)), "")
