"""A run that is healthy has no findings, one in which something is planted has just that; and what the commands say."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY

from mynah.cli.main import main
from mynah.data.records import Conversation
from mynah.data.store import read_records, write_records
from mynah.pipeline.build import build
from mynah.pipeline.diagnose_run import diagnose
from mynah.pipeline.open_run import Run, open_run
from mynah.pipeline.recipe import load_recipe
from mynah.stages import RunPaths

GOODS = "tent lamp chair pot rake seed rope stove boat kite drum bell".split()
PLACES = "Leeds Bonn Lyon Turin Graz Ghent Porto Basel Brno Malmo Oslo Riga Bern Nice Linz".split()
ASKED = (
    "Do you send a {what} to {where}?",
    "Can a {what} be sent to {where}?",
    "How long does a {what} take to {where}?",
    "I live in {where}, may I order a {what}?",
)
TRAINED: dict[str, Any] = {
    **TINY,
    "plan": {
        "size": "nano",
        "model": {"n_layer": 2, "n_embd": 64, "n_head": 2, "context_length": 64},
        "pretrain": {"steps": 240, "eval_every": 40, "batch_size": 16, "context_length": 48},
        "tune": {"steps": 100, "eval_every": 20, "batch_size": 16, "context_length": 48},
    },
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that has learned what there was to learn."""
    folder = tmp_path_factory.mktemp("healthy")
    rows = [
        (asked.format(what=what, where=where), f"Yes, a {what} goes to {where} in {2 + len(where) % 5} days.")
        for what in GOODS
        for where in PLACES
        for asked in ASKED
    ]
    random.Random(0).shuffle(rows)
    with (folder / "chats.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("question", "answer"), *rows])
    build([folder / "chats.csv"], load_recipe(None, TRAINED), folder / "run")
    return folder / "run"


@pytest.fixture
def run(healthy: Path, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    shutil.copytree(healthy, tmp_path / "run")
    return tmp_path / "run"


def test_nothing_is_wrong_with_what_is_healthy(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(healthy) == []
    assert json.loads(RunPaths(healthy).findings.read_text(encoding="utf-8")) == []
    main(["diagnose", str(healthy)])
    assert "nothing is wrong" in capsys.readouterr().out
    report = RunPaths(healthy).report.read_text(encoding="utf-8")
    assert "Nothing is wrong that is looked for" in report


def test_records_that_were_learned(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = RunPaths(run)
    learned = list(read_records(paths.records_of("train")))[:20]
    held_out = list(read_records(paths.records_of("held_out")))
    shutil.rmtree(paths.records_of("held_out"))
    write_records(paths.records_of("held_out"), [*held_out, *learned])
    assert [finding.name for finding in diagnose(run)] == ["duplicates"]
    main(["diagnose", str(run), "--language", "zh"])
    said = capsys.readouterr().out
    assert "下一步" in said
    assert "chats.csv:" in said
    main(["diagnose", str(run), "--json"])
    [found] = json.loads(capsys.readouterr().out)
    assert found["values"]["count"] == 20


def test_curves_that_break_off(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = RunPaths(run).stage("tune") / "metrics.jsonl"
    last = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    broken = json.dumps({**last, "step": last["step"] + 1, "loss": float("nan")})
    read = Path.read_text

    def with_a_line(self: Path, **settings: Any) -> str:
        return read(self, **settings) + (f"{broken}\n" if self == path else "")

    monkeypatch.setattr(Path, "read_text", with_a_line)
    [found] = diagnose(run)
    assert (found.name, found.where) == ("not_a_number", "tune")


def test_the_signs_of_a_template(run: Path) -> None:
    paths = RunPaths(run)
    dirty = [
        record.with_texts([f"<|im_start|>user\n{text}<|im_end|>" for text in record.texts])
        for record in read_records(paths.records_of("train"))
        if isinstance(record, Conversation)
    ]
    shutil.rmtree(paths.records_of("train"))
    write_records(paths.records_of("train"), dirty)
    assert "template_in_text" in [finding.name for finding in diagnose(run)]


def test_a_run_that_forgets_and_is_worse_than_counting(run: Path) -> None:
    path = RunPaths(run).evaluation
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    evaluation["chat"]["replies"]["bpb"] = 9.0
    evaluation["general"] = {"language": "en", "before": 1.0, "after": 1.5}
    path.write_text(json.dumps(evaluation), encoding="utf-8")
    assert [finding.name for finding in diagnose(run)] == ["underfitting", "forgetting"]


def test_a_network_whose_units_are_dead(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(directory: Path, device: str) -> Run:
        found = open_run(directory, device)
        with torch.no_grad():
            for name, parameter in found.model.named_parameters():
                if ".mlp.up." in name:
                    parameter[:200] = 0
        return found

    monkeypatch.setattr("mynah.pipeline.diagnose_run.open_run", opened)
    assert "dead_units" in [finding.name for finding in diagnose(run)]


def test_labels_that_are_wrong(tmp_path: Path) -> None:
    words = {"cold": "the room was cold and wet", "warm": "the room was warm and dry"}
    rows = [(f"{text} on day {n}", label) for n in range(80) for label, text in words.items()]
    rows[10] = (rows[10][0], "warm")
    rows[30] = (rows[30][0], "warm")
    rows[51] = (rows[51][0], "cold")
    with (tmp_path / "rooms.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    build([tmp_path / "rooms.csv"], load_recipe(None, {"base": "none"}), tmp_path / "run")
    found = [finding for finding in diagnose(tmp_path / "run") if finding.name == "label_noise"]
    assert len(found) == 1
    assert found[0].values["count"] >= 2
    assert any("rooms.csv:12" in place for place in found[0].places)
    assert "look wrong" in RunPaths(tmp_path / "run").report.read_text(encoding="utf-8")
