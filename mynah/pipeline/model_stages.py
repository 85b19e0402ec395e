"""The stages that make a network and measure it: pretraining, fine-tuning, evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.evaluate.run import evaluate_run
from mynah.interop.trained import Adapter, open_adapter, save_adapter
from mynah.model.lora import adapted
from mynah.model.transformer import Transformer
from mynah.model.weights import load_model, new_model, save_model
from mynah.pipeline.answer_stage import question_file
from mynah.pipeline.plan_stage import adapter_settings, held_of, plan_of
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.train.loop import Session
from mynah.train.phases import draw_back, pretrain, tune
from mynah.train.state import Progress


def _session(build: Build, stage: str, out: Path) -> Session:
    return Session(out, lambda step: build.reporter.training(stage, step), build.reporter.note)


def _pretrain(build: Build, out: Path) -> Counts:
    data, held_out = build.texts
    plan = plan_of(build)
    model = build.base_model(held_of(build, plan)) or new_model(plan.model, build.recipe.seed)
    if plan.pretrain is None:  # the base as it is, for comparison; of a translator, random weights
        return keep_trained(build, model, None, out)
    done = pretrain(model.to(build.device), data, held_out, plan.pretrain, _session(build, "pretrain", out))
    return keep_trained(build, model, done, out)


def _tune(build: Build, out: Path) -> Counts:
    data, held_out = build.texts
    plan = plan_of(build)
    config = plan.tune
    assert config is not None
    if build.adapts:
        model, _ = open_adapter(build.paths.pretrained, build.device, held_of(build, plan))
    else:
        model = load_model(build.paths.pretrained).to(build.device)
    done = tune(model, data, held_out, config, _session(build, "tune", out))
    if plan.pretrain is not None or not build.adapts or build.recipe.adapter.dora:
        return keep_trained(build, model, done, out)
    left = draw_back(model, held_out, config)
    return {**keep_trained(build, model, done, out), "left": left}


def keep_trained(build: Build, model: Transformer, done: Progress | None, out: Path) -> Counts:
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
    return {"model": plan.model.model_dump(mode="json"), "train": train, **adapter_settings(build), **held}


def _tune_settings(build: Build) -> dict[str, Any]:
    config = plan_of(build).tune
    assert config is not None
    return config.deciding()


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
    needs=("split", "tokens", "ngram", "pretrain", "tune", "prefer"),
    settings=lambda build: {
        "evaluate": {"max_tokens": build.scored_tokens, "samples": build.recipe.evaluate.samples},
        "sampling": build.recipe.sampling.model_dump(mode="json"),
    },
    files=question_file,
    wanted=lambda build: build.task != "translate",
    seeded=True,
)
