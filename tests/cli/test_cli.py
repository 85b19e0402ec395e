from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY, write_chats

from mynah import artifacts
from mynah.cli.main import COMMANDS, main
from mynah.data.store import Change, read_changes, read_records
from mynah.pipeline.recipe import load_recipe, to_toml


def mynah(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit status, standard output and error."""
    code = 0
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


def refused(*arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    """Expect exit status 2 with exactly one line; return it."""
    code, _, err = mynah(*arguments, capsys=capsys)
    assert code == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith("mynah: ")
    assert "Traceback" not in err
    return err


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(load_recipe(None, TINY)), encoding="utf-8")
    return path


def test_help_is_quick_and_needs_no_torch() -> None:
    code = (
        "import sys\nfrom mynah.cli.main import main\n"
        "try: main(['build', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'tokenizers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--minutes" in out
    assert out.rstrip().endswith("[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = mynah(*command.split(), "--help", capsys=capsys)
    assert code == 0
    assert f"mynah {command}" in out
    assert "Examples" in out


def test_build_then_chat_then_generate(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    arguments = ("build", chats, "--recipe", recipe, "--runs", tmp_path / "runs")
    code, out, err = mynah(*arguments, capsys=capsys)
    assert (code, err) == (0, "")
    assert "question = question, answer = answer" in out
    assert "mynah chat" in out
    assert (tmp_path / "runs" / "chats" / "report.html").is_file()
    code, out, _ = mynah(*arguments, capsys=capsys)
    assert code == 0
    assert out.count("already done") == 12

    lines = iter(["Do you send a tent to Bonn?", "/reset", "  ", "/quit", "never read"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    code, out, err = mynah("chat", tmp_path / "runs" / "chats", capsys=capsys)
    assert code == 0
    assert out.count("\n") >= 1
    assert "forgotten" in err
    assert next(lines) == "never read"

    code, out, _ = mynah(
        "generate", tmp_path / "runs" / "chats", "--prompt", "Do you", "--seed", 1, capsys=capsys
    )
    assert code == 0
    assert out.startswith("Do you")


def test_chat_reads_a_pipe(tiny_run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mynah", "chat", str(tiny_run)],
        input="hello\nDo you send a pot to Lyon?\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) >= 2


# Bad input: one line, exit status 2, nothing left behind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "file is empty"),
        (b"\x00\x01\x02\x03" * 400, "binary"),
        (b"PK\x03\x04 and so on", "ZIP"),
        (b"question,answer\nhi,hello\n", "at least 2"),
        (b"question,answer\n", "no usable row|no rows"),
        (b"question,answer\n,\n ,\n", "empty|bad"),
        (b"a,b,c\n1,2,3\n2,3,4\n3,4,5\n", "--text-column"),
        (b'{"a": [1, 2', "not valid JSON"),
        (b"text\n\n\n\n", "no usable row|empty"),
    ],
)
def test_bad_files(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    path = tmp_path / ("bad.json" if content and content.startswith(b"{") else "bad.csv")
    if content is not None:
        path.write_bytes(content)
    error = refused("build", path, "--recipe", recipe, "--runs", tmp_path / "runs", capsys=capsys)
    assert any(part in error for part in message.split("|")), error
    assert str(path.name) in error or "usable record" in error
    assert not list((tmp_path / "runs").rglob("*.partial"))


def test_nul_bytes_are_cleaned_and_counted(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_chats(tmp_path / "chats.csv")
    path.write_bytes(path.read_bytes().replace(b"tent", b"te\x00nt"))
    code, _, err = mynah("build", path, "--recipe", recipe, "--runs", tmp_path, capsys=capsys)
    assert (code, err) == (0, "")
    counts = artifacts.read_manifest(tmp_path / "chats" / "clean").counts
    assert counts["changed"]["control"] == 10  # ten pairs speak of the tent
    assert all("\0" not in text for r in read_records(tmp_path / "chats" / "clean") for text in r.texts)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--minutes", "0"], "greater than 0"),
        (["--minutes", "soon"], "--minutes"),
        (["--minute", "3"], "Did you mean --minutes"),
        (["--size", "nanno"], "did you mean 'nano'"),
        (["--text-column", "words"], "no such column; columns: question, answer"),
        (["--encoding", "utf-9"], "no such encoding"),
        (["--recipe", "none.toml"], "no such recipe file"),
        (["--name", "a/b"], "plain folder name"),
        (["--set", "plan.modl.n_layer=3"], "did you mean 'model'"),
        (["--set", "nonsense"], "section.key=value"),
        (["--device", "cuda:99"], "--device"),
        (["--sample", "en"], "takes no files"),
        (["--runs", "/dev/null/x"], "cannot be written"),
        (["--base", "/nowhere"], "no base '/nowhere'"),
    ],
)
def test_bad_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    runs = [] if "--runs" in flags else ["--runs", tmp_path / "runs"]
    assert message in refused("build", chats, *runs, *flags, capsys=capsys)


def test_a_misspelt_key_in_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.toml").write_text("[plan]\nminuts = 3\n", encoding="utf-8")
    error = refused("build", write_chats(tmp_path / "c.csv"), "--recipe", tmp_path / "r.toml", capsys=capsys)
    assert "did you mean 'minutes'" in error


def test_no_input_a_directory_and_an_unknown_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no input given" in refused("build", capsys=capsys)
    assert "no file in this folder" in refused("build", tmp_path, capsys=capsys)
    assert "expected one of: en, zh" in refused("build", "--sample", "fr", capsys=capsys)


def test_two_builds_of_one_name(tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    with artifacts.locked(tmp_path / "runs" / "chats"):
        error = refused("build", chats, "--recipe", recipe, "--runs", tmp_path / "runs", capsys=capsys)
    assert "another process is at work" in error


def test_a_full_disk(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = artifacts.sync_file

    def full(path: Path) -> None:
        if "model.safetensors" in path.name:
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(artifacts, "sync_file", full)
    chats = write_chats(tmp_path / "chats.csv")
    error = refused("build", chats, "--recipe", recipe, "--runs", tmp_path / "runs", capsys=capsys)
    assert "No space left" in error
    assert not list((tmp_path / "runs").rglob("*.tmp"))
    monkeypatch.undo()
    code, _, _ = mynah("build", chats, "--recipe", recipe, "--runs", tmp_path / "runs", capsys=capsys)
    assert code == 0


def test_runs_that_cannot_be_opened(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no such run" in refused("chat", tmp_path / "none", capsys=capsys)
    assert "not a run" in refused("chat", tmp_path, capsys=capsys)
    broken = tmp_path / "run"
    shutil.copytree(tiny_run, broken)
    weights = broken / "tune" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "model.safetensors: damaged" in refused("chat", broken, capsys=capsys)
    (broken / "tune" / "manifest.json").write_text("{", encoding="utf-8")
    assert "manifest.json: damaged" in refused("generate", broken, capsys=capsys)
    shutil.rmtree(broken / "tune")
    shutil.rmtree(broken / "pretrain")
    assert "not finished" in refused("chat", broken, capsys=capsys)


def test_rejected_rows_are_listed_without_their_text(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    with chats.open("a", encoding="utf-8") as file:
        file.write("a lonely secret\n")
    code, out, _ = mynah("build", chats, "--recipe", recipe, "--runs", tmp_path, capsys=capsys)
    assert code == 0
    assert "1 rows rejected" in out
    (row,) = read_changes(tmp_path / "chats" / "collect")
    assert row == Change("dropped", "read", "1 fields found, 2 expected", "chats.csv:62")


def test_ctrl_c_saves_and_prints_how_to_go_on(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mynah.cli.progress import TerminalReporter
    from mynah.train.loop import Step

    def pressed(self: TerminalReporter, stage: str, step: Step) -> None:
        if stage == "tune" and step.step == 1:
            signal.raise_signal(signal.SIGINT)

    chats = write_chats(tmp_path / "chats.csv")
    arguments = ["build", str(chats), "--recipe", str(recipe), "--runs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["mynah", *arguments])
    monkeypatch.setattr(TerminalReporter, "training", pressed)
    code, out, err = mynah(*arguments, capsys=capsys)
    assert (code, err) == (130, "")
    assert f"mynah build {chats}" in out
    assert list((tmp_path / "chats" / "tune.partial" / "checkpoints").glob("step-*"))
    monkeypatch.undo()
    code, out, _ = mynah(*arguments, capsys=capsys)
    assert code == 0
    assert "from the last checkpoint" in out


@pytest.mark.parametrize("size", ["gpt3-nano", "gpt2"])
def test_other_makes_of_model(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    chats = write_chats(tmp_path / "chats.csv")
    shape = ["n_layer=2", "n_embd=32", "n_head=2", "context_length=64"]
    flags = [f for s in shape for f in ("--set", f"plan.model.{s}")]
    short = ["--set", "plan.pretrain.steps=3", "--set", "plan.tune.steps=3"]
    code, _, err = mynah(
        "build", chats, "--size", size, *flags, *short, "--runs", tmp_path,
        "--set", "tokenizer.vocab_size=300",
        capsys=capsys,
    )  # fmt: skip
    assert (code, err) == (0, "")
    config = json.loads((tmp_path / "chats" / "tune" / "model.json").read_text(encoding="utf-8"))
    assert config["positions"] == "learned"
    plan = json.loads((tmp_path / "chats" / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert plan["pretrain"]["optimizer"] == "adamw"
