"""Fit a judge to a log: to exchanges that were held out from it, and to messages that are of no log.

A held-out question is asked, and whoever replies as the log did, or says the same in other words, is right. Asked once
more with every reply that is right taken away, nothing can be right: that is what a question about a familiar topic
looks like to which the log has no answer. How sure the judge is of messages that it was not fitted to (five folds) says
from which probability on replies are given.

N messages, D numbers of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.answers.candidates import read
from mynah.answers.config import AnswersConfig
from mynah.answers.evidence import ALONE, JUDGED_BY, RANKED_BY, Evidence, Floats, Weigher
from mynah.answers.judge import Inside, Judge, Logistic, chosen, judged_by
from mynah.answers.outside import bank, near_misses
from mynah.answers.typed import AS_IT_IS, as_typed, hurried
from mynah.data.records import Message
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.features import features_of
from mynah.retrieval.sparse import K1

FOLDS = 5
#: How much questions whose answer was taken away count beside the held-out ones and the bank's, which count 1.
WITHOUT = 0.3
#: Messages of a log that teach what its messages are like, and near misses that are made from them, at most.
INSIDE, NEAR_MISSES = 20_000, 480
#: Bins of the reliability diagram.
BINS = 10
#: A judge cannot be fitted to fewer right and wrong ones.
LEAST = 5
#: Threshold of who is never sure.
NEVER = 1.0
#: Held-out questions that the log has in the same words show how far replies to these agree. So many right ones of so
#: many are taken to have been seen before: of a log that says nothing twice there are none.
REPEATED_RIGHT, REPEATED = 9, 10
#: What is less probable is never said, however few wrong ones a small log has shown.
LEAST_SURE = 0.3
#: Likeness from which on a message of the bank is taken for one that the log has been asked.
ASKED_BEFORE = 0.55

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """What a judge is fitted to: the best candidates of messages, and whether they are right."""

    #: (N, D)
    numbers: Floats
    right: Bools
    #: whether the log can answer it
    inside: Bools
    weight: Floats
    #: number of the message that each is a view of; -1: one whose answer was taken away
    message: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Calibrated:
    """A judge, from which probability on it lets a reply pass, and how that was found."""

    judge: Judge
    threshold: float
    #: for the report: counts, the curve, the reliability diagram
    told: dict[str, Any]

    @property
    def answered(self) -> float:
        """Share of held-out questions that are answered from the threshold on."""
        curve = self.told.get("curve", [])
        return next((point["answered"] for point in curve if point["from"] == self.threshold), 0.0)


def calibrate(
    weigher: Weigher,
    held_out: Sequence[Exchange],
    asked: Sequence[str],
    language: str,
    config: AnswersConfig,
    seed: int,
    most: int,
    told: Callable[[float], None] | None = None,
) -> Calibrated:
    """Fit a judge.

    Args:
        weigher: of the log that is answered from.
        held_out: exchanges that neither the index nor the network has seen.
        asked: questions of the log, all of them.
        language: "en" or "zh", of the bank.
        config: settings.
        seed: of what is drawn.
        most: held-out exchanges, and messages of the bank, that are read at most.
        told: is told what share is done, from 0 to 1.
    """
    draw = np.random.default_rng(seed)
    some = [held_out[i] for i in sorted(draw.permutation(len(held_out))[:most])]
    nears = near_misses(asked, language, NEAR_MISSES, seed)
    outside = [text for text in [*bank("outside", language), *nears] if not _answered(weigher, text)]
    drawn = sorted(draw.permutation(len(outside))[:most])
    known = list(dict.fromkeys(asked))
    known = [known[i] for i in sorted(draw.permutation(len(known))[:INSIDE])]
    spelling = weigher.finder.index.spelling
    typed_so = (read(hurried(text, draw), spelling) for text in known)
    inside, odds = _inside([*known, *typed_so], outside, weigher, draw)
    typed = [(*e.before, Message("user", as_typed(e.question, language, draw))) for e in some]
    strangers = [
        outside[i] if draw.random() < AS_IT_IS else as_typed(outside[i], language, draw) for i in drawn
    ]
    histories = [*typed, *((Message("user", text),) for text in strangers)]
    weighed = weigher.weigh(histories, told)
    theirs, strange = weighed[: len(some)], weighed[len(some) :]
    ranker = _ranker(weigher, some, theirs)
    of_outside = dict(enumerate(odds[i] for i in drawn))
    sample = _sample(weigher, ranker, inside, some, theirs, strange, of_outside)
    found: dict[str, Any] = {"held_out": len(some), "outside": len(drawn)}
    if min(sample.right.sum(), (~sample.right).sum()) < LEAST:
        never = Judge(ranker, inside, Logistic.never(len(JUDGED_BY)), Logistic.never(len(ALONE)))
        return Calibrated(never, NEVER, {**found, "sure": False})
    folded = np.zeros(len(sample.right))
    fold = draw.permutation(len(sample.right)) % FOLDS
    for number in range(FOLDS):
        mine = fold == number
        if mine.any() and 0 < sample.right[~mine].sum() < (~mine).sum():
            fitted = Logistic.fit(sample.numbers[~mine], sample.right[~mine], JUDGED_BY, sample.weight[~mine])
            folded[mine] = fitted(sample.numbers[mine])
    gate = Logistic.fit(sample.numbers, sample.right, JUDGED_BY, sample.weight)
    said = _best_views(folded, sample.message)
    threshold, curve = _threshold(folded[said], sample.right[said], sample.inside[said], config)
    found |= {"sure": threshold < NEVER, "threshold": threshold, "curve": curve}
    found |= _reliability(folded[said], sample.right[said])
    alone = _alone(weigher, inside, some, theirs, strange, of_outside)
    repeated = _repeated(weigher, some)
    return Calibrated(Judge(ranker, inside, gate, alone, repeated), threshold, found)


def _repeated(weigher: Weigher, some: Sequence[Exchange]) -> float:
    """Return how probable it is that the reply to a question that the log has in the same words is right."""
    right, count = REPEATED_RIGHT, REPEATED
    for exchange in some:
        reply = weigher.asked_before(exchange.question)
        if reply is not None:
            right += weigher.agree(weigher.finder.index.text_of(reply), exchange.reply)
            count += 1
    return right / count


def _answered(weigher: Weigher, text: str) -> bool:
    """Whether a log has been asked just that."""
    features = features_of(text)
    mass = (K1 + 1) * float(weigher.idf[features].sum())
    _, scores = weigher.finder.index.nearest(features, 1)
    return bool(len(scores)) and float(scores[0]) > ASKED_BEFORE * mass


def _inside(
    known: Sequence[str], outside: Sequence[str], weigher: Weigher, draw: np.random.Generator
) -> tuple[Inside, Floats]:
    """Return what tells the two apart, and the log-odds of each message outside by one that has not seen it."""
    fold = draw.permutation(len(outside)) % FOLDS
    odds = np.zeros(len(outside))
    for number in range(FOLDS):
        seen = [text for text, of in zip(outside, fold, strict=True) if of != number]
        mine = np.flatnonzero(fold == number)
        if seen and len(mine):
            odds[mine] = Inside.fit(known, seen, weigher.idf)([outside[int(i)] for i in mine])
    return Inside.fit(known, outside, weigher.idf), odds


def _ranker(weigher: Weigher, some: Sequence[Exchange], weighed: Sequence[Sequence[Evidence]]) -> Logistic:
    """Fit what ranks candidates to all candidates of held-out questions."""
    rows = [evidence.ranked_by for of in weighed for evidence in of]
    right = [
        weigher.agree(candidate.text, exchange.reply)
        for exchange, of in zip(some, weighed, strict=True)
        for evidence in of
        for candidate in evidence.candidates
    ]
    if not rows or min(sum(right), len(right) - sum(right)) < LEAST:
        return default_ranker()
    return Logistic.fit(np.concatenate(rows), np.array(right, np.bool_), RANKED_BY)


def default_ranker() -> Logistic:
    """Return what ranks candidates where there is nothing to fit it to: the likest question, the likeliest reply."""
    weights = np.zeros(len(RANKED_BY))
    weights[[RANKED_BY.index("mean likelihood"), RANKED_BY.index("likeness")]] = 1.0, 5.0
    return Logistic(np.zeros(len(RANKED_BY)), np.ones(len(RANKED_BY)), weights, -2.0)


def _sample(
    weigher: Weigher,
    ranker: Logistic,
    inside: Inside,
    some: Sequence[Exchange],
    theirs: Sequence[Sequence[Evidence]],
    strange: Sequence[Sequence[Evidence]],
    odds: dict[int, float],
) -> Sample:
    rows: list[tuple[Floats, bool, bool, float, int]] = []
    for message, (exchange, of) in enumerate(zip(some, theirs, strict=True)):
        for evidence in of:
            if evidence.view.part:
                continue
            candidate, _, numbers = chosen(ranker, inside, evidence)
            right = weigher.agree(evidence.candidates[candidate].text, exchange.reply)
            rows.append((numbers, right, True, 1.0, message))
            if (left := weigher.without(evidence, exchange.reply)) is not None:
                rows.append((chosen(ranker, inside, left)[2], False, False, WITHOUT, -1))
    at = JUDGED_BY.index("inside")
    for number, of in enumerate(strange):
        for evidence in of:
            if not evidence.view.part:
                numbers = chosen(ranker, inside, evidence)[2]
                numbers[at] = odds[number]
                rows.append((numbers, False, False, 1.0, len(some) + number))
    numbers_of, right_of, inside_of, weight_of, message_of = zip(*rows, strict=True) if rows else [()] * 5
    return Sample(
        np.array(numbers_of).reshape(len(rows), len(JUDGED_BY)),
        np.array(right_of, np.bool_),
        np.array(inside_of, np.bool_),
        np.array(weight_of, np.float64),
        np.array(message_of, np.int64),
    )


def _alone(
    weigher: Weigher,
    inside: Inside,
    some: Sequence[Exchange],
    theirs: Sequence[Sequence[Evidence]],
    strange: Sequence[Sequence[Evidence]],
    odds: dict[int, float],
) -> Logistic:
    """Fit what judges the reply to the likest question by the index alone."""
    rows, right = list[Floats](), list[bool]()
    likeness, at = RANKED_BY.index("likeness"), JUDGED_BY.index("inside")
    for message, of in enumerate([*theirs, *strange]):
        for evidence in of:
            if evidence.view.part or evidence.view.in_context:
                continue
            best = int(evidence.ranked_by[:, likeness].argmax())
            numbers = judged_by(inside, evidence, best, 0.0)
            if message < len(some):
                right.append(weigher.agree(evidence.candidates[best].text, some[message].reply))
            else:
                numbers[at] = odds[message - len(some)]
                right.append(False)
            rows.append(numbers[[JUDGED_BY.index(name) for name in ALONE]])
    if min(sum(right), len(right) - sum(right)) < LEAST:
        return Logistic.never(len(ALONE))
    return Logistic.fit(np.array(rows), np.array(right, np.bool_), ALONE)


def _best_views(p: Floats, message: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the row of each message's surest view, as replies go by it."""
    order = np.lexsort((-p, message))
    first = np.flatnonzero(np.diff(message[order], prepend=-2))
    best: npt.NDArray[np.intp] = order[first]
    return best[message[best] >= 0]


