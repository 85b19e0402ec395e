"""Which device to compute on. Torch is imported when asked, not before."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mynah.errors import ConfigError

if TYPE_CHECKING:
    import torch

#: Where Linux tells what a container may take.
_CONTAINER = Path("/sys/fs/cgroup")
#: Share of the free memory that a model may plan with.
USABLE = 0.9
#: What the process needs besides: interpreter, libraries, buffers of the kernels.
BASE_BYTES = 400 << 20


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigError: if it is not there.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there[device.type]:
        raise ConfigError(f"--device {name}: there is none on this machine; try --device cpu")
    return device


def reset_peak_memory() -> None:
    """Begin a new measurement of peak memory where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def held_memory() -> int:
    """Return the memory that this process holds now, maps of files left out, in bytes; 0 where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("RssAnon:")[1].split()[0]) * 1024
    return 0


def peak_memory() -> int | None:
    """Return the most memory held since `reset_peak_memory`, in bytes; None where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device, None where the system does not say."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()


def free_memory() -> int | None:
    """Return the bytes that may still be taken, by a container's limit too; None where it cannot be told."""
    with contextlib.suppress(OSError, StopIteration, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
        return min(free, _free_in_container(free))
    return machine_memory()


def machine_memory() -> int | None:
    """Return the bytes of memory that there are, or that a container may take; None where it cannot be told."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        with contextlib.suppress(OSError, ValueError):
            there = min(there, int((_CONTAINER / "memory.max").read_text(encoding="ascii")))
        return there
    return None


def _free_in_container(otherwise: int) -> int:
    """Return what the control group leaves free, where there is one with a limit; what only caches files is free."""
    with contextlib.suppress(OSError, ValueError):
        limit, used = (
            int((_CONTAINER / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current")
        )
        told = (
            line.split() for line in (_CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines()
        )
        return limit - used + sum(int(value) for name, value in told if name == "inactive_file")
    return otherwise


def give_memory_back() -> None:
    """Return to the system what was freed: glibc keeps blocks that lie between others (some hundred MB of a base)."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)
