"""The stages that make a network and measure it: plan, pretraining, fine-tuning, evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.device import BASE_BYTES, USABLE, available_memory
from mynah.errors import ConfigError
from mynah.evaluate.replies import read_questions
from mynah.evaluate.run import ASKED, evaluate_run
from mynah.interop.held import Held, held_as, quickest_that_fits
from mynah.interop.huggingface import read_config
from mynah.interop.trained import Adapter, open_adapter, save_adapter
from mynah.model.lora import adapted, adapter_size
from mynah.model.transformer import Transformer
from mynah.model.weights import load_model, new_model, save_model
from mynah.pipeline.answer_stage import question_file, read_at_most
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.plan.budget import ADAPTER_TOKENS, Plan, make_plan, shape_for
from mynah.plan.pairs import plan_pairs
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.plan.times import Ahead
from mynah.train.config import TrainConfig
from mynah.train.loop import Session
from mynah.train.memory import check_memory, training_memory
from mynah.train.phases import draw_back, pretrain, tune
from mynah.train.rates import rates
from mynah.train.state import Progress
from mynah.train.trained import TrainedCount

#: A build may take this much longer than it was given before it says that its minutes are too few.
TOLERANCE = 1.25
#: Held-out tokens of a measurement of an adapter, and the share of its steps' time that they may take: its loss falls
#: to the end, so that measuring shows how it goes and hardly chooses.
MEASURED_OF_ADAPTER, MEASURING_OF_ADAPTER = 4096, 0.1
#: A reply in the evaluation is taken to have so many tokens, where it may be longer.
TYPICAL_REPLY = 40


def plan_of(build: Build) -> Plan:
    """Return what was planned."""
    path = build.paths.plan
    return Plan.from_json(artifacts.read_json(path), str(path))


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
    total = 60 * (recipe.plan.minutes or DEFAULT_MINUTES)
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
    return _planned(build, plan, spent, total, out)


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
    return {}


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


def _held_of(build: Build, plan: Plan) -> Held | None:
    """Return how the plan says that the weights beside an adapter are held."""
    return held_as(plan.held, plan.model, build.device) if plan.held is not None else None


def seconds_so_far(build: Build) -> float:
    """Return the seconds of this build's stages so far, those that were done before too."""
    timings = build.stages.timings()  # of later stages too, from an earlier build
    return sum(float(timings[stage]["seconds"]) for stage in build.made if stage in timings)


def _session(build: Build, stage: str, out: Path) -> Session:
    return Session(out, lambda step: build.reporter.training(stage, step), build.reporter.note)


def _pretrain(build: Build, out: Path) -> Counts:
    data, held_out = build.texts
    plan = plan_of(build)
    model = build.base_model(_held_of(build, plan)) or new_model(plan.model, build.recipe.seed)
    if plan.pretrain is None:  # the base as it is, for comparison; of a translator, random weights
        return _keep(build, model, None, out)
    done = pretrain(model.to(build.device), data, held_out, plan.pretrain, _session(build, "pretrain", out))
    return _keep(build, model, done, out)


def _tune(build: Build, out: Path) -> Counts:
    data, held_out = build.texts
    plan = plan_of(build)
    config = plan.tune
    assert config is not None
    if build.adapts:
        model, _ = open_adapter(build.paths.pretrained, build.device, _held_of(build, plan))
    else:
        model = load_model(build.paths.pretrained).to(build.device)
    done = tune(model, data, held_out, config, _session(build, "tune", out))
    if plan.pretrain is not None or not build.adapts or build.recipe.adapter.dora:
        return _keep(build, model, done, out)
    left = draw_back(model, held_out, config)
    return {**_keep(build, model, done, out), "left": left}


def _keep(build: Build, model: Transformer, done: Progress | None, out: Path) -> Counts:
    """Write a trained model, or its adapter alone; return the counts of the manifest."""
    if not build.adapts:
        return keep(model, done or Progress(), out)
    assert build.base is not None
    lora = next(iter(adapted(model).values())).config
    # By its name, or by a path that holds wherever the run is opened from.
    name = build.base_name if not Path(str(build.base_name)).is_dir() else str(build.base.resolve())
    save_adapter(model, Adapter(lora, str(name), build.base_hash["base"]), out)
    return counts_of(done or Progress())


