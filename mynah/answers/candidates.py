"""What of the log may be the reply to a message: by its words, by those of its parts, and with what came before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mynah.answers.follow_up import refers_back
from mynah.answers.parts import questions, says_enough
from mynah.answers.typed import spelled_out
from mynah.data.records import Message
from mynah.retrieval.features import Numbers, features_of
from mynah.retrieval.index import ExchangeIndex
from mynah.retrieval.sparse import SparseIndex
from mynah.retrieval.spelling import Spelling

#: Candidates that come from what the log said next after the reply that was just given.
FOLLOWING = 3
#: Exchanges of one reply whose questions tell what it is asked for by.
ASKED_BY = 40
#: Characters of a message that are looked at: of one of 100,000 the end.
LONGEST = 2000
#: A number of an order and the like: long, or behind a sign. No log holds that of who asks.
_NUMBER = re.compile(r"(?<!\w)(?:#\s?\d+|\d{5,})(?!\w)")


@dataclass(frozen=True)
class View:
    """One reading of a message."""

    #: what is asked
    text: str
    #: what the network is to reply to
    history: tuple[Message, ...]
    #: what was asked before, where it is read with that; candidates are looked for by both
    before: str = ""
    #: which part of the message it is, from 1 on; 0: all of it
    order: int = 0

    @property
    def part(self) -> bool:
        """Whether it is a part of the message."""
        return self.order > 0

    @property
    def in_context(self) -> bool:
        """Whether it is read with what was said before."""
        return bool(self.before)


@dataclass(frozen=True)
class Candidate:
    """A distinct reply of the log for one view."""

    reply: int
    text: str
    #: the exchange whose question is most like the view
    exchange: int
    #: BM25 of that question, for what is asked
    score: float


def read(text: str, spelling: Spelling) -> str:
    """Return a message as a log would have it: its end if it is long, short forms spelled out, slips put right."""
    return spelling(spelled_out(text[-LONGEST:]))


def _without_numbers(text: str, sparse: SparseIndex) -> str:
    """Return a message without the numbers of orders and the like that the log does not hold, if enough is left."""

    def left(found: re.Match[str]) -> str:
        return found[0] if sparse.holds(features_of(found[0])).all() else ""

    without = " ".join(_NUMBER.sub(left, text).split())
    return without if says_enough(without) else text


def views_of(history: Sequence[Message], index: ExchangeIndex) -> list[View]:
    """Return the readings of the last message of a conversation: by itself, its parts, and with what came before.

    One that refers back means nothing by itself.
    """
    text = _without_numbers(read(history[-1].content, index.spelling), index.sparse)
    asked = next((m.content for m in reversed(history[:-1]) if m.role == "user"), None)
    in_context = (
        [] if asked is None else [View(text, (*history[:-1], Message("user", text)), asked[-LONGEST:])]
    )
    if in_context and refers_back(text, [m.content for m in history[-3:-1]]):
        return in_context
    views = [View(text, (Message("user", text),))]
    parts = questions(text)
    if len(parts) > 1:
        views += [View(part, (Message("user", part),), order=n) for n, part in enumerate(parts, start=1)]
    return views + in_context


class Finder:
    """Looks candidates up.

    Args:
        index: of the log.
        count: of candidates for each view.
        taught_from: exchanges from this number on were taught after the network was trained; None: none was.
    """

    def __init__(self, index: ExchangeIndex, count: int, taught_from: int | None = None) -> None:
        self.index, self.count = index, count
        self.taught_from = len(index) if taught_from is None else taught_from
        self._asked_by: dict[int, Numbers] = {}

    def find(self, view: View) -> list[Candidate]:
        """Return the candidates of a view, likest first."""
        features = features_of(view.text)
        if not view.in_context:
            hits = self.index.search(features, self.count)
            return [self._candidate(hit.exchange, hit.score) for hit in hits]
        both = self.index.search(features_of(f"{view.before} {view.text}"), self.count)
        scores = self.index.sparse.scores(features)
        found = [hit.exchange for hit in both] + self._following(view, scores)
        made = (self._candidate(exchange, float(scores[exchange])) for exchange in found)
        return list({candidate.reply: candidate for candidate in made}.values())

    def _candidate(self, exchange: int, score: float) -> Candidate:
        return Candidate(
            int(self.index.reply_of[exchange]), self.index.exchange(exchange).reply, exchange, score
        )

    def asked_by(self, reply: int) -> Numbers:
        """Return the features of what a reply was given to, and its own, sorted."""
        if reply not in self._asked_by:
            members = self.index.members(reply)
            some = members[np.linspace(0, len(members) - 1, min(ASKED_BY, len(members))).astype(int)]
            text = " ".join([*self.index.questions(some), self.index.text_of(reply)])
            self._asked_by[reply] = features_of(text)
        return self._asked_by[reply]

    def _following(self, view: View, scores: npt.NDArray[np.float32]) -> list[int]:
        """Return exchanges that may follow the last reply: those of that reply, and what the log said next after it."""
        said = next((m.content for m in reversed(view.history) if m.role == "assistant"), None)
        reply = None if said is None else self.index.number_of(said)
        if reply is None:
            return []
        after = np.flatnonzero(self.index.reply_before == reply)
        order = after[np.lexsort((after, -scores[after]))]
        _, first = np.unique(self.index.reply_of[order], return_index=True)
        return [
            *(int(order[i]) for i in np.sort(first)[:FOLLOWING]),
            *map(int, self.index.members(reply)[:1]),
        ]
