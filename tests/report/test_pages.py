"""Reports in a real browser: no connection, no complaint, wide and narrow, in both languages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mynah.cli.main import main
from mynah.report.first_screen import first_screen
from mynah.stages import RunPaths


@pytest.fixture(scope="module")
def why(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that explains a reply."""
    path = tmp_path_factory.mktemp("why") / "why.html"
    main(["explain", str(tiny_run), "Do you send a <b>lamp</b> to Bonn?", "-o", str(path)])
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report", "why"])
def test_a_page_needs_nothing_and_complains_of_nothing(
    browser: Any, tiny_run: Path, why: Path, name: str, width: int
) -> None:
    path = tiny_run / "report.html" if name == "report" else why
    assert path.stat().st_size < 2_000_000
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page, complaints, asked = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    english = page.inner_text("body")
    page.click("button")
    chinese = page.inner_text("body")
    assert english != chinese
    assert any("\u4e00" <= c <= "\u9fff" for c in page.inner_text("h2"))
    assert complaints == []
    assert asked == [path.as_uri()]
    if name == "report":
        assert [one.inner_text() for one in page.query_selector_all(".first h2 .zh")] == [
            "它能回答什么，有多确定？", "它比简单的方法更好吗？", "接下来做什么？",
        ]  # fmt: skip
        assert page.query_selector_all(".first svg")
    else:
        assert page.query_selector("b") is None  # what was asked is text
        page.select_option("#layer", "0")
        page.select_option("#head", "1")
        assert page.is_visible("#pattern")
        assert "rgba" in page.get_attribute("#looked span", "style")
    assert complaints == []
    context.close()


def test_a_log_that_is_sure_of_nothing_is_not_taken_for_text(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    path = tmp_path / "run" / "answers" / "answers.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    for sure, said in ((False, "It is sure of no reply"), (None, "Of text that it has not read")):
        path.write_text(json.dumps({**about, "sure": sure, "curve": []}), encoding="utf-8")
        shown = first_screen(RunPaths(tmp_path / "run"))
        assert said in shown
        assert "foresees" in shown
