"""Fit each way to tell classes apart to parts of the rows, ask it about the others, and keep the one that does best.

Every row is asked about once by a model that has not seen it: that decides the way, how its probabilities are read
(temperature), from which on a text is of no known class, and which labels look wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.data.records import Labelled
from mynah.errors import ConfigError
from mynah.tune.classify.augment import Paraphrase, augmented
from mynah.tune.classify.class_ngrams import ClassNGrams
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.labels import Labels, folds_of
from mynah.tune.classify.linear import Floats, Linear, fit_temperature, log_loss, log_softmax, softmax
from mynah.tune.classify.states import Reader, States
from mynah.tune.classify.tuned_head import TunedHead, Tuner
from mynah.tune.classify.words import Words

#: Parts that the rows are cut into; of many rows one part alone is asked about, of so many rows.
FOLDS, MANY, ASKED = 5, 8_000, 3_000
#: How much better another way must be to be taken over one that costs less, in macro-F1.
WORTH = 0.005
#: Classes that differ more than this in rows are tried with equal weights as well.
UNEVEN = 3.0
#: Of more rows than this, no rows are made unless that is asked for: it takes long and hardly helps.
MOST_AUGMENTED = 5_000
#: Shares of a tuned head beside words that are tried.
MIXES = (1.0, 0.85, 0.7, 0.5)
#: The n-gram models of more classes than this would take longer than they teach.
MOST_NGRAM_CLASSES = 64

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
    #: of a head's log-probabilities, beside those of words; 1: it is asked alone
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


def fit(
    rows: Sequence[Labelled],
    config: ClassifyConfig,
    seed: int,
    reader: Reader | None = None,
    longest: int | None = None,
    told: Told | None = None,
    tuner: Tuner | None = None,
    paraphrase: Paraphrase | None = None,
) -> Fitted:
    """Fit to labelled texts.

    Args:
        rows: each of a class that has at least two (`learnable`).
        config: settings.
        seed: of the parts that rows are cut into.
        reader: of a base; None: there is none.
        longest: tokens of a text that it reads; None: all.
        told: is told what is being done and what share of it is done.
        tuner: of a head over a base; None: there is no base, or no time.
        paraphrase: says texts in other words, for `augmented`; None: nobody does.

    Raises:
        DataError: if nothing can be learned from the classes (`Labels.of`).
        ConfigError: if a base is asked for and there is none, or no time to tune it.
    """
    if config.way == "states" and reader is None:
        raise ConfigError("way = states needs a base: mynah base add smollm2, then --base smollm2")
    if config.way == "head" and tuner is None:
        raise ConfigError("way = head needs a base: mynah base add smollm2, then --base smollm2")
    labels = Labels.of(rows)
    numbers, texts = labels.numbers(rows), [row.text for row in rows]
    made = Fitted(labels, "", longest=longest)
    features = {} if config.way == "ngrams" else _features(made, texts, reader, config, told)
    folds = _folds(numbers, seed)
    scores = _compared(features, texts, numbers, folds, labels, config)
    if not scores:
        raise ConfigError(
            f"way = ngrams: {len(labels)} classes are more than {MOST_NGRAM_CLASSES}; leave it out"
        )
    made.tried = [tried for tried, _ in scores.values()]
    (made.way, balanced), made.reason = _best(made.tried)
    more = _augment(made, texts, numbers, folds, seed, balanced, features, scores, config, reader, paraphrase)
    made.asked = np.flatnonzero(folds >= 0)
    logits = scores[made.way, balanced][1][made.asked]
    made.temperature = fit_temperature(logits, numbers[made.asked])
    made.said = softmax(logits / made.temperature)
    if labels.outside is None and config.outside:
        made.threshold = float(np.quantile(made.said.max(axis=1), config.outside))
    if tuner is not None and config.way in ("auto", "head"):
        _tune(made, tuner, texts, numbers, folds, seed, balanced, scores, config, told)
    if made.way == "ngrams":
        made.ngrams = ClassNGrams.fit(texts, numbers, len(labels))
    elif made.way != "head":
        x, y = features[made.way], numbers
        if more is not None:
            x, y = more
        linear = Linear.fit(x, y, len(labels), balanced=balanced)
        made.linear = linear.with_temperature(made.temperature)
    made.beside = _beside(made, features, texts, numbers, scores)
    # What the other ways rest on is not kept.
    made.words = made.words if made.way in ("words", "states") or made.mix < 1 else None
    made.states = made.states if made.way == "states" else None
    return made


def _augment(
    made: Fitted,
    texts: Sequence[str],
    numbers: Integers,
    folds: Integers,
    seed: int,
    balanced: bool,
    features: dict[str, Any],
    scores: Scores,
    config: ClassifyConfig,
    reader: Reader | None,
    paraphrase: Paraphrase | None,
) -> tuple[Any, Integers] | None:
    """Try the best linear way with rows made from rows; return features and classes to learn if that does better.

    Of the rows that are asked about nothing is made that is learned.
    """
    from scipy.sparse import vstack

    wanted = config.augment is True or (config.augment is None and len(texts) <= MOST_AUGMENTED)
    if not wanted or made.way not in features or made.words is None:
        return None
    begun = time.monotonic()
    said, of = augmented(texts, seed, paraphrase)
    if not said:
        return None
    new, origin = made.words(said), np.array(of)
    if made.way == "states":
        assert reader is not None
        assert made.states is not None
        states = reader.states(reader.encode(said, made.longest), made.states.weight)
        new = joined(new, made.states.features(states))
    x = features[made.way]
    logits = np.zeros((len(numbers), len(made.labels)))
    for fold in range(folds.max() + 1):
        mine = folds == fold
        others = ~mine[origin]
        given = vstack([x[~mine], new[others]]).tocsr()
        right = np.concatenate([numbers[~mine], numbers[origin[others]]])
        logits[mine] = Linear.fit(given, right, len(made.labels), balanced=balanced).logits(x[mine])
    tried, _ = _score(made.way, balanced, logits, numbers, folds, time.monotonic() - begun)
    tried = replace(tried, augmented=True)
    before = scores[made.way, balanced][0]
    made.tried.append(tried)
    if config.augment is None and tried.macro_f1 < before.macro_f1 + WORTH:
        made.reason += f"; with {len(said):,} rows made from these {tried.macro_f1:.1%}, left out"
        return None
    made.reason += f"; {tried.macro_f1:.1%} with {len(said):,} rows made from these, which are learned too"
    scores[made.way, balanced] = tried, logits
    return vstack([x, new]).tocsr(), np.concatenate([numbers, numbers[origin]])


def _tune(
    made: Fitted,
    tuner: Tuner,
    texts: Sequence[str],
    numbers: Integers,
    folds: Integers,
    seed: int,
    balanced: bool,
    scores: Scores,
    config: ClassifyConfig,
    told: Told | None,
) -> None:
    """Tune a head on all parts but one, ask it about that one, and on all if it does better there than the best way.

    Beside it, words are asked: what the two say is weighed as does best on that part.
    """
    settings = tuner.settings(texts)
    if settings is None:
        minutes = tuner.seconds_needed(texts) / 60
        if config.way == "head":
            raise ConfigError(
                f"way = head: tuning takes about {minutes:.0f} minutes here; give more --minutes"
            )
        made.reason += f"; a tuned head is left out, as it takes about {minutes:.0f} minutes here"
        return
    begun, asked = time.monotonic(), folds == 0
    learn = partial(
        TunedHead.learn, tuner.base, classes=len(made.labels), settings=settings, seed=seed, device=tuner.device,
        balanced=balanced,
    )  # fmt: skip
    others = np.flatnonzero(~asked)
    tried = learn(
        [texts[int(n)] for n in others],
        numbers[others],
        told=(lambda share: told("tuning a head on four of five parts", share)) if told else None,
    )
    alone = tried.log_probs([texts[int(n)] for n in np.flatnonzero(asked)])
    weighting = balanced if ("words", balanced) in scores else not balanced
    words = log_softmax(scores["words", weighting][1][asked]) if ("words", weighting) in scores else alone
    right = numbers[asked]
    mixes = {mix: mix * alone + (1 - mix) * words for mix in MIXES}
    mix = min(mixes, key=lambda one: log_loss(mixes[one], right, fit_temperature(mixes[one], right)))
    everything = np.full((len(numbers), len(made.labels)), -np.inf)
    everything[asked] = mixes[mix]
    head, _ = _score("head", balanced, everything, numbers, np.where(asked, 0, -1), time.monotonic() - begun)
    taken = scores[made.way, balanced][1]
    same, _ = _score(made.way, balanced, taken, numbers, np.where(asked, 0, -1), 0.0)
    made.tried.append(head)
    if config.way != "head" and head.macro_f1 < same.macro_f1 + WORTH:
        made.reason += f"; on a fifth of them {same.macro_f1:.1%}, a tuned head {head.macro_f1:.1%}"
        return
    made.head = learn(
        texts, numbers, told=(lambda share: told("tuning a head on all rows", share)) if told else None
    )
    made.reason = (
        f"macro-F1 {head.macro_f1:.1%} on a fifth of the rows, which it had not seen; {made.way} {same.macro_f1:.1%} "
        f"on the same ({settings.share:.0%} of the layers, {settings.passes:.1f} passes"
        + (f", {mix:.0%} head and {1 - mix:.0%} words)" if mix < 1 else ")")
    )
    made.way, made.mix = "head", mix
    made.temperature = fit_temperature(mixes[mix], right)
    if made.threshold:
        sure = softmax(mixes[mix] / made.temperature).max(axis=1)
        made.threshold = float(np.quantile(sure, config.outside))
    if mix < 1:
        assert made.words is not None
        made.linear = Linear.fit(made.words(texts), numbers, len(made.labels), balanced=weighting)


#: (way, whether classes count alike) -> how it did, and its (N, K) logits of the rows that it was asked about
Scores = dict[tuple[str, bool], tuple[Tried, Floats]]


def _compared(
    features: dict[str, Any],
    texts: Sequence[str],
    numbers: Integers,
    folds: Integers,
    labels: Labels,
    config: ClassifyConfig,
) -> Scores:
    """Fit each way to all parts but one and ask it about that one."""
    scores: Scores = {}
    for way, x in features.items():
        for balanced in _weightings(labels, config):
            begun = time.monotonic()
            logits = _asked_linear(x, numbers, folds, len(labels), balanced)
            scores[way, balanced] = _score(way, balanced, logits, numbers, folds, time.monotonic() - begun)
    if config.way in ("auto", "ngrams") and len(labels) <= MOST_NGRAM_CLASSES:
        begun = time.monotonic()
        logits = _asked_ngrams(texts, numbers, folds, len(labels))
        scores["ngrams", False] = _score("ngrams", False, logits, numbers, folds, time.monotonic() - begun)
    return scores


def _beside(
    made: Fitted, features: dict[str, Any], texts: Sequence[str], numbers: Integers, scores: Scores
) -> dict[str, Callable[[Sequence[str]], Floats]]:
    """Fit the simple ways that were not taken to all rows, to be measured beside the one that was."""
    found: dict[str, Callable[[Sequence[str]], Floats]] = {}
    count = len(made.labels)

    def temperature(way: str, balanced: bool) -> float:
        return fit_temperature(scores[way, balanced][1][made.asked], numbers[made.asked])

    if made.way != "words" and made.words is not None and "words" in features:
        words, balanced = made.words, min(weighting for way, weighting in scores if way == "words")
        alone = Linear.fit(features["words"], numbers, count, balanced=balanced)
        alone = alone.with_temperature(temperature("words", balanced))
        found["words"] = lambda asked: alone(words(asked))
    if made.way != "ngrams" and ("ngrams", False) in scores:
        models, divisor = ClassNGrams.fit(texts, numbers, count), temperature("ngrams", False)
        found["ngrams"] = lambda asked: softmax(models.logits(asked) / divisor)
    return found


def _features(
    made: Fitted, texts: Sequence[str], reader: Reader | None, config: ClassifyConfig, told: Told | None
) -> dict[str, Any]:
    made.words = Words.fit(texts)
    words = made.words(texts)
    found = {"words": words} if config.way in ("auto", "words", "head") else {}
    if reader is not None and config.way in ("auto", "states"):
        encoded = reader.encode(texts, made.longest)
        counted = States.count(encoded)
        states = reader.states(
            encoded, counted.weight, (lambda share: told("reading with the base", share)) if told else None
        )
        made.states = counted.settle(states)
        found["states"] = joined(words, made.states.features(states))
    return found


def joined(words: Any, states: Any) -> Any:
    """Return features of words and of states side by side, (N, F + C), sparse."""
    from scipy.sparse import csr_matrix, hstack

    return hstack([words, csr_matrix(states)]).tocsr()


def _weightings(labels: Labels, config: ClassifyConfig) -> tuple[bool, ...]:
    if config.balanced is not None:
        return (config.balanced,)
    return (False, True) if labels.imbalance >= UNEVEN else (False,)


def _folds(numbers: Integers, seed: int) -> Integers:
    """Return the part of each row, (N,); -1 for those that are never asked about."""
    if len(numbers) <= MANY:
        return folds_of(numbers, FOLDS, seed)
    folds = folds_of(numbers, -(-len(numbers) // ASKED), seed)
    return np.where(folds == 0, 0, -1)


def _asked_linear(x: Any, numbers: Integers, folds: Integers, count: int, balanced: bool) -> Floats:
    logits = np.zeros((len(numbers), count))
    for fold in range(folds.max() + 1):
        mine = folds == fold
        logits[mine] = Linear.fit(x[~mine], numbers[~mine], count, balanced=balanced).logits(x[mine])
    return logits


def _asked_ngrams(texts: Sequence[str], numbers: Integers, folds: Integers, count: int) -> Floats:
    logits = np.zeros((len(numbers), count))
    for fold in range(folds.max() + 1):
        mine, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        model = ClassNGrams.fit([texts[int(n)] for n in others], numbers[others], count)
        logits[mine] = model.logits([texts[int(n)] for n in mine])
    return logits


def _score(
    way: str, balanced: bool, logits: Floats, numbers: Integers, folds: Integers, seconds: float
) -> tuple[Tried, Floats]:
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


#: Ways in the order of what they cost to use.
_COST = ("words", "ngrams", "states", "head")


def _best(tried: Sequence[Tried]) -> tuple[tuple[str, bool], str]:
    """Return the way that is taken, and why."""
    best = max(tried, key=lambda one: one.macro_f1)
    near = [one for one in tried if one.macro_f1 >= best.macro_f1 - WORTH]
    taken = min(near, key=lambda one: (_COST.index(one.way), one.balanced))
    others = {
        one.way: max(o.macro_f1 for o in tried if o.way == one.way) for one in tried if one.way != taken.way
    }
    beside = ", ".join(f"{way} {score:.1%}" for way, score in others.items())
    reason = f"macro-F1 {taken.macro_f1:.1%} on rows that it had not seen"
    if beside:
        reason += f"; {beside}"
    if taken is not best:
        reason += f"; {best.way} costs more and is not {WORTH:.1%} better"
    if taken.balanced:
        reason += "; every class counts as much"
    return (taken.way, taken.balanced), reason
