"""Which inner loops are used: the compiled ones where Numba is installed and there is enough to do to pay for it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from types import ModuleType

#: From so many items on the compiled loops are taken: below, loading them takes longer than they save.
WORTH_COMPILING = 1 << 19


def loops(items: int) -> ModuleType:
    """Return the module whose loops are to be used for so many items: this one, or the compiled one.

    The environment variable MYNAH_NUMBA overrules it: 0 for never, 1 for always.
    """
    return _module("compiled" if compiling_pays(items) else "kernels")


@cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"mynah.ngram.{name}")


def compiling_pays(items: int) -> bool:
    """Return whether compiled loops are to be used for so many items; see `loops`."""
    wanted = os.environ.get("MYNAH_NUMBA", "")
    return wanted == "1" or (wanted != "0" and items >= WORTH_COMPILING and _numba_is_there())


@cache
def _numba_is_there() -> bool:
    return importlib.util.find_spec("numba") is not None
