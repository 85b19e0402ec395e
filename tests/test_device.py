from __future__ import annotations

from pathlib import Path

import pytest

from mynah import device
from mynah.ngram.config import parse_memory


def test_a_containers_limit_counts_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = device.machine_memory()
    assert there is not None
    monkeypatch.setattr(device, "_CONTAINER", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("600000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\n")
    assert device.machine_memory() == 1_000_000
    assert device.free_memory() == 500_000
    assert parse_memory("50%") == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert device.machine_memory() == there
