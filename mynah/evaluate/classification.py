"""How well classes are told: scikit-learn's measures, by class and over all, and the mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: Bins of the reliability diagram.
BINS = 10


def measure_classes(names: Sequence[str], right: Integers, probabilities: Floats) -> dict[str, Any]:
    """Return the measures of what was said of texts.

    Macro-F1 is the mean of F1 over the classes that the texts are of; a class that is never said has precision 0. ROC
    and precision-recall areas are of each class against all others, where both are there.

    Args:
        names: of the K classes.
        right: (N,) numbers of the classes that the texts are of.
        probabilities: (N, K).
    """
    from sklearn.metrics import (
        average_precision_score,
        confusion_matrix,
        f1_score,
        log_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    said, every = probabilities.argmax(axis=1), np.arange(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        right, said, labels=every, zero_division=0
    )
    classes = []
    for k, name in enumerate(names):
        row: dict[str, Any] = {
            "name": name,
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "support": int(support[k]),
            "said": int((said == k).sum()),
        }
        if 0 < support[k] < len(right):
            row["roc_auc"] = float(roc_auc_score(right == k, probabilities[:, k]))
            row["average_precision"] = float(average_precision_score(right == k, probabilities[:, k]))
        classes.append(row)
    present = every[support > 0]
    return {
        "count": len(right),
        "accuracy": float((said == right).mean()),
        "macro_f1": float(f1_score(right, said, labels=present, average="macro", zero_division=0)),
        "weighted_f1": float(f1_score(right, said, labels=present, average="weighted", zero_division=0)),
        "log_loss": float(log_loss(right, probabilities, labels=every)),
        "ece": calibration_error(right, probabilities),
        "classes": classes,
        "confusion": confusion_matrix(right, said, labels=every).tolist(),
    }


def measure_several(
    names: Sequence[str], right: Flags, probabilities: Floats, thresholds: Floats
) -> dict[str, Any]:
    """Return the measures of what was said of texts that may be of several classes.

    Accuracy is the share of texts all of whose classes are right, and no other is said; F1 is macro over classes, and
    micro over all that is said. Classes that no text is of are left out of macro-F1.

    Args:
        names: of the K classes.
        right: (N, K) which classes each text is of.
        probabilities: (N, K) of each class by itself.
        thresholds: (K,) from which a class is said.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    said = probabilities >= thresholds
    hits, told, there = (said & right).sum(0), said.sum(0), right.sum(0)
    f1 = 2 * hits / np.maximum(1, told + there)
    classes = []
    for k, name in enumerate(names):
        row: dict[str, Any] = {
            "name": name,
            "precision": float(hits[k] / max(1, told[k])),
            "recall": float(hits[k] / max(1, there[k])),
            "f1": float(f1[k]),
            "support": int(there[k]),
            "said": int(told[k]),
        }
        if 0 < there[k] < len(right):
            row["roc_auc"] = float(roc_auc_score(right[:, k], probabilities[:, k]))
            row["average_precision"] = float(average_precision_score(right[:, k], probabilities[:, k]))
        classes.append(row)
    clipped = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return {
        "count": len(right),
        "accuracy": float((said == right).all(1).mean()),
        "macro_f1": float(f1[there > 0].mean()) if there.any() else 0.0,
        "micro_f1": float(2 * hits.sum() / max(1, told.sum() + there.sum())),
        "log_loss": float(-np.where(right, np.log(clipped), np.log(1 - clipped)).mean()),
        "classes": classes,
    }


def measure_order(names: Sequence[str], right: Integers, probabilities: Floats) -> dict[str, float] | None:
    """Return how far off classes that are numbers are said; None if they are no numbers.

    The mean absolute error is that of the median class of what is said, which has the least; quadratic weighted
    kappa is that of the class said (Cohen 1968).

    Args:
        names: of the K classes.
        right: (N,) numbers of the classes that the texts are of.
        probabilities: (N, K).
    """
    from sklearn.metrics import cohen_kappa_score

    try:
        values = np.array([float(name) for name in names])
    except ValueError:
        return None
    if len(values) < 3 or not np.isfinite(values).all():  # of two classes it is the accuracy
        return None
    order = np.argsort(values)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values))
    below = probabilities[:, order].cumsum(axis=1)
    median = values[order][np.minimum((below < 0.5).sum(axis=1), len(values) - 1)]
    said = ranks[probabilities.argmax(axis=1)]
    if len(np.unique([said, ranks[right]])) < 2:  # nothing varies that could agree
        return None
    return {
        "mean_absolute_error": float(np.abs(median - values[right]).mean()),
        "kappa": float(
            cohen_kappa_score(ranks[right], said, weights="quadratic", labels=np.arange(len(values)))
        ),
        "one_off": float((np.abs(said - ranks[right]) <= 1).mean()),
    }


def calibration_error(right: Integers, probabilities: Floats) -> float:
    """Return the expected calibration error of the surest class, over ten bins (Naeini et al. 2015).

    ECE = sum over bins of the share of texts in it times |share right - mean probability|.
    """
    top, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == right
    which = np.minimum((top * BINS).astype(int), BINS - 1)
    bins = (which == number for number in range(BINS))
    return float(sum(abs(hit[mine].mean() - top[mine].mean()) * mine.mean() for mine in bins if mine.any()))


def mistakes(right: Integers, probabilities: Floats, most: int) -> list[int]:
    """Return the numbers of the texts that were taken for another class, the surest first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != right)
    order = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return [int(n) for n in order[:most]]
