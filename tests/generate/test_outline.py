"""Texts along an outline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mynah.generate import outline
from mynah.generate.settings import SamplingConfig


def test_each_point_begins_a_part_and_all_before_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def goes_on(
        model: Any, tokenizer: Any, prompt: str, config: SamplingConfig, copies: Any
    ) -> Iterator[str]:
        asked.append((prompt, config.stop))
        yield " goes"
        yield " on. "

    monkeypatch.setattr(outline, "continue_text", goes_on)
    model: Any = None
    points = ["## The garden", "  ", " The house"]
    pieces = outline.outlined(model, model, "A letter \n", points, SamplingConfig(stop=("Yours",)))
    text = "".join(pieces)
    assert f"A letter{text}" == "A letter\n\n## The garden\n\n goes on. \n\nThe house goes on. "
    prompts, stops = zip(*asked, strict=True)
    assert prompts == (
        "A letter\n\n## The garden\n\n",
        "A letter\n\n## The garden\n\n goes on.\n\nThe house",
    )
    assert set(stops) == {("Yours", "\n\n", "\n#")}
    assert "".join(outline.outlined(model, model, "", ["One"], SamplingConfig())) == "One goes on. "
