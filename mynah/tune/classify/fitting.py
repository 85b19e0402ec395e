"""Fit each way to tell classes apart to parts of the rows, ask it about the others, and keep the one that does best.

Every row is asked about once by a model that has not seen it: that decides the way, how its probabilities are read
(temperature), from which on a text is of no known class, and which labels look wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mynah.data.records import Labelled
from mynah.errors import ConfigError
from mynah.tune.classify.augment import Paraphrase, augmented
from mynah.tune.classify.class_ngrams import ClassNGrams
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.features import features_of, joined
from mynah.tune.classify.fitted import Fitted, Integers, Scores, Told, Tried, score_way
from mynah.tune.classify.labels import Labels, folds_of
from mynah.tune.classify.linear import Floats, Linear, fit_temperature, softmax
from mynah.tune.classify.states import Reader
from mynah.tune.classify.trials import WORTH, try_tuned
from mynah.tune.classify.tuned_head import Tuner

#: Parts that the rows are cut into; of many rows one part alone is asked about, of so many rows.
FOLDS, MANY, ASKED = 5, 8_000, 3_000
#: Classes that differ more than this in rows are tried with equal weights as well.
UNEVEN = 3.0
#: Of more rows than this, no rows are made unless that is asked for: it takes long and hardly helps.
MOST_AUGMENTED = 5_000
#: The n-gram models of more classes than this would take longer than they teach.
MOST_NGRAM_CLASSES = 64
#: Ways that tune a base.
TUNED = ("head", "label_text")


def fit(
    rows: Sequence[Labelled],
    config: ClassifyConfig,
    seed: int,
    reader: Reader | None = None,
    longest: int | None = None,
    told: Told | None = None,
    tuner: Tuner | None = None,
    paraphrases: Sequence[Paraphrase] = (),
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
        paraphrases: each says texts in other words, for `augmented`.

    Raises:
        DataError: if nothing can be learned from the classes (`Labels.of`).
        ConfigError: if a base is asked for and there is none, or no time to tune it.
    """
    if config.way == "states" and reader is None:
        raise ConfigError("way = states needs a base: mynah base add smollm2, then --base smollm2")
    if config.way in TUNED and tuner is None:
        raise ConfigError(f"way = {config.way} needs a base: mynah base add smollm2, then --base smollm2")
    labels = Labels.of(rows)
    numbers, texts = labels.numbers(rows), [row.text for row in rows]
    made = Fitted(labels, "", longest=longest)
    features = {} if config.way == "ngrams" else features_of(made, texts, reader, config, told)
    folds = _folds(numbers, seed)
    scores = _compared(features, texts, numbers, folds, labels, config)
    if not scores:
        raise ConfigError(
            f"way = ngrams: {len(labels)} classes are more than {MOST_NGRAM_CLASSES}; leave it out"
        )
    made.tried = [tried for tried, _ in scores.values()]
    (made.way, balanced), made.reason = _best(made.tried)
    more = _augment(
        made, texts, numbers, folds, seed, balanced, features, scores, config, reader, paraphrases
    )
    made.asked = np.flatnonzero(folds >= 0)
    logits = scores[made.way, balanced][1][made.asked]
    made.temperature = fit_temperature(logits, numbers[made.asked])
    made.said = softmax(logits / made.temperature)
    if labels.outside is None and config.outside:
        made.threshold = float(np.quantile(made.said.max(axis=1), config.outside))
    if tuner is not None and config.way in ("auto", *TUNED):
        try_tuned(made, tuner, texts, numbers, folds, seed, balanced, scores, config, told)
    if made.way == "ngrams":
        made.ngrams = ClassNGrams.fit(texts, numbers, len(labels))
    elif made.way not in TUNED:
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
    paraphrases: Sequence[Paraphrase],
) -> tuple[Any, Integers] | None:
    """Try the best linear way with rows made from rows; return features and classes to learn if that does better.

    Of the rows that are asked about nothing is made that is learned.
    """
    from scipy.sparse import vstack

    asked_for = config.augment is True or (config.augment is None and bool(paraphrases))
    wanted = asked_for or (config.augment is None and len(texts) <= MOST_AUGMENTED)
    if not wanted or made.way not in features or made.words is None:
        return None
    if made.way == "states" and not asked_for:  # a base would read each text two times more
        return None
    begun = time.monotonic()
    said, of = augmented(texts, seed, paraphrases)
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
    tried, _ = score_way(made.way, balanced, logits, numbers, folds, time.monotonic() - begun)
    tried = replace(tried, augmented=True)
    before = scores[made.way, balanced][0]
    made.tried.append(tried)
    if config.augment is None and tried.macro_f1 < before.macro_f1 + WORTH:
        made.reason += f"; with {len(said):,} rows made from these {tried.macro_f1:.1%}, left out"
        return None
    made.reason += f"; {tried.macro_f1:.1%} with {len(said):,} rows made from these, which are learned too"
    scores[made.way, balanced] = tried, logits
    return vstack([x, new]).tocsr(), np.concatenate([numbers, numbers[origin]])


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
            scores[way, balanced] = score_way(way, balanced, logits, numbers, folds, time.monotonic() - begun)
    if config.way in ("auto", "ngrams") and len(labels) <= MOST_NGRAM_CLASSES:
        begun = time.monotonic()
        logits = _asked_ngrams(texts, numbers, folds, len(labels))
        scores["ngrams", False] = score_way("ngrams", False, logits, numbers, folds, time.monotonic() - begun)
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


#: Ways in the order of what they cost to use.
_COST = ("words", "ngrams", "states")


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
