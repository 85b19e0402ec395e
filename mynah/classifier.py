"""The short way to a classifier: one class that learns from texts with labels, says the class, and is kept.

from mynah import Classifier

model = Classifier.from_pretrained("auto")
model.train([("The room was cold.", "bad"), ("We will come back.", "good"), ...])
model.predict("It was lovely")
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.data.records import Labelled
from mynah.device import pick_device
from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.evaluate.classification import measure_classes, measure_several
from mynah.interop.bases import find_base, list_bases
from mynah.pipeline.base_stage import covers, languages_of
from mynah.pipeline.open_classifier import open_classifier
from mynah.tune.classify.classifier import TextClassifier
from mynah.tune.classify.config import ClassifyConfig
from mynah.tune.classify.fitting import TUNED, fit
from mynah.tune.classify.labels import learnable
from mynah.tune.classify.prediction import Prediction
from mynah.tune.classify.several import SeveralClassifier, fit_several
from mynah.tune.classify.states import Reader
from mynah.tune.classify.tuned_head import Tuner

#: What stands for a text and its class.
Row = tuple[str, str | Sequence[str]] | Mapping[str, Any] | Labelled
#: What was learned: of texts of one class each, or of several.
Fitted = TextClassifier | SeveralClassifier
#: The stage that the manifest of a saved classifier names.
SAVED = "classifier"
#: Stands between the classes of a text that is of several: no label holds it.
BETWEEN = "\x1f"
LOOKED_AT = 500


class Classifier:
    """Tells the classes of texts: by their words, or by what a base makes of them, as does better on unseen rows."""

    def __init__(
        self, base: str | None, fitted: TextClassifier | SeveralClassifier | None, seed: int, device: str
    ) -> None:
        """Use `from_pretrained`."""
        self.base, self.seed, self.device = base, seed, device
        self._fitted = fitted

    @classmethod
    def from_pretrained(cls, source: str | Path = "auto", *, seed: int = 0, device: str = "auto") -> Self:
        """Open a classifier, or begin a new one.

        Args:
            source: a run of `mynah build` over texts with classes, a folder made by `save`; or what a new one reads
                texts with: a base of `mynah base list`, a Hugging Face directory, "auto" (the largest base that is
                here and knows the language) or "none" (words alone).
            seed: of the parts that rows are cut into to choose.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            ConfigError: if there is no such base.
            ArtifactError: if the folder holds no classifier, or a damaged one.
        """
        if str(source) in ("auto", "none"):
            return cls(str(source), None, seed, device)
        if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
            opened = open_classifier(source, device)
            return cls(opened.base or "none", opened, seed, device)
        find_base(str(source))
        return cls(str(source), None, seed, device)

    def train(
        self, rows: Iterable[Row], *, minutes: float = 5.0, full: bool = False, **settings: Any
    ) -> Self:
        """Learn from texts and their classes; what was learned before is replaced.

        Args:
            rows: (text, label) or {"text", "label"}; where a label is a list of classes, a text may be of several.
            minutes: about how long a head over the base may be tuned; 0: none is.
            full: tune all weights of the layers below it, not an adapter.
            settings: of `ClassifyConfig`: way, balanced, outside, longest.

        Raises:
            DataError: if a row is neither, or the rows are of fewer than two classes with two rows each.
            ConfigError: if a setting is unknown.
        """
        config = build_config(ClassifyConfig, settings, "settings")
        given = [row for number, one in enumerate(rows) if (row := _row(one, number)).text.strip()]
        if any(BETWEEN in row.label for row in given):
            reader, name = self._reader(given)
            several = fit_several(given, BETWEEN, self.seed, reader, config.longest)
            self._fitted = SeveralClassifier(several, reader, name)
            return self
        kept, rare = learnable(given)
        if rare:
            warnings.warn(f"left out: {len(rare):,} rows whose class has no other row", stacklevel=2)
        reader, name = self._reader(kept)
        tuner = None
        if name is not None and minutes and config.way in ("auto", *TUNED):
            base = str(Path(name).resolve()) if Path(name).is_dir() else name
            tuner = Tuner(base, pick_device(self.device), 60 * minutes, full)
        fitted = fit(kept, config, self.seed, reader, config.longest, None, tuner)
        self._fitted = TextClassifier(fitted, reader, name, [(row.text, row.label) for row in kept])
        return self

    def predict(self, text: str) -> Prediction:
        """Return what a text is taken for.

        Raises:
            ConfigError: if nothing was learned yet.
        """
        return self.predict_all([text])[0]

    def predict_all(self, texts: Sequence[str]) -> list[Prediction]:
        """Return what each of several texts is taken for, which is quicker than one after the other.

        Raises:
            ConfigError: if nothing was learned yet.
        """
        return self._ready().predict(texts)

    def evaluate(self, rows: Iterable[Row]) -> dict[str, Any]:
        """Return accuracy, F1, calibration and the measures of each class (`measure_classes`).

        Raises:
            ConfigError: if nothing was learned yet.
            DataError: if no row is of a known class.
        """
        ready = self._ready()
        given = [_row(row, number) for number, row in enumerate(rows)]
        if isinstance(ready, SeveralClassifier):
            if not given:
                raise DataError("there are no rows to measure on")
            between = ready.fitted.labels.separator
            given = [replace(row, label=row.label.replace(BETWEEN, between)) for row in given]
            right, said = ready.fitted.labels.matrix(given), ready.probabilities([row.text for row in given])
            return measure_several(ready.labels, right, said, ready.fitted.thresholds)
        known = [row for row in given if row.label in set(ready.labels)]
        if not known:
            raise DataError(
                f"none of the {len(given):,} rows is of one of the {len(ready.labels)} known classes"
            )
        probabilities = ready.probabilities([row.text for row in known])
        found = measure_classes(ready.labels, ready.fitted.labels.numbers(known), probabilities)
        return {**found, "unknown": len(given) - len(known)}

    def save(self, directory: str | Path) -> Path:
        """Write into a new or empty folder that `from_pretrained` and `mynah classify` open.

        Raises:
            ConfigError: if nothing was learned yet.
            ArtifactError: if the folder holds something, or cannot be written.
        """
        ready, path = self._ready(), Path(directory).resolve()
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ArtifactError(f"{path}: holds something already; name a new folder")
        manifest = Manifest(SAVED, "", __version__, {}, {}, self.seed, {"classes": len(ready.labels)})
        with artifacts.new_directory(path, manifest) as partial:
            ready.save(partial)
        return path

    def _ready(self) -> Fitted:
        if self._fitted is None:
            raise ConfigError("nothing was learned yet; call train first")
        return self._fitted

    def _reader(self, rows: Sequence[Labelled]) -> tuple[Reader | None, str | None]:
        if self.base == "none" or self.base is None:
            return None, None
        name = self.base
        if name == "auto":
            languages = languages_of(rows[:LOOKED_AT])
            here = [base for base in list_bases() if covers(base, languages)]
            if not here:
                return None, None
            name = max(here, key=lambda base: base.config.n_params()).name
        return Reader.open(find_base(name), pick_device(self.device)), name


def _row(row: Row, number: int) -> Labelled:
    if isinstance(row, Labelled):
        return row
    if isinstance(row, Mapping) and isinstance(row.get("text"), str) and row.get("label") is not None:
        return Labelled(row["text"], _label(row["label"]), f"row {number}")
    if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str):
        return Labelled(row[0], _label(row[1]), f"row {number}")
    raise DataError(
        f"row {number}: found {type(row).__name__}, expected (text, label) or {{'text', 'label'}}"
    )


def _label(label: Any) -> str:
    """Return a label; of several classes all of them, with `BETWEEN` before each, so that one alone is a list too."""
    if isinstance(label, list | tuple | set | frozenset):
        return "".join(f"{BETWEEN}{one}" for one in sorted(map(str, label)))
    return str(label)
