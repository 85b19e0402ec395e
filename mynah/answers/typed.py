"""The same message as somebody else would have typed it: in a hurry, or with a story in front.

A log holds what its people wrote; those who ask the bot write otherwise. A judge that has seen only the log's way is
unsure of every slip.
"""

from __future__ import annotations

import re
from importlib import resources

import numpy as np

from mynah.answers.parts import sentences

#: How often a message is left as it is, and how often it is hurried; the others get a story in front.
AS_IT_IS, HURRIED = 0.4, 0.4
#: How often a slip happens to a word of four letters or more, and to a character of Chinese.
SLIP, SLIP_ZH = 0.15, 0.04
_SHORT = {
    **{
        "you": "u",
        "are": "r",
        "your": "ur",
        "please": "pls",
        "thanks": "thx",
        "tomorrow": "tmrw",
        "and": "n",
    },
    **{
        "because": "cuz",
        "with": "w",
        "before": "b4",
        "what": "wat",
        "going to": "gonna",
        "to": "2",
        "see": "c",
    },
}
#: Short forms that stand for nothing else.
_LONG = {
    **{"u": "you", "ur": "your", "pls": "please", "plz": "please", "thx": "thanks", "ty": "thank you"},
    **{
        "wat": "what",
        "wht": "what",
        "wats": "what's",
        "whats": "what's",
        "hw": "how",
        "hows": "how's",
        "wen": "when",
    },
    **{
        "wheres": "where's",
        "whos": "who's",
        "nd": "and",
        "cuz": "because",
        "coz": "because",
        "bc": "because",
    },
    **{
        "b4": "before",
        "l8r": "later",
        "gr8": "great",
        "2day": "today",
        "tmrw": "tomorrow",
        "2nite": "tonight",
    },
    **{"gonna": "going to", "wanna": "want to", "gotta": "got to", "lemme": "let me", "gimme": "give me"},
    **{
        "dunno": "don't know",
        "im": "i'm",
        "ive": "i've",
        "dont": "don't",
        "doesnt": "doesn't",
        "didnt": "didn't",
    },
    **{
        "cant": "can't",
        "wont": "won't",
        "isnt": "isn't",
        "arent": "aren't",
        "wasnt": "wasn't",
        "hasnt": "hasn't",
    },
    **{
        "havent": "haven't",
        "couldnt": "couldn't",
        "wouldnt": "wouldn't",
        "shouldnt": "shouldn't",
        "thats": "that's",
    },
    **{"theres": "there's", "youre": "you're", "theyre": "they're", "ppl": "people", "msg": "message"},
    **{
        "acct": "account",
        "addr": "address",
        "qty": "quantity",
        "cud": "could",
        "wud": "would",
        "shud": "should",
    },
    **{
        "hav": "have",
        "bday": "birthday",
        "abt": "about",
        "w/": "with",
        "w/o": "without",
        "wks": "weeks",
        "hrs": "hours",
    },
    **{
        "hrs": "hours",
        "mins": "minutes",
        "yrs": "years",
        "pic": "picture",
        "pics": "pictures",
        "info": "information",
    },
}
_SHORT_FORM = re.compile(
    rf"(?<![\w'/-])(?:{'|'.join(sorted(map(re.escape, _LONG), key=len, reverse=True))})(?![\w'/-])",
    re.IGNORECASE,
)
_HEARD = {
    "吗": "嘛",
    "的": "得",
    "在": "再",
    "做": "作",
    "怎么": "咋",
    "什么": "啥",
    "没有": "没",
    "这样": "酱",
    "可以": "可",
}
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{4,}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_MARKS = re.compile(r"[.,!?;:'’，。！？；：、]+")
#: A story is a sentence or two of a text that is of no log, and not longer than this.
_STORY = 160


def spelled_out(text: str) -> str:
    """Return a message with the short forms of chats spelled out, as a log mostly has them."""
    return _SHORT_FORM.sub(lambda word: _LONG[word[0].lower()], text)


def as_typed(text: str, language: str, draw: np.random.Generator) -> str:
    """Return a message as it is, hurried, or with a story in front, as chance will have it."""
    way = draw.random()
    if way < AS_IT_IS:
        return text
    return hurried(text, draw) if way < AS_IT_IS + HURRIED else with_story(text, language, draw)


def hurried(text: str, draw: np.random.Generator) -> str:
    """Return a message without marks and capitals, with short forms and slips."""
    text = _MARKS.sub(" ", text.lower())
    text = " ".join(_SHORT.get(word, word) if draw.random() < 0.5 else word for word in text.split())
    text = _WORD.sub(lambda word: _slipped(word[0], draw) if draw.random() < SLIP else word[0], text)
    for right, wrong in _HEARD.items():
        if right in text and draw.random() < 0.3:
            text = text.replace(right, wrong, 1)
    return _HAN.sub(lambda sign: "" if draw.random() < SLIP_ZH else sign[0], text) or text


def with_story(text: str, language: str, draw: np.random.Generator) -> str:
    """Return a message after a sentence that has nothing to do with it."""
    stories = [part for part in sentences_of(language) if len(part) <= _STORY]
    return f"{stories[int(draw.integers(len(stories)))]} {text}"


def sentences_of(language: str) -> list[str]:
    """Return the sentences of a general text, bundled, in "en" or "zh"."""
    file = resources.files("mynah") / "samples" / f"general_{language}.txt"
    paragraphs = file.read_text(encoding="utf-8").split("\n\n")
    return [sentence for paragraph in paragraphs for sentence in sentences(paragraph)]


def _slipped(word: str, draw: np.random.Generator) -> str:
    """Return a word with two letters swapped, one left out, or one doubled."""
    at, kind = int(draw.integers(1, len(word) - 1)), int(draw.integers(3))
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[:at] + word[at] + word[at:]
