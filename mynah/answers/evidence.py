"""What speaks for a candidate: numbers from the index and from the network, for the judge to weigh.

Q candidates of one view, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mynah.answers.agree import Agreement
from mynah.answers.candidates import Candidate, Finder, View, views_of
from mynah.answers.follow_up import fits
from mynah.answers.parts import says_enough, sentences
from mynah.data.records import Message
from mynah.generate.scoring import Likelihood, Scorer
from mynah.retrieval.features import Numbers, features_of
from mynah.retrieval.sparse import K1

#: What a candidate is ranked by.
RANKED_BY = (
    "likelihood",  # log p of the reply, nats
    "mean likelihood",  # for each token
    "gain",  # of the likelihood, over that after a message that says nothing
    "margin",  # over the likeliest that says something else
    "likeness",  # BM25 of the likest question, as a share of the most that is possible
    "covered",  # share of the question's features, by idf, that the reply's own questions and words hold
    "covered sentence",  # the same of the sentence for which it is most
    "neighbours",  # share of the nearest exchanges that say the same
    "frequency",  # log of how often the log gave the reply
    "fits",  # whether it tells the kind of thing that is asked for: 1, -1, or 0 where none is
    "in context",
    "likeness in context",  # as likeness, of the message with what was asked before; 0 where it is read by itself
    "covered in context",  # as covered
)
#: What says beside it whether the log holds an answer at all.
JUDGED_BY = (*RANKED_BY, "likest", "known", "likeliest", "inside", "length", "rank")
#: What may speak for a candidate or against it; all else speaks for it.
EITHER_WAY = ("frequency", "in context", "length")
#: What is left of it without the network, for what it has not read.
ALONE = (
    "likeness",
    "covered",
    "covered sentence",
    "neighbours",
    "frequency",
    "fits",
    "known",
    "inside",
    "length",
)
#: A message that says nothing.
NOTHING = (Message("user", "?"),)
#: Nearest exchanges that are asked whether they say the same.
NEIGHBOURS = 10
_LOWEST = -40.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """A view with its candidates and what speaks for each."""

    view: View
    candidates: tuple[Candidate, ...]
    likelihoods: tuple[Likelihood, ...]
    #: (Q, len(RANKED_BY))
    ranked_by: Floats
    #: of the view: how much of it the log knows at all, and how long it is
    known: float
    length: float
    #: the candidate that replies to this very question, if it stands in the log and all its replies agree
    asked: int | None = None

    @property
    def likest(self) -> float:
        """The likeness of the likest question."""
        return float(self.ranked_by[:, RANKED_BY.index("likeness")].max(initial=0.0))


class Weigher:
    """Gathers evidence on messages.

    Args:
        finder: looks candidates up.
        scorer: the network.
    """

    def __init__(self, finder: Finder, scorer: Scorer) -> None:
        self.finder, self.scorer = finder, scorer
        self.idf = finder.index.sparse.statistics.idf
        self.agree = Agreement(self.idf)
        self._after_nothing: dict[str, Likelihood] = {}

    def weigh(
        self, histories: Sequence[Sequence[Message]], told: Callable[[float], None] | None = None
    ) -> list[list[Evidence]]:
        """Return for each conversation the evidence of each view of its last message; views without candidates go.

        `told` is told what share is done, from 0 to 1.
        """
        views = [
            [(view, self.finder.find(view)) for view in views_of(history, self.finder.index)]
            for history in histories
        ]
        flat = [(n, view, found) for n, of in enumerate(views) for view, found in of if found]
        # What is not known yet of a reply alone is read along with the others.
        texts = [[c.text for c in found] for _, _, found in flat]
        new = list(dict.fromkeys(text for of in texts for text in of if text not in self._after_nothing))
        *said, after = self.scorer.score(
            [*(view.history for _, view, _ in flat), NOTHING], [*texts, new], told
        )
        self._after_nothing.update(zip(new, after, strict=True))
        result: list[list[Evidence]] = [[] for _ in histories]
        for (n, view, found), likelihoods in zip(flat, said, strict=True):
            result[n].append(self._evidence(view, tuple(found), tuple(likelihoods)))
        return result

    def without(self, evidence: Evidence, reply: str) -> Evidence | None:
        """Return what would be there if the log held nothing that says the same as a reply; None: nothing."""
        kept = [n for n, c in enumerate(evidence.candidates) if not self.agree(c.text, reply)]
        if not kept:
            return None
        candidates = tuple(evidence.candidates[n] for n in kept)
        return self._evidence(evidence.view, candidates, tuple(evidence.likelihoods[n] for n in kept), reply)

    def scores_of(self, view: View) -> npt.NDArray[np.float32]:
        """Return BM25 of each exchange's question for a view, (N,)."""
        return self.finder.index.sparse.scores(features_of(view.text))

    def _evidence(
        self,
        view: View,
        candidates: tuple[Candidate, ...],
        likelihoods: tuple[Likelihood, ...],
        left_out: str | None = None,
    ) -> Evidence:
        features = features_of(view.text)
        idf = self.idf[features]
        mass = max(1e-9, float(idf.sum()))
        parts = [features_of(part) for part in sentences(view.text)]
        nearest, _ = self.finder.index.nearest(features, NEIGHBOURS * 2)
        near = [self.finder.index.text_of(int(self.finder.index.reply_of[n])) for n in nearest]
        if left_out is not None:
            near = [text for text in near if not self.agree(text, left_out)]
        near = near[:NEIGHBOURS]
        rows = []
        for candidate, likelihood in zip(candidates, likelihoods, strict=True):
            others = [
                other.total
                for c, other in zip(candidates, likelihoods, strict=True)
                if c is not candidate and not self.agree(c.text, candidate.text)
            ]
            asked_by = self.finder.asked_by(candidate.reply)
            covered = [_share(part, asked_by, self.idf) for part in [features, *parts]]
            rows.append(
                [
                    max(_LOWEST, likelihood.total),
                    max(_LOWEST, likelihood.mean),
                    np.clip(likelihood.total - self._after_nothing[candidate.text].total, -30, 30),
                    np.clip(likelihood.total - max(others, default=likelihood.total - 20), -20, 20),
                    candidate.score / ((K1 + 1) * mass),
                    covered[0],
                    max(covered),
                    sum(self.agree(text, candidate.text) for text in near) / max(1, len(near)),
                    np.log1p(len(self.finder.index.members(candidate.reply))),
                    fits(view.text, candidate.text),
                    float(view.in_context),
                    *self._in_context(view, candidate),
                ]
            )
        known = float(idf[self.finder.index.sparse.holds(features)].sum()) / mass
        return Evidence(
            view,
            candidates,
            likelihoods,
            np.array(rows, dtype=np.float64),
            known,
            float(np.log1p(len(features))),
            None if left_out is not None or view.in_context else self._asked(view.text, candidates),
        )

    def asked_before(self, text: str) -> int | None:
        """Return the reply to a question that the log has in these words; None: it has none, or several that differ."""
        if not says_enough(text):
            return None
        index, features = self.finder.index, features_of(text)
        nearest, _ = index.nearest(features, 2 * NEIGHBOURS)
        same = [
            int(index.reply_of[number])
            for number, question in zip(nearest, index.questions(nearest), strict=True)
            if np.array_equal(features_of(question), features)
        ]
        agreed = all(self.agree(index.text_of(reply), index.text_of(same[0])) for reply in {*same})
        return same[0] if same and agreed else None

    def _asked(self, text: str, candidates: tuple[Candidate, ...]) -> int | None:
        reply = self.asked_before(text)
        return next((n for n, candidate in enumerate(candidates) if candidate.reply == reply), None)

    def _in_context(self, view: View, candidate: Candidate) -> tuple[float, float]:
        if not view.in_context:
            return 0.0, 0.0
        both = features_of(f"{view.before} {view.text}")
        question = features_of(self.finder.index.exchange(candidate.exchange).question)
        return _share(both, question, self.idf), _share(both, self.finder.asked_by(candidate.reply), self.idf)


def _share(features: Numbers, among: Numbers, idf: npt.NDArray[np.float32]) -> float:
    weights = idf[features]
    held = np.isin(features, among, assume_unique=True)
    return float(weights[held].sum() / max(1e-9, float(weights.sum())))
