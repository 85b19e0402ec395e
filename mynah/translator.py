"""The short way to a translator: one class that learns from pairs of texts, translates, and is kept.

from mynah import Translator

model = Translator.from_pretrained("micro")
model.train([("A dog sleeps.", "Ein Hund schläft."), ("A man reads.", "Ein Mann liest."), ...])
model.translate("A dog reads.")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from mynah.api import GPT3
from mynah.config import build_config
from mynah.data.records import Pair
from mynah.errors import ConfigError, DataError
from mynah.evaluate.translation import measure_translations
from mynah.generate.settings import BeamConfig
from mynah.model.transformer import Transformer
from mynah.pipeline.open_translator import KEPT, Way, way_of
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.phases import tune
from mynah.tune.translate.directions import as_conversations, choose, directions_of
from mynah.tune.translate.glossary import Glossary, read_glossary
from mynah.tune.translate.translator import PairTranslator

#: What stands for a text and its translation.
Row = tuple[str, str] | Mapping[str, Any] | Pair


class Translator(GPT3):
    """A model that translates, from pairs of texts; both ways if asked."""

    def __init__(
        self, model: Transformer | None, tokenizer: Tokenizer | None, name: str, seed: int, device: str
    ) -> None:
        """Use `from_pretrained`."""
        super().__init__(model, tokenizer, name, seed, device)
        self.way = Way()

    @classmethod
    def from_pretrained(
        cls, source: str | Path | GPT3 = "micro", *, seed: int = 0, device: str = "auto"
    ) -> Self:
        """Open a translator, or a model to make one of.

        Args:
            source: a run of `mynah build` over pairs or a folder made by `save`, which translate at once; or what a
                new one starts from, as `GPT3.from_pretrained` has it.
            seed: of random weights and of training.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            ConfigError: if `source` is neither a folder, a base nor a preset.
            ArtifactError: if the folder is damaged.
        """
        opened = super().from_pretrained(source, seed=seed, device=device)
        if isinstance(source, Translator):
            opened.way = source.way
        elif not isinstance(source, GPT3) and Path(source).is_dir():
            opened.way = way_of(Path(source))
        return opened

    def train(
        self,
        texts: Iterable[Any],
        epochs: float = 20,
        *,
        learning_rate: float | None = None,
        directions: Literal["forward", "backward", "both"] = "forward",
    ) -> Self:
        """Learn to translate: the loss counts the translations.

        Args:
            texts: pairs: (source, target) or {"source", "target"}.
            epochs: passes over them, at most; training stops where what is held out gains no more.
            learning_rate: as `GPT3.train`.
            directions: from the first text of a pair to the second, back, or both.

        Raises:
            DataError: if a row is no pair, or there is none.
            ConfigError, TrainingError: as `GPT3.train`.
        """
        pairs = [_pair(row, number) for number, row in enumerate(texts)]
        kept = [pair for pair in pairs if pair.source.strip() and pair.target.strip()]
        if not kept:
            raise DataError(f"none of the {len(pairs):,} rows holds two texts")
        ways = directions_of(kept, directions, told=self._from_folder)
        data = self._encode(list(as_conversations(kept, ways)))
        self.way = replace(self.way, directions=ways)
        self.talks = True
        self._learn(tune, data, epochs, learning_rate)
        return self

    def translate(self, text: str, to: str | None = None, **changes: Any) -> str:
        """Return a text in the other language.

        Args:
            text: of any length; its lines stay lines.
            to: the language, by its code or English name, where both directions were learned.
            changes: of `BeamConfig`: width, length_penalty; and glossary, a file or (source, target) terms.

        Raises:
            ConfigError: if nothing was learned yet, it does not translate into that, or a keyword is unknown.
        """
        return self.translate_all([text], to, **changes)[0]

    def translate_all(self, texts: Sequence[str], to: str | None = None, **changes: Any) -> list[str]:
        """Return several texts in the other language, which is quicker than one after the other; see `translate`."""
        made = self._translator()
        direction = choose(made.directions, to)
        terms, given = self.way.terms(direction), changes.pop("glossary", None)
        if given is not None:
            terms = read_glossary(Path(given)) if isinstance(given, str | Path) else _terms(given)
        beam = build_config(BeamConfig, {**self.way.beam.model_dump(), **changes}, "translate")
        return [found.text for found in made.translate(texts, direction, beam, terms)]

    def evaluate(self, texts: Iterable[Any], to: str | None = None) -> dict[str, Any]:
        """Return BLEU and chrF of pairs that it should not have learned, with their signatures.

        Raises:
            DataError: if a row is no pair, or there is none.
            ConfigError: as `translate`.
        """
        pairs = [_pair(row, number) for number, row in enumerate(texts)]
        if not pairs:
            raise DataError("there are no pairs to measure on")
        direction = choose(self._translator().directions, to)
        sources, targets = zip(*map(direction.sides, pairs), strict=True)
        return measure_translations(self.translate_all(sources, to), targets, direction.target)

    def _translator(self) -> PairTranslator:
        model, tokenizer = self._ready()
        if not self.way.directions:
            raise ConfigError(f"{self.name!r} has not learned to translate; call train first")
        return PairTranslator(model, tokenizer, self.way.directions)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), KEPT: self.way.to_json()}


def _pair(row: Row, number: int) -> Pair:
    if isinstance(row, Pair):
        return row
    if isinstance(row, Mapping) and isinstance(row.get("source"), str) and isinstance(row.get("target"), str):
        return Pair(row["source"], row["target"], f"row {number}")
    if isinstance(row, tuple | list) and len(row) == 2 and all(isinstance(text, str) for text in row):
        return Pair(row[0], row[1], f"row {number}")
    raise DataError(
        f"row {number}: found {type(row).__name__}, expected (source, target) or {{'source', 'target'}}"
    )


def _terms(given: Iterable[tuple[str, str]]) -> Glossary:
    """Return terms as a glossary.

    Raises:
        ConfigError: if one of them is no pair of texts.
    """
    terms = tuple(tuple(term) for term in given)
    if any(
        len(term) != 2 or not all(isinstance(text, str) and text.strip() for text in term) for term in terms
    ):
        raise ConfigError("glossary: expected (term, translation) pairs, none of them empty, or a file")
    return Glossary(tuple((source, target) for source, target in terms))
