"""Texts of several classes at once: which labels are lists, and a yes or no for each class.

N texts, K classes, F features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mynah import artifacts
from mynah.data.records import Labelled
from mynah.errors import ArtifactError, DataError
from mynah.interop.bases import find_base
from mynah.tune.classify.features import joined
from mynah.tune.classify.fitted import Told
from mynah.tune.classify.labels import folds_of
from mynah.tune.classify.linear import FREEDOM, STEPS, Floats, load_arrays
from mynah.tune.classify.prediction import Prediction
from mynah.tune.classify.states import Reader, States
from mynah.tune.classify.words import Words

Flags = npt.NDArray[np.bool_]
#: What stands between the classes of a text.
SEPARATORS = (", ", "|", ";", ",")
WITHIN_NAMES = (", ", ",")
#: Labels are lists if at least this share of them holds a separator, and most of their parts stand in several lists.
LEAST_LISTS, REPEATED = 0.05, 0.6
#: Parts that the rows are cut into to be asked about; a class with fewer texts is left out.
FOLDS, LEAST_ROWS = 5, 2
#: How much better the states of a base must do to be taken, in macro-F1.
WORTH = 0.005
#: What a text of none of the classes is said to be.
NONE = "none"
ABOUT, FILE = "classifier.json", "several.safetensors"


def separator_of(labels: Sequence[str]) -> str | None:
    """Return what stands between the classes in labels that are lists of them; None if each is one class."""
    distinct = Counter(labels)
    for separator in SEPARATORS:
        lists = [label for label in distinct if separator in label]
        if not lists or sum(distinct[label] for label in lists) < LEAST_LISTS * len(labels):
            continue
        if _is_number(lists, separator) or (separator in WITHIN_NAMES and not _differ(distinct, separator)):
            continue
        parts = Counter(part for label in distinct for part in set(parts_of(label, separator)))
        inside = {part for label in lists for part in parts_of(label, separator)}
        repeated = sum(parts[part] > 1 for part in inside)
        if len(parts) < len(distinct) + 2 and repeated >= REPEATED * len(inside):
            return separator
    return None


def _is_number(lists: Sequence[str], separator: str) -> bool:
    """Whether labels are numbers with a decimal comma."""
    return separator == "," and all(re.fullmatch(r"[+-]?\d+,\d+", label.strip()) for label in lists)


def _differ(labels: Iterable[str], separator: str) -> bool:
    """Whether labels hold different numbers of parts, as lists do and names such as "Smith, Ann" do not."""
    return len({len(parts_of(label, separator)) for label in labels}) > 1


def parts_of(label: str, separator: str) -> list[str]:
    """Return the classes of a label."""
    return [part for part in (piece.strip() for piece in label.split(separator.strip(" "))) if part]


@dataclass(frozen=True)
class Several:
    """The classes of texts that may be of several, the most frequent first."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    separator: str
    #: classes that too few texts are of
    rare: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Labelled], separator: str) -> Several:
        """Count classes; those of fewer than `LEAST_ROWS` texts are left out.

        Raises:
            DataError: if fewer than two are left.
        """
        counted = Counter(part for row in rows for part in set(parts_of(row.label, separator)))
        counted.pop(NONE, None)
        kept = sorted(
            (item for item in counted.items() if item[1] >= LEAST_ROWS), key=lambda i: (-i[1], i[0])
        )
        if len(kept) < 2:
            raise DataError(
                f"{len(rows):,} rows with lists of classes, of which {len(kept)} stand in {LEAST_ROWS} rows or more: "
                "expected two classes; is another column the label? (--label-column NAME)"
            )
        rare = tuple(sorted(name for name, count in counted.items() if count < LEAST_ROWS))
        return cls(tuple(name for name, _ in kept), tuple(n for _, n in kept), separator, rare)

    def matrix(self, rows: Sequence[Labelled]) -> Flags:
        """Return which classes each row is of, (N, K)."""
        known = {name: number for number, name in enumerate(self.names)}
        found = np.zeros((len(rows), len(self.names)), np.bool_)
        for n, row in enumerate(rows):
            for part in parts_of(row.label, self.separator):
                if part in known:
                    found[n, known[part]] = True
        return found

    def describe(self) -> str:
        """Say it in a line."""
        return f"{len(self.names):,} classes, several a text, from {self.counts[0]:,} to {self.counts[-1]:,} rows each"


