"""A run of one's own as a base that other builds start from."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mynah import artifacts
from mynah.data.store import read_records
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.huggingface import to_hugging_face
from mynah.pipeline.base_stage import LOOKED_AT, languages_of
from mynah.pipeline.open_run import is_saved, open_run
from mynah.stages import RunPaths


def is_run(path: Path) -> bool:
    """Whether a folder is a run, or holds a model that was saved or trained by recipe."""
    if not path.is_dir() or ((path / "config.json").is_file() and not is_saved(path)):
        return False
    return (path / "recipe.toml").is_file() or is_saved(path)


@contextmanager
def as_directory(run: Path) -> Iterator[Path]:
    """Yield a Hugging Face directory of a run, with the languages of its text on its card; it is gone afterwards.

    Raises:
        ArtifactError: if the run is not finished, or damaged.
        ConfigError: if its model has parts that no family of Hugging Face has.
    """
    opened = open_run(run, torch.device("cpu"), torch.float32)
    with tempfile.TemporaryDirectory(prefix="mynah-base-") as place:
        out = Path(place) / run.resolve().name
        try:
            to_hugging_face(opened.model, opened.tokenizer, out, talks=opened.talks)
        except ConfigError as error:
            raise ConfigError(f"{run}: only a model of a known family can be a base: {error}") from None
        card = "".join(f"- {code}\n" for code in _languages(run))
        artifacts.write_text(out / "README.md", f"---\nlanguage:\n{card}---\nMade by Mynah.\n")
        yield out


def _languages(run: Path) -> tuple[str, ...]:
    try:
        records = read_records(RunPaths(run).records_of("train"))
        return languages_of(list(itertools.islice(records, LOOKED_AT)))
    except ArtifactError:  # a saved model has no text beside it
        return ()
