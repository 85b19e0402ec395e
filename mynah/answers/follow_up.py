"""Does a message go on from what was said, and what kind of thing does it ask for?

"And how much is that?" names nothing: by itself it is like any question about a price. Such a message is read with what
was said before, or not at all; and if what it asks for stands in the reply that was just given, that is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mynah.data.preprocess import stop_words, words

#: Words, or characters of Chinese, beyond which a message names what it is about.
LONGEST, LONGEST_ZH = 12, 16
_BACK = re.compile(
    r"^(?:and|but|so|or|then|what about|how about|what if|even|also)\b|"
    r"\b(?:it|its|it's|that|this|those|these|them|they|there|he|she|him|her|one|ones|then|same)\b",
    re.IGNORECASE,
)
#: Signs of Chinese that name nothing.
_FUNCTION = frozenset(
    "的了吗呢啊吧嘛呀哦么要得等能可以会有没不还就都也再又先后最大小概约一个几次下来去到上为是在给我你您他她它们这那哪什怎样"
    "点些用把被和跟与及啥咋多少呐"
)
_WORD = re.compile(r"[^\W_\u3400-\u9fff]+(?:['’][^\W_]+)?")
_HAN = re.compile(r"[\u3400-\u9fff]")

#: What is asked for: how it is asked, and how a reply looks that tells it.
KINDS: dict[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "money": (
        re.compile(r"\b(?:how much|cost|costs|charge|charged|charges|price|pricey|fee|fees|expensive|cheap|pay)\b|多少钱|费用|收费|价格|什么价|要钱|贵", re.I),
        re.compile(r"[$€£¥]|\b(?:euros?|dollars?|pounds?|cents?|percent|free|no charge)\b|\d\s?%|元|块|免费|折", re.I),
    ),
    "time": (
        re.compile(
            r"\b(?:how long|how fast|how quick(?:ly)?|how soon|when|until when|what time|how late|how many days|deadline|straight away|how far back)\b|"
            r"多久|多长时间|几天|什么时候|啥时候|几点|到什么时候|多快|有效期",
            re.I,
        ),
        re.compile(
            r"\b(?:minutes?|hours?|days?|weeks?|months?|years?|fortnight|am|pm|today|tomorrow|at once|daily|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
            r"january|february|march|april|june|july|august|september|october|november|december)\b|\d+:\d\d|分钟|小时|天|周|星期|月|年|点|日|当天|立即",
            re.I,
        ),
    ),
    "number": (
        re.compile(r"\b(?:how many|how often|how big|how large|what size|how tall|how heavy|minimum|maximum|the most|at least)\b|几个|几次|多少|多大|多重|最多|最少|几", re.I),
        re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twice|once|every|each)\b|[一二两三四五六七八九十百千]", re.I),
    ),
    "place": (
        re.compile(r"\b(?:where|which desk|which counter|what address|what page)\b|在哪|哪里|哪儿|什么地方|地址", re.I),
        re.compile(r"\b(?:at|in|on|under|near|beside|inside|behind|page|tab|counter|station|store|entrance)\b|在|页|处|门|路|号|店|柜台|点击", re.I),
    ),
}  # fmt: skip


def refers_back(text: str, before: Sequence[str]) -> bool:
    """Whether a message needs what was said before to be understood: it names nothing, or points there and adds nothing.

    Args:
        text: the message.
        before: messages before it, of both sides.
    """
    found, signs = _WORD.findall(text), _HAN.findall(text)
    if len(found) > LONGEST or len(signs) > LONGEST_ZH:
        return False
    if signs:
        left = text
        for asked, _ in KINDS.values():
            left = asked.sub("", left)
        known = {*"".join(before), *_FUNCTION}
        return not found and all(sign in known for sign in _HAN.findall(left))
    known_words = {word for said in before for word in words(said.lower())} | stop_words("en")
    asking = {
        word for asked, _ in KINDS.values() for piece in asked.findall(text) for word in words(piece.lower())
    }
    new = [word for word in words(text.lower()) if word not in known_words and word not in asking]
    own = [word for word in words(text.lower()) if word not in stop_words("en") and word not in asking]
    return not new and (not own or _BACK.search(text.strip()) is not None)


def asked_for(text: str) -> str | None:
    """Return the kind of thing that a message asks for, one of `KINDS`, or None."""
    return next((kind for kind, (asked, _) in KINDS.items() if asked.search(text)), None)


def tells(reply: str, kind: str) -> bool:
    """Whether a reply holds something of a kind."""
    return bool(KINDS[kind][1].search(reply))


def fits(text: str, reply: str) -> float:
    """Return 1 if a reply holds what kind of thing a message asks for, -1 if it does not, 0 if it asks for none."""
    kind = asked_for(text)
    if kind is None:
        return 0.0
    return 1.0 if tells(reply, kind) else -1.0
