"""A finding: what is wrong, what shows it, what to do next, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mynah.diagnose.words import WORDS, Name, Phrase

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    name: Name
    #: figures that show it, as the phrases name them
    values: Mapping[str, Any] = field(default_factory=dict)
    #: where it is seen: a phase of training, or nothing
    where: str = ""
    #: places in the user's own files, or pairs of them
    places: tuple[str, ...] = ()

    def what(self, language: Language = "en") -> str:
        """Say what is wrong, and what shows it."""
        said = _in(WORDS[self.name].what, language).format(**self.values)
        return f"{self.where}: {said}" if self.where else said

    def next(self, language: Language = "en") -> str:
        """Say what to do."""
        return _in(WORDS[self.name].next, language).format(**self.values)

    def to_json(self) -> dict[str, Any]:
        """Return it, in English."""
        return {
            "name": self.name,
            "where": self.where,
            "what": self.what(),
            "next": self.next(),
            "values": dict(self.values),
            "places": list(self.places),
        }


def _in(phrase: Phrase, language: Language) -> str:
    return phrase[0] if language == "en" else phrase[1]
