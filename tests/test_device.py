from __future__ import annotations

import ctypes
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


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="this C library gives memory back by itself, or never",
)
def test_memory_that_was_freed_is_given_back() -> None:
    def resident() -> int:
        return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024

    # 200 MB below the size that is mapped apart, before a last one, which stays.
    blocks = [bytearray(b"x" * 100_000) for _ in range(2000)]
    last = blocks.pop()
    blocks.clear()
    before = resident()
    device.give_memory_back()
    assert resident() < before - 100_000_000
    assert len(last) == 100_000
