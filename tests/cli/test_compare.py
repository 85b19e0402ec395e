"""`mynah compare` as it is run: typed judgements, a judge behind OpenAI's interface, what is kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mynah.cli.main import main
from mynah.errors import MynahError
from mynah.pipeline import side_by_side


class Speaks:
    """In a model's place."""

    def __init__(self, name: str, device: str) -> None:
        self.name = name

    def reply(self, prompt: str) -> str:
        return "the same" if prompt == "both" else f"{self.name} says: {prompt}"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(side_by_side, "Speaker", Speaks)
    path = tmp_path / "prompts.txt"
    path.write_text("one\ntwo\n\nboth\none\nthree\n", encoding="utf-8")
    return path


def prefers(name: str, out: str) -> str:
    """Return what is typed of a screen by somebody who likes one model's replies."""
    first = next(line for line in out.splitlines() if line.startswith("  1:"))
    return "1" if first.startswith(f"  1: {name}") else "2"


def test_judgements_are_counted_for_whom_they_are_meant(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def typed(_: str = "") -> str:
        shown.append(capsys.readouterr().out)
        return prefers("right", shown[-1])

    monkeypatch.setattr("builtins.input", typed)
    keep = tmp_path / "kept.jsonl"
    main(["compare", "left", "right", "--prompts", str(asked), "--keep", str(keep)])
    out = capsys.readouterr().out
    assert out.index("right") < out.index("left")
    kept = [json.loads(line) for line in keep.read_text(encoding="utf-8").splitlines()]
    assert [(row["prompt"], row["score"]) for row in kept] == [
        ("one", 0),
        ("two", 0),
        ("both", 0.5),
        ("three", 0),
    ]
    assert len(shown) == 3  # what is the same need not be judged
    main(["compare", "left", "right", "--prompts", str(asked), "--keep", str(keep)])
    assert len(shown) == 3  # nor what was judged before


def test_the_end_of_what_is_typed(
    asked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("=\nq\n"))
    main(["compare", "left", "right", "--prompts", str(asked)])
    assert "of 1 judgements" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("good\n"))
    with pytest.raises(SystemExit):
        main(["compare", "left", "right", "--prompts", str(asked)])
    assert "4 characters where 1, 2, = or q was expected" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    main(["compare", "left", "right", "--prompts", str(asked)])
    assert "nothing was judged" in capsys.readouterr().out


class Answers(io.BytesIO):
    """A response."""

    def __enter__(self) -> Answers:
        return self


def test_a_judge_is_asked_in_both_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(side_by_side.KEY, "secret")
    sent: list[Any] = []

    def opened(request: Any, timeout: float) -> Answers:
        sent.append(request)
        text = json.loads(request.data)["messages"][0]["content"]
        good = text.index("good reply") < text.index("bad reply")
        always = "1" if "always" in text else "1" if good else "2"
        return Answers(json.dumps({"choices": [{"message": {"content": f" {always}."}}]}).encode())

    score = side_by_side.judge("http://127.0.0.1:1/v1/", "judge", opened)
    assert score("p", "good reply", "bad reply") == 1
    assert score("p", "bad reply", "good reply") == 0
    assert score("always p", "good reply", "bad reply") == 0.5  # it prefers the first, whatever it is
    assert sent[0].full_url == "http://127.0.0.1:1/v1/chat/completions"
    assert sent[0].get_header("Authorization") == "Bearer secret"


def test_a_judge_that_is_not_there() -> None:
    with pytest.raises(MynahError, match=r"the judge at http://127\.0\.0\.1:9/v1 gave no answer"):
        side_by_side.judge("http://127.0.0.1:9/v1", "judge")("p", "a", "b")

    def opened(request: Any, timeout: float) -> Answers:
        return Answers(b"{}")

    with pytest.raises(MynahError, match="gave no answer: KeyError"):
        side_by_side.judge("http://127.0.0.1:9/v1", "judge", opened)("p", "a", "b")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["one"], "expected two models or more"),
        (["one", "one"], "expected two models or more"),
        (["one", "two", "--count", "0"], "expected 1 or more"),
        (["one", "two", "--judge", "localhost"], "expected an address"),
        (["one", "two", "--prompts", "nothing.txt"], "cannot be read"),
        (["one", "two"], "no such run"),
    ],
)
def test_what_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_real_runs(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert side_by_side.Speaker(str(tiny_run), "cpu").reply("Do you send a tent to Leeds?")
    assert len(side_by_side.prompts_for(str(tiny_run), None, 3)) == 3
