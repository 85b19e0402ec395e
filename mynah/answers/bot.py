"""A bot that says what stands in the log, with its source, and hands over where it does not know.

A message is answered in this order: what it means if the bot has just asked back; small talk; the best candidate of the
log, if the judge is sure enough; two, if it asks two things; a question back, where one or two candidates are near;
else, as the mode has it, the network's own words or a sentence that hands over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from mynah.answers.calibrate import NEVER
from mynah.answers.candidates import LONGEST
from mynah.answers.config import Mode
from mynah.answers.evidence import Evidence, Weigher
from mynah.answers.judge import Judge, Verdict
from mynah.answers.sentences import DO_YOU_MEAN, HAND_OVER, SMALL_TALK, language_for
from mynah.answers.slots import filled, has_slots
from mynah.answers.small_talk import small_talk
from mynah.data.clean.config import CleanConfig
from mynah.data.clean.steps import clean_text
from mynah.data.personal.config import PersonalConfig
from mynah.data.records import Message
from mynah.retrieval.features import features_of

#: Below the threshold the bot asks back if the judge's probability is at least this share of it.
ASKS_FROM = 0.5
#: ... and names a second candidate if it ranks so near the first, in log-odds.
NEAR = 2.0
#: ... and its question is at least so much like the message as the likest one, by BM25.
LIKE = 2 / 3
#: A question of the log that is longer, in characters, is not repeated to ask back.
LONGEST_OPTION = 90
#: Turns of a conversation that somebody else keeps which are read, its end.
MOST_TURNS = 40
#: Sources that are told.
MOST_SOURCES = 3
_FIRST = re.compile(r"^\W*(?:the\s+)?(?:first|1st|1|former|第一个?|前一个|前者)(?:\s+one)?\W*$", re.I)
_SECOND = re.compile(r"^\W*(?:the\s+)?(?:second|2nd|2|latter|other|第二个?|后一个|后者)(?:\s+one)?\W*$", re.I)

Kind = Literal["log", "network", "small_talk", "asked_back", "handed_over"]


@dataclass(frozen=True)
class Source:
    """What a reply rests on."""

    #: file and line
    place: str
    #: ISO 8601; empty if unknown
    time: str
    #: what was asked there
    question: str


@dataclass(frozen=True)
class Reply:
    """What the bot says, and why."""

    text: str
    #: probability that it is right, 0 to 1, as the judge has it; of the network's own words it is not known: None
    confidence: float | None
    sources: tuple[Source, ...] = ()
    #: whether a person is to take over
    handed_over: bool = False
    #: where the words come from
    kind: Kind = "log"
    #: of a question back, what is said to each of its answers
    options: tuple[Reply, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `mynah chat --json` prints it."""
        return {
            "text": self.text,
            "confidence": self.confidence,
            "sources": [asdict(source) for source in self.sources],
            "handed_over": self.handed_over,
            "kind": self.kind,
        }


