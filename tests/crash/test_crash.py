"""The crash harness in small, and that it notices what it is there to notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, /proc and tmpfs: Linux")


def harness(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(HERE / "harness.py"), *arguments],
        capture_output=True, text=True, timeout=600, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    print(done.stdout, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])["wrong"], done.stdout


def test_training_survives() -> None:
    wrong, said = harness("--kills", "10", "--faults", "4", "--damages", "1000")
    assert wrong == 0
    for experiment in ("10 kills of 1 process", "10 kills of 2 process", "10 power cuts", "1000 damages"):
        assert experiment in said


@pytest.mark.parametrize(
    ("without", "noticed"),
    [
        ("fsync", "were saved, [] are whole"),
        ("replace", "the run ended by itself"),
        ("seed", "optimizer.safetensors"),
    ],
)
def test_the_harness_fails_when_something_is_taken_out(without: str, noticed: str) -> None:
    wrong, said = harness("--kills", "6", "--without", without)
    assert wrong > 0
    assert noticed in said
