"""The speakers of a conversation where its words name them: whole, by a part of the name, or with an @ before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mynah.data.personal.config import Span
from mynah.data.personal.names import given_name_zh
from mynah.data.preprocess import stop_words
from mynah.data.vocabulary import ASSISTANT_WORDS, USER_WORDS

_HAN = re.compile(r"[\u4e00-\u9fff]+")
_PHONE = re.compile(r"\+?[\d\s()-]{6,}")


class Mentions:
    """Finds the speakers of a conversation in what is said.

    Args:
        speakers: their names, as the source has them; roles (agent, 客服) are no names.
    """

    def __init__(self, speakers: Sequence[str]) -> None:
        #: what a speaker may be called by -> the kind of it
        self.called: dict[str, Span] = {}
        common = stop_words("en")
        for name in speakers:
            if name.lower() in USER_WORDS | ASSISTANT_WORDS or len(name) < 2:
                continue
            span = speaker_span(name)
            self.called.setdefault(name if span.kind == "name" else re.sub(r"\D", "", name), span)
            if span.kind != "name":
                continue
            if (given := given_name_zh(name)) is not None:
                self.called.setdefault(given, span)
            for part in name.split() if " " in name else ():
                if len(part) > 2 and part[0].isupper() and part.isalpha() and part.lower() not in common:
                    self.called.setdefault(part, span)
        self.common = {name for name in self.called if name.lower() in common or name.isdecimal()}
        longest_first = sorted(self.called, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(self._form, longest_first))) if longest_first else None

    def _form(self, name: str) -> str:
        """Return a pattern of a name: a whole word, and one that is a common word or a number only after an @."""
        if is_han(name):
            return re.escape(name)
        before = "(?<=@)" if name in self.common else r"(?<![\w.])"
        return rf"{before}{re.escape(name)}(?!\w)"

    def find(self, text: str) -> Iterator[Span]:
        """Yield where a speaker is named."""
        if self.pattern is None or not any(name in text for name in self.called):
            return
        for found in self.pattern.finditer(text):
            span = self.called[found[0]]
            yield Span(*found.span(), span.kind, span.detail)


def is_han(text: str) -> bool:
    """Whether a text is of Han characters alone."""
    return _HAN.fullmatch(text) is not None


def speaker_span(name: str) -> Span:
    """Return what a speaker is called by: a name, or a number that the phone has no name for."""
    if _PHONE.fullmatch(name):
        return Span(0, len(name), "phone")
    return Span(0, len(name), "name", "zh" if _HAN.search(name) else "en")
