"""Why a reply of the log was chosen and not the next one: what spoke for each, in log-odds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mynah.answers.evidence import JUDGED_BY, RANKED_BY, Floats
from mynah.answers.judge import Judge, Logistic, Verdict


@dataclass(frozen=True)
class Reason:
    """A number that speaks for the one or the other."""

    name: str
    #: of the reply that was chosen, and of the next
    chosen: float
    next: float | None
    #: by how much it moves the log-odds towards the one chosen
    odds: float


@dataclass(frozen=True)
class Reasons:
    """Why a reply was chosen, and why it was held for right or not."""

    reply: str
    place: str
    confidence: float
    threshold: float
    #: the best candidate that says something else; None: there is none
    next_reply: str | None
    next_place: str | None
    #: for it and against the next, the weightiest first
    ranked_by: tuple[Reason, ...]
    #: for its being right, the weightiest first
    judged_by: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def reasons(judge: Judge, verdict: Verdict, threshold: float, places: list[str]) -> Reasons:
    """Say why a candidate is the best one and how sure that is.

    Args:
        judge: who judged.
        verdict: its best candidate.
        threshold: from which on a reply is said.
        places: of each candidate, where it stands in the log.
    """
    candidates, numbers = verdict.evidence.candidates, verdict.evidence.ranked_by
    best = verdict.candidate
    others = [n for n in np.argsort(-verdict.odds).tolist() if candidates[n].text != candidates[best].text]
    other = others[0] if others else None
    against = numbers[other] if other is not None else judge.ranker.mean
    ranked = _weighed(judge.ranker, RANKED_BY, numbers[best], against, other is not None)
    judged = _weighed(judge.gate, JUDGED_BY, verdict.judged_by, judge.gate.mean, False)
    return Reasons(
        candidates[best].text,
        places[best],
        verdict.confidence,
        threshold,
        candidates[other].text if other is not None else None,
        places[other] if other is not None else None,
        ranked,
        judged,
    )


def _weighed(
    model: Logistic, names: tuple[str, ...], of: Floats, against: Floats, told: bool
) -> tuple[Reason, ...]:
    odds = model.weights * (of - against) / model.scale
    found = [
        Reason(name, float(of[n]), float(against[n]) if told else None, float(odds[n]))
        for n, name in enumerate(names)
        if abs(odds[n]) > 1e-6
    ]
    return tuple(sorted(found, key=lambda reason: -abs(reason.odds)))
