"""A fitted classifier: read, asked, written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.interop.bases import find_base
from mynah.tune.classify.class_ngrams import ClassNGrams
from mynah.tune.classify.features import joined
from mynah.tune.classify.fitted import Fitted, Tried
from mynah.tune.classify.fitting import TUNED
from mynah.tune.classify.label_text import LabelText
from mynah.tune.classify.labels import Labels
from mynah.tune.classify.linear import Floats, Linear, log_softmax, softmax
from mynah.tune.classify.prediction import Prediction
from mynah.tune.classify.states import Reader, States
from mynah.tune.classify.tuned_head import TunedHead
from mynah.tune.classify.words import Words

ABOUT, ROWS = "classifier.json", "rows.json"
#: Texts that are classified at once.
AT_ONCE = 1024


class TextClassifier:
    """Tells the classes of texts.

    Args:
        fitted: what was learned.
        reader: of the base that it rests on, if it does.
        base: its name.
        rows: texts and classes, from which n-gram models are counted again when they are opened.
    """

    def __init__(
        self,
        fitted: Fitted,
        reader: Reader | None = None,
        base: str | None = None,
        rows: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.fitted, self.reader, self.base, self.rows = fitted, reader, base, rows

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, the most frequent first."""
        return self.fitted.labels.names

    def probabilities(self, texts: Sequence[str], told: Callable[[float], None] | None = None) -> Floats:
        """Return how probable each class is for each text, (N, K)."""
        parts = []
        for start in range(0, len(texts), AT_ONCE):
            some = list(texts[start : start + AT_ONCE])
            parts.append(softmax(self._logits(some) / self.fitted.temperature))
            if told is not None:
                told(min(1.0, (start + AT_ONCE) / len(texts)))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return what each text is taken for."""
        found = []
        for row in self.probabilities(texts):
            order = np.argsort(-row, kind="stable")
            probabilities = {self.labels[n]: float(row[n]) for n in order}
            top = float(row[order[0]])
            found.append(Prediction(self.labels[order[0]], top, top >= self.fitted.threshold, probabilities))
        return found

    def _logits(self, texts: list[str]) -> Floats:
        fitted = self.fitted
        if fitted.ngrams is not None:
            return fitted.ngrams.logits(texts)
        if (tuned := fitted.head or fitted.text) is not None:
            said = tuned.log_probs(texts)
            if fitted.mix == 1:
                return said
            assert fitted.linear is not None
            assert fitted.words is not None
            return fitted.mix * said + (1 - fitted.mix) * log_softmax(
                fitted.linear.logits(fitted.words(texts))
            )
        assert fitted.linear is not None
        assert fitted.words is not None
        features = fitted.words(texts)
        if fitted.states is not None:
            assert self.reader is not None
            encoded = self.reader.encode(texts, fitted.longest)
            states = self.reader.states(encoded, fitted.states.weight)
            features = joined(features, fitted.states.features(states))
        return fitted.linear.logits(features)

    def save(self, folder: Path) -> None:
        """Write into a folder that is there."""
        fitted = self.fitted
        artifacts.write_json(
            folder / ABOUT,
            {
                "labels": list(fitted.labels.names),
                "counts": list(fitted.labels.counts),
                "way": fitted.way,
                "base": self.base,
                "temperature": fitted.temperature,
                "threshold": fitted.threshold,
                "longest": fitted.longest,
                "mix": fitted.mix,
                "reason": fitted.reason,
                "tried": [asdict(tried) for tried in fitted.tried],
            },
        )
        if fitted.ngrams is not None:
            artifacts.write_json(folder / ROWS, [list(row) for row in self.rows])
            return
        if (tuned := fitted.head or fitted.text) is not None:
            tuned.save(folder)
            if fitted.mix == 1:
                return
        assert fitted.linear is not None
        assert fitted.words is not None
        fitted.words.save(folder)
        fitted.linear.save(folder)
        if fitted.states is not None:
            fitted.states.save(folder)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> TextClassifier:
        """Open what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
            ConfigError: if the base that it rests on is not here any more.
        """
        about = artifacts.read_json(folder / ABOUT)
        try:
            labels = Labels(tuple(about["labels"]), tuple(about["counts"]))
            fitted = Fitted(labels, about["way"])
            fitted.temperature, fitted.threshold = float(about["temperature"]), float(about["threshold"])
            fitted.longest, fitted.reason = about["longest"], about["reason"]
            fitted.tried = [Tried(**tried) for tried in about["tried"]]
            base, fitted.mix = about["base"], float(about.get("mix", 1.0))
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{folder / ABOUT}: damaged: not what a classifier is read from") from None
        if fitted.way == "ngrams":
            rows = artifacts.read_json(folder / ROWS)
            known = {name: number for number, name in enumerate(labels.names)}
            numbers = np.array([known[label] for _, label in rows], np.int64)
            fitted.ngrams = ClassNGrams.fit([text for text, _ in rows], numbers, len(labels))
            return cls(fitted, rows=[(text, label) for text, label in rows])
        if fitted.way in TUNED:
            if fitted.way == "head":
                fitted.head = TunedHead.load(folder, device)
            else:
                fitted.text = LabelText.load(folder, device)
            if fitted.mix == 1:
                return cls(fitted, base=base)
        fitted.words, fitted.linear = Words.load(folder), Linear.load(folder, fitted.temperature)
        if fitted.way != "states":
            return cls(fitted, base=base if fitted.way in TUNED else None)
        fitted.states = States.load(folder)
        return cls(fitted, Reader.open(find_base(base), device), base)
