"""The whole path, stage by stage: each a directory in, a directory out."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.config import build_config
from mynah.data.readers.inputs import check_exists
from mynah.data.sources import Ask, is_url
from mynah.data.store import read_records
from mynah.errors import ConfigError
from mynah.evaluate.replies import read_questions
from mynah.interop.bases import find_base
from mynah.interop.huggingface import check_readable
from mynah.pipeline.answer_stage import ANSWERS
from mynah.pipeline.base_stage import BASE
from mynah.pipeline.beside_stage import BESIDE, check_beside
from mynah.pipeline.classify_stage import CLASSIFY, EVALUATION, is_classified
from mynah.pipeline.data_stages import CLEAN, COLLECT, SPLIT
from mynah.pipeline.model_stages import EVALUATE, PLAN, PRETRAIN, TUNE
from mynah.pipeline.recipe import AUTO, NONE, Recipe, to_toml
from mynah.pipeline.stage import Build, Stage
from mynah.pipeline.token_stages import NGRAM, PRIOR, TOKENIZER, TOKENS
from mynah.report.class_report import write_class_report
from mynah.report.run_report import write_report
from mynah.stages import Reporter, RunPaths, Silent, Stages
from mynah.tokenizer.tokenizer import Tokenizer

#: The stages of every task, in order; then those of classification, and those of a network that talks or writes.
_DATA = (COLLECT, CLEAN, SPLIT)
_CLASSES: tuple[Stage, ...] = (CLASSIFY,)
_NETWORK: tuple[Stage, ...] = (
    BASE,
    TOKENIZER,
    TOKENS,
    NGRAM,
    PRIOR,
    PLAN,
    PRETRAIN,
    TUNE,
    ANSWERS,
    EVALUATE,
    BESIDE,
)
#: All stages.
STAGES: tuple[Stage, ...] = (*_DATA, *_CLASSES, *_NETWORK)
#: Records that are looked at to tell the task.
LOOKED_AT = 1000


def build(
    sources: Sequence[Path | str],
    recipe: Recipe | Mapping[str, Any],
    directory: Path | str,
    reporter: Reporter | None = None,
    ask: Ask | None = None,
    until: str = BESIDE.name,
) -> dict[str, Any]:
    """Run every stage that is not done yet; return the evaluation.

    Args:
        sources: files, folders and database URLs.
        recipe: all settings, or those that differ from the defaults, by section: {"plan": {"minutes": 3}}.
        directory: the run; made if it is not there.
        reporter: is told how it goes.
        ask: who the assistant of a chat is, where nothing says so.
        until: the last stage that is run, by its name; without the evaluation nothing is returned, and there is no
            report.

    Raises:
        MynahError: one of its kinds, if something is wrong with input, settings or the run directory.
        Interrupted: on Ctrl-C in training, after saving.
    """
    directory = Path(directory)
    if not isinstance(recipe, Recipe):
        recipe = build_config(Recipe, dict(recipe), "recipe")
    names = [stage.name for stage in STAGES]
    if until not in names:
        raise ConfigError(f"{until!r} is no stage of a build; expected one of {', '.join(names)}")
    for source in sources:  # a missing file is told before a run directory is made for it
        if not is_url(source):
            check_exists(Path(source))
    if recipe.evaluate.questions is not None:
        read_questions(Path(recipe.evaluate.questions))  # and a wrong one before an hour of training
    if recipe.base not in (AUTO, NONE):
        if recipe.plan.size or recipe.plan.model:
            raise ConfigError("--base brings its own size and shape; leave out --size and plan.model")
        base = find_base(recipe.base)
        check_readable(base)
        Tokenizer.load(base)
    check_beside(recipe.evaluate.beside)
    stages = Stages(directory, recipe.seed, reporter or Silent())
    with artifacts.locked(directory):
        try:
            made = Build(sources, recipe, stages, ask)
            last = names.index(until)
            _run(made, STAGES[: min(last, len(_DATA) - 1) + 1])
            classifies = last >= len(_DATA) and _classifies(made)
            for stage in _NETWORK if classifies else _CLASSES:  # what another task left here
                stages.remove(stage.name)
            wanted = _CLASSES if classifies else _NETWORK
            _run(made, [stage for stage in wanted if names.index(stage.name) <= last])
            if BESIDE.name not in made.made:  # what an earlier build compared, perhaps on other records
                stages.remove(BESIDE.name)
        except BaseException:
            # A build that was refused at once leaves no folder; the lock's own file goes with it.
            if {path.name for path in directory.iterdir()} <= {".lock"}:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        paths = RunPaths(directory)
        if classifies:
            if stages.ran or not paths.report.is_file():
                write_class_report(paths, stages.timings())
            measured: dict[str, Any] = artifacts.read_json(paths.classifier / EVALUATION)
            return measured
        if names.index(until) < names.index(EVALUATE.name):
            return {}
        if stages.ran or not paths.report.is_file():
            write_report(paths, stages.timings())
        evaluation: dict[str, Any] = artifacts.read_json(paths.evaluation)
        return evaluation


def _classifies(made: Build) -> bool:
    """Whether the task is to tell classes apart, as the recipe says or the records are."""
    task = made.recipe.task
    if task != "auto":
        return task == "classify"
    if not made.recipe.plan.replies:  # all text is to be learned
        return False
    records = list(itertools.islice(read_records(made.paths.records_of("train")), LOOKED_AT))
    if found := is_classified(records):
        made.reporter.note("texts with classes: learning to tell them (--task chat learns to write them)")
    return found


def _run(made: Build, stages: Sequence[Stage]) -> None:
    for stage in stages:
        stage.run(made)
        if stage is COLLECT:  # what was asked for is known to be readable
            artifacts.write_text(made.paths.recipe, to_toml(made.recipe))
        if stage is BASE:  # the same again wherever the recipe is built, whatever bases are there
            settled = made.recipe.model_copy(update={"base": made.base_name or NONE})
            artifacts.write_text(made.paths.recipe, to_toml(settled))
