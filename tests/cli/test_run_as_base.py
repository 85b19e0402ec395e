"""A run of one's own becomes a base that other builds start from."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY, write_chats

from mynah import Classifier
from mynah.cli.main import main
from mynah.config import merge
from mynah.interop.bases import list_bases
from mynah.pipeline.build import build

SHAPE = {"plan": {"size": "gpt2", "model": {"n_layer": 3, "bigram_buckets": 0}}, "base": "none"}


def test_a_run_is_added_with_its_languages_and_started_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    build([write_chats(tmp_path / "chats.csv")], merge(TINY, SHAPE), tmp_path / "run")
    main(["base", "add", str(tmp_path / "run"), "--name", "own"])
    out = capsys.readouterr().out
    assert "languages  en" in out
    assert f"source     {(tmp_path / 'run').resolve()}" in out
    (base,) = list_bases()
    assert (base.name, base.talks, base.config.n_layer) == ("own", True, 3)
    rows = [
        (f"the {thing} was {word}", word) for thing in ("room", "bed", "lift") for word in ("good", "bad")
    ] * 4
    assert Classifier.from_pretrained("own").train(rows, way="states").predict("a good bed").label == "good"


def test_a_shape_that_no_family_has_is_told(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as stop:
        main(["base", "add", str(tiny_run), "--name", "own"])
    assert stop.value.code == 2
    assert "only a model of a known family can be a base" in capsys.readouterr().err
    assert not (tmp_path / "home" / "bases" / "own").exists()
