"""Open what a build learned to translate with, or what `Translator.save` kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.config import build_config
from mynah.errors import ArtifactError, ConfigError
from mynah.generate.settings import BeamConfig
from mynah.pipeline.open_run import find_run, is_saved, open_run, recipe_of
from mynah.pipeline.pairs_stage import DIRECTIONS, directions_in, glossary_in
from mynah.stages import RunPaths
from mynah.tune.translate.directions import Direction
from mynah.tune.translate.glossary import Glossary
from mynah.tune.translate.translator import PairTranslator

#: Among the settings of a saved folder's manifest.
KEPT = "translates"


@dataclass(frozen=True)
class Way:
    """How a model translates, besides its weights."""

    directions: tuple[Direction, ...] = ()
    beam: BeamConfig = field(default_factory=BeamConfig)
    #: of the first texts of the pairs to the second
    glossary: Glossary = field(default_factory=Glossary)

    def terms(self, direction: Direction) -> Glossary:
        """Return the glossary of a direction."""
        return self.glossary.flipped() if direction.backward else self.glossary

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "directions": [direction.to_json() for direction in self.directions],
            "beam": self.beam.model_dump(),
            "glossary": [list(term) for term in self.glossary.terms],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], source: str) -> Way:
        """Return what `to_json` wrote."""
        return cls(
            tuple(Direction(**direction) for direction in value.get("directions", ())),
            build_config(BeamConfig, value.get("beam", {}), source),
            Glossary(tuple((one, other) for one, other in value.get("glossary", ()))),
        )


def way_of(directory: Path) -> Way:
    """Return how a run or a saved model translates; without directions if it has not learned to.

    Raises:
        ArtifactError: if it is a run, and damaged.
    """
    if is_saved(directory):
        settings = artifacts.read_manifest(directory, verify=False).settings
        return Way.from_json(settings.get(KEPT, {}), str(directory))
    folder = RunPaths(directory).pairs
    if not (folder / DIRECTIONS).is_file():
        return Way()
    artifacts.read_manifest(folder)
    return Way(
        directions_in(folder),
        recipe_of(directory).translate.beam,
        glossary_in(RunPaths(directory).translated),
    )


def open_translator(directory: Path | str, device: str = "auto") -> tuple[PairTranslator, Way]:
    """Open a run or a saved model that has learned to translate, every file checked against its hash.

    Raises:
        ArtifactError: if it has not, is not finished, or a file is missing or damaged.
    """
    directory = find_run(directory)
    way = way_of(directory)
    if not way.directions:
        raise ArtifactError(
            f"{directory}: has not learned to translate; expected a run of mynah build over texts in pairs: "
            "mynah build pairs.tsv --task translate"
        )
    opened = open_run(directory, device)
    return PairTranslator(opened.model, opened.tokenizer, way.directions), way


def there_and_back(run: Path | str, device: str = "auto") -> Callable[[Sequence[str]], list[str]]:
    """Return what says texts in other words: they are translated, and the translations back (Sennrich et al. 2016).

    Texts are taken to be in the language that the run's pairs begin with.

    Raises:
        ArtifactError: as `open_translator`.
        ConfigError: if the run has not learned both directions.
    """
    opened, way = open_translator(run, device)
    if len(opened.directions) != 2:
        raise ConfigError(
            f"{run}: translates one way only; there and back needs both: mynah build pairs.tsv --set "
            "translate.directions=both"
        )
    there, back = opened.directions

    def said_otherwise(texts: Sequence[str]) -> list[str]:
        others = [found.text for found in opened.translate(texts, there, way.beam)]
        return [found.text for found in opened.translate(others, back, way.beam)]

    return said_otherwise
