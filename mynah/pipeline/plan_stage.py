"""The stage that chooses the model, the steps of each phase and the memory, and says why."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.data.store import read_records
from mynah.device import BASE_BYTES, USABLE, available_memory
from mynah.errors import ConfigError
from mynah.evaluate.replies import read_questions
from mynah.evaluate.run import ASKED
from mynah.interop.held import Held, held_as, quickest_that_fits
from mynah.interop.huggingface import read_config
from mynah.model.config import ModelConfig
from mynah.model.lora import adapter_size
from mynah.pipeline.answer_stage import read_at_most
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.plan.budget import ADAPTER_TOKENS, Plan, make_plan, shape_for
from mynah.plan.pairs import plan_pairs
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.plan.speed import products_speed
from mynah.plan.times import Ahead
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.examples import encoded_records
from mynah.train.config import TrainConfig
from mynah.train.memory import check_memory, training_memory
from mynah.train.rates import rates
from mynah.train.trained import TrainedCount

#: A build may take this much longer than it was given before it says that its minutes are too few.
TOLERANCE = 1.25
#: Held-out tokens of a measurement of an adapter, and the share of its steps' time that they may take: its loss falls
#: to the end, so that measuring shows how it goes and hardly chooses.
MEASURED_OF_ADAPTER, MEASURING_OF_ADAPTER = 4096, 0.1
#: Pairs of replies of a step, tokens of each reply with what comes before it at most, and the rate as a share of
#: fine-tuning's: preferences are learned gently, or the replies fall apart (Rafailov et al. 2023, appendix B).
PAIRS_A_STEP, LONGEST_PAIR, PREFER_RATE = 4, 512, 0.05
#: Records longer than a row: beside the plan, and how many are named.
LONG, LONG_SHOWN = "long.json", 40
#: A reply in the evaluation is taken to have so many tokens, where it may be longer.
TYPICAL_REPLY = 40


def plan_of(build: Build) -> Plan:
    """Return what was planned."""
    return plan_of_run(build.paths)


def plan_of_run(paths: RunPaths) -> Plan:
    """Return what was planned for a run.

    Raises:
        ArtifactError: if it is missing or damaged.
    """
    return Plan.from_json(artifacts.read_json(paths.plan), str(paths.plan))


def _ahead(build: Build) -> Ahead:
    """Return what the build does besides training."""
    recipe = build.recipe.evaluate
    held_out = len(build.texts[1].tokens)
    if build.task == "translate":
        return Ahead(held_out, 0, _translated_tokens(build))
    replies, answered = recipe.samples, 0
    if build.replies:
        answered = 2 * read_at_most(build)
        if recipe.questions is not None:
            questions = len(read_questions(Path(recipe.questions)))
            replies, answered = replies + min(ASKED, questions), answered + questions
    drawn = replies * min(build.recipe.sampling.max_tokens, TYPICAL_REPLY)
    scored = min(held_out, build.scored_tokens)
    if build.adapts:
        return Ahead(
            held_out,
            scored,
            drawn,
            answered,
            measured=MEASURED_OF_ADAPTER,
            measuring_share=MEASURING_OF_ADAPTER,
        )
    return Ahead(held_out, scored, drawn, answered)


def _translated_tokens(build: Build) -> int:
    """Return about how many tokens measuring a translator draws: those of each hypothesis, and greedily again."""
    _, held_out = build.texts
    settings, pairs = build.recipe.translate, max(1, len(held_out))
    said = float(held_out.reply.sum()) / pairs
    directions = 2 if settings.directions == "both" else 1
    translated = min(directions * settings.measured, pairs)
    return int(said * translated * (settings.beam.width + 1))


def _plan(build: Build, out: Path) -> Counts:
    recipe = build.recipe
    whole = total = 60 * (recipe.plan.minutes or DEFAULT_MINUTES)
    if prefers(build):
        total *= 1 - recipe.prefer.share
    begun = time.monotonic()
    data, _ = build.texts  # with a prior, made here for the first time: part of what is spent
    spent = seconds_so_far(build) + time.monotonic() - begun
    available = available_memory(build.device)
    if build.task == "translate" and build.base is None:
        plan = plan_pairs(
            recipe.plan,
            data,
            build.tokenizer.vocab_size,
            seconds=max(2.0, total - spent),
            device=build.device,
            seed=recipe.seed,
            ahead=_ahead(build),
            available=available,
        )
        return _planned(build, plan, spent, total, out)
    held = _held(build, available)
    base = build.base_model(held)
    trained = TrainedCount.of(base) if base is not None else None
    plan = make_plan(
        recipe.plan,
        data,
        build.tokenizer.vocab_size,
        has_replies=build.replies and bool(data.reply.any()),
        base=base,
        seconds=max(2.0, total - spent),
        device=build.device,
        seed=recipe.seed,
        adapter=build.adapts,
        talks=build.base is not None and build.tokenizer.brings_template,
        ahead=_ahead(build),
        available=available,
    )
    for config in (plan.pretrain, plan.tune):
        if config is not None:
            check_memory(recipe.plan.size, plan.model, config, available, trained=trained)
    if held is not None:
        plan.held = held.name
        if held.bits is not None:
            gigabytes = held.bytes_of(plan.model) / 1e9
            plan.reasons.append(f"the weights of the base are held as {held.name}: {gigabytes:.1f} GB")
    if plan.tune is not None and prefers(build):
        plan.prefer = _plan_preferences(build, plan.model, plan.tune, whole - total, available, trained)
        plan.reasons.append(
            f"then {plan.prefer.steps:,} steps of {plan.prefer.batch_size} pairs of a better and a worse reply "
            f"({recipe.prefer.loss})"
        )
    return _planned(build, plan, spent, total, out)


def prefers(build: Build) -> bool:
    """Whether there are better and worse replies to learn from, and they are to be learned."""
    recipe = build.recipe
    wanted = recipe.prefer.loss != "none" and recipe.prior.kind == "none" and build.task == "chat"
    return wanted and build.replies and build.paths.rejected_of("train").is_file()


def _plan_preferences(
    build: Build,
    model: ModelConfig,
    tune: TrainConfig,
    seconds: float,
    available: int | None,
    trained: TrainedCount | None,
) -> TrainConfig:
    """Return how long is learned from pairs: the passes asked for, or as many steps as there is time for.

    A step's pairs are taken in as many parts as the memory asks for.

    Raises:
        ConfigError: if not even one pair at a time fits.
    """
    settings, pairs = build.recipe.prefer, TokenSet.load(build.paths.rejected_of("train"))
    context = min(model.context_length, LONGEST_PAIR)
    tokens = 2 * float(np.minimum(np.diff(pairs.starts), context).mean())
    # What is frozen needs no gradient of its own; the replies are read once more, forward, for the reference.
    flop = (4 if build.adapts else 6) * model.n_params(embeddings=False) + 2 * model.n_params(
        embeddings=False
    )
    speed = products_speed(build.device) / flop
    in_time = seconds * speed / (tokens * PAIRS_A_STEP)
    steps = max(5, int(min(settings.passes * len(pairs) / PAIRS_A_STEP, in_time)))
    gentle = {
        name: PREFER_RATE * rate for name, rate in tune.model_dump().items() if name.endswith("learning_rate")
    }
    values = {
        **tune.model_dump(include={"optimizer", "adapter_ratio", "weight_decay", "precision", "seed"}),
        **gentle,
        "steps": steps,
        "batch_size": PAIRS_A_STEP,
        "context_length": context,
        "schedule": "linear",
        "warmup": 0.1,
        "spike": 0.0,
        "ends_with": "last",
        "eval_every": steps,
    }
    config = build_config(TrainConfig, {**values, **settings.train}, "[prefer.train]")
    if "grad_accum_steps" in settings.train:
        return config
    for parts in range(1, config.batch_size + 1):
        config = config.model_copy(update={"grad_accum_steps": parts})
        rows = config.model_copy(update={"batch_size": 2 * config.batch_size})  # two replies of a pair
        try:
            check_memory(build.recipe.plan.size, model, rows, available, trained=trained)
        except ConfigError:
            if parts == config.batch_size:
                raise
        else:
            break
    return config


def _planned(build: Build, plan: Plan, spent: float, total: float, out: Path) -> Counts:
    """Write a plan, unless it takes far more than the seconds that the build was given."""
    if plan.seconds is not None and spent + plan.seconds > TOLERANCE * total:
        needed = math.ceil((spent + plan.seconds) / 6) / 10
        steps = sum(config.steps for config in (plan.pretrain, plan.tune) if config is not None)
        raise ConfigError(
            f"{total / 60:g} minutes are too few: here this build takes about {needed:g}, of which "
            f"{steps:,} steps are the least that teach "
            f"anything; run it with --minutes {needed:g}, or "
            + (
                "start from random weights: --base none"
                if build.base is not None
                else "choose a smaller model"
            )
        )
    artifacts.write_json(out / build.paths.plan.name, plan.to_json())
    if plan.tune is None:
        return {}
    found = _long_rows(build, plan.tune)
    artifacts.write_json(out / LONG, found)
    return {"long": found["count"]}


def _long_rows(build: Build, config: TrainConfig) -> dict[str, Any]:
    """Return which records with replies are longer than a row, and what becomes of them."""
    data, _ = build.texts
    lengths = np.diff(data.starts)
    replies = np.add.reduceat(data.reply, data.starts[:-1]) if len(data) else np.zeros(0)
    # The token that ends a record is predicted and not read.
    long = (lengths - 1 > config.context_length) & (replies > 0)
    where = np.flatnonzero(long)
    shown: list[dict[str, Any]] = []
    if len(where):
        wanted = set(where[:LONG_SHOWN].tolist())
        records = encoded_records(read_records(build.records_of("train")), build.tokenizer)
        for number, record in enumerate(itertools.islice(records, int(where[:LONG_SHOWN][-1]) + 1)):
            if number in wanted:
                shown.append(
                    {"place": record.place, "tokens": int(lengths[number]), "counted": int(replies[number])}
                )
    return {
        "count": len(where),
        "records": len(data),
        "context_length": config.context_length,
        "choice": config.long,
        "shown": shown,
    }


def _held(build: Build, available: int | None) -> Held | None:
    """Return how the weights beside an adapter are to be held, None without one: as asked for, or as is quickest."""
    if not build.adapts:
        return None
    assert build.base is not None
    config, lora = read_config(build.base)[1], build.recipe.adapter
    if build.recipe.frozen != "auto":
        return held_as(build.recipe.frozen, config, build.device)
    rows, context = shape_for(config, (1, ADAPTER_TOKENS), from_base=True)
    suited = rates(config, True, adapter=True)
    step = TrainConfig(steps=1, batch_size=rows, context_length=context, **suited)

    def fits(held: Held) -> bool:
        trained = TrainedCount(0, adapter_size(config, lora), held.bytes_of(config))
        needed = training_memory(config, step, trained=trained).total + BASE_BYTES
        return available is None or needed <= USABLE * available

    return quickest_that_fits(config, build.device, fits)


def held_of(build: Build, plan: Plan) -> Held | None:
    """Return how the plan says that the weights beside an adapter are held."""
    return held_as(plan.held, plan.model, build.device) if plan.held is not None else None


def seconds_so_far(build: Build) -> float:
    """Return the seconds of this build's stages so far, those that were done before too."""
    timings = build.stages.timings()  # of later stages too, from an earlier build
    return sum(float(timings[stage]["seconds"]) for stage in build.made if stage in timings)


