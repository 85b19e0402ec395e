"""Greetings, thanks, goodbyes and the like: known by their words, with nothing left over.

A message is small talk if all of it is made of phrases of `banks/small_talk_*.txt` and fillers. So "hi, thanks" is, and
"hi, where is my parcel" is not. Typing is forgiven: letters repeated, two swapped, one left out of a longer word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources

#: No small talk is longer, in words or, of Chinese, in characters.
LONGEST = 24
_FILLER, _EMOJI = "filler", "emoji"
_WORD = re.compile(r"[a-z0-9']+|[\u3400-\u9fff]")
_REPEATED = re.compile(r"([a-z])\1{2,}")
#: What is said first, if a message does several things: "hi, how are you?" asks how one is.
_FIRST = (
    "complaint",
    "who",
    "how_are_you",
    "thanks",
    "bye",
    "praise",
    "mood",
    "sorry",
    "greeting",
    "laugh",
    "ok",
)


@cache
def _phrases() -> dict[tuple[str, ...], str]:
    """Return the kind of each phrase, as words."""
    found: dict[tuple[str, ...], str] = {}
    for kind, listed in _lines():
        if kind != _EMOJI:
            for phrase in listed.split("|"):
                key = tuple(_words(phrase))
                if key and found.get(key, _FILLER) == _FILLER:
                    found[key] = kind
    return found


@cache
def _emoji() -> dict[str, str]:
    pairs = (pair.split("=") for kind, listed in _lines() if kind == _EMOJI for pair in listed.split())
    return {pair[0]: pair[1] for pair in pairs}


@cache
def _lines() -> tuple[tuple[str, str], ...]:
    texts = (
        resources.files("mynah.answers").joinpath("banks", f"small_talk_{language}.txt").read_text("utf-8")
        for language in ("en", "zh")
    )
    lines = (line.split(":", 1) for text in texts for line in text.splitlines() if line and line[0] != "#")
    return tuple((kind, listed) for kind, listed in lines)


@cache
def _known_words() -> dict[str, str]:
    """Return each word of the phrases by what typing errors make of it."""
    words = {word for phrase in _phrases() for word in phrase if len(word) > 3 and word.isascii()}
    wrong: dict[str, str] = {}
    for word in sorted(words):
        for i in range(1, len(word)):
            wrong.setdefault(word[:i] + word[i + 1 :], word)  # one left out
            if i + 1 < len(word):
                wrong.setdefault(word[:i] + word[i + 1] + word[i] + word[i + 2 :], word)  # two swapped
    return {typed: word for typed, word in wrong.items() if typed not in words}


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _WORD.findall(folded)


def small_talk(text: str) -> str | None:
    """Return what kind of small talk a message is, or None if it holds anything else.

    One of greeting, thanks, bye, how_are_you, who, ok, praise, complaint, mood, laugh, sorry.
    """
    signs = [kind for sign, kind in _emoji().items() if sign in text]
    words = [_meant(word) for word in _words(text)]
    left = "".join(c for c in text if unicodedata.category(c) in ("So", "Sk", "Cs") and c not in _emoji())
    if len(words) > LONGEST or (left and not words):
        return None
    if not words:
        return signs[0] if signs else None
    kinds = _taken_apart(words)
    if kinds is None:
        return None
    found = {kind for kind in kinds if kind != _FILLER}
    for kind in _FIRST:
        if kind in found:
            return kind
    return signs[0] if signs else None


def _meant(word: str) -> str:
    """Return the word that somebody meant to type."""
    known = _word_list()
    if word in known:
        return word
    for shorter in (
        _REPEATED.sub(r"\1\1", word),
        _REPEATED.sub(r"\1", word),
        re.sub(r"([a-z])\1+$", r"\1", word),
    ):
        if shorter in known:
            return shorter
    if re.fullmatch(r"(ha|he|hi){2,}h?|a?(ha)+h*", word):
        return "haha"
    return _known_words().get(word, word)


@cache
def _word_list() -> frozenset[str]:
    return frozenset(word for phrase in _phrases() for word in phrase)


def _taken_apart(words: list[str]) -> list[str] | None:
    """Return the kinds of the fewest phrases that a message is made of, fillers last resort; None: it is not."""
    longest = max(map(len, _phrases()))
    # best[i]: how few fillers and phrases make up words[:i], and which
    best: list[tuple[int, int, list[str]] | None] = [(0, 0, [])]
    for end in range(1, len(words) + 1):
        tried = []
        for begin in range(max(0, end - longest), end):
            kind, before = _phrases().get(tuple(words[begin:end])), best[begin]
            if kind is not None and before is not None:
                fillers = before[0] + (end - begin if kind == _FILLER else 0)
                tried.append((fillers, before[1] + 1, [*before[2], kind]))
        best.append(min(tried, default=None))
    last = best[-1]
    return None if last is None else last[2]
