from __future__ import annotations

import matplotlib
import pytest

from mynah.report.data_page import bars


def test_charts_leave_matplotlib_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = (dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False))
    first = bars({"price $": 3, "你好": 1})
    assert (dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)) == before
    assert first.startswith("<svg")
    assert "price $" in first
    assert first == bars({"price $": 3, "你好": 1})
