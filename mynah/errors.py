"""The errors Mynah raises on purpose, drawn as a family.

    MynahError
    ├── ConfigError(ValueError)        a setting, flag or recipe key is wrong
    ├── DataError(ValueError)          an input file cannot be read or understood
    ├── ArtifactError(OSError)         a directory or file of Mynah's own is missing, damaged or locked
    ├── TrainingError(RuntimeError)    training cannot go on (a loss that is not finite)
    ├── GenerationError(RuntimeError)  a model cannot say what comes next (logits that are not numbers)
    └── MissingDependency(ImportError) an extra is not installed

A message says what was found, what was expected, and what to run next, in one line. It names files,
lines and columns, and never quotes the user's own text: logs are private.
"""

from __future__ import annotations


class MynahError(Exception):
    """Base of every error that a user can mend; the command line prints it as one line."""


class ConfigError(MynahError, ValueError):
    """A setting, a flag or a key of a recipe is unknown or out of range."""


class DataError(MynahError, ValueError):
    """An input file cannot be read, or its layout cannot be understood."""


class ArtifactError(MynahError, OSError):
    """A run directory or one of its files is missing, damaged, locked or cannot be written."""


class TrainingError(MynahError, RuntimeError):
    """Training cannot go on, for example because the loss is no longer finite."""


class GenerationError(MynahError, RuntimeError):
    """A model cannot say which token comes next, for example because its logits are not numbers."""


class MissingDependency(MynahError, ImportError):
    """A package that only an extra installs is needed here."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed; "
            f"run: pip install 'mynah-lm[{extra}]'"
        )
