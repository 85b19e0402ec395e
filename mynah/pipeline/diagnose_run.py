"""Find what is wrong with a finished run: its curves, its text, its network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Record
from mynah.data.store import read_records
from mynah.diagnose.curves import Phase, curve_findings
from mynah.diagnose.findings import Finding
from mynah.diagnose.networks import badly_spoken, dead_units, forgetting
from mynah.diagnose.texts import (
    badly_split,
    endless_replies,
    more_text_helps,
    repeated_across_the_split,
    template_in_text,
)
from mynah.diagnose.words import Name
from mynah.errors import ArtifactError
from mynah.evaluate.conversations import prompts_of
from mynah.evaluate.language_model import drawn_records
from mynah.pipeline.classify_several import DOUBTS
from mynah.pipeline.open_run import Run, open_run, recipe_of
from mynah.pipeline.plan_stage import plan_of_run
from mynah.pipeline.recipe import NONE, Recipe
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.plan.budget import TUNE_RATE
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet
from mynah.train.config import TrainConfig
from mynah.train.metrics import METRICS
from mynah.train.rates import passes_over, rates

#: Held-out prompts that are asked, and tokens that are read.
PROMPTS, TOKENS = 40, 20_000
#: Records whose text is looked at for signs of a template, and for how a tokenizer cuts it.
LOOKED_AT = 20_000
#: A label in so many hundred may be doubtful.
_DOUBTFUL = 0.01

Told = Callable[[str], None]


def diagnose(directory: Path, device: str = "auto", told: Told = lambda what: None) -> list[Finding]:
    """Return what is wrong with a run, the gravest first.

    Raises:
        ArtifactError: if it is no run or not finished.
    """
    recipe, paths = recipe_of(directory), RunPaths(directory)
    if not paths.records_of("train").is_dir():
        raise ArtifactError(
            f"{directory}: the build is not finished (no split); run the same mynah build again"
        )
    if (paths.classifier / artifacts.MANIFEST).is_file():
        return [*_labels(paths), *_split(paths, told)]
    return [*_of_network(paths, recipe, open_run(directory, device), told)]


def _of_network(paths: RunPaths, recipe: Recipe, opened: Run, told: Told) -> Iterator[Finding]:
    evaluation: dict[str, Any] = {}
    if paths.evaluation.is_file():
        evaluation = artifacts.read_json(paths.evaluation)
    phases = list(_phases(paths, recipe, opened))
    told("reading the curves")
    for phase in phases:
        yield from curve_findings(phase)
    yield from _underfitting(evaluation, phases, over_base=recipe.base != NONE)
    last = phases[-1] if phases else None
    if last and (finding := forgetting(evaluation.get("general"), last.rate, last.name)) is not None:
        yield finding
    train, held_out = (TokenSet.load(paths.tokens_of(part)) for part in ("train", "held_out"))
    held_out = drawn_records(held_out, TOKENS)
    told("trying the network")
    if (finding := dead_units(opened.model, held_out)) is not None:
        yield finding
    yield from _spoken(paths, opened)
    yield from _split(paths, told)
    if opened.talks and (finding := endless_replies(train, opened.tokenizer.template.stop_ids)) is not None:
        yield finding
    records = list(islice(read_records(paths.records_of("train")), LOOKED_AT))
    texts = [text for record in records for text in record.texts]
    for finding in (template_in_text(records), badly_split(opened.tokenizer, texts)):
        if finding is not None:
            yield finding
    told("counting n-grams on parts of the text")
    yield from _more_text(paths, recipe, opened, train, held_out)


def _phases(paths: RunPaths, recipe: Recipe, opened: Run) -> Iterator[Phase]:
    from_base = recipe.base != NONE
    data = TokenSet.load(paths.tokens_of("train"))
    for name in ("pretrain", "tune"):
        path = paths.stage(name) / METRICS
        if not path.is_file():
            continue
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        config = _config(paths, name)
        if not rows or config is None:
            continue
        adapter = from_base and not recipe.full
        usual = rates(
            opened.model.config,
            from_base,
            passes_over(len(data.tokens), config),
            config.optimizer,
            config.context_length,
            adapter,
        )
        minutes = recipe.plan.minutes or DEFAULT_MINUTES
        gentler = 1.0 if from_base or name == "pretrain" else min(TUNE_RATE.values())
        yield Phase(name, rows, config.learning_rate, gentler * float(usual["learning_rate"]), minutes)


def _config(paths: RunPaths, phase: str) -> TrainConfig | None:
    """Return how a phase of a run was trained, as its plan has it."""
    plan = plan_of_run(paths)
    return plan.pretrain if phase == "pretrain" else plan.tune


def _underfitting(evaluation: dict[str, Any], phases: list[Phase], *, over_base: bool) -> Iterator[Finding]:
    """Find a network that is worse than counting: on replies, where these are what was learned last."""
    if not evaluation or not phases:
        return
    chat, ngram = (evaluation.get("chat") or {}).get("replies"), evaluation["ngram"]
    network = chat["bpb"] if chat else evaluation["verdict"]["network_bpb"]
    counted = ngram["replies"]["bpb"] if chat else evaluation["verdict"]["ngram_bpb"]
    if network > counted:
        name: Name = "underfitting_over_base" if over_base else "underfitting"
        values = {"network": network, "ngram": counted, "minutes": 4 * phases[0].minutes}
        yield Finding(name, values)


def _spoken(paths: RunPaths, opened: Run) -> list[Finding]:
    if not opened.talks:
        return []
    asked = prompts_of(list(read_records(paths.records_of("held_out"))), PROMPTS)
    return badly_spoken(opened.model, opened.tokenizer, [(one.messages, one.reply) for one in asked])


def _split(paths: RunPaths, told: Told) -> Iterator[Finding]:
    told("looking for what stands on both sides of the split")
    held_out: list[Record] = list(read_records(paths.records_of("held_out")))
    finding = repeated_across_the_split(read_records(paths.records_of("train")), held_out)
    if finding is not None:
        yield finding


def _more_text(
    paths: RunPaths, recipe: Recipe, opened: Run, train: TokenSet, held_out: TokenSet
) -> Iterator[Finding]:
    config = _config(paths, "pretrain")
    if config is None or recipe.base != NONE:  # an open base has learned its language elsewhere
        return
    finding = more_text_helps(
        train,
        held_out,
        int(artifacts.read_json(paths.ngram_scores)["order"]),
        opened.tokenizer.control.bos,
        opened.tokenizer.vocab_size,
        passes_over(len(train.tokens), config),
        opened.model.config.n_params(),
    )
    if finding is not None:
        yield finding


def _labels(paths: RunPaths) -> Iterator[Finding]:
    doubted = artifacts.read_json(paths.classifier / DOUBTS)
    rows = int(artifacts.read_manifest(paths.stage("split")).counts["train"])
    if rows and len(doubted) >= _DOUBTFUL * rows:
        places = tuple(
            f"{one['place']}: {one['label']}, looks like {one['looks_like']}" for one in doubted[:10]
        )
        values = {"count": len(doubted), "rows": rows, "share": len(doubted) / rows}
        yield Finding("label_noise", values, places=places)


def _diagnose(build: Build, out: Path) -> Counts:
    with torch.inference_mode():
        found = diagnose(build.paths.directory, build.recipe.device)
    artifacts.write_json(out / build.paths.findings.name, [finding.to_json() for finding in found])
    return {"findings": [finding.name for finding in found]}


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    if names := manifest.counts["findings"]:
        said = ", ".join(name.replace("_", " ") for name in names)
        yield f"found: {said}; look: mynah diagnose {build.paths.directory}"


DIAGNOSE = Stage(
    "diagnose",
    "looking for what is wrong",
    _diagnose,
    needs=("split", "tokens", "plan", "pretrain", "tune", "prefer", "classify", "evaluate"),
    say=_say,
    wanted=lambda build: build.task != "translate",
)
