"""Mynah: a person's own text and chat logs in, a talking language model out, on their own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mynah.answers.bot import Reply, Source
    from mynah.api import GPT3
    from mynah.chatbot import GPT3ChatBot
    from mynah.classifier import Classifier
    from mynah.data.preprocess import preprocess, stop_words
    from mynah.errors import MynahError
    from mynah.pipeline.build import build
    from mynah.pipeline.data_folders import clean, collect, split
    from mynah.pipeline.open_run import open_run
    from mynah.translator import Translator

__version__ = "0.1.0"
__all__ = [
    "GPT3",
    "Classifier",
    "GPT3ChatBot",
    "MynahError",
    "Reply",
    "Source",
    "Translator",
    "__version__",
    "build",
    "clean",
    "collect",
    "open_run",
    "preprocess",
    "split",
    "stop_words",
]

# Public names and where they live. They are imported at first use: `import mynah` must not import torch.
_HOMES = {
    "Classifier": "mynah.classifier",
    "GPT3": "mynah.api",
    "GPT3ChatBot": "mynah.chatbot",
    "MynahError": "mynah.errors",
    "Reply": "mynah.answers.bot",
    "Source": "mynah.answers.bot",
    "Translator": "mynah.translator",
    "build": "mynah.pipeline.build",
    "clean": "mynah.pipeline.data_folders",
    "collect": "mynah.pipeline.data_folders",
    "open_run": "mynah.pipeline.open_run",
    "split": "mynah.pipeline.data_folders",
    "preprocess": "mynah.data.preprocess",
    "stop_words": "mynah.data.preprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mynah' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
