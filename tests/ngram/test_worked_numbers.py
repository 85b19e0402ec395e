"""The worked numbers of docs/ngram.md."""

from __future__ import annotations

import doctest
from pathlib import Path


def test_the_page_prints_what_it_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "ngram.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted > 20
    assert result.failed == 0