class Answerer:
    """Answers messages from a log.

    Args:
        weigher: of the log.
        judge: of its candidates.
        threshold: probability from which on a candidate is said.
        mode: what is said besides.
        personal: how slots are recognised in what the user says.
        hand_over: what is said where nothing is known; None: a sentence in the user's language.
        network: the network's own reply to a conversation, in pieces, for the mode "free".
    """

    def __init__(
        self,
        weigher: Weigher,
        judge: Judge,
        threshold: float,
        mode: Mode,
        personal: PersonalConfig,
        hand_over: str | None = None,
        network: Callable[[Sequence[Message]], Iterator[str]] | None = None,
    ) -> None:
        self.weigher, self.judge, self.threshold, self.mode = weigher, judge, threshold, mode
        self.personal, self.hand_over, self.network = personal, hand_over, network

    def consider(
        self, histories: Sequence[Sequence[Message]], told: Callable[[float], None] | None = None
    ) -> list[list[Verdict]]:
        """Return for each conversation the best candidate of each view of its last message, surest first.

        `told` is told what share is done, from 0 to 1.
        """
        return [self._judged(of) for of in self.weigher.weigh(histories, told)]

    def _judged(self, weighed: Sequence[Evidence]) -> list[Verdict]:
        """Return the best candidate of each view, surest first; what was taught since comes before, if it is sure."""
        judged = sorted(map(self.judge.best, weighed), key=lambda verdict: -verdict.confidence)
        found = (self._taught(evidence) for evidence in weighed if not evidence.view.in_context)
        taught = [
            verdict for verdict in found if verdict is not None and verdict.confidence >= self.threshold
        ]
        return [*sorted(taught, key=lambda verdict: -verdict.confidence), *judged]

    def _taught(self, evidence: Evidence) -> Verdict | None:
        verdict = self.judge.best_taught(evidence, self.weigher.finder.taught_from)
        if verdict is None:
            return None
        asked = self.weigher.finder.index.exchange(evidence.candidates[verdict.candidate].exchange).question
        # Whoever taught just this meant it; of the others, the likest question decides.
        if np.array_equal(features_of(asked), features_of(evidence.view.text)):
            return replace(verdict, confidence=1.0)
        return verdict if verdict.odds.argmax() == verdict.candidate else None

    def decide(self, history: Sequence[Message], verdicts: Sequence[Verdict], said: Sequence[str]) -> Reply:
        """Return the reply to a conversation, given the best candidates of its last message.

        Args:
            history: oldest message first, the last one the user's.
            verdicts: surest first.
            said: what the user typed, before cleaning: slots are filled from it.
        """
        text = history[-1].content
        language = language_for(text)
        # Who speaks freely greets in their own way.
        if self.mode != "free" and (kind := small_talk(text)) is not None:
            return self._small_talk(kind, language, verdicts)
        sure = [verdict for verdict in verdicts if verdict.confidence >= self.threshold]
        several = self._several(sure)
        for chosen in ([several] if several else []) + [[verdict] for verdict in sure]:
            spoken = [self._spoken(verdict, said) for verdict in chosen]
            if None not in spoken:
                sources = tuple(source for verdict in chosen for source in self.sources(verdict))
                confidence = min(verdict.confidence for verdict in chosen)
                return Reply("\n".join(filter(None, spoken)), confidence, sources)
        if (asked := self._ask_back(verdicts, language, said)) is not None:
            return asked
        if self.mode == "free" and self.network is not None:
            return Reply("".join(self.network(history)), None, kind="network")
        best = verdicts[0].confidence if verdicts else 0.0
        return Reply(self.hand_over or HAND_OVER[language], best, handed_over=True, kind="handed_over")

    def sources(self, verdict: Verdict) -> tuple[Source, ...]:
        """Return where the log says what a candidate says, the nearest first."""
        index, candidate = self.weigher.finder.index, verdict.evidence.candidates[verdict.candidate]
        scores = self.weigher.scores_of(verdict.evidence.view)
        members = [
            int(n) for n in self.weigher.finder.index.members(candidate.reply) if n != candidate.exchange
        ]
        members = sorted(members, key=lambda n: (-scores[n], n))[: MOST_SOURCES - 1]
        found = [index.exchange(n) for n in [candidate.exchange, *members]]
        return tuple(Source(exchange.place, exchange.time, exchange.question) for exchange in found)

    def _spoken(self, verdict: Verdict, said: Sequence[str]) -> str | None:
        """Return a candidate's words as they can be said to this user."""
        if self.mode == "strict":
            return None if has_slots(verdict.reply) else verdict.reply
        return filled(verdict.reply, said, self.personal)

    def _several(self, sure: Sequence[Verdict]) -> list[Verdict] | None:
        """Return the answers to several questions of one message, in the order in which they were asked."""
        parts = [verdict for verdict in sure if verdict.evidence.view.part]
        kept: list[Verdict] = []
        for verdict in parts:
            if not any(self.weigher.agree(verdict.reply, other.reply) for other in kept):
                kept.append(verdict)
        if len(kept) < 2:
            return None
        return sorted(kept, key=lambda verdict: verdict.evidence.view.order)

    def _small_talk(self, kind: str, language: str, verdicts: Sequence[Verdict]) -> Reply:
        """Reply as the log does to what is no question, if it does, and else in words of its own."""
        index = self.weigher.finder.index
        for verdict in verdicts:
            candidate = verdict.evidence.candidates[verdict.candidate]
            asked = index.questions(self.weigher.finder.index.members(candidate.reply)[:20])
            same = sum(small_talk(question) == kind for question in asked)
            # Who replies to nothing but this kind of small talk with it states no fact by it.
            if asked and same == len(asked) and not has_slots(verdict.reply):
                return Reply(verdict.reply, verdict.confidence, self.sources(verdict), kind="small_talk")
        return Reply(SMALL_TALK[language][kind], None, handed_over=kind == "complaint", kind="small_talk")

    def _ask_back(self, verdicts: Sequence[Verdict], language: str, said: Sequence[str]) -> Reply | None:
        """Return a question back, where two candidates are near the threshold and near each other."""
        if not verdicts or self.threshold >= NEVER or self.mode == "free":
            return None
        best = verdicts[0]
        if best.confidence < ASKS_FROM * self.threshold:
            return None
        index, options = self.weigher.finder.index, self._options(best)
        questions = [
            index.exchange(o.evidence.candidates[o.candidate].exchange).question.strip() for o in options
        ]
        spoken = [self._spoken(option, said) for option in options]
        if (
            len(options) < 2
            or None in spoken
            or any(len(q) > LONGEST_OPTION or has_slots(q) for q in questions)
        ):
            return None
        text = DO_YOU_MEAN[language].format(first=questions[0], second=questions[1])
        replies = tuple(
            Reply(words, option.confidence, self.sources(option))
            for option, words in zip(options, spoken, strict=True)
            if words is not None
        )
        return Reply(text, best.confidence, kind="asked_back", options=replies)

    def _options(self, verdict: Verdict) -> list[Verdict]:
        """Return the two best candidates of a view, if they are near each other and say different things."""
        order = sorted(range(len(verdict.odds)), key=lambda n: -verdict.odds[n])
        candidates = verdict.evidence.candidates
        least = LIKE * max(candidate.score for candidate in candidates)
        second = (
            n
            for n in order[1:]
            if verdict.odds[order[0]] - verdict.odds[n] <= NEAR
            and candidates[n].score >= least
            and not self.weigher.agree(candidates[n].text, verdict.reply)
        )
        return [verdict, *(replace(verdict, candidate=n) for n in islice(second, 1))]