@dataclass(frozen=True)
class YesOrNo:
    """Logistic regression of each class by itself: p(k | x) = 1 / (1 + exp(-(W x + b)))."""

    #: (K, F) and (K,) float32
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, x: Any, right: Flags) -> YesOrNo:
        """Fit each class by maximum likelihood with an L2 penalty, yes and no counting as their rows are.

        Args:
            x: (N, F), dense or sparse.
            right: (N, K); a class that all or none of the rows are of gets what is always or never so.
        """
        from sklearn.linear_model import LogisticRegression

        weights = np.zeros((right.shape[1], x.shape[1]), np.float32)
        bias = np.zeros(right.shape[1], np.float32)
        for k in range(right.shape[1]):
            if right[:, k].all() or not right[:, k].any():
                bias[k] = 10.0 if right[:, k].any() else -10.0
                continue
            model = LogisticRegression(C=FREEDOM, max_iter=STEPS, tol=1e-3).fit(x, right[:, k])
            weights[k], bias[k] = model.coef_[0], model.intercept_[0]
        return cls(weights, bias)

    def __call__(self, x: Any) -> Floats:
        """Return the probabilities, (N, K) of (N, F)."""
        found: Floats = 1 / (1 + np.exp(-(np.asarray(x @ self.weights.T, np.float64) + self.bias)))
        return found


@dataclass
class FittedSeveral:
    """What was fitted, and what it rests on."""

    labels: Several
    way: str
    words: Words
    linear: YesOrNo
    #: (K,) a class is said where its probability is at least that: what gave the best F1 on rows not seen
    thresholds: Floats
    states: States | None = None
    longest: int | None = None
    reason: str = ""
    tried: tuple[dict[str, Any], ...] = ()

    def features(self, texts: Sequence[str], reader: Reader | None) -> Any:
        """Return what the linear map sees of texts, (N, F)."""
        words = self.words(texts)
        if self.states is None:
            return words
        assert reader is not None
        states = reader.states(reader.encode(texts, self.longest), self.states.weight)
        return joined(words, self.states.features(states))

    def save(self, folder: Path, base: str | None) -> None:
        """Write into a folder that is there."""
        from safetensors.numpy import save_file

        artifacts.write_json(
            folder / ABOUT,
            {
                "several": self.labels.separator,
                "labels": list(self.labels.names),
                "counts": list(self.labels.counts),
                "way": self.way,
                "base": base,
                "longest": self.longest,
                "reason": self.reason,
                "tried": list(self.tried),
            },
        )
        arrays = {
            "weights": self.linear.weights,
            "bias": self.linear.bias,
            "thresholds": self.thresholds.astype(np.float32),
        }
        save_file(arrays, folder / FILE)
        self.words.save(folder)
        if self.states is not None:
            self.states.save(folder)

    @classmethod
    def load(cls, folder: Path) -> FittedSeveral:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        about, arrays = artifacts.read_json(folder / ABOUT), load_arrays(folder / FILE)
        try:
            labels = Several(tuple(about["labels"]), tuple(about["counts"]), about["several"])
            linear = YesOrNo(arrays["weights"], arrays["bias"])
            states = States.load(folder) if about["way"] == "states" else None
            return cls(
                labels, about["way"], Words.load(folder), linear, arrays["thresholds"].astype(np.float64), states,
                about["longest"], about["reason"], tuple(about["tried"]),
            )  # fmt: skip
        except (KeyError, TypeError):
            raise ArtifactError(f"{folder / ABOUT}: damaged: not what a classifier is read from") from None


