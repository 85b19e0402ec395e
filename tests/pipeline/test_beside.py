"""Other models beside a run, on the records that it holds out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from mynah import artifacts
from mynah.config import merge
from mynah.data.store import read_records
from mynah.errors import ArtifactError
from mynah.evaluate.language_model import score_network, summarise
from mynah.pipeline.build import build
from mynah.pipeline.open_run import open_run
from mynah.pipeline.recipe import load_recipe
from mynah.stages import RunPaths, Silent
from mynah.tokenizer.dataset import encode_records


class Told(Silent):
    def __init__(self) -> None:
        self.worked: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str, state: str) -> None:
        if state != "done":
            self.worked.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


def made(source: Path, run: Path, **flags: Any) -> Told:
    told = Told()
    build([source], load_recipe(None, merge(TINY, flags)), run, told)
    return told


def test_another_run_is_measured_on_the_same_records(chats: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "a <small> one"
    made(chats, run)
    made(chats, other, tokenizer={"vocab_size": 320})
    told = made(chats, run, evaluate={"beside": [str(other)]})
    assert told.worked == ["beside"]  # a finished run trains nothing anew for it
    paths = RunPaths(run)
    (found,) = artifacts.read_json(paths.beside)
    opened = open_run(other)
    data = encode_records(read_records(paths.records_of("held_out")), opened.tokenizer)
    scores = score_network(opened.model, data, opened.model.config.context_length)
    for part in ("all", "replies"):
        score = summarise(scores, data, replies_only=part == "replies")
        assert score is not None
        assert found[part] == pytest.approx(score.bpb)
    assert any(f"{found['replies']:.3f} on replies" in note for note in told.notes)
    assert "a &lt;small&gt; one" in paths.report.read_text(encoding="utf-8")

    # A build that stops before it does not keep what another compared.
    build([chats], load_recipe(None, TINY), run, until="evaluate")
    assert not paths.beside.exists()
    assert "a &lt;small&gt; one" not in paths.report.read_text(encoding="utf-8")


def test_one_that_has_learned_what_is_held_out_is_not_compared(chats: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    made(chats, other, seed=7)
    told = made(chats, run, evaluate={"beside": [str(other)]})
    held_out, learned = (
        {record.texts for record in read_records(RunPaths(of).records_of(part))}
        for of, part in ((run, "held_out"), (other, "train"))
    )
    count = len(held_out & learned)
    assert count
    assert artifacts.read_json(RunPaths(run).beside) == [{"name": str(other), "learned": count, "unsaid": 0}]
    said = f"is not compared: it has learned {count} of the records held out here"
    assert any(said in note for note in told.notes)
    assert said in RunPaths(run).report.read_text(encoding="utf-8")


def test_what_is_no_model_is_told_before_anything_is_made(
    chats: Path, tmp_path: Path, tiny_run: Path
) -> None:
    cut_off, empty = tmp_path / "cut_off", tmp_path / "empty"
    shutil.copytree(tiny_run, cut_off)
    shutil.rmtree(cut_off / "tokenizer")
    empty.mkdir()
    for name, words in (
        (tmp_path / "nothing", "no such run"),
        (cut_off, "the build is not finished"),
        (empty, "not a run"),
    ):
        with pytest.raises(ArtifactError, match=words):
            made(chats, tmp_path / "run", evaluate={"beside": [str(name)]})
    assert not (tmp_path / "run").exists()
