"""The whole path, stage by stage: each a directory in, a directory out."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
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
from mynah.pipeline.classify_several import EVALUATION
from mynah.pipeline.classify_stage import CLASSIFY, is_classified
from mynah.pipeline.data_stages import CLEAN, COLLECT, SPLIT
from mynah.pipeline.diagnose_run import DIAGNOSE
from mynah.pipeline.model_stages import EVALUATE, PRETRAIN, TUNE
from mynah.pipeline.pairs_stage import PAIRS, is_paired
from mynah.pipeline.plan_stage import PLAN
from mynah.pipeline.prefer_stage import PREFER
from mynah.pipeline.recipe import AUTO, NONE, Recipe, Task, to_toml
from mynah.pipeline.stage import Build, Stage
from mynah.pipeline.token_stages import NGRAM, PRIOR, TOKENIZER, TOKENS
from mynah.pipeline.translate_stage import EVALUATION as TRANSLATED
from mynah.pipeline.translate_stage import TRANSLATE
from mynah.report.class_report import write_class_report
from mynah.report.pair_report import write_pair_report
from mynah.report.run_report import write_report
from mynah.stages import Reporter, RunPaths, Silent, Stages
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.translate.glossary import read_glossary

#: The stages of every task, in order; then those of classification, and those of a network that talks, translates or
#: writes; and what is done of every task at the end.
_DATA = (COLLECT, CLEAN, SPLIT)
_END = (DIAGNOSE,)
_CLASSES: tuple[Stage, ...] = (CLASSIFY,)
_NETWORK: tuple[Stage, ...] = (
    BASE,
    PAIRS,
    TOKENIZER,
    TOKENS,
    NGRAM,
    PRIOR,
    PLAN,
    PRETRAIN,
    TUNE,
    PREFER,
    TRANSLATE,
    ANSWERS,
    EVALUATE,
    BESIDE,
)
#: All stages.
STAGES: tuple[Stage, ...] = (*_DATA, *_CLASSES, *_NETWORK, *_END)
#: Records that are looked at to tell the task.
LOOKED_AT = 1000


def build(
    sources: Sequence[Path | str],
    recipe: Recipe | Mapping[str, Any],
    directory: Path | str,
    reporter: Reporter | None = None,
    ask: Ask | None = None,
    until: str = DIAGNOSE.name,
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
    if recipe.translate.glossary is not None:
        read_glossary(Path(recipe.translate.glossary))
    stages = Stages(directory, recipe.seed, reporter or Silent())
    with artifacts.locked(directory):
        try:
            made = Build(sources, recipe, stages, ask)
            last = names.index(until)
            _run(made, STAGES[: min(last, len(_DATA) - 1) + 1])
            if last >= len(_DATA):
                made.task = _task_of(made)
            classifies = made.task == "classify"
            for stage in _NETWORK if classifies else _CLASSES:  # what another task left here
                stages.remove(stage.name)
            wanted = (*(_CLASSES if classifies else _NETWORK), *_END)
            whole = last == len(STAGES) - 1  # a stage of one task is the end of no other
            _run(
                made, [s for s in wanted if whole or (STAGES[last] in wanted and names.index(s.name) <= last)]
            )
            if BESIDE.name not in made.made:  # what an earlier build compared, perhaps on other records
                stages.remove(BESIDE.name)
        except BaseException:
            # A build that was refused at once leaves no folder; the lock's own file goes with it.
            if {path.name for path in directory.iterdir()} <= {".lock"}:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        paths = RunPaths(directory)
        page, measured = _PAGES.get(made.task, (write_report, lambda paths: paths.evaluation))
        if CLASSIFY.name not in made.made and last < names.index(EVALUATE.name):
            return {}
        if stages.ran or not paths.report.is_file():
            page(paths, stages.timings())
        evaluation: dict[str, Any] = artifacts.read_json(measured(paths))
        return evaluation


#: Of tasks whose result is not a network that is measured as a language model: their report, and where its figures are.
_PAGES: dict[
    str, tuple[Callable[[RunPaths, dict[str, dict[str, Any]]], None], Callable[[RunPaths], Path]]
] = {
    "classify": (write_class_report, lambda paths: paths.classifier / EVALUATION),
    "translate": (write_pair_report, lambda paths: paths.translated / TRANSLATED),
}


def _task_of(made: Build) -> Task:
    """Return what is to be learned, as the recipe says or the records are."""
    task = made.recipe.task
    if task == "translate" and made.recipe.prior.kind != "none":
        raise ConfigError("--prior: a translator learns from pairs alone; leave it out, or say --task chat")
    if task != "auto":
        return task
    if not made.recipe.plan.replies:  # all text is to be learned
        return "generate"
    records = list(itertools.islice(read_records(made.paths.records_of("train")), LOOKED_AT))
    if is_classified(records):
        made.reporter.note("texts with classes: learning to tell them (--task chat learns to write them)")
        return "classify"
    if is_paired(records) and made.recipe.prior.kind == "none":
        made.reporter.note(
            "texts in pairs: learning to translate (--task chat takes them for questions and replies)"
        )
        return "translate"
    return "chat"  # where nobody replies, there is nothing to fine-tune on, and the model goes on with text


def _run(made: Build, stages: Sequence[Stage]) -> None:
    for stage in stages:
        stage.run(made)
        if stage is COLLECT:  # what was asked for is known to be readable
            artifacts.write_text(made.paths.recipe, to_toml(made.recipe))
        if stage is BASE:  # the same again wherever the recipe is built, whatever bases are there
            settled = made.recipe.model_copy(update={"base": made.base_name or NONE})
            artifacts.write_text(made.paths.recipe, to_toml(settled))
