"""Messages that a log does not answer: a bank of them, and near misses made from the log's own words.

Who is to know what the log does not hold must have seen something of the kind (outlier exposure: Hendrycks et al. 2019,
"Deep Anomaly Detection with Outlier Exposure"). The bank is of no log: questions about the world, about the inside of
any organisation, about the asker's own case, nonsense, other languages. A near miss names a thing of the log and asks
of it what no standard reply tells.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from importlib import resources

from mynah.data.preprocess import stop_words, words

#: A word names a thing of the log if so many different questions hold it, and no more than this share of them.
LEAST, MOST_SHARE = 3, 0.1
_NOUN = "{}"


def bank(name: str, language: str) -> list[str]:
    """Return the lines of a bank: "outside" or "aspects", in "en" or "zh"."""
    file = resources.files("mynah.answers").joinpath("banks", f"{name}_{language}.txt")
    return file.read_text(encoding="utf-8").splitlines()


def near_misses(questions: Iterable[str], language: str, count: int, seed: int) -> list[str]:
    """Return messages that name what a log's questions name and ask something else of it; at most `count`."""
    things = things_of(questions, language)
    if not things:
        return []
    draw, aspects = random.Random(seed), bank("aspects", language)
    made = [aspects[n % len(aspects)].replace(_NOUN, draw.choice(things)) for n in range(count)]
    return list(dict.fromkeys(made))


def things_of(questions: Iterable[str], language: str) -> list[str]:
    """Return the words and pairs of words that questions of a log are about, in order of the alphabet."""
    common = stop_words(language)
    counted: Counter[str] = Counter()
    total = 0
    join = "" if language == "zh" else " "
    for question in dict.fromkeys(questions):
        total += 1
        found = words(question.lower())
        good = [
            len(word) > (1 if language == "zh" else 2) and word not in common and word.isalpha()
            for word in found
        ]
        seen = {word for word, ok in zip(found, good, strict=True) if ok}
        seen |= {join.join(found[i : i + 2]) for i in range(len(found) - 1) if good[i] and good[i + 1]}
        counted.update(seen)
    most = max(LEAST, MOST_SHARE * total)
    return sorted(thing for thing, times in counted.items() if LEAST <= times <= most)
