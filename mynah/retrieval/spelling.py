"""Slips of the keyboard, put right to what the log says: "my pasword" is looked for as "my password".

Only a word that is in no dictionary and hardly in the log is a slip, and only a word of the log is put in its place: a
message is never turned into one about something else that is spelled well. One slip a word (a letter left out, put in,
swapped or mistaken: Damerau 1964).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any

#: Letters of the shortest word that is put right.
SHORTEST = 4
#: Texts of the log in which a word stands that is right whether or not a dictionary has it, and that others become.
LEAST = 3
#: Words that are kept, the commonest ones.
MOST = 50_000
#: Languages that a dictionary is at hand for; words in Latin letters between Chinese and Japanese are mostly English.
DICTIONARIES = ("en", "de", "es", "fr", "it", "nl", "pt", "ru")
_ENGLISH_BETWEEN = ("zh", "ja", "ko")
_WORD = re.compile(r"[^\W\d_\u0e00-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+(?:['’][^\W\d_]+)?")


def words_of(text: str) -> set[str]:
    """Return the words of scripts with spaces that stand in a text, in lower case."""
    return set(_WORD.findall(text.lower()))


def kept(words: Counter[str]) -> dict[str, int]:
    """Return the words that are worth keeping, the commonest first."""
    return {word: times for word, times in words.most_common(MOST) if times >= LEAST}


class Spelling:
    """Puts slips right.

    Args:
        words: of the log, and in how many texts each stands (`kept`).
        language: of the log, an ISO 639-1 code; of one without a dictionary nothing is put right.
    """

    def __init__(self, words: Mapping[str, int], language: str) -> None:
        self.words = words
        self._language = "en" if language in _ENGLISH_BETWEEN else language

    def __call__(self, text: str) -> str:
        """Return a text with its slips put right."""
        if not self.words or self._language not in DICTIONARIES:
            return text
        return _WORD.sub(lambda found: self._right(found[0]), text)

    @cached_property
    def _dictionary(self) -> Any:
        from spellchecker import SpellChecker

        return SpellChecker(language=self._language)

    def _right(self, word: str) -> str:
        folded = word.lower()
        stem = re.split("['’]", folded)[0]
        if len(folded) < SHORTEST or any(
            form in self.words for form in (folded, stem, stem.removesuffix("s"))
        ):
            return word
        if folded in self._dictionary or stem.removesuffix("s") in self._dictionary:
            return word
        near = (other for other in self._dictionary.edit_distance_1(folded) if other in self.words)
        # Hardly anybody mistakes the first letter, though the first two may be swapped.
        near = (other for other in near if len(other) >= SHORTEST and folded[0] in other[:2])
        return min(near, key=lambda other: (other[0] != folded[0], -self.words[other], other), default=word)
