"""Mynah: a person's own text and chat logs in, a talking language model out, on their own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mynah.api import GPT3, GPT3ChatBot
    from mynah.data.preprocess import preprocess, stop_words

__version__ = "0.1.0"
__all__ = ["GPT3", "GPT3ChatBot", "__version__", "preprocess", "stop_words"]

# Public names and where they live. They are imported at first use: `import mynah` must not import torch.
_HOMES = {
    "GPT3": "mynah.api",
    "GPT3ChatBot": "mynah.api",
    "preprocess": "mynah.data.preprocess",
    "stop_words": "mynah.data.preprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mynah' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
