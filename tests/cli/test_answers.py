"""`mynah chat` from a log, and `mynah teach`, on a build of a tiny network."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from mynah import artifacts
from mynah.answers.teach import open_known
from mynah.cli import progress
from mynah.cli.main import main
from mynah.cli.progress import TerminalReporter
from mynah.data.collect.collector import collect
from mynah.data.records import Preference
from mynah.data.sources import CollectConfig
from mynah.pipeline.answer_stage import INDEX
from mynah.pipeline.teach import teach_run
from mynah.stages import RunPaths


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def said(
    run: Path,
    text: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["chat", str(run), *flags]) in (0, None)
    return capsys.readouterr().out.splitlines()


def test_what_is_taught_is_said_at_once_and_taken_back(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", str(run), "--question", "Do you sell skis?", "--reply", "Only in winter."])
    assert "taught     1 exchange" in capsys.readouterr().out
    lines = said(run, "do you sell skis\n", ["--sources"], monkeypatch, capsys)
    assert lines[0] == "Only in winter."
    assert lines[1].startswith("  [taught:1, ")
    main(["teach", str(run), "--remove", "taught:1"])
    assert "removed    1 exchange" in capsys.readouterr().out
    assert said(run, "do you sell skis\n", [], monkeypatch, capsys)[0] != "Only in winter."


def test_what_it_said_before_is_kept_as_a_preference_until_it_is_taken_back(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, question = run / "corrections.jsonl", "Do you sell skis?"
    main(["teach", str(run), "--question", question, "--reply", "Only in winter."])
    before = kept.read_text(encoding="utf-8") if kept.is_file() else ""
    assert "Only in winter." not in before.replace('"chosen": "Only in winter."', "")
    capsys.readouterr()
    main(["teach", str(run), "--question", question, "--reply", "All year round."])
    assert "kept       what it said before" in capsys.readouterr().out
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    told = {"prompt": question, "chosen": "All year round.", "rejected": "Only in winter."}
    assert rows[-1] == {**told, "places": ["taught:1"]}
    found = collect([kept], CollectConfig()).records
    assert isinstance(found[-1], Preference)
    main(["teach", str(run), "--remove", "taught:1"])
    assert "Only in winter." not in kept.read_text(encoding="utf-8")


def test_a_file_is_taught_and_cleaned_as_the_log_was(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = run / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace('action = "off"', 'action = "tag"', 1), encoding="utf-8")
    more = tmp_path / "more.csv"
    more.write_text("question,answer\nwho do I write to,Write to ann@example.com please.\n", encoding="utf-8")
    main(["teach", str(run), str(more)])
    capsys.readouterr()
    (line,) = said(run, "who do I write to\n", ["--json"], monkeypatch, capsys)
    assert "ann@example.com" not in line


def test_replies_as_objects(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = run / "kept.jsonl"
    flags = ["--json", "--answers", "strict", "--keep-unanswered", str(kept)]
    lines = said(run, "hello\nwho painted the mona lisa\n/reset\n🦔\n", flags, monkeypatch, capsys)
    replies = [json.loads(line) for line in lines]
    assert [reply["kind"] for reply in replies] == ["small_talk", "handed_over", "handed_over"]
    assert set(replies[0]) == {"text", "confidence", "sources", "handed_over", "kind"}
    questions = [json.loads(line)["question"] for line in kept.read_text(encoding="utf-8").splitlines()]
    assert questions == ["who painted the mona lisa", "🦔"]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["teach", "{run}"], "nothing to teach"),
        (["teach", "{run}", "--question", "x"], "go together"),
        (["teach", "{run}", "--remove", "nowhere.csv:3"], "nowhere.csv:3: no reply"),
        (["teach", "{run}", "--remove-speaker", "Nobody"], "Nobody: nobody of that name"),
        (["teach", "{run}/split", "--remove", "a:1"], "not a run"),
        (["chat", "{run}", "--wrong-at-most", "much"], "between 0 and 1"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], wrong: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([argument.replace("{run}", str(run)) for argument in arguments])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert wrong in told
    assert told.count("\n") == 1
    assert not (run / "taught").exists()


def test_a_run_built_again_keeps_what_it_was_taught(run: Path) -> None:
    paths = RunPaths(run)
    first = open_known(paths.answers, paths.answers / INDEX, paths.taught).index.exchange(0)
    teach_run(run, pairs=[("Do you sell skis?", "Only in winter.")], remove=[first.place])
    manifest = paths.taught / "manifest.json"
    value = json.loads(manifest.read_text(encoding="utf-8"))
    value["inputs"]["answers"] = "0" * 64  # as if the stage had been made again since
    del value["digest"]
    artifacts.write_json(manifest, value)
    known = open_known(paths.answers, paths.answers / INDEX, paths.taught)
    assert known.renewed
    places = [exchange.place for exchange in known.index]
    assert first.place not in places
    assert places[known.taught_from :] == ["taught:1"]


def test_what_was_taken_back_does_not_come_back_with_a_file_of_that_name(run: Path, tmp_path: Path) -> None:
    paths = RunPaths(run)
    known = open_known(paths.answers, paths.answers / INDEX, paths.taught)
    gone = known.index.exchange(0)
    teach_run(run, remove=[gone.place])
    name, line = gone.place.rsplit(":", 1)
    rows = ["question,answer", *(f"what is {n},it is {n}" for n in range(2, int(line) + 1))]
    (tmp_path / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    told = teach_run(run, [tmp_path / name])
    assert told.taught == int(line) - 1
    replies = [e.reply for e in open_known(paths.answers, paths.answers / INDEX, paths.taught).index]
    assert gone.reply not in replies
    assert f"it is {line}" in replies
    teach_run(run, remove=[gone.place])
    replies = [e.reply for e in open_known(paths.answers, paths.answers / INDEX, paths.taught).index]
    assert f"it is {line}" not in replies


def test_settings_of_the_network_are_not_ignored_without_a_word(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    main(["chat", str(run), "--answers", "strict", "--temperature", "0.5"])
    assert "free and network only" in capsys.readouterr().err


def test_what_takes_long_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    reporter = TerminalReporter(Console(file=shown))
    reporter.progress("held-out questions", 0.1)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    reporter.progress("held-out questions", 0.25)
    assert shown.getvalue().split() == ["held-out", "questions", "25%"]


def test_what_was_handed_over_is_listed_filled_in_and_taught(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, wanted = tmp_path / "kept.jsonl", tmp_path / "wanted.csv"
    flags = ["--answers", "strict", "--keep-unanswered", str(kept)]
    asked = "who painted the mona lisa\n/reset\ndo you sell skis\n/reset\nskis, do you sell any\n"
    said(run, asked, flags, monkeypatch, capsys)
    main(["unanswered", str(run), str(kept), "-o", str(wanted)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 questions in 2 groups"
    assert lines[1].split(maxsplit=1)[0] == "2"
    assert lines[-1] == f"written    {wanted}; fill in replies, then: mynah teach {run} {wanted}"
    rows = wanted.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "question,reply"
    assert len(rows) == 3
    filled = [row + "Only in winter." if "skis" in row else row for row in rows]
    wanted.write_text("\n".join(filled) + "\n", encoding="utf-8")
    main(["teach", str(run), str(wanted)])
    assert "taught     1 exchange" in capsys.readouterr().out
    assert said(run, "do you sell skis\n", [], monkeypatch, capsys) == ["Only in winter."]


def test_a_list_is_not_written_over(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = tmp_path / "wanted.csv"
    wanted.write_text("question,reply\nskis,filled in by hand\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["unanswered", str(run), str(tmp_path / "kept.jsonl"), "-o", str(wanted)])
    assert stopped.value.code == 2
    assert "there already" in capsys.readouterr().err
    assert "filled in by hand" in wanted.read_text(encoding="utf-8")
