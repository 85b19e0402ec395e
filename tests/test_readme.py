"""The README's commands run as written, and what it names is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import write_chats

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh.md"]
WITH_PYTHON = [*READMES, "docs/tasks.md"]
WITH_COMMANDS = [*READMES, "docs/data.md", "docs/tasks.md"]


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_shell_commands(name: str, tmp_path: Path) -> None:
    """Each block runs in order in one folder that holds a `chats.csv` and two books."""
    found = blocks(name, "bash")
    assert found
    write_chats(tmp_path / "chats.csv", count=60)
    for seed, book in enumerate(("book.txt", "other.txt")):
        rng = np.random.default_rng(seed)
        lines = [" ".join(f"word{n}" for n in rng.zipf(1.5, 12) % 500) for _ in range(500)]
        (tmp_path / book).write_text("\n".join(lines), encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in found:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == "" or "--show" in block
        expected = {
            "mynah build": "report     runs/chats/report.html",
            "mynah data": "data/clean-report/report.html",
            "mynah ngram": "next       mynah ngram score book.ng",
            "--show": "count in fine-tuning",
        }
        assert [told for command, told in expected.items() if command in block and told in done.stdout]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = blocks(name, "python")
    assert found
    for block in found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            exec(compile(block, name, "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "name", [*READMES, *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


def test_make_targets_named_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_torch_is_pinned_alike() -> None:
    pinned = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned
    for name in ("Makefile", *READMES):
        assert f"torch=={pinned.group(1)}" in (ROOT / name).read_text(encoding="utf-8")
