"""From a file of texts with classes to a report and an answer, by one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mynah.cli.main import main
from mynah.errors import DataError
from mynah.pipeline.build import build
from mynah.pipeline.classify_stage import longest_within

GOOD, BAD = ("lovely", "clean", "quiet", "friendly"), ("dirty", "loud", "rude", "cold")
THINGS = ("room", "bath", "staff", "breakfast", "bed", "view", "lift", "garden", "hall", "bar")


def reviews(path: Path) -> Path:
    lines = ["text,label"]
    for n, thing in enumerate(THINGS):
        for m, other in enumerate(THINGS[n + 1 :]):
            for label, words in (("good", GOOD), ("bad", BAD)):
                lines.append(f"The {thing} was {words[(n + m) % 4]} and the {other} {words[m % 4]}.,{label}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_labels_become_a_classifier_that_the_command_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, run = reviews(tmp_path / "reviews.csv"), tmp_path / "runs" / "r"
    main(["build", str(source), "--runs", str(tmp_path / "runs"), "--name", "r", "--base", "none"])
    told = " ".join(capsys.readouterr().out.split())
    assert "learning to tell them" in told
    assert "held-out texts get the right class" in told
    assert not (run / "tokenizer").exists()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Labels that look wrong" not in page
    assert "macro-F1" in page
    main(["classify", str(run), "the hall was dirty and loud", "--json"])
    assert json.loads(capsys.readouterr().out)["label"] == "bad"
    texts = tmp_path / "new.txt"
    texts.write_text("the bar was lovely\nthe bar was rude\n", encoding="utf-8")
    main(["classify", str(run), "--file", str(texts)])
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["good", "bad"]
    with pytest.raises(SystemExit):
        main(["generate", str(run)])
    assert "does not talk; ask it: mynah classify" in capsys.readouterr().err
    # Nothing is done twice.
    main(["build", str(source), "--runs", str(tmp_path / "runs"), "--name", "r", "--base", "none"])
    assert "classify already done" in " ".join(capsys.readouterr().out.split())


def test_what_holds_no_classifier_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["classify", str(tmp_path), "text"])
    assert stop.value.code == 2
    assert "holds no classifier" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["one"], "of one class"), ([str(n) for n in range(40)], "none of the .* labels repeats")],
)
def test_labels_that_teach_nothing_are_refused(tmp_path: Path, labels: list[str], message: str) -> None:
    rows = [f"A text of its own number {n} {n * 7},{labels[n % len(labels)]}" for n in range(40)]
    source = tmp_path / "a.csv"
    source.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        build([source], {"base": "none", "task": "classify"}, tmp_path / "run")


def test_how_long_a_text_may_be_read() -> None:
    assert longest_within([40, 40], 20) is None
    # 10 + L + L = 40 tokens of texts with 10, 100 and 100: L = 15.
    assert longest_within([40, 400, 400], 40) == 15
    assert longest_within([400, 400], 10) == 5
