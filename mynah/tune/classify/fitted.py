"""What a classifier has learned, and how each way did on rows that it had not seen.

N texts, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mynah.tune.classify.class_ngrams import ClassNGrams
from mynah.tune.classify.label_text import LabelText
from mynah.tune.classify.labels import Labels
from mynah.tune.classify.linear import Floats, Linear, fit_temperature, log_loss
from mynah.tune.classify.states import States
from mynah.tune.classify.tuned_head import TunedHead
from mynah.tune.classify.words import Words

Integers = npt.NDArray[np.int64]
Told = Callable[[str, float], None]


@dataclass(frozen=True)
class Tried:
    """How a way did on rows that it had not seen."""

    way: str
    balanced: bool
    macro_f1: float
    accuracy: float
    #: -log p of the right class in nats, after the temperature
    log_loss: float
    seconds: float
    #: whether rows made from rows were learned as well
    augmented: bool = False


@dataclass
class Fitted:
    """What was fitted, and what it rests on."""

    labels: Labels
    way: str
    words: Words | None = None
    states: States | None = None
    linear: Linear | None = None
    ngrams: ClassNGrams | None = None
    head: TunedHead | None = None
    text: LabelText | None = None
    #: of the log-probabilities of a tuned way, beside those of words; 1: it is asked alone
    mix: float = 1.0
    temperature: float = 1.0
    #: a text whose surest class is less probable is of none of them
    threshold: float = 0.0
    #: tokens of a text that the base reads, at most; None: all
    longest: int | None = None
    tried: list[Tried] = field(default_factory=list)
    #: why this way, in words
    reason: str = ""
    #: rows that were asked about, their numbers among all, and what was said, (M, K) probabilities
    asked: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    said: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    #: the other ways, fitted to all rows too: probabilities (N, K) of texts
    beside: dict[str, Callable[[Sequence[str]], Floats]] = field(default_factory=dict)


#: (way, whether classes count alike) -> how it did, and its (N, K) logits of the rows that it was asked about
Scores = dict[tuple[str, bool], tuple[Tried, Floats]]


def score_way(
    way: str, balanced: bool, logits: Floats, numbers: Integers, folds: Integers, seconds: float
) -> tuple[Tried, Floats]:
    """Return how a way did on the rows that it was asked about, and its logits.

    Args:
        way: its name.
        balanced: whether classes counted alike.
        logits: (N, K); those of rows that were not asked about are not looked at.
        numbers: (N,) of the classes.
        folds: (N,) -1 for rows that were not asked about.
        seconds: that it took.
    """
    from sklearn.metrics import f1_score

    asked = folds >= 0
    said, right = logits[asked].argmax(axis=1), numbers[asked]
    temperature = fit_temperature(logits[asked], right)
    tried = Tried(
        way,
        balanced,
        float(f1_score(right, said, average="macro", zero_division=0)),
        float((said == right).mean()),
        log_loss(logits[asked], right, temperature),
        seconds,
    )
    return tried, logits
