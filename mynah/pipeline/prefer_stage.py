"""The stage that learns from better and worse replies, after the better ones have been learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.interop.trained import open_adapter
from mynah.model.weights import load_model
from mynah.pipeline.model_stages import keep_trained
from mynah.pipeline.plan_stage import held_of, plan_of
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.tokenizer.dataset import TokenSet
from mynah.train.loop import Session
from mynah.tune.preferences.pairs import ReplyPairs, prefer

EVALUATION = "evaluation.json"


def pairs_of(build: Build, part: str) -> ReplyPairs | None:
    """Return the pairs of a part, if it has any."""
    path = build.paths.rejected_of(part)
    if not path.is_file():
        return None
    return ReplyPairs.of(TokenSet.load(build.paths.tokens_of(part)), TokenSet.load(path))


def _prefer(build: Build, out: Path) -> Counts:
    plan = plan_of(build)
    config, pairs = plan.prefer, pairs_of(build, "train")
    assert config is not None
    assert pairs is not None
    if build.adapts:
        model, _ = open_adapter(build.paths.tuned, build.device, held_of(build, plan))
    else:
        model = load_model(build.paths.tuned).to(build.device)
    session = Session(out, lambda step: build.reporter.training("prefer", step), build.reporter.note)
    done, measured = prefer(
        model,
        pairs,
        pairs_of(build, "held_out"),
        build.recipe.prefer,
        config,
        session,
        lambda share: build.reporter.progress("reading the pairs", share),
    )
    artifacts.write_json(out / EVALUATION, measured)
    return {**keep_trained(build, model, done, out), "pairs": len(pairs), "read": measured["read"]}


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    found: dict[str, Any] = artifacts.read_json(build.paths.preferred / EVALUATION)
    steps = manifest.counts["steps"]
    yield f"{found['read']:,} of {found['pairs']:,} pairs of a better and a worse reply, {steps:,} steps"
    if held := found.get("held_out"):
        yield (
            f"of {held['count']:,} held-out pairs the better reply has gained more in {held['reward_accuracy']:.0%}; "
            f"it is the likelier one, a token, in {held['likelier_after']:.0%}, before in {held['likelier_before']:.0%}"
        )


def _settings(build: Build) -> dict[str, Any]:
    config = plan_of(build).prefer
    assert config is not None
    return {
        "train": config.deciding(),
        "prefer": build.recipe.prefer.model_dump(mode="json", exclude={"share", "train"}),
    }


PREFER = Stage(
    "prefer",
    "learning from better and worse replies",
    _prefer,
    needs=("tokens", "tune"),
    settings=_settings,
    say=_say,
    wanted=lambda build: "tune" in build.made and plan_of(build).prefer is not None,
    seeded=True,
    trains=True,
)
