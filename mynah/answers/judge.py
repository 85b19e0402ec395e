"""Which candidate is the best, and how probable it is that it is right: two logistic regressions over the evidence.

    p(right | x) = 1 / (1 + exp(-(w . (x - m) / s + b)))

The first ranks the candidates of a message by `RANKED_BY`; the second judges the best of them by `JUDGED_BY`, which
says beside it how much of the message the log knows at all. A third, over runs of characters, tells messages of the
log from those of the bank; its log-odds are one of the judge's numbers ("inside").

F features, D numbers of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.answers.evidence import ALONE, EITHER_WAY, JUDGED_BY, RANKED_BY, Evidence, Floats
from mynah.answers.follow_up import asked_for, refers_back, tells
from mynah.errors import ArtifactError
from mynah.retrieval.features import N_FEATURES, Counts, count_features
from mynah.retrieval.index import hash_of

#: How freely coefficients may grow: a penalty of the sum of their squares over twice this.
PENALTY, PENALTY_OF_WORDS = 0.3, 3.0
#: How sure the judge is that the reply just given answers a message that refers back and asks for what it tells. A log
#: hardly ever says the same twice in a conversation, so this cannot be learned from it.
TOLD_ALREADY = 0.8
_ALONE = [JUDGED_BY.index(name) for name in ALONE]
JUDGE, WORDS, NUMBERS = "judge.json", "inside_features.npy", "inside_weights.npy"


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression over standardised numbers."""

    #: (D,) each
    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    @classmethod
    def never(cls, count: int) -> Logistic:
        """Return what holds everything for wrong, for `count` numbers."""
        return cls(np.zeros(count), np.ones(count), np.zeros(count), -20.0)

    @classmethod
    def fit(
        cls, x: Floats, y: npt.NDArray[np.bool_], names: Sequence[str], weight: Floats | None = None
    ) -> Logistic:
        """Fit to (N, D) numbers, (N,) outcomes and (N,) weights, by maximum likelihood with an L2 penalty.

        What speaks for a candidate never counts against it: few outcomes would say so now and then.

        Args:
            x: the numbers.
            y: what came of each.
            names: of the numbers, of `RANKED_BY` and `JUDGED_BY`.
            weight: None: 1 each.
        """
        from scipy.optimize import minimize

        mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        z, sign = (x - mean) / scale, np.where(y, 1.0, -1.0)
        weight = np.ones(len(y)) if weight is None else weight

        def loss(parameters: Floats) -> tuple[float, Floats]:
            margins = sign * (z @ parameters[:-1] + parameters[-1])
            slopes = -weight * sign * probability(-margins)
            value = float((weight * np.logaddexp(0, -margins)).sum()) + float(
                (parameters[:-1] ** 2).sum()
            ) / (2 * PENALTY)
            return value, np.append(z.T @ slopes + parameters[:-1] / PENALTY, slopes.sum())

        bounds = [(None, None) if name in EITHER_WAY else (0.0, None) for name in names] + [(None, None)]
        found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(mean, scale, found.x[:-1], float(found.x[-1]))

    def odds(self, x: Floats) -> Floats:
        """Return the log-odds of (N, D) numbers, (N,)."""
        result: Floats = ((x - self.mean) / self.scale) @ self.weights + self.bias
        return result

    def __call__(self, x: Floats) -> Floats:
        """Return the probabilities of (N, D) numbers, (N,)."""
        return probability(self.odds(x))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        return {**arrays, "bias": self.bias}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Logistic:
        """Read what `to_json` made.

        Raises:
            KeyError: if something is missing.
        """
        mean, scale, weights = (np.array(value[name]) for name in ("mean", "scale", "weights"))
        return cls(mean, scale, weights, float(value["bias"]))


def probability(odds: Floats) -> Floats:
    """Return the probability of log-odds."""
    result: Floats = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
    return result


class Inside:
    """Tells messages of a log from those that are of none, by their runs of characters.

    Args:
        weights: (F,) float32.
        bias: of the log-odds.
        idf: (F,) float32, of the log.
    """

    def __init__(self, weights: npt.NDArray[np.float32], bias: float, idf: npt.NDArray[np.float32]) -> None:
        self.weights, self.bias, self._idf = weights, bias, idf

    @classmethod
    def fit(cls, inside: Sequence[str], outside: Sequence[str], idf: npt.NDArray[np.float32]) -> Inside:
        """Fit to messages of both kinds, each kind counting as much as the other."""
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        texts = [*inside, *outside]
        counts = count_features(texts)
        table = csr_matrix(
            (tfidf(counts, len(texts), idf), (counts.texts, counts.features)),
            shape=(len(texts), N_FEATURES),
        )
        used = np.unique(counts.features)
        model = LogisticRegression(C=PENALTY_OF_WORDS, max_iter=1000, class_weight="balanced")
        model.fit(table[:, used], np.arange(len(texts)) < len(inside))
        weights = np.zeros(N_FEATURES, np.float32)
        weights[used] = model.coef_[0]
        return cls(weights, float(model.intercept_[0]), idf)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the log-odds that each text is one of the log's, (N,)."""
        counts = count_features(texts)
        weights = tfidf(counts, len(texts), self._idf) * self.weights[counts.features]
        return np.bincount(counts.texts, weights, minlength=len(texts)).astype(np.float64) + self.bias


def tfidf(counts: Counts, texts: int, idf: npt.NDArray[np.float32]) -> Floats:
    """Return TF-IDF of each feature in each text, the texts of length 1."""
    weights = (1 + np.log(counts.counts)) * idf[counts.features]
    lengths = np.sqrt(np.bincount(counts.texts, weights**2, minlength=texts))
    result: Floats = weights / np.maximum(1e-9, lengths[counts.texts])
    return result


