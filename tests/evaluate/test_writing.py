"""How varied and how copied texts are, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mynah.evaluate.writing import describe_writing, measure_writing
from mynah.generate.copies import Runs


def test_measures_by_hand() -> None:
    found = measure_writing([[1, 2, 3, 4, 1, 2, 3, 4], [5, 6]], None)
    assert found["repetition"] == pytest.approx(1 / 5)  # 1234, 2341, 3412, 4123, 1234
    assert found["distinct"] == {"1": 6 / 10, "2": 5 / 8, "3": 4 / 6}
    assert "copied" not in found
    assert (
        describe_writing(found)
        == "repeated within a text 20%, distinct-1 0.60, distinct-2 0.62, distinct-3 0.67"
    )


def test_what_is_copied_is_counted() -> None:
    learned = Runs(np.arange(40), 10)
    found = measure_writing([[*range(5, 17), 90], [91, *range(3, 9)]], learned)
    assert found["copied"] == pytest.approx(12 / 20)
    assert found["longest"] == 12
    assert "copied from the training text 60%, at most 12 tokens on end" in describe_writing(found)
    assert measure_writing([], learned)["copied"] == 0
