"""Other models on the records that a run holds out: an earlier run of the same log, one from scratch, a base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Record
from mynah.data.store import read_records
from mynah.evaluate.language_model import drawn_numbers, score_network, summarise
from mynah.interop.huggingface import check_readable, hash_of_directory
from mynah.interop.trained import ABOUT, find_base_of, read_adapter_of
from mynah.pipeline.open_run import find_run, finished_part, is_saved, open_run
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.examples import encoded_records
from mynah.tokenizer.tokenizer import Tokenizer


def _measure(build: Build, out: Path) -> Counts:
    """Score each of the other models on the records that the evaluation is made on."""
    data = TokenSet.load(build.paths.tokens_of("held_out"))
    numbers = drawn_numbers(data, build.scored_tokens)
    drawn = set(numbers.tolist())
    encoded = encoded_records(read_records(build.paths.records_of("held_out")), build.tokenizer)
    records = [record for number, record in enumerate(encoded) if number in drawn]
    n_bytes = data.n_bytes[numbers]
    found = [_measured(build, name, records, n_bytes) for name in build.recipe.evaluate.beside]
    artifacts.write_json(out / build.paths.beside.name, found)
    return {"models": found}


def _measured(
    build: Build, name: str, records: list[Record], n_bytes: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Return bits a byte of one other model, or why it cannot be compared.

    Args:
        build: this one.
        name: of the other model.
        records: R of them, which it is measured on.
        n_bytes: (R, 2) of their text, as this run says them (`TokenSet.n_bytes`).
    """
    directory = find_run(name)
    result: dict[str, Any] = {"name": name, "learned": _learned(build, directory, records), "unsaid": 0}
    if result["learned"]:
        return result
    other = open_run(directory, build.device)
    if unsaid := len(records) - sum(1 for _ in encoded_records(records, other.tokenizer)):
        return {**result, "unsaid": unsaid}
    data = encode_records(records, other.tokenizer)
    # A template that wants turns to alternate joins some, and leaves out what is said before the first question.
    if changed := int((data.n_bytes != n_bytes).any(axis=1).sum()):
        return {**result, "unsaid": changed}
    scores = score_network(other.model, data, other.model.config.context_length)
    for part in ("all", "replies"):
        if (score := summarise(scores, data, replies_only=part == "replies")) is not None:
            result[part] = score.bpb
    return result


def _learned(build: Build, directory: Path, records: list[Record]) -> int:
    """Return how many records, new to this run, another has learned from; of a model without a log nothing is known."""
    folder = RunPaths(directory).records_of("train")
    if not folder.is_dir():
        return 0
    known = {record.texts for record in read_records(folder)} & {record.texts for record in records}
    known -= {record.texts for record in read_records(build.paths.records_of("train"))}
    return sum(record.texts in known for record in records)


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    for model in manifest.counts["models"]:
        if model["learned"]:
            yield f"{model['name']} is not compared: it has learned {model['learned']:,} of the records held out here"
        elif model["unsaid"]:
            yield (
                f"{model['name']} is not compared: its chat template cannot say {model['unsaid']:,} of the records as "
                "they are"
            )
        else:
            parts = (("replies", "replies"), ("all", "all text"))
            told = (f"{model[key]:.3f} on {words}" for key, words in parts if key in model)
            yield f"{model['name']}, bits a byte of the same records: {', '.join(told)}"


def check_beside(names: Sequence[str]) -> None:
    """See that other models are there and finished, before a run is trained that is to be set beside them.

    Raises:
        ArtifactError: if one is not.
    """
    for directory in map(find_run, names):
        if (directory / "config.json").is_file():
            check_readable(directory)
            Tokenizer.load(directory)
        elif not is_saved(directory):
            part = finished_part(directory)
            if (part / ABOUT).is_file():
                find_base_of(part, read_adapter_of(part))


def _hashes(build: Build) -> dict[str, str]:
    hashes = {}
    for name in build.recipe.evaluate.beside:
        directory = find_run(name)
        manifests = [directory / artifacts.MANIFEST]
        if (directory / "recipe.toml").is_file():
            manifests = [
                part / artifacts.MANIFEST for part in (finished_part(directory), directory / "split")
            ]
        there = [artifacts.sha256_of_file(path) for path in manifests if path.is_file()]
        hashes[name] = artifacts.sha256_of_json(there) if there else hash_of_directory(directory)
    return hashes


BESIDE = Stage(
    "beside",
    "measuring other models on the same records",
    _measure,
    needs=("split", "tokens"),
    settings=lambda build: {"beside": list(build.recipe.evaluate.beside), "max_tokens": build.scored_tokens},
    files=_hashes,
    say=_say,
    wanted=lambda build: build.task != "translate" and bool(build.recipe.evaluate.beside),
)
