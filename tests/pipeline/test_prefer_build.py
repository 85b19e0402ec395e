"""From a file of preferences to a bot, by one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import TINY

from mynah.artifacts import read_json, read_manifest
from mynah.cli.main import main
from mynah.config import merge
from mynah.pipeline.build import build
from mynah.pipeline.open_run import open_run

WORDS = ("tent", "lamp", "chair", "pot", "rake", "seed", "rug", "vase")


def preferences(path: Path) -> Path:
    rows = [
        {
            "prompt": f"Do you sell a {one} or a {other}?",
            "chosen": f"Yes, the {one} is in aisle {len(one)}.",
            "rejected": f"Go and look for the {other} yourself.",
        }
        for one in WORDS
        for other in WORDS
        if one != other
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_preferences_are_learned_after_the_better_replies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, run = preferences(tmp_path / "pairs.jsonl"), tmp_path / "run"
    recipe = merge(TINY, {"base": "none", "prefer": {"train": {"steps": 3}}})
    build([source], recipe, run)
    found = read_json(run / "prefer" / "evaluation.json")
    assert found["read"] == 12
    assert found["held_out"]["count"] > 0
    assert read_manifest(run / "prefer").counts["steps"] == 3
    assert open_run(run).talks
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "better and worse replies" in page
    main(["generate", str(run), "--prompt", "Do you", "--max-tokens", "3"])
    capsys.readouterr()
    # Without it, what it left goes, and the better replies alone are learned.
    build([source], merge(recipe, {"prefer": {"loss": "none"}}), run)
    assert not (run / "prefer").exists()
    assert open_run(run).talks
