"""`mynah serve` as it is run: what it refuses to begin with, and a run that is asked, judged and stopped."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mynah import artifacts
from mynah.cli.main import main
from mynah.stages import RunPaths


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is nothing to serve; expected a run: mynah serve runs/NAME"),
        (["no-such"], "no such run and no base of that name"),
        (["RUN", "--host", "0.0.0.0"], "can be reached from other machines; expected a key"),
        (["RUN", "--port", "70000"], "port"),
        (["RUN", "RUN"], "another run is served as run already"),
        (["RUN", "--key-file", "KEYS"], "holds no key; expected one a line"),
        (["RUN", "--on-hand-over", "http://example.org/x"], "found an address elsewhere"),
        (["RUN", "--host", "192.0.2.1", "--key-file", "GOOD"], "cannot listen on 192.0.2.1"),
        (["RUN", "--recipe", "RECIPE"], "most_waitin"),
    ],
)
def test_what_it_does_not_begin_with(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    (tmp_path / "KEYS").write_text("# none\n\n")
    (tmp_path / "GOOD").write_text("a-key\n")
    (tmp_path / "RECIPE").write_text("[serve]\nmost_waitin = 3\n")
    places = {"RUN": str(tiny_run), **{name: str(tmp_path / name) for name in ("KEYS", "GOOD", "RECIPE")}}
    with pytest.raises(SystemExit) as stop:
        main(["serve", *(places.get(part, part) for part in arguments)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_told_before_a_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main(["serve", str(tmp_path), "--port", str(taken.getsockname()[1])])
    assert "cannot listen on 127.0.0.1 port" in capsys.readouterr().err


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "shop"))


@pytest.fixture
def served(run: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    keep = tmp_path / "keep.py"
    keep.write_text(
        f"import pathlib, sys; pathlib.Path({str(tmp_path / 'told.json')!r}).write_text(sys.stdin.read())"
    )
    command = [sys.executable, "-m", "mynah", "serve", str(run), "--port", "0"]
    command += ["--on-hand-over", f"{sys.executable} {keep}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving shop on http://127.0.0.1:")
    yield process, line.split()[3]
    process.kill()
    process.wait()


def test_a_run_is_asked_judged_and_stopped(
    run: Path, tmp_path: Path, served: tuple[subprocess.Popen[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    process, address = served
    question = "Do you send a tent to Bonn on Tuesday?"
    asked = {"model": "shop", "messages": [{"role": "user", "content": question}]}
    strict = httpx.post(
        f"{address}/v1/chat/completions", json={**asked, "answers": "strict"}, timeout=60
    ).json()
    message = strict["choices"][0]["message"]
    assert isinstance(message["handed_over"], bool)
    if message["handed_over"]:
        for _ in range(100):
            if (tmp_path / "told.json").is_file() and (tmp_path / "told.json").read_text():
                break
            httpx.get(f"{address}/health")
        told = json.loads((tmp_path / "told.json").read_text())
        assert told["messages"][-1]["content"] == question
    assert "<main>" in httpx.get(address).text
    report = httpx.get(f"{address}/runs/shop/report")
    assert "sandbox" in report.headers["content-security-policy"]
    assert report.text == (run / "report.html").read_text(encoding="utf-8")
    words = httpx.post(
        f"{address}/v1/explain", json={**asked, "text": "Yes, we send tents.", "top": 3}, timeout=60
    ).json()["tokens"]
    assert "".join(word["token"] for word in words) == "Yes, we send tents."
    assert all(len(word["top_logprobs"]) == len(word["ngram"]["top_logprobs"]) == 3 for word in words)
    assert all(
        word["ngram"]["logprob"] <= word["ngram"]["top_logprobs"][0]["logprob"] + 1e-6 for word in words
    )
    # Opinions go into files that other commands take.
    opinions = (
        {"good": False, "better": "On Tuesday and Friday."}, {"good": False}, {"good": True},
    )  # fmt: skip
    for opinion in opinions:
        kept = httpx.post(f"{address}/v1/feedback", json={**asked, "reply": "No.", **opinion}).json()[
            "kept_in"
        ]
        assert kept
    paths = RunPaths(run)
    correction = json.loads(paths.corrections.read_text(encoding="utf-8").splitlines()[-1])
    assert (correction["chosen"], correction["rejected"]) == ("On Tuesday and Friday.", "No.")
    main(["teach", str(run), str(paths.feedback)])
    assert "taught     2 exchanges" in capsys.readouterr().out
    main(["unanswered", str(run), str(paths.found_bad)])
    assert question in capsys.readouterr().out
    artifacts.read_manifest(paths.answers)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert "Bonn" not in out + err
    assert "POST /v1/feedback 200" in err