def fit_several(
    rows: Sequence[Labelled],
    separator: str,
    seed: int,
    reader: Reader | None = None,
    longest: int | None = None,
    told: Told | None = None,
) -> FittedSeveral:
    """Fit words, and the states of a base beside them, to texts of several classes; keep what does better unseen.

    Args:
        rows: the texts.
        separator: of their labels (`separator_of`).
        seed: of the parts that rows are cut into.
        reader: of a base; None: there is none.
        longest: tokens of a text that it reads; None: all.
        told: is told what is being done and what share of it is done.

    Raises:
        DataError: if there are fewer than two classes.
    """
    labels = Several.of(rows, separator)
    right, texts = labels.matrix(rows), [row.text for row in rows]
    words, states = Words.fit(texts), None
    features = {"words": words(texts)}
    if reader is not None:
        encoded = reader.encode(texts, longest)
        counted = States.count(encoded)
        read = reader.states(
            encoded, counted.weight, (lambda share: told("reading with the base", share)) if told else None
        )
        states = counted.settle(read)
        features["states"] = joined(features["words"], states.features(read))
    # Rows of one set of classes are spread over all parts.
    folds = folds_of(
        np.unique(right, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64), FOLDS, seed
    )
    tried: list[dict[str, Any]] = []
    said: dict[str, Floats] = {}
    for way, x in features.items():
        probabilities = np.zeros(right.shape)
        for fold in range(FOLDS):
            mine = folds == fold
            if mine.any() and not mine.all():
                probabilities[mine] = YesOrNo.fit(x[~mine], right[~mine])(x[mine])
        said[way] = probabilities
        thresholds = best_thresholds(right, probabilities)
        tried.append(
            {"way": way, "balanced": False, "macro_f1": macro_f1(right, probabilities >= thresholds)}
        )
    best = max(tried, key=lambda one: one["macro_f1"])
    taken = tried[0] if best["macro_f1"] < tried[0]["macro_f1"] + WORTH else best
    way = str(taken["way"])
    reason = f"macro-F1 {taken['macro_f1']:.1%} on rows that it had not seen"
    others = ", ".join(f"{one['way']} {one['macro_f1']:.1%}" for one in tried if one is not taken)
    return FittedSeveral(
        labels,
        way,
        words,
        YesOrNo.fit(features[way], right),
        best_thresholds(right, said[way]),
        states if way == "states" else None,
        longest,
        f"{reason}; {others}" if others else reason,
        tuple(tried),
    )


def best_thresholds(right: Flags, probabilities: Floats) -> Floats:
    """Return for each class the probability from which saying it has the best F1, (K,); half where nothing tells.

    Args:
        right: (N, K).
        probabilities: (N, K) by models that have not seen the texts.
    """
    found = np.full(right.shape[1], 0.5)
    for k in range(right.shape[1]):
        order = np.argsort(-probabilities[:, k], kind="stable")
        hits = np.cumsum(right[order, k])
        f1 = 2 * hits / (np.arange(1, len(order) + 1) + max(1, right[:, k].sum()))
        # Between equal probabilities there is no cut.
        after = np.append(probabilities[order[1:], k], -1.0)
        f1[probabilities[order, k] <= after] = -1.0
        at = int(f1.argmax())
        below = max(0.0, float(after[at]))
        if right[:, k].any():
            found[k] = (probabilities[order[at], k] + below) / 2
    return found


def macro_f1(right: Flags, said: Flags) -> float:
    """Return the mean of the classes' F1."""
    hits = (right & said).sum(0)
    f1 = 2 * hits / np.maximum(1, right.sum(0) + said.sum(0))
    return float(f1.mean())


class SeveralClassifier:
    """Tells the classes of texts that may be of several, or of none.

    Args:
        fitted: what was learned.
        reader: of the base that it rests on, if it does.
        base: its name.
    """

    def __init__(self, fitted: FittedSeveral, reader: Reader | None = None, base: str | None = None) -> None:
        self.fitted, self.reader, self.base = fitted, reader, base

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, the most frequent first."""
        return self.fitted.labels.names

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return how probable each class is for each text by itself, (N, K)."""
        if not texts:
            return np.zeros((0, len(self.labels)))
        return self.fitted.linear(self.fitted.features(texts, self.reader))

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return what each text is taken for: all classes that are probable enough, with what stands between them."""
        found = []
        for row in self.probabilities(texts):
            order = np.argsort(-row, kind="stable")
            said = [int(n) for n in order if row[n] >= self.fitted.thresholds[n]]
            between = self.fitted.labels.separator
            label = (between if between.isprintable() else ", ").join(self.labels[n] for n in said) or NONE
            sure = float(np.prod(np.where(row >= self.fitted.thresholds, row, 1 - row)))
            probabilities = {self.labels[n]: float(row[n]) for n in order}
            found.append(Prediction(label, sure, bool(said), probabilities))
        return found

    def save(self, folder: Path) -> None:
        """Write into a folder that is there."""
        self.fitted.save(folder, self.base if self.fitted.way == "states" else None)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> SeveralClassifier:
        """Open what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
            ConfigError: if the base that it rests on is not here any more.
        """
        fitted, base = FittedSeveral.load(folder), artifacts.read_json(folder / ABOUT)["base"]
        reader = Reader.open(find_base(base), device) if fitted.way == "states" else None
        return cls(fitted, reader, base)
