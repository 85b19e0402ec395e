"""Which device to compute on. Torch is imported when asked, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mynah.errors import ConfigError

if TYPE_CHECKING:
    import torch


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
        raise ConfigError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps") from None
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ConfigError(f"--device {name}: there is none on this machine; try --device cpu")
    return device


def peak_memory() -> int | None:
    """Return the most memory this process has held so far, in bytes; None where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
