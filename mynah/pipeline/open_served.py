"""Open runs and bases to be served."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mynah.device import give_memory_back
from mynah.errors import ConfigError
from mynah.model.int8 import Int8Matrix
from mynah.model.lora import adapted, merge_in_place
from mynah.model.multi_lora import share_weights
from mynah.model.packed import lay_out, pack
from mynah.model.replacing import OncePerWeight
from mynah.model.to_int8 import int8_pays, to_int8
from mynah.ngram import NGramModel
from mynah.ngram.prior import NGramPrior
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import Run, find_run, open_run
from mynah.pipeline.open_translator import way_of
from mynah.serve.feedback import Feedback
from mynah.serve.served import Models, Served
from mynah.stages import RunPaths


def open_served(
    runs: Sequence[Path],
    device: str = "auto",
    note: Callable[[str], None] | None = None,
    *,
    keep_feedback: bool = True,
    int8: bool = False,
) -> Models:
    """Open what is to be served, every file checked against its hash.

    Args:
        runs: runs, bases by name, Hugging Face directories; each is served by its folder's name.
        device: where the models are to be.
        note: is told what a user should know.
        keep_feedback: whether what people say of replies is kept beside the run.
        int8: hold weights in 8 bits.

    Raises:
        ArtifactError: if one is missing, not finished or damaged.
        ConfigError: if two have one name, or one does not talk.
    """
    found: dict[str, Served] = {}
    for run in runs:
        directory = find_run(run)
        name = directory.resolve().name
        if name in found:
            raise ConfigError(f"{run}: another run is served as {name} already; rename one of the folders")
        if way_of(directory).directions:
            raise ConfigError(f'{run}: translates and does not talk; ask it: mynah translate {run} "a text"')
        # Of several, adapters stay apart from bases that they may have in common.
        opened = open_run(directory, device, merged=len(runs) == 1)
        share_weights([*(one.model for one in found.values()), opened.model])
        answers = None
        if opened.talks and (directory / "recipe.toml").is_file() and can_answer(directory):
            answers = open_answers(directory, opened, note=note)
        found[name] = Served(
            name,
            opened.model,
            opened.tokenizer,
            opened.talks,
            opened.sampling,
            opened.clean,
            int(directory.stat().st_mtime) or int(time.time()),
            answers,
            _ngram(directory, opened),
            Feedback(directory) if answers is not None and keep_feedback else None,
            report if (report := directory / "report.html").is_file() else None,
        )
    models = Models(found.values())
    if int8 and note is not None and not all(int8_pays(one.model.device) for one in found.values()):
        note("8 bits save memory here, and no time")
    _hold(models, int8)
    give_memory_back()
    return models


def _hold(models: Models, int8: bool) -> None:
    """Put weights into the numbers and the order that they are decoded in; those that models share stay so."""
    several = len(models.by_name) > 1
    matrix_of, laid_out = OncePerWeight(Int8Matrix, kept=several), OncePerWeight(lay_out, kept=several)
    for network in models.networks:
        maps = adapted(network).values()  # of a base that no other has
        if maps and all(map.quantized is None for map in maps):
            merge_in_place(network)
        to_int8(network, matrix_of) if int8 else pack(network, laid_out)


def _ngram(directory: Path, run: Run) -> NGramPrior | None:
    """Return the n-gram model of a run, if it counts the same tokens as the network draws."""
    if run.model.prior is not None:
        return run.model.prior if isinstance(run.model.prior, NGramPrior) else None
    path = RunPaths(directory).ngram_model
    if not path.is_file():
        return None
    model = NGramModel.load(path)
    return (
        NGramPrior(model, run.tokenizer.control.bos) if model.vocab_size == run.tokenizer.vocab_size else None
    )
