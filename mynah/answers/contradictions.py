"""Replies of a log that contradict each other: the same said with other numbers, or yes and no to the same question.

"Returns are possible within 30 days" and "... within 60 days" cannot both hold. Where both have a date the newer one is
taken to hold; else both stand, and whoever reads the report decides. A sentence that comes with ever other numbers
("your order 5512 is on its way") is no statement of a rule, and contradicts nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mynah.answers.agree import NUMBER, Agreement, numbers_of
from mynah.retrieval.features import features_of
from mynah.retrieval.index import ExchangeIndex, hash_of

#: A sentence with more sets of numbers than this is a form that is filled in.
MOST_VARIANTS = 4
#: Questions to two replies are about the same if this share of the smaller one's runs of characters is in the other's.
ABOUT_THE_SAME = 0.6
#: Replies of more distinct ones than this are compared only where they were given to the very same question.
MOST_REPLIES = 20_000
_YES = re.compile(r"^\W*(?:yes|of course|sure|certainly)\b|^(?:可以|是的|能的|有的)", re.IGNORECASE)
_NO = re.compile(r"^\W*(?:no|unfortunately|sorry, no)\b|^(?:不可以|不行|不能|没有)", re.IGNORECASE)


@dataclass(frozen=True)
class Contradiction:
    """Two exchanges whose replies cannot both hold."""

    #: numbers of the exchanges; where both are dated, `older` is the one that holds no more
    older: int
    newer: int
    #: whether their dates say which one holds
    dated: bool


def contradictions_of(index: ExchangeIndex) -> list[Contradiction]:
    """Return the contradictions of a log, one for each pair of distinct replies."""
    agree = Agreement(index.sparse.statistics.idf)
    pairs = dict.fromkeys((*_same_sentence(index), *_same_question(index, agree)))
    return [_dated(index, one, other) for one, other in pairs]


def outdated(index: ExchangeIndex, found: list[Contradiction]) -> set[int]:
    """Return the numbers of the replies that newer ones contradict."""
    return {int(index.reply_of[pair.older]) for pair in found if pair.dated}


def _same_sentence(index: ExchangeIndex) -> Iterator[tuple[int, int]]:
    """Yield replies that differ in their numbers alone and were given to like questions."""
    if index.n_replies > MOST_REPLIES:
        return
    alike: dict[int, list[int]] = defaultdict(list)
    for reply in range(index.n_replies):
        text = index.text_of(reply)
        if NUMBER.search(text):
            alike[hash_of(NUMBER.sub("#", text))].append(reply)
    for replies in alike.values():
        if 1 < len(replies) <= MOST_VARIANTS:
            yield from (pair for pair in combinations(replies, 2) if _asked_alike(index, *pair))


def _same_question(index: ExchangeIndex, agree: Agreement) -> Iterator[tuple[int, int]]:
    """Yield replies to one and the same question that tell other numbers in like words, or yes and no."""
    asked: dict[int, dict[int, None]] = defaultdict(dict)
    for number, question in enumerate(index.questions(range(len(index)))):
        asked[hash_of(question)][int(index.reply_of[number])] = None
    for replies in asked.values():
        if 1 < len(replies) <= MOST_VARIANTS:
            for one, other in combinations(sorted(replies), 2):
                if _denies(index.text_of(one), index.text_of(other), agree):
                    yield one, other


def _denies(one: str, other: str, agree: Agreement) -> bool:
    if (_YES.search(one) and _NO.search(other)) or (_NO.search(one) and _YES.search(other)):
        return True
    first, second = numbers_of(one), numbers_of(other)
    return not (first <= second or second <= first) and agree.alike(one, other)


def _asked_alike(index: ExchangeIndex, one: int, other: int) -> bool:
    """Whether two replies were given to questions about the same."""
    first, second = (
        features_of(" ".join(index.questions(index.members(reply)[:20]))) for reply in (one, other)
    )
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared >= ABOUT_THE_SAME * max(1, min(len(first), len(second)))


def _dated(index: ExchangeIndex, one: int, other: int) -> Contradiction:
    """Return the latest exchange of each of two replies, the older one first."""
    times = index.times
    first, second = (
        max(map(int, index.members(reply)), key=lambda n: (times[n], n)) for reply in (one, other)
    )
    if (times[first], first) > (times[second], second):
        first, second = second, first
    return Contradiction(
        first, second, bool(times[first] and times[second] and times[first] != times[second])
    )
