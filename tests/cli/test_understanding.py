"""`mynah evaluate` and `mynah explain` as they are run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mynah.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main(list(map(str, arguments)))
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def test_a_run_on_what_it_holds_out(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "evaluate", tiny_run, "--replies", 3, "-o", tmp_path / "figures.json")
    assert "bits a byte" in out
    assert "n-gram model of order 3" in out
    assert "held-out prompts" in out
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    first, ngram = found["texts"]["models"]
    low, high = first["replies"]["interval"]
    assert low <= first["replies"]["bpb"] <= high
    assert ngram["against_first"]["replies"]["verdict"]
    assert found["replies"]["count"] == 3
    assert json.loads(said(capsys, "evaluate", tiny_run, "--replies", 3, "--json")) == found


def test_other_texts_and_other_models(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(
            f"Do you send a lamp? {name}\n\nYes, it goes.\n" * 20, encoding="utf-8"
        )
    out = said(capsys, "evaluate", tiny_run, tmp_path / "one.txt", tmp_path / "two.txt", "--beside", tiny_run)
    assert "by source" in out
    assert "cannot be told apart" in out
    assert "held-out prompts" not in out


def test_benchmarks(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"query": f"Do you send a lamp to {where}?", "choices": ["Yes, a lamp", "tent rake"], "gold": 0}
        for where in ("Bonn", "Lyon", "Graz", "Brno")
    ]
    folder = tmp_path / "asked"
    folder.mkdir()
    (folder / "lamps.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = [{"sentence_good": "Yes, it goes.", "sentence_bad": "goes it, Yes."}] * 3
    (folder / "order.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    out = said(capsys, "evaluate", tiny_run, folder, "--beside", tiny_run, "--items", 3)
    assert "lamps" in out
    assert "mean of all" in out
    assert "cannot be told apart" in out
    (folder / "order.jsonl").write_text(f'{json.dumps(pairs[0])}\n{{"sentence_good": "a"}}', encoding="utf-8")
    assert "order.jsonl:2: expected sentence_bad" in refused(capsys, "evaluate", tiny_run, folder)
    (folder / "order.jsonl").unlink()
    programs = folder / "programs.jsonl"
    programs.write_text(json.dumps({"prompt": "def f():", "test": "", "entry_point": "f"}), encoding="utf-8")
    assert "expected text in test" in refused(capsys, "evaluate", tiny_run, programs)


def test_questions_with_facts(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "facts.jsonl"
    asked = [
        {"question": "Do you send a tent to Leeds?", "facts": ["tent"], "never": ["Leeds"]},
        {"question": "Who was Napoleon?", "facts": []},
    ]
    path.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    out = said(capsys, "evaluate", tiny_run, "--questions", path)
    assert "of 2 answered with the right facts" in out
    path.write_text('{"question": "a", "facts": [], "never": "b"}', encoding="utf-8")
    assert "facts.jsonl:1" in refused(capsys, "evaluate", tiny_run, "--questions", path)


def test_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f"the room was {word} and {word} on day {n},{word}" for n in range(40) for word in ("cold", "warm")
    ]
    (tmp_path / "rooms.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    settings = ["--name", "rooms", "--base", "none", "--set", "split.alike=false"]
    main(["build", str(tmp_path / "rooms.csv"), "--runs", str(tmp_path), *settings])
    capsys.readouterr()
    out = said(capsys, "evaluate", tmp_path / "rooms")
    assert "macro-F1 100.0%" in out
    other = tmp_path / "other.csv"
    told = [f"{word} rooms on day {n},{word}" for n in range(12) for word in ("cold", "warm", "old")]
    other.write_text("\n".join(["text,label", *told]), encoding="utf-8")
    found = json.loads(said(capsys, "evaluate", tmp_path / "rooms", other, "--json"))["classes"]
    assert found["unknown"] == ["old"]
    assert found["never_said"] == ["old"]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert "are for models that talk" in refused(capsys, "evaluate", tmp_path / "rooms", "--replies", 3)
    (tmp_path / "talk.txt").write_text("nothing here has a class\n" * 5, encoding="utf-8")
    assert "has a class" in refused(capsys, "evaluate", tmp_path / "rooms", tmp_path / "talk.txt")


def test_a_translator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [(f"a dog sees {n} cats", f"ein Hund sieht {n} Katzen") for n in range(60)]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(["en\tde", *map("\t".join, pairs)]), encoding="utf-8")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'base = "none"\n[plan]\nsize = "nano"\n[plan.tune]\nsteps = 4\n[translate]\nmeasured = 4\n',
        encoding="utf-8",
    )
    main(["build", str(path), "--runs", str(tmp_path), "--name", "pairs", "--recipe", str(recipe)])
    capsys.readouterr()
    out = said(capsys, "evaluate", tmp_path / "pairs", "--items", 3)
    assert "English to German, 3 texts: BLEU" in out
    assert "nrefs:1" in out


def test_what_cannot_be_measured(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such run" in refused(capsys, "evaluate", tmp_path / "none")
    assert "no such file" in refused(capsys, "evaluate", tiny_run, tmp_path / "none.txt")
    assert "expected 1 or more" in refused(capsys, "evaluate", tiny_run, "--items", 0)
    assert "expected 0 or more" in refused(capsys, "evaluate", tiny_run, "--shots", -1)
    assert "no such run" in refused(capsys, "evaluate", tiny_run, "--beside", tmp_path / "none")


def test_why_a_reply(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "explain", tiny_run, "Do you send a tent to Leeds?", "-o", tmp_path / "why.html")
    assert "complete but for" in out
    assert "chats.csv:" in out
    assert "<html" in (tmp_path / "why.html").read_text(encoding="utf-8")
    found = json.loads(
        said(
            capsys, "explain", tiny_run, "Do you send a tent?", "--reply", "Yes, a tent", "--at", 3, "--json"
        )
    )
    whole = found["integrated_gradients"]
    assert sum(whole["tokens"]) == pytest.approx(whole["difference"], rel=0.011)
    adds = found["contributions"]
    total = (
        sum(map(sum, adds["heads"])) + sum(adds["mlps"]) + adds["embedding"] + adds["pairs"] + adds["biases"]
    )
    assert total == pytest.approx(adds["total"], abs=1e-3)
    assert found["at"] == found["prompt"] + 2
    assert len(found["examples"]) == 5


def test_two_texts_must_differ(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = "Do you send a tent?"
    assert "brings something else" in refused(capsys, "explain", tiny_run, same, "--against", same)
    assert "expected as many" in refused(capsys, "explain", tiny_run, same, "--against", f"{same} {same}")


def test_a_page_that_was_lost(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    path = tmp_path / "run" / "report.html"
    before = path.read_text(encoding="utf-8").replace(tiny_run.name, "run")
    path.unlink()
    assert str(path) in said(capsys, "report", tmp_path / "run")
    # Where the recipe lies is told, too, and that is another place now.
    assert path.read_text(encoding="utf-8").replace(str(tmp_path), "") == before.replace(
        str(tiny_run.parent), ""
    )
    assert "not a run" in refused(capsys, "report", tmp_path)
    shutil.rmtree(tmp_path / "run" / "evaluate")
    assert "not finished" in refused(capsys, "report", tmp_path / "run")


def test_what_cannot_be_explained(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a token from 1 to" in refused(
        capsys, "explain", tiny_run, "Do you?", "--reply", "Yes", "--at", 99
    )
    assert "ends in .html or .json" in refused(
        capsys, "explain", tiny_run, "Do you?", "-o", tmp_path / "why.txt"
    )
    assert "do not fit" in refused(capsys, "explain", tiny_run, "Do you send a tent? " * 80)
    assert "no such run" in refused(capsys, "explain", tmp_path / "none", "x")