class AnswerSession:
    """A conversation with an `Answerer`.

    Args:
        answerer: replies.
        clean: how what the user types is cleaned, as the log was.
    """

    def __init__(self, answerer: Answerer, clean: CleanConfig) -> None:
        self.answerer, self.clean = answerer, clean
        self.history: list[Message] = []
        self._said: list[str] = []
        self._options: tuple[Reply, ...] = ()

    def reset(self) -> None:
        """Forget the conversation."""
        self.history.clear()
        self._said.clear()
        self._options = ()

    def resume(self, messages: Sequence[Message]) -> None:
        """Take up a conversation that somebody else has kept, in place of the one so far.

        Args:
            messages: oldest first, what the user typed and what was replied; the last one is a reply.
        """
        self.reset()
        for message in messages:
            user = message.role == "user"
            content = clean_text(message.content[-LONGEST:], self.clean) if user else message.content
            self.history.append(Message(message.role, content))
            if user:
                self._said.append(message.content[-LONGEST:])

    def reply_to(self, messages: Sequence[Message]) -> Reply:
        """Return the reply to a conversation that somebody else keeps, the user's turn last.

        A question back, which its answer may name by number, is found again from what was asked before it.
        """
        *before, asked = messages[-MOST_TURNS:]
        self.resume(before)
        told = len(before) > 1 and before[-1].role == "assistant" and before[-2].role == "user"
        if told and any(pattern.match(asked.content[-LONGEST:]) for pattern in (_FIRST, _SECOND)):
            earlier = AnswerSession(self.answerer, self.clean)
            earlier.resume(before[:-2])
            reply = earlier.reply(before[-2].content)
            if reply.text == before[-1].content:
                self._options = reply.options
        return self.reply(asked.content)

    def reply(self, typed: str) -> Reply:
        """Return the reply to what a user typed, and remember both."""
        text = clean_text(typed[-LONGEST:], self.clean)
        self._said.append(typed[-LONGEST:])
        self.history.append(Message("user", text))
        reply = self._meant(text)
        if reply is None:
            (verdicts,) = self.answerer.consider([self.history])
            reply = self.answerer.decide(self.history, verdicts, self._said)
        self._options = reply.options
        self.history.append(Message("assistant", reply.text))
        return reply

    def _meant(self, text: str) -> Reply | None:
        """Return what was meant by the answer to a question back, if it names one of its options."""
        for option, pattern in zip(self._options, (_FIRST, _SECOND), strict=False):
            if pattern.match(text):
                return option
        return None
