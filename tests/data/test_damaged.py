"""Damaged input of every kind, a few mutants of each; `make fuzz` tries a thousand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_personal import BENCHMARKS, benchmark

from mynah.data.collect import collect
from mynah.data.reading import CollectConfig

READERS = (
    "table", "json", "trees", "chat", "blocks", "lines", "irc", "yaml", "xml", "columnar", "excel", "sqlite", "html",
    "books", "pdf", "latex", "warc", "mail", "text", "compressed",
)  # fmt: skip


def test_no_traceback_no_hang_no_flood() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "fuzz_readers.py"), "--mutants", "8", "--seed", "11"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if " mutants  failures: " in line]
    assert [line.split()[0] for line in lines] == list(READERS)
    # "slow" is a matter of the machine as well, and is judged by `make fuzz`.
    wrong = [line for line in lines if not re.search(r"failures: (none|\d+ slow)  \(", line)]
    assert wrong == []


@pytest.mark.parametrize("reader", READERS)
def test_the_samples_themselves_are_read(reader: str, tmp_path: Path) -> None:
    """Mutants of what cannot be read to begin with would prove nothing."""
    for name, data in benchmark("fuzz_samples").SAMPLES[reader]():
        if "bomb" in name:
            continue
        path = tmp_path / name
        path.write_bytes(data)
        assert collect([path], CollectConfig()).records, name
