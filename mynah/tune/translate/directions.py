"""Which way pairs are translated: the languages of their sides, and how a model is told which one is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mynah.data.language import language_of
from mynah.data.records import Conversation, Message, Pair
from mynah.errors import ConfigError

#: English names of languages by their ISO 639-1 codes; others are called by their code.
NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Galician", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "ko": "Korean",
    "lt": "Lithuanian", "lv": "Latvian", "ms": "Malay", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
#: Pairs that are looked at for their languages, and the share that must be of one.
LOOKED_AT, LEAST_SHARE = 1000, 0.5
#: Sources up to the length of so many of them are like those that were learned from; and any of so few characters is.
NEARLY_EVERY, SHORTEST = 0.98, 24


@dataclass(frozen=True)
class Direction:
    """From one language to another."""

    #: ISO 639-1 codes; where they cannot be told or are the same, "source" and "target"
    source: str
    target: str
    #: whether a pair's second text is the source
    backward: bool
    #: what stands before a text, so that the model knows what is wanted
    asks: str
    #: characters of nearly every source that is learned from, at most; longer texts are translated piece by piece
    longest: int

    def describe(self) -> str:
        """Return it in words."""
        return f"{name_of(self.source)} to {name_of(self.target)}"

    def messages(self, text: str) -> list[Message]:
        """Return what a model is asked."""
        return [Message("user", self.asks + text)]

    def sides(self, pair: Pair) -> tuple[str, str]:
        """Return a pair's source and target in this direction."""
        return (pair.target, pair.source) if self.backward else (pair.source, pair.target)

    def to_json(self) -> dict[str, Any]:
        """Return the direction as plain values, the arguments of this class."""
        return {
            "source": self.source,
            "target": self.target,
            "backward": self.backward,
            "asks": self.asks,
            "longest": self.longest,
        }


def name_of(code: str) -> str:
    """Return the English name of a language."""
    return NAMES.get(code, code)


def directions_of(pairs: Sequence[Pair], asked: str, *, told: bool) -> tuple[Direction, ...]:
    """Return the directions that are to be learned.

    Args:
        pairs: of which some are looked at for their languages.
        asked: `TranslateConfig.directions`.
        told: whether a model is told the language where there is one direction only: an open base knows what it means.
    """
    some = pairs[:: max(1, len(pairs) // LOOKED_AT)]
    source, target = _language(p.source for p in some), _language(p.target for p in some)
    if source == target or not source or not target:
        source, target = "source", "target"
    told = told or asked == "both"
    ways = {"forward": (False,), "backward": (True,), "both": (False, True)}[asked]
    return tuple(
        Direction(
            target if back else source,
            source if back else target,
            back,
            f"{name_of(source if back else target)}: " if told else "",
            _longest([p.target if back else p.source for p in some]),
        )
        for back in ways
    )


def _longest(texts: Sequence[str]) -> int:
    lengths = sorted(map(len, texts))
    return max(SHORTEST, lengths[int(NEARLY_EVERY * (len(lengths) - 1))])


def _language(texts: Iterable[str]) -> str:
    codes = Counter(language_of(text).code for text in texts)
    total = codes.total()
    codes.pop("", None)
    code, count = codes.most_common(1)[0] if codes else ("", 0)
    return code if count >= LEAST_SHARE * total else ""


def choose(directions: Sequence[Direction], to: str | None) -> Direction:
    """Return the direction to a language, by its code or name; without one, the only or first direction.

    Raises:
        ConfigError: if there is none.
    """
    if to is None:
        return directions[0]
    wanted = to.strip().lower()
    for direction in directions:
        if wanted in (direction.target.lower(), name_of(direction.target).lower()):
            return direction
    known = ", ".join(f"{direction.target} ({name_of(direction.target)})" for direction in directions)
    raise ConfigError(
        f"--to {to}: this model does not translate into that; it was made for {known}; both ways are learned by: "
        "mynah build pairs.tsv --set translate.directions=both"
    )


def as_conversations(pairs: Iterable[Pair], directions: Sequence[Direction]) -> Iterator[Conversation]:
    """Yield each pair as what is asked and what is said, in every direction."""
    for pair in pairs:
        for direction in directions:
            source, target = direction.sides(pair)
            yield Conversation((*direction.messages(source), Message("assistant", target)), pair.place)
