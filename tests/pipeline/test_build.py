from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, write_chats

from mynah import artifacts
from mynah.config import merge
from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.pipeline.build import build
from mynah.pipeline.recipe import load_recipe
from mynah.plan import budget
from mynah.plan.settings import PlanConfig
from mynah.stages import Silent

STAGES = [
    "collect", "clean", "split", "tokenizer", "tokens", "ngram", "plan", "pretrain", "tune", "answers", "evaluate",
    "diagnose",
]  # fmt: skip


class Told(Silent):
    """Remembers which stages ran."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.notes: list[str] = []

    def stage(self, name: str, state: str) -> None:
        self.states[name] = state

    def note(self, text: str) -> None:
        self.notes.append(text)


def run(files: list[Path], directory: Path, flags: dict[str, Any] | None = None) -> Told:
    told = Told()
    build(files, load_recipe(None, merge(TINY, flags or {})), directory, told)
    return told


def ran(told: Told) -> list[str]:
    return [name for name, state in told.states.items() if state != "done"]


def hashes(directory: Path) -> dict[str, str]:
    return {name: artifacts.read_manifest(directory / name).output for name in STAGES}


def test_a_build_leaves_everything_it_promises(tiny_run: Path) -> None:
    for name in STAGES:
        manifest = artifacts.read_manifest(tiny_run / name)
        assert manifest.stage == name
        assert (tiny_run / name / "timing.json").is_file()
    report = (tiny_run / "report.html").read_text(encoding="utf-8")
    assert "bits per byte" in report
    assert "每字节比特" in report
    assert not re.search(
        r"""(src|href)=["']?http|@import|url\((?!#)|<link|<script src""", report
    )  # self-contained
    evaluation = json.loads((tiny_run / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["ngram"]["all"]["tokens"] == evaluation["base"]["all"]["tokens"]
    assert len(evaluation["samples"]) == 2
    assert not list(tiny_run.glob("*.partial"))
    assert load_recipe(tiny_run / "recipe.toml", {}).plan.size == "nano"


def test_a_second_build_does_nothing_and_changes_rerun_what_follows(chats: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert ran(run([chats], directory)) == STAGES
    first = hashes(directory)
    assert ran(run([chats], directory)) == []
    assert ran(run([chats], directory, {"plan": {"tune": {"steps": 5}}})) == [
        "plan",
        "tune",
        "answers",
        "evaluate",
        "diagnose",
    ]
    assert ran(run([chats], directory, {"plan": {"tune": {"steps": 5}}, "sampling": {"top_k": 3}})) == [
        "evaluate"
    ]
    assert ran(run([chats], directory)) == ["plan", "tune", "answers", "evaluate", "diagnose"]
    assert hashes(directory) == first  # the same inputs and settings give the same bytes


def test_equal_builds_have_equal_hashes(chats: Path, tmp_path: Path, tiny_run: Path) -> None:
    run([chats], tmp_path / "run")
    assert hashes(tmp_path / "run") == hashes(tiny_run)


def test_another_seed_reads_nothing_anew(chats: Path, tmp_path: Path) -> None:
    for seed in (0, 7):
        told = Told()
        build([chats], load_recipe(None, merge(TINY, {"seed": seed})), tmp_path / "run", told)
    assert [name for name, state in told.states.items() if state == "done"] == ["collect", "clean"]


def test_too_few_minutes_are_told_with_the_number_needed(
    chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "measure_step", lambda *_, **__: 8.0)  # as a base of 135M takes here
    recipe = load_recipe(None, TINY)
    recipe = recipe.model_copy(update={"plan": PlanConfig(minutes=0.3)})
    with pytest.raises(ConfigError, match=r"0\.3 minutes are too few: here this build takes about") as told:
        build([chats], recipe, tmp_path / "run")
    needed = float(str(told.value).split("--minutes ")[1].split(",")[0])
    assert 4 < needed < 12  # 30 steps of 8 seconds, two measurements in each phase, and the evaluation
    assert not (tmp_path / "run" / "pretrain").exists()


@pytest.mark.parametrize("stage", ["tokenizer", "tune"])
def test_a_damaged_run_is_named(chats: Path, tmp_path: Path, stage: str) -> None:
    run([chats], tmp_path / "run")
    victim = next(
        p for p in sorted((tmp_path / "run" / stage).iterdir()) if p.name.startswith(("model.s", "tok"))
    )
    raw = bytearray(victim.read_bytes())
    raw[-5] ^= 4
    victim.write_bytes(raw)
    with pytest.raises(ArtifactError, match=f"{victim.name}: damaged: SHA-256"):
        run([chats], tmp_path / "run")
    shutil.rmtree(victim.parent)
    assert stage in ran(run([chats], tmp_path / "run"))


def test_a_refused_build_leaves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "one.csv"
    bad.write_text("question,answer\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="at least 2"):
        run([bad], tmp_path / "run")
    left = tmp_path / "run"
    assert not left.exists() or not list(left.glob("*.partial"))


def test_text_without_conversations_has_no_tune_stage(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(
        "".join(f"Line {i} of a long book about lamps.\n\n" for i in range(600)), encoding="utf-8"
    )
    told = run([book], tmp_path / "run")
    assert "tune" not in told.states
    assert any("continues text" in note for note in told.notes)


def test_a_real_base_model_is_taken(chats: Path, tmp_path: Path, shared: Path) -> None:
    plan = {k: v for k, v in TINY["plan"].items() if k in ("pretrain", "tune")}
    base = {"base": str(shared / "model_stories260k" / "hf"), "full": True}
    recipe = load_recipe(None, {**TINY, "plan": plan, **base})
    told = Told()
    build([chats], recipe, tmp_path / "run", told)
    config = json.loads((tmp_path / "run" / "tune" / "model.json").read_text(encoding="utf-8"))
    assert (config["n_layer"], config["mlp"], config["vocab_size"]) == (5, "swiglu", 512)
    assert any("base" in note for note in told.notes)


CODE = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from conftest import TINY
from mynah.config import merge
from mynah.pipeline.build import build
from mynah.pipeline.recipe import load_recipe
longer = {"steps": 60, "checkpoint_every": 1}
slow = {"plan": {"pretrain": longer, "tune": longer}}
build([Path(sys.argv[1])], load_recipe(None, merge(TINY, slow)), Path(sys.argv[2]))
print("finished")
"""


def start(chats: Path, directory: Path) -> subprocess.Popen[str]:
    here = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(chats), str(directory), here], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_build_killed_anywhere_goes_on_to_the_same_result(tmp_path: Path) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    whole = tmp_path / "whole"
    assert start(chats, whole).communicate()[0] == "finished\n"
    cut = tmp_path / "cut"
    marks = ["clean", "tokens.partial", "pretrain.partial/checkpoints", "tune.partial/checkpoints"]
    for mark in marks:
        process = start(chats, cut)
        deadline = time.monotonic() + 60
        while not (cut / mark).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.15 if "checkpoints" in mark else 0)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert start(chats, cut).communicate()[0] == "finished\n"
    assert hashes(cut) == hashes(whole)


def test_a_rebuild_plans_by_what_is_left_of_its_own_time(
    chats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mynah.pipeline import plan_stage
    from mynah.plan import budget

    given: list[float] = []

    def plan(config: Any, *arguments: Any, seconds: float, **more: Any) -> Any:
        given.append(seconds)
        small = load_recipe(None, TINY).plan
        return budget.make_plan(small, *arguments, seconds=seconds, **more)

    monkeypatch.setattr(plan_stage, "make_plan", plan)
    minutes = {"plan": {"minutes": 1.0, "size": None}}
    run([chats], tmp_path / "run", minutes)
    for path in (tmp_path / "run").glob("*/timing.json"):  # as if training had taken long
        if path.parent.name in ("pretrain", "tune", "evaluate"):
            path.write_text('{"seconds": 1000.0, "finished": "x"}', encoding="utf-8")
    run([chats], tmp_path / "run", {**minutes, "seed": 5})
    assert len(given) == 2
    assert min(given) > 40


def test_what_an_earlier_build_left_is_not_opened(chats: Path, tmp_path: Path) -> None:
    from mynah.device import pick_device
    from mynah.pipeline.open_run import open_run

    directory = tmp_path / "run"
    run([chats], directory)
    assert open_run(directory, pick_device("cpu")).talks
    book = tmp_path / "book.txt"
    book.write_text(
        "".join(f"Line {i} of a long book about lamps.\n\n" for i in range(600)), encoding="utf-8"
    )
    run([book], directory)
    assert not open_run(directory, pick_device("cpu")).talks

    # A rebuild cut off before its training: the old model does not fit the new tokenizer.
    run([chats], directory)
    told = Told()
    recipe = load_recipe(None, merge(TINY, {"tokenizer": {"vocab_size": 310}}))
    with pytest.raises(RuntimeError, match="cut"):
        build([chats], recipe, directory, _Cut(told))
    with pytest.raises(ArtifactError, match="out of date"):
        open_run(directory, pick_device("cpu"))


class _Cut(Silent):
    """Fails when training begins."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def stage(self, name: str, state: str) -> None:
        if name == "pretrain":
            raise RuntimeError("cut")