@dataclass(frozen=True)
class Verdict:
    """The best candidate of a message."""

    evidence: Evidence
    #: its index among the candidates
    candidate: int
    #: probability that it is right
    confidence: float
    #: (JUDGED_BY,) what that follows from
    judged_by: Floats
    #: (Q,) log-odds of each candidate of the view to be right, as the ranker has them
    odds: Floats

    @property
    def reply(self) -> str:
        """The candidate's words."""
        return self.evidence.candidates[self.candidate].text


@dataclass(frozen=True)
class Judge:
    """Decides by the evidence."""

    ranker: Logistic
    inside: Inside
    gate: Logistic
    #: the same by the index alone (`ALONE`)
    alone: Logistic
    #: probability that the reply to a question that stands in the log in these words answers it
    repeated: float = 0.0

    def best_taught(self, evidence: Evidence, taught_from: int) -> Verdict | None:
        """Return the best candidate that was taught since the network was trained, if there is one."""
        taught = [n for n, candidate in enumerate(evidence.candidates) if candidate.exchange >= taught_from]
        if not taught:
            return None
        best = max(taught, key=lambda n: evidence.ranked_by[n, RANKED_BY.index("likeness")])
        numbers = judged_by(self.inside, evidence, best, 0.0)
        sure = float(self.alone(numbers[None, _ALONE])[0])
        return Verdict(evidence, best, sure, numbers, evidence.ranked_by[:, RANKED_BY.index("likeness")])

    def best(self, evidence: Evidence) -> Verdict:
        """Return the best candidate of a view: of what was asked in its very words, what was said to that."""
        verdict = self._best(evidence)
        if evidence.asked is None or self.repeated <= 0.5:
            return verdict
        if verdict.candidate == evidence.asked:
            return replace(verdict, confidence=max(verdict.confidence, self.repeated))
        # No held-out question is one of the log, so the judge has not learned what that is worth.
        numbers = judged_by(self.inside, evidence, evidence.asked, float(verdict.odds[evidence.asked]))
        return Verdict(evidence, evidence.asked, self.repeated, numbers, verdict.odds)

    def _best(self, evidence: Evidence) -> Verdict:
        again = told_already(evidence)
        candidate, odds, numbers = chosen(self.ranker, self.inside, evidence)
        if again is not None:
            return Verdict(evidence, again, TOLD_ALREADY, numbers, odds)
        return Verdict(evidence, candidate, float(self.gate(numbers[None])[0]), numbers, odds)

    def save(self, folder: Path) -> None:
        """Write into a folder.

        Raises:
            ArtifactError: if it cannot be written.
        """
        used = np.flatnonzero(self.inside.weights)
        np.save(folder / WORDS, used.astype(np.int32), allow_pickle=False)
        np.save(folder / NUMBERS, self.inside.weights[used], allow_pickle=False)
        value = {
            "ranked_by": list(RANKED_BY),
            "judged_by": list(JUDGED_BY),
            "alone_by": list(ALONE),
            "ranker": self.ranker.to_json(),
            "gate": self.gate.to_json(),
            "alone": self.alone.to_json(),
            "inside_bias": self.inside.bias,
            "repeated": self.repeated,
        }
        artifacts.write_json(folder / JUDGE, value)

    @classmethod
    def load(cls, folder: Path, idf: npt.NDArray[np.float32]) -> Judge:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing, damaged or of another version.
        """
        value = artifacts.read_json(folder / JUDGE)
        try:
            known = [value["ranked_by"], value["judged_by"], value.get("alone_by")]
            if known != [list(RANKED_BY), list(JUDGED_BY), list(ALONE)]:
                raise ArtifactError(
                    f"{folder / JUDGE}: of another version of Mynah; run the same mynah build again"
                )
            weights = np.zeros(N_FEATURES, np.float32)
            weights[np.load(folder / WORDS, allow_pickle=False)] = np.load(
                folder / NUMBERS, allow_pickle=False
            )
            inside = Inside(weights, float(value["inside_bias"]), idf)
            ranker, gate, alone = (Logistic.from_json(value[name]) for name in ("ranker", "gate", "alone"))
            return cls(ranker, inside, gate, alone, float(value.get("repeated", 0.0)))
        except (KeyError, TypeError, ValueError, OSError, IndexError):
            raise ArtifactError(f"{folder}: damaged: not what a judge is read from") from None


def told_already(evidence: Evidence) -> int | None:
    """Return the candidate that is the reply just given, if a message that refers back asks for what that tells."""
    view = evidence.view
    kind = asked_for(view.text)
    said = next((m.content for m in reversed(view.history) if m.role == "assistant"), None)
    if said is None or kind is None or not view.in_context or not tells(said, kind):
        return None
    if not refers_back(view.text, [m.content for m in view.history[-3:-1]]):
        return None
    same = (n for n, candidate in enumerate(evidence.candidates) if hash_of(candidate.text) == hash_of(said))
    return next(same, None)


def chosen(ranker: Logistic, inside: Inside, evidence: Evidence) -> tuple[int, Floats, Floats]:
    """Return the best candidate, the log-odds of each, and what the best is judged by."""
    odds = ranker.odds(evidence.ranked_by)
    candidate = int(odds.argmax())
    return candidate, odds, judged_by(inside, evidence, candidate, float(odds[candidate]))


def judged_by(inside: Inside, evidence: Evidence, candidate: int, odds: float) -> Floats:
    """Return what a candidate is judged by, (`JUDGED_BY`,), given its log-odds by the ranker."""
    return np.array(
        [
            *evidence.ranked_by[candidate],
            evidence.likest,
            evidence.known,
            evidence.ranked_by[:, 0].max(),
            float(inside([evidence.view.text])[0]),
            evidence.length,
            np.clip(odds, -20, 20),
        ]
    )
