"""What a result was measured on: printed at the head of every benchmark's output."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def matmul_rate(size: int = 2048, repeats: int = 5, dtype: torch.dtype | None = None) -> float:
    """Return the best matrix-product rate seen, in FLOP/s; of float32 if nothing else is asked for."""
    import torch

    a = torch.randn(size, size, dtype=dtype)
    best = 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        a @ a
        best = max(best, 2 * size**3 / (time.perf_counter() - begun))
    return best


def half_precision_units() -> str:
    """Return what the processor has for products in bfloat16, as Linux names it; "none" where nothing is told."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
    return ", ".join(name for name in ("avx512_bf16", "amx_bf16") if name in flags) or "none"


def describe(*packages: str) -> str:
    """Return date, processor, cores, memory and versions in a few lines.

    Args:
        packages: whose versions are told too, or that they are not installed.
    """
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [
            line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")
        ]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    now = datetime.now(UTC).isoformat(timespec="minutes")
    return (
        f"date      {now}\n"
        f"machine   {cpu}, {os.cpu_count()} cores{memory}, {torch.get_num_threads()} threads\n"
        f"versions  Python {platform.python_version()}, torch {torch.__version__}"
        + "".join(f", {package} {_version(package)}" for package in packages)
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
