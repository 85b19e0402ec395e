"""Settings: the base class of every config, and how a recipe file becomes one.

A config is a frozen pydantic model that stands next to the component it configures. Unknown keys are
errors, and the nearest right one is suggested.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mynah.errors import ConfigError

ConfigT = TypeVar("ConfigT", bound="Config")


class Config(BaseModel):
    """Base of all settings: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def build_config(kind: type[ConfigT], values: dict[str, Any], source: str) -> ConfigT:
    """Validate `values` as a `kind`; `source` names where they came from in the error.

    Raises:
        ConfigError: for an unknown key (with the nearest right one) or a value out of range.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_describe(kind, error)}") from None


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a TOML recipe as a nested dict, not yet validated.

    Raises:
        ConfigError: if the file is missing or is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory, a recipe is a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on top, section by section; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def parse_assignment(text: str) -> dict[str, Any]:
    """Turn `section.key=value` (the value in TOML, or a bare word) into a nested dict.

    Raises:
        ConfigError: if there is no `=`.
    """
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise ConfigError(f"--set {text}: expected section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for key in reversed(dotted.strip().split(".")):
        parsed = {key: parsed}
    return typing.cast(dict[str, Any], parsed)


def _describe(kind: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem of a validation as one line."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(kind, problem["loc"][:-1])
        name = str(problem["loc"][-1])
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key {where!r}; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _fields_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the config that `path` leads to."""
    for part in path:
        field = kind.model_fields.get(str(part))
        if field is None:
            break
        found = _config_in(field.annotation)
        if found is None:
            break
        kind = found
    return sorted(kind.model_fields)


def _config_in(annotation: Any) -> type[BaseModel] | None:
    """Return the config class inside an annotation such as `ModelConfig | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            if (found := _config_in(option)) is not None:
                return found
    return None