def _threshold(
    p: Floats, right: Bools, inside: Bools, config: AnswersConfig
) -> tuple[float, list[dict[str, float]]]:
    """Return the lowest probability from which on few enough replies are wrong, and what each would give."""
    curve, found = [], NEVER
    for cut in np.unique(np.quantile(p, np.linspace(0, 1, 101))):
        said = p >= cut
        answered = float(said[inside].mean()) if inside.any() else 0.0
        correct = float(right[inside & said].sum()) / max(1, int(inside.sum()))
        let_in = float(said[~inside].mean()) if (~inside).any() else 0.0
        stated = (1 - config.outside) * answered + config.outside * let_in
        wrong = (1 - config.outside) * (answered - correct) + config.outside * let_in
        share = wrong / stated if stated else 0.0
        curve.append({"from": float(cut), "answered": answered, "let_in": let_in, "wrong": share})
        if stated and share <= config.wrong_at_most and cut >= LEAST_SURE and found == NEVER:
            found = float(cut)
    return found, curve


def _reliability(p: Floats, right: Bools) -> dict[str, Any]:
    """Return how often replies of about one probability are right, and the expected calibration error.

    ECE = sum over bins of the share of messages in it times |right - mean probability| (Naeini et al. 2015).
    """
    bins, error = [], 0.0
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    for number in range(BINS):
        mine = which == number
        if mine.any():
            said, was = float(p[mine].mean()), float(right[mine].mean())
            bins.append({"said": said, "was": was, "count": int(mine.sum())})
            error += abs(said - was) * float(mine.mean())
    return {"bins": bins, "ece": error}
