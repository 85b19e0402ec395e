"""`mynah evaluate` and `mynah explain` as they are run."""

from __future__ import annotations

import json
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


def test_what_cannot_be_explained(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a token from 1 to" in refused(
        capsys, "explain", tiny_run, "Do you?", "--reply", "Yes", "--at", 99
    )
    assert "ends in .html or .json" in refused(
        capsys, "explain", tiny_run, "Do you?", "-o", tmp_path / "why.txt"
    )
    assert "do not fit" in refused(capsys, "explain", tiny_run, "Do you send a tent? " * 80)
    assert "no such run" in refused(capsys, "explain", tmp_path / "none", "x")
