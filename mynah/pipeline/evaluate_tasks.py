"""Measure what a run does that does not talk: tells classes, or translates; by the field's own measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mynah.data.records import Labelled, Pair, Record
from mynah.errors import DataError
from mynah.evaluate.chance import ratio_interval, share_interval
from mynah.evaluate.classification import measure_classes, measure_several
from mynah.evaluate.translation import each_chrf, measure_translations
from mynah.pipeline.open_classifier import open_classifier
from mynah.pipeline.open_translator import open_translator
from mynah.tune.classify.several import SeveralClassifier

Told = Callable[[str, float | None], None]
#: Texts that are classified at once.
_AT_ONCE = 64


def evaluate_classes(directory: Path, records: Sequence[Record], device: str, told: Told) -> dict[str, Any]:
    """Measure a classifier on texts with classes; one that it has not learned counts as mistaken.

    Raises:
        DataError: if no text has a class.
    """
    rows = [record for record in records if isinstance(record, Labelled)]
    if not rows:
        raise DataError(
            f"{directory.name}: none of {len(records)} records has a class; expected texts with labels"
        )
    classifier = open_classifier(directory, device)
    several = isinstance(classifier, SeveralClassifier)
    between = classifier.fitted.labels.separator if isinstance(classifier, SeveralClassifier) else ""
    wanted = [row.label.split(between) if several else [row.label] for row in rows]
    learned = list(classifier.labels)
    unknown = sorted({label.strip() for labels in wanted for label in labels} - set(learned))
    names = [*learned, *unknown]
    found = []
    for begin in range(0, len(rows), _AT_ONCE):
        texts = [row.text for row in rows[begin : begin + _AT_ONCE]]
        found += [[one.probabilities.get(name, 0.0) for name in names] for one in classifier.predict(texts)]
        told("classifying", len(found) / len(rows))
    probabilities, place = np.array(found), {name: n for n, name in enumerate(names)}
    if isinstance(classifier, SeveralClassifier):
        right = np.zeros(probabilities.shape, bool)
        for n, labels in enumerate(wanted):
            right[n, [place[label.strip()] for label in labels]] = True
        thresholds = np.append(classifier.fitted.thresholds, np.full(len(unknown), 2.0))
        measured = measure_several(names, right, probabilities, thresholds)
        hits = round(measured["accuracy"] * len(rows))
    else:
        numbers = np.array([place[labels[0].strip()] for labels in wanted])
        measured = measure_classes(names, numbers, probabilities)
        hits = int((probabilities.argmax(axis=1) == numbers).sum())
    interval = share_interval(hits, len(rows))
    never = [row["name"] for row in measured["classes"] if row["support"] and not row["said"]]
    return {**measured, "interval": [interval.low, interval.high], "unknown": unknown, "never_said": never}


def evaluate_translations(
    directory: Path, records: Sequence[Record], count: int, device: str, told: Told
) -> list[dict[str, Any]]:
    """Measure a translator on pairs, each way that it has learned: BLEU and chrF with sacrebleu's signatures.

    Raises:
        DataError: if there is no pair.
    """
    pairs = [record for record in records if isinstance(record, Pair)]
    if not pairs:
        raise DataError(f"{directory.name}: none of {len(records)} records is a pair of texts")
    pairs = [pairs[n * len(pairs) // min(count, len(pairs))] for n in range(min(count, len(pairs)))]
    translator, way = open_translator(directory, device)
    found = []
    for direction in translator.directions:
        sides = [direction.sides(pair) for pair in pairs]
        progress = partial(told, f"translating: {direction.describe()}")
        sources = [source for source, _ in sides]
        made = translator.translate(sources, direction, way.beam, way.terms(direction), progress)
        texts, references = [one.text for one in made], [target for _, target in sides]
        interval = ratio_interval(each_chrf(texts, references), [1.0] * len(texts))
        found.append(
            {
                "direction": direction.describe(),
                **measure_translations(texts, references, direction.target),
                "chrf_interval": [interval.low, interval.high] if interval is not None else None,
            }
        )
    return found
