from __future__ import annotations

from pathlib import Path

import pytest

from mynah.config import merge, parse_assignment
from mynah.errors import ConfigError
from mynah.pipeline.recipe import Recipe, load_recipe, to_toml


def test_misspelt_key_gets_the_nearest_right_one(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[clean]\nlowrcase = true\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"clean\.lowrcase.*did you mean 'lowercase'"):
        load_recipe(path, {})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"plan": {"minutes": 0}}, "greater than 0"),
        ({"plan": {"minutes": 1, "size": "nano"}}, "exclude each other"),
        ({"plan": {"size": "nanno"}}, "did you mean 'nano'"),
        ({"plan": {"size": "gpt3-175b"}}, "too large"),
        ({"split": {"held_out": 0.9}}, "less than 0.5"),
    ],
)
def test_values_out_of_range(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(None, flags)


def test_recipe_round_trips_through_toml(tmp_path: Path) -> None:
    recipe = load_recipe(None, {"plan": {"minutes": 2.5}, "clean": {"stop_words": ["en"]}})
    (tmp_path / "r.toml").write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "r.toml", {}) == recipe
    assert isinstance(recipe, Recipe)


def test_flags_override_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("seed = 3\n[plan]\nminutes = 9\n", encoding="utf-8")
    recipe = load_recipe(tmp_path / "r.toml", {"plan": {"minutes": 1}})
    assert (recipe.seed, recipe.plan.minutes) == (3, 1)


@pytest.mark.parametrize("text", ["= broken", "[plan", "a = = b"])
def test_not_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_recipe(tmp_path / "r.toml", {})


def test_assignments() -> None:
    assert parse_assignment("plan.model.n_layer=6") == {"plan": {"model": {"n_layer": 6}}}
    assert parse_assignment("device=cpu") == {"device": "cpu"}
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        parse_assignment("nonsense")
