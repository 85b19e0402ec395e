"""What the stage of classes does where a text may be of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.data.records import Labelled
from mynah.evaluate.classification import measure_several
from mynah.pipeline.stage import Build, Counts
from mynah.tune.classify.several import NONE, Several, SeveralClassifier, fit_several, parts_of
from mynah.tune.classify.states import Reader

EVALUATION, DOUBTS = "evaluation.json", "doubts.json"
#: Mistakes that the report shows.
SHOWN = 40


def classify_several(
    build: Build,
    out: Path,
    separator: str,
    rows: Sequence[Labelled],
    held_out: Sequence[Labelled],
    reading: tuple[Reader | None, str | None, int | None, str],
) -> Counts:
    """Learn a yes or no for each class, and measure it on what was held out.

    Args:
        build: whose stage it is.
        out: its folder.
        separator: between the classes of a label.
        rows: to learn from.
        held_out: to measure on.
        reading: a base's reader, its name, the tokens of a text that it reads, and a sentence on it.
    """
    reader, base, longest, why = reading
    fitted = fit_several(rows, separator, build.recipe.seed, reader, longest, build.reporter.progress)
    made = SeveralClassifier(fitted, reader, base)
    made.save(out)
    result: dict[str, Any] = {
        "labels": {
            "rows": len(rows),
            "rare": list(fitted.labels.rare),
            "rare_rows": _rows_of(rows, fitted.labels.rare, separator),
        },
        "base": why,
        "unknown": _unknown(held_out, fitted.labels),
        "asked": 0,
        "doubted": 0,
    }
    if held_out:
        result |= _measured(made, held_out)
    artifacts.write_json(out / EVALUATION, result)
    artifacts.write_json(out / DOUBTS, [])
    return {"classes": len(made.labels), "rows": len(rows), "doubted": 0}


def _rows_of(rows: Sequence[Labelled], names: Sequence[str], separator: str) -> int:
    """Return how many rows are of one of some classes."""
    wanted = set(names)
    return sum(bool(wanted & set(parts_of(row.label, separator))) for row in rows)


def _unknown(rows: Sequence[Labelled], labels: Several) -> int:
    """Return how many rows are of a class that is not known."""
    known = {*labels.names, NONE}
    return sum(bool(set(parts_of(row.label, labels.separator)) - known) for row in rows)


def _measured(made: SeveralClassifier, held_out: Sequence[Labelled]) -> dict[str, Any]:
    labels, thresholds = made.fitted.labels, made.fitted.thresholds
    right, probabilities = labels.matrix(held_out), made.probabilities([row.text for row in held_out])
    shares = np.array(labels.counts, np.float64) / max(1, sum(labels.counts))
    # Always the most frequent class, and no other.
    always = np.zeros_like(probabilities)
    always[:, 0] = 1.0
    most = measure_several(made.labels, right, always, np.full(len(shares), 0.5))
    said = made.predict([row.text for row in held_out])
    wrong = np.flatnonzero(((probabilities >= thresholds) != right).any(axis=1))
    order = sorted(wrong.tolist(), key=lambda n: -said[n].probability)[:SHOWN]
    return {
        "held_out": measure_several(made.labels, right, probabilities, thresholds),
        "beside": {"majority": {name: most[name] for name in ("accuracy", "macro_f1", "log_loss")}},
        "mistakes": [
            {
                "place": held_out[n].place,
                "text": held_out[n].text,
                "label": held_out[n].label,
                "said": said[n].label,
                "probability": said[n].probability,
            }
            for n in order
        ],
    }
