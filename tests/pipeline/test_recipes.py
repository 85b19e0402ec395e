"""Every shipped recipe is valid and says how it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.pipeline.recipe import load_recipe
from mynah.pipeline.train_job import load_train_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_recipe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if f"mynah train recipes/{path.name}" in text:
        load_train_recipe(path, {})
    else:
        load_recipe(path, {})
        assert f"--recipe recipes/{path.name}" in text