def _plan_settings(build: Build) -> dict[str, Any]:
    frozen = {"frozen": build.recipe.frozen} if build.adapts else {}
    prefer = {"prefer": build.recipe.prefer.model_dump(mode="json")} if prefers(build) else {}
    plan = {"task": build.task, **build.recipe.plan.model_dump(mode="json")}
    return {**plan, **adapter_settings(build), **frozen, **prefer}


def adapter_settings(build: Build) -> dict[str, Any]:
    """Return what is trained of a base, as a setting."""
    return {"adapter": build.recipe.adapter.model_dump(mode="json")} if build.adapts else {}


def _say_plan(build: Build, manifest: Manifest) -> Iterator[str]:
    plan = plan_of(build)
    yield from plan.reasons
    if (count := manifest.counts.get("long")) and plan.tune is not None:
        becomes = {
            "split": "learned in pieces that overlap (plan.tune.long: cut or drop)",
            "cut": "their oldest turns are cut off",
            "drop": "left out",
        }[plan.tune.long]
        yield (
            f"{count:,} conversations are longer than the {plan.tune.context_length} tokens of a row: {becomes}; "
            "the report has their lines"
        )


PLAN = Stage(
    "plan",
    "choosing model and steps",
    _plan,
    needs=("tokens", "prior"),
    settings=_plan_settings,
    files=lambda build: build.base_hash,
    say=_say_plan,
    seeded=True,
)
