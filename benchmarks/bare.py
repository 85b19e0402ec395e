"""What Mynah's configs need of pydantic, for machines with nothing but PyTorch and NumPy; no value is checked.

Imported before anything of Mynah, it stands in only where pydantic is not installed.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any


class BaseModel:
    """Takes the values of its annotated fields, fills in the defaults, and calls what was to check them."""

    model_fields: dict[str, Any]

    def __init_subclass__(cls) -> None:
        own = {name: cls.__dict__.get(name, ...) for name in inspect.get_annotations(cls)}
        cls.model_fields = {**getattr(cls, "model_fields", {}), **own}

    def __init__(self, **values: Any) -> None:
        for check in map(inspect.unwrap, vars(type(self)).values()):
            if getattr(check, "fills_a_model", False):
                values = check(type(self), values)
        if unknown := values.keys() - self.model_fields.keys():
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
        for name, default in self.model_fields.items():
            if name not in values and default is ...:
                raise ValueError(f"{name} is missing")
            setattr(self, name, values.get(name, default))
        for check in vars(type(self)).values():
            if getattr(check, "checks_a_model", False):
                check(self)

    def model_copy(self, update: dict[str, Any]) -> BaseModel:
        """Return a copy with fields changed."""
        return type(self)(**{**self.model_dump(), **update})

    def model_dump(self, mode: str = "python", exclude: Any = ()) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.model_fields if name not in exclude}


def Field(default: Any = ..., **_: Any) -> Any:  # noqa: N802
    """Return a field's default."""
    return default


def model_validator(mode: str) -> Callable[[Any], Any]:
    """Mark what fills in a model's values before, or checks it once it is filled."""

    def mark(check: Any) -> Any:
        setattr(inspect.unwrap(check), "fills_a_model" if mode == "before" else "checks_a_model", True)
        return check

    return mark


def field_validator(*_: str, **__: Any) -> Callable[[Any], Any]:
    """Check nothing."""
    return lambda check: check


if find_spec("pydantic") is None:
    stand_in = types.ModuleType("pydantic")
    for part in (BaseModel, Field, model_validator, field_validator):
        setattr(stand_in, part.__name__, part)
    stand_in.ConfigDict = dict  # type: ignore[attr-defined]
    stand_in.ValidationError = ValueError  # type: ignore[attr-defined]
    sys.modules["pydantic"] = stand_in
