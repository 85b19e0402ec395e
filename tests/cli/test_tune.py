"""`mynah tune`: tasks by one command, and what would be learned, shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import write_chats

from mynah.artifacts import read_json
from mynah.cli.main import main

SETTINGS = (
    "--set", "tokenizer.vocab_size=300", "--set", "ngram.order=2", "--base", "none", "--size", "nano",
    "--set", "plan.pretrain={steps=2,eval_every=2}", "--set", "plan.tune={steps=2,eval_every=2}",
)  # fmt: skip


def test_examples_are_shown_and_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_chats(tmp_path / "chats.csv")
    main(["tune", str(source), "--show", "3", "--runs", str(tmp_path), *SETTINGS])
    shown = capsys.readouterr()
    assert shown.out.count("count in fine-tuning") == 3
    assert "|*" in shown.out
    assert "encoding" in shown.err
    assert not (tmp_path / "chats").exists()  # a run of that name would stay as it is


def test_examples_of_pairs_and_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(
        "".join(f"the dog number {n}\tder Hund Nummer {n}\n" for n in range(40)), encoding="utf-8"
    )
    both = ("--set", "translate.directions=both")
    main(
        ["tune", str(pairs), "--task", "translate", "--show", "2", "--runs", str(tmp_path), *both, *SETTINGS]
    )
    assert capsys.readouterr().out.count("pairs.tsv:") == 2
    classes = tmp_path / "classes.csv"
    lines = [f"a text of kind {n % 2} and number {n},kind {n % 2}\n" for n in range(40)]
    classes.write_text("text,label\n" + "".join(lines), encoding="utf-8")
    main(["tune", str(classes), "--show", "1", "--runs", str(tmp_path), "--base", "none"])
    assert ": kind " in capsys.readouterr().out
    assert not (tmp_path / "classes").exists()


def test_documents_are_written_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, run = tmp_path / "letters.jsonl", tmp_path / "letters"
    texts = (
        f"Dear {name}, the garden is green again. " * 4 + f"Yours, number {n}."
        for n, name in enumerate("ABC" * 12)
    )
    source.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    main(["tune", str(source), "--task", "generate", "--runs", str(tmp_path), *SETTINGS])
    assert not (run / "tune").exists()
    found = read_json(run / "evaluate" / "evaluation.json")["writing"]
    assert 0 <= found["copied"] <= 1
    assert "stand in the same sample before" in (run / "report.html").read_text(encoding="utf-8")
    capsys.readouterr()
    arguments = ["--prompt", "Dear A", "--count", "2", "--max-tokens", "12", "--seed", "1", "--no-copy", "3"]
    main(["generate", str(run), *arguments])
    shown = capsys.readouterr()
    assert shown.out.count("Dear A") >= 2
    assert "copied from the training text 0%" in shown.err
    outline = tmp_path / "outline.txt"
    outline.write_text("# A letter\n\nDear A, the garden\n", encoding="utf-8")
    main(["generate", str(run), "--outline", str(outline), "--max-tokens", "5", "--seed", "1"])
    said = capsys.readouterr().out
    assert said.startswith("# A letter\n\n")
    assert "\n\nDear A, the garden" in said
    outline.write_text("\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["generate", str(run), "--outline", str(outline)])
    assert "holds no points; expected one a line" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--how", "frozen", "--task", "chat"], "learns nothing; expected adapter or full"),
        (["--show", "0"], "--show 0: expected 1 or more"),
    ],
)
def test_what_makes_no_sense_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    source = write_chats(tmp_path / "chats.csv")
    with pytest.raises(SystemExit) as stop:
        main(["tune", str(source), "--runs", str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