def keep(model: Transformer, done: Progress, out: Path) -> Counts:
    """Write a trained model; return the counts of the manifest."""
    save_model(model.cpu(), out)
    return counts_of(done)


def counts_of(done: Progress) -> Counts:
    """Return what a manifest says of a training run."""
    return {
        "steps": done.step,
        "best_step": done.best_step,
        "best_loss": done.best_loss,
        "stopped_early": done.stopped_early,
    }


def _say_trained(build: Build, manifest: Manifest) -> Iterator[str]:
    counts = manifest.counts
    if counts["steps"] == 0:
        straight = "the translations" if build.task == "translate" else "the replies"
        yield f"left out: {'the base goes ' if build.base else ''}straight to {straight}"
    if counts["best_loss"] is not None:
        early = ", stopped early" if counts["stopped_early"] else ""
        yield (
            f"held-out loss {counts['best_loss']:.3f} nats a token, of the weights after step "
            f"{counts['best_step']:,} of {counts['steps']:,}{early}"
        )
    if counts.get("left", 1) < 1:
        yield f"{counts['left']:.0%} of the adapter is kept: held-out replies cost hardly more, and less is forgotten"


def _pretrain_settings(build: Build) -> dict[str, Any]:
    plan = plan_of(build)
    train = plan.pretrain.deciding() if plan.pretrain is not None else None
    held = {"held": plan.held} if plan.held is not None else {}
    return {"model": plan.model.model_dump(mode="json"), "train": train, **_adapter(build), **held}


def _plan_settings(build: Build) -> dict[str, Any]:
    frozen = {"frozen": build.recipe.frozen} if build.adapts else {}
    return {**build.recipe.plan.model_dump(mode="json"), **_adapter(build), **frozen}


def _adapter(build: Build) -> dict[str, Any]:
    """Return what is trained of a base, as a setting."""
    return {"adapter": build.recipe.adapter.model_dump(mode="json")} if build.adapts else {}


def _tune_settings(build: Build) -> dict[str, Any]:
    config = plan_of(build).tune
    assert config is not None
    return config.deciding()


def _say_plan(build: Build, manifest: Manifest) -> Iterator[str]:
    yield from plan_of(build).reasons


def _say_no_replies(build: Build) -> Iterator[str]:
    if build.replies:
        yield "no conversations: nothing to fine-tune, the model continues text"


def _evaluate(build: Build, out: Path) -> Counts:
    recipe = build.recipe
    result = evaluate_run(
        build.paths,
        sampling=recipe.sampling.model_copy(update={"seed": recipe.sampling.seed or recipe.seed}),
        max_tokens=build.scored_tokens,
        samples=recipe.evaluate.samples,
        questions=Path(recipe.evaluate.questions) if recipe.evaluate.questions else None,
        tuned="tune" in build.made,
        straight=plan_of(build).pretrain is None,
        open_base=build.base,
        device=build.device,
    )
    artifacts.write_json(out / build.paths.evaluation.name, result)
    return {}


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
PRETRAIN = Stage(
    "pretrain",
    "training on all text",
    _pretrain,
    needs=("tokens", "prior"),
    settings=_pretrain_settings,
    files=lambda build: build.base_hash,
    say=_say_trained,
    seeded=True,
    trains=True,
)
TUNE = Stage(
    "tune",
    "fine-tuning on replies",
    _tune,
    needs=("tokens", "prior", "pretrain"),
    settings=_tune_settings,
    say=_say_trained,
    wanted=lambda build: plan_of(build).tune is not None,
    say_absent=_say_no_replies,
    seeded=True,
    trains=True,
)
EVALUATE = Stage(
    "evaluate",
    "measuring on what was held out",
    _evaluate,
    needs=("split", "tokens", "ngram", "pretrain", "tune"),
    settings=lambda build: {
        "evaluate": {"max_tokens": build.scored_tokens, "samples": build.recipe.evaluate.samples},
        "sampling": build.recipe.sampling.model_dump(mode="json"),
    },
    files=question_file,
    wanted=lambda build: build.task != "translate",
    seeded=True,
)
