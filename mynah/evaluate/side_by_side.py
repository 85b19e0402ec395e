"""Which of several models people find the better one, from pairs of replies that they judged without knowing whose.

M models, N judgements.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.errors import DataError

#: Elo's points for each unit of Bradley and Terry's strength, and where the mean lies.
POINTS, MEAN = 400 / math.log(10), 1000.0
#: Samples for an interval.
_DRAWN = 500
#: As if each pair of models had been judged alike so often, too: who never lost is not infinitely strong.
_PRIOR = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Two replies to one prompt, and which was the better one."""

    prompt: str
    first: str
    second: str
    #: 1: the first, 0: the second, 0.5: alike
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a line of a file."""
        return asdict(self)


@dataclass(frozen=True)
class Strength:
    """How strong a model is, in Elo's points: 100 more win 64 of 100."""

    elo: float
    low: float
    high: float
    judged: int


def strengths(judged: Sequence[Judged]) -> dict[str, Strength]:
    """Return how strong each model is (Bradley & Terry 1952), the strongest first, with 95 % intervals.

    Alike counts half for each (Rao & Kupper's simplest case). Intervals are from judgements drawn anew (Efron 1979).
    """
    names = sorted({name for one in judged for name in (one.first, one.second)})
    place = {name: n for n, name in enumerate(names)}
    first = np.array([place[one.first] for one in judged], np.intp)
    second = np.array([place[one.second] for one in judged], np.intp)
    score = np.array([one.score for one in judged])
    elo = _fit(first, second, score, np.ones(len(judged)), len(names))
    rng = np.random.default_rng(0)
    drawn = np.array(
        [
            _fit(
                first,
                second,
                score,
                rng.multinomial(len(judged), np.full(len(judged), 1 / len(judged))),
                len(names),
            )
            for _ in range(_DRAWN)
        ]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    counts = np.bincount(first, minlength=len(names)) + np.bincount(second, minlength=len(names))
    found = {
        name: Strength(float(elo[n]), float(low[n]), float(high[n]), int(counts[n]))
        for n, name in enumerate(names)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].elo))


def _fit(
    first: npt.NDArray[np.intp],
    second: npt.NDArray[np.intp],
    score: Floats,
    weight: npt.ArrayLike,
    count: int,
) -> Floats:
    """Return (M,) strengths in points whose likelihood is the highest, their mean at `MEAN`; by Newton's method."""
    weights = np.asarray(weight, np.float64)
    pairs = [(a, b) for a in range(count) for b in range(a)]
    one = np.concatenate([first, np.array([a for a, _ in pairs], np.intp)])
    other = np.concatenate([second, np.array([b for _, b in pairs], np.intp)])
    won = np.concatenate([score, np.full(len(pairs), 0.5)])
    weights = np.concatenate([weights, np.full(len(pairs), _PRIOR)])
    theta = np.zeros(count)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(theta[one] - theta[other])))
        gradient = np.zeros(count)
        np.add.at(gradient, one, weights * (won - p))
        np.add.at(gradient, other, -weights * (won - p))
        curve = weights * p * (1 - p)
        hessian = np.zeros((count, count))
        np.add.at(hessian, (one, one), curve)
        np.add.at(hessian, (other, other), curve)
        np.add.at(hessian, (one, other), -curve)
        np.add.at(hessian, (other, one), -curve)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        theta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    points: Floats = POINTS * (theta - theta.mean()) + MEAN
    return points


def in_which_order(prompt: str, first: str, second: str) -> bool:
    """Say whether the second is shown first: by chance, and the same each time for the same prompt and models."""
    digest = hashlib.blake2b(
        "\x1f".join((prompt, first, second)).encode("utf-8", "replace"), digest_size=1
    ).digest()
    return bool(digest[0] & 1)


def read_judged(path: Path) -> list[Judged]:
    """Read what was judged before; of no file, nothing.

    Raises:
        DataError: with file and line if a line is not one.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            one = Judged(str(row["prompt"]), str(row["first"]), str(row["second"]), float(row["score"]))
        except (ValueError, KeyError, TypeError):
            one = None
        if one is None or one.score not in (0.0, 0.5, 1.0):
            raise DataError(
                f'{path}:{number}: expected {{"prompt", "first", "second", "score": 0, 0.5 or 1}}'
            )
        found.append(one)
    return found
