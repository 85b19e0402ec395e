"""How well classes are told on published sets, beside the simple ways, in the same run.

    python benchmarks/tasks.py DATA [--seeds 3] [--base smollm2] [--chinese NAME] [--head SECONDS] [--scratch PASSES]
        [--only NAME ...]

DATA holds a folder a set (`cls_sms_spam`, ...). A set without a test part of its own gets one: a fifth of its rows,
drawn by the seed. Rows to learn from whose text stands in the test part as well are taken out first and counted.
`--chinese` names a base for the Chinese sets, such as one made by recipes/base.toml; without it `states` and `head` are
left out of these. `--scratch` adds the states of a small network from random weights after so many passes over the
set's own texts. Macro-F1 and accuracy of the test part: the mean
over seeds, and how far the seeds are apart. `--head` tunes a head for so long, its trial on four fifths of the rows
included. Of cls_clinc150 it is also told how well texts of no class are told from the others (area under the ROC curve
of the surest class's probability, and how many of either kind are said to be of none).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe

from mynah import GPT3
from mynah.data.collect.collector import collect
from mynah.data.records import Labelled
from mynah.data.sources import CollectConfig
from mynah.evaluate.classification import measure_classes
from mynah.interop.bases import find_base
from mynah.tune.classify.classifier import TextClassifier
from mynah.tune.classify.config import ClassifyConfig, WayName
from mynah.tune.classify.fitting import fit
from mynah.tune.classify.labels import learnable
from mynah.tune.classify.states import Reader
from mynah.tune.classify.tuned_head import Tuner

#: Sets in English; those in Chinese.
ENGLISH = ("cls_sms_spam", "cls_clinc150", "cls_snips", "cls_bitext_support_csv", "cls_movie_reviews")
CHINESE = ("cls_chnsenticorp_htl", "cls_thucnews_titles")
#: Tokens of a text that a base reads, and rows of a test part, at most: that a set takes minutes.
LONGEST, TESTED = 96, 3000
TEST_SHARE = 0.2
WAYS: tuple[WayName, ...] = ("words", "ngrams", "states", "head")


def sets_in(folder: Path, name: str, seed: int) -> Iterator[tuple[str, list[Labelled], list[Labelled]]]:
    """Yield name, rows to learn from and test rows of a set: whole, and with few rows a class."""
    if name == "cls_clinc150":
        value = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
        train, test = ([Labelled(text, label) for text, label in value[part]] for part in ("train", "test"))
        for count in (10, 100):
            yield f"{name}, {count} a class", few(train, count, seed), test
        return
    rows = [row for row in collect([folder], CollectConfig()).records if isinstance(row, Labelled)]
    rows = list({row.text: row for row in rows}.values())
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = int(TEST_SHARE * len(rows))
    yield name, [rows[i] for i in order[cut:]], [rows[i] for i in order[:cut]]


def _outside_of(folder: Path, name: str) -> list[str]:
    """Return texts of a set that are of none of its classes."""
    if name != "cls_clinc150":
        return []
    value = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
    return [text for text, _ in value["oos_test"]]


def few(rows: Sequence[Labelled], count: int, seed: int) -> list[Labelled]:
    """Draw so many rows of each class."""
    draw = np.random.default_rng(seed)
    by_class = defaultdict(list)
    for row in rows:
        by_class[row.label].append(row)
    return [of[i] for of in by_class.values() for i in draw.permutation(len(of))[:count]]


def from_scratch(train: Sequence[Labelled], passes: float, seed: int) -> Reader:
    """Return a reader: a small network that has read the texts of a set and nothing else."""
    model = GPT3.from_pretrained("micro", seed=seed).train([row.text for row in train], epochs=passes)
    assert model.model is not None
    assert model.tokenizer is not None
    return Reader(model.model, model.tokenizer)


def measured(
    train: Sequence[Labelled],
    test: Sequence[Labelled],
    outside: Sequence[str],
    reader: Reader | None,
    tuner: Tuner | None,
    seed: int,
    ways: Sequence[WayName] = WAYS,
) -> Iterator[tuple[str, float, float, float]]:
    """Yield way, macro-F1, accuracy and seconds on the test part, the most frequent class first."""
    for way in ways:
        if (way == "states" and reader is None) or (way == "head" and tuner is None):
            continue
        begun = time.monotonic()
        try:
            fitted = fit(train, ClassifyConfig(way=way), seed, reader, LONGEST, None, tuner)
        except ValueError as error:  # too many classes for a model each, no time for a head
            print(f"    {way}: {error}", flush=True)
            continue
        known = [row for row in test if row.label in fitted.labels.names]
        right = fitted.labels.numbers(known)
        if way == ways[0]:
            shares = np.array(fitted.labels.counts, np.float64)
            most = measure_classes(
                fitted.labels.names, right, np.tile(shares / shares.sum(), (len(right), 1))
            )
            yield "majority", most["macro_f1"], most["accuracy"], 0.0
        classifier = TextClassifier(fitted, reader)
        said = classifier.probabilities([row.text for row in known])
        if outside:
            _tell_outside(
                way, said.max(axis=1), classifier.probabilities(outside).max(axis=1), fitted.threshold
            )
        found = measure_classes(fitted.labels.names, right, said)
        yield way, found["macro_f1"], found["accuracy"], time.monotonic() - begun


def _tell_outside(way: str, inside: Any, outside: Any, threshold: float) -> None:
    """Print how well texts of no class are told from those of one, by the probability of their surest class."""
    from sklearn.metrics import roc_auc_score

    area = roc_auc_score([1] * len(inside) + [0] * len(outside), [*inside, *outside])
    print(
        f"    {way}: of no class or of one, ROC area {area:.1%}; said to be of none: "
        f"{(outside < threshold).mean():.1%} of {len(outside):,} that are, "
        f"{(inside < threshold).mean():.1%} of {len(inside):,} that are of one",
        flush=True,
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--chinese", default=None)
    parser.add_argument(
        "--scratch", type=float, default=0.0, help="passes; 0: no network from random weights"
    )
    parser.add_argument("--head", type=float, default=0.0, help="seconds for tuning a head; 0: none is")
    parser.add_argument("--only", nargs="*", default=[*ENGLISH, *CHINESE])
    given = parser.parse_args()
    print(describe())
    for name in given.only:
        base = given.base if name in ENGLISH else given.chinese
        reader = Reader.open(find_base(base), torch.device("cpu")) if base else None
        tuner = Tuner(base, torch.device("cpu"), given.head) if base and given.head else None
        scores: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
        told: dict[str, str] = {}
        for seed in range(given.seeds):
            for title, train, test in sets_in(given.data / name, name, seed):
                test = [test[i] for i in np.random.default_rng(seed).permutation(len(test))[:TESTED]]
                held = {" ".join(row.text.lower().split()) for row in test}
                kept = [row for row in train if " ".join(row.text.lower().split()) not in held]
                kept, _ = learnable(kept)
                told[title] = (
                    f"{len(kept):,} rows, {len(train) - len(kept):,} taken out, {len(test):,} tested"
                )
                for way, f1, accuracy, seconds in measured(
                    kept,
                    test,
                    _outside_of(given.data / name, name),
                    reader,
                    tuner,
                    seed,
                ):
                    scores[title, way].append((f1, accuracy, seconds))
                if not given.scratch:
                    continue
                begun = time.monotonic()
                own = from_scratch(kept, given.scratch, seed)
                read = time.monotonic() - begun
                for way, f1, accuracy, seconds in measured(kept, test, [], own, None, seed, ("states",)):
                    if way == "states":
                        scores[title, "own states"].append((f1, accuracy, seconds + read))
        for title, line in told.items():
            print(f"\n{title}: {line}")
            for way in ("majority", *WAYS, "own states"):
                if found := scores.get((title, way)):
                    f1, accuracy, seconds = (np.array(column) for column in zip(*found, strict=True))
                    print(
                        f"  {way:<10} macro-F1 {f1.mean():6.1%} (from {f1.min():.1%} to {f1.max():.1%})  "
                        f"accuracy {accuracy.mean():6.1%}  {seconds.mean():6.0f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
