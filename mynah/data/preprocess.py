"""Words, stop words and the classic `preprocess` of tutorials.

These serve n-grams over words, classification baselines and teaching. They are off in a build: a model that
has never seen "the" or "不" cannot write a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import cache

from mynah.errors import ConfigError

#: Letters and digits, Han apart: Chinese does not show where a word ends.
_WORD = re.compile(r"(?P<han>[\u3400-\u9fff]+)|[^\W_\u3400-\u9fff]+(?:['’][^\W_\u3400-\u9fff]+)*")

#: Ends of sentences, in Latin and in Chinese script; a quotation mark may close one.
TERMINAL = tuple(".!?\"'”’…。！？」』”）)")


@cache
def segmenter() -> Callable[[str], list[str]]:
    """Return the function that cuts Chinese into words (jieba's dictionary and algorithm)."""
    import rjieba

    cut: Callable[[str], list[str]] = rjieba.cut
    return cut


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
    """Cut a text into words, Chinese by a segmenter; punctuation is left out."""
    found: list[str] = []
    for part in _WORD.finditer(text):
        found += segmenter()(part[0]) if part["han"] else [part[0]]
    return found


def preprocess(text: str, *, lower: bool = True, stop_words: Collection[str] = frozenset()) -> list[str]:
    """Cut a text into words, lower-cased by default, without the given stop words.

    >>> preprocess("Where is my Parcel?", stop_words={"is", "my"})
    ['where', 'parcel']
    >>> preprocess("我的包裹在哪里?", stop_words={"我", "的"})
    ['包裹', '在', '哪里']
    """
    found = words(text.lower() if lower else text)
    return [word for word in found if word.lower() not in stop_words]


def remove_stop_words(language: str) -> Callable[[str], str]:
    """Return a step that takes a language's stop words out of a text and leaves the rest as it stands.

    Raises:
        ConfigError: as `stop_words`.
    """
    listed = stop_words(language)

    def shorter(found: re.Match[str]) -> str:
        parts = segmenter()(found[0]) if found["han"] else [found[0]]
        return "".join(part for part in parts if part.lower() not in listed)

    return lambda text: _WORD.sub(shorter, text)


def join_words(words: Sequence[str]) -> str:
    """Join words with spaces, except between Han characters."""
    return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", " ".join(words))
