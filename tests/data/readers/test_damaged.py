"""Damaged input of every kind, a few mutants of each; `make fuzz` tries a thousand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmark_modules import BENCHMARKS, benchmark

from mynah.data.collect.collector import collect
from mynah.data.sources import CollectConfig

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


def test_what_once_took_for_ever(tmp_path: Path) -> None:
    """Found by the fuzzer: patterns that took exponential and quadratic time."""
    chat = "".join(f"{i + 1}/01/2024, 21:0{i} - Ann{'[' * (70 if i else 20_000)}: hi {i}\n" for i in range(9))
    (tmp_path / "chat.txt").write_text(chat, encoding="utf-8")
    box = b"From ann Mon Jan  1 10:00:00 2024\nFrom: Ann <a@b.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nhello\n\n"
    (tmp_path / "a.mbox").write_bytes(box + b"From " + b"x" * 500_000 + b"\n\n" + box)
    assert collect([tmp_path / "chat.txt"], CollectConfig()).records
    assert len(collect([tmp_path / "a.mbox"], CollectConfig()).records) == 2
