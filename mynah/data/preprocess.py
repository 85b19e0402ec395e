"""Words, stop words and the classic `preprocess` of tutorials.

These serve n-grams over words, classification baselines and teaching. They are off in a build: a model that
has never seen "the" or "不" cannot write a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import cache

from mynah.errors import ConfigError

# A run of Han stands as single characters: without a segmenter a character is the honest unit.
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*")


@cache
def stop_words(language: str = "en") -> frozenset[str]:
    """Return the stop words of a language by its ISO 639-1 code ("en", "zh", ...).

    Raises:
        ConfigError: if there is no list for that language.
    """
    import stopwordsiso

    if not stopwordsiso.has_lang(language):
        raise ConfigError(f"no stop words for language {language!r}; try 'en' or 'zh'")
    return frozenset(stopwordsiso.stopwords(language))


def words(text: str) -> list[str]:
    """Cut a text into words; a Han character is a word of its own, punctuation is left out."""
    return _WORD.findall(text)


def preprocess(text: str, *, lower: bool = True, stop_words: Collection[str] = frozenset()) -> list[str]:
    """Cut a text into words, lower-cased by default, without the given stop words.

    >>> preprocess("Where is my Parcel?", stop_words={"is", "my"})
    ['where', 'parcel']
    """
    found = words(text.lower() if lower else text)
    return [word for word in found if word.lower() not in stop_words]


def remove_stop_words(language: str) -> Callable[[str], str]:
    """Return a step that takes a language's stop words out of a text and leaves the rest as it stands.

    Raises:
        ConfigError: as `stop_words`.
    """
    listed = stop_words(language)
    if language == "zh":
        # Longest first, so that a stop word inside a longer one does not cut it.
        han = sorted((w for w in listed if re.search(r"[\u3400-\u9fff]", w)), key=len, reverse=True)
        pattern = re.compile("|".join(map(re.escape, han)))
        return lambda text: pattern.sub("", text)
    return lambda text: _WORD.sub(lambda m: "" if m.group().lower() in listed else m.group(), text)
