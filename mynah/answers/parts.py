"""The parts of a message: its sentences, and the questions that "and" or a comma joins."""

from __future__ import annotations

import re

#: Parts that are looked at, the last ones.
MOST_PARTS = 4
#: A part has at least so many words, or half as many characters of Chinese.
LEAST_WORDS = 2
#: A message of fewer words, or of Chinese twice as many characters, may stand for anything ("yes, please").
SAYS_ENOUGH = 3
_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；;])\s*|\n+")
#: A comma after Chinese is where English would often have a full stop.
_CLAUSES = re.compile(r"(?<=[\u3400-\u9fff])\s*[，,]\s*")
_JOINTS = re.compile(
    r"\s*,\s*(?:and|also|plus|but)\s+|\s+(?:and also|and then|and|also|plus)\s+|[，,]\s*(?=还有|另外|顺便|以及|再就是)|"
    r"(?:还有|另外|顺便问一下|顺便|以及)[，,]?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_\u3400-\u9fff]+|[\u3400-\u9fff]")


def sentences(text: str) -> list[str]:
    """Return the sentences of a message that say something, of Chinese its clauses, at most `MOST_PARTS`."""
    return _worth([clause for sentence in _ENDS.split(text) for clause in _CLAUSES.split(sentence)])


def questions(text: str) -> list[str]:
    """Return what may be several questions of one message: its sentences, cut where they are joined."""
    return _worth([part for sentence in _ENDS.split(text) for part in _JOINTS.split(sentence)])


def _worth(parts: list[str]) -> list[str]:
    stripped = (part.strip(" ,，;；") for part in parts)
    return [part for part in stripped if len(_WORD.findall(part)) >= LEAST_WORDS][-MOST_PARTS:]


def says_enough(text: str) -> bool:
    """Whether a message is long enough to mean the same wherever it is said."""
    found: list[str] = _WORD.findall(text)
    han = sum("\u3400" <= word <= "\u9fff" for word in found)
    return 2 * len(found) - han >= 2 * SAYS_ENOUGH
