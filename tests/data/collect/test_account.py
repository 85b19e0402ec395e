"""Nothing is misread without a word: settings of no use, characters that are in no record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import collect
from mynah.data.sources import CollectConfig, Source
from mynah.errors import ConfigError, DataError

WORDS = "The mynah learned to talk from what it heard in the house by the river. "

TALK = json.dumps([{"messages": [{"role": "user", "content": "hi"}]}])
CLASSES = "text,label\ngood film,pos\nbad film,neg\n"
CAPTIONS = "1\n00:00:01,000 --> 00:00:02,000\nhello there\n\n2\n00:00:03,000 --> 00:00:04,000\nbye now\n"


def config(**values: Any) -> CollectConfig:
    return CollectConfig.model_validate(values)


@pytest.mark.parametrize(
    ("name", "text", "settings", "flag"),
    [
        ("f.txt", WORDS * 5, {"columns": {"speaker": "who"}}, "--speaker-column"),
        ("f.txt", WORDS * 5, {"columns": {"assistant": ["Ann"]}}, "--me"),
        ("f.json", json.dumps([{"text": WORDS}, {"text": "x y"}]), {"delimiter": ";"}, "--delimiter"),
        ("f.json", TALK, {"columns": {"label": "x"}}, "--label-column"),
        ("f.csv", "question,answer\nwhere?,there\nwho?,me\n", {"columns": {"title": "question"}}, None),
        ("f.csv", CLASSES, {"columns": {"assistant": ["Ann"], "rows_are": "labelled"}}, "--me"),
        ("f.srt", CAPTIONS, {"query": "SELECT 1"}, "--query"),
    ],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_refused(
    tmp_path: Path, name: str, text: str, settings: dict[str, Any], flag: str | None
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    if flag is None:
        collect([tmp_path / name], config(**settings))
        return
    with pytest.raises(ConfigError, match=rf"{name}: {flag}: of no use, for it was read as "):
        collect([tmp_path / name], config(**settings))
    if "delimiter" in settings:  # with one, any text is read as a table
        return
    # Beside a file that has a use for it nothing is said, but of the file that has none.
    (tmp_path / "other.txt").write_text(WORDS, encoding="utf-8")
    with pytest.raises(ConfigError, match="of no use"):
        collect([tmp_path / name, tmp_path / "other.txt"], config(**settings))


def test_one_source_of_several_may_use_a_setting(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,said\nAnn,hello there\nBo,good day\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text(WORDS, encoding="utf-8")
    settings = {"columns": {"speaker": "who", "text": "said"}}
    result = collect([tmp_path / "a.csv", tmp_path / "b.txt"], config(**settings))
    told = [warning for source in result.sources for warning in source.describe_warnings()]
    assert told == ["b.txt: --speaker-column, --text-column of no use here: it was read as text"]


def test_every_character_is_accounted_for(tmp_path: Path) -> None:
    rows = "".join(f'{i},"{WORDS}","{WORDS[::-1]}",2024-01-01\n' for i in range(3))
    (tmp_path / "f.csv").write_text(f"id,text,notes,date\n{rows}", encoding="utf-8")
    source = collect([tmp_path / "f.csv"], config()).sources[0]
    assert source.characters == 3 * (1 + 2 * len(WORDS) + 10)
    assert source.kept == 3 * len(WORDS)
    assert source.dropped["column notes"] == 3 * len(WORDS)
    assert source.unnamed == 0
    assert "column notes" in source.describe()


def test_words_in_nested_fields_are_read_or_named(tmp_path: Path) -> None:
    book = {"title": "Birds", "content": [{"chapter": "One", "paragraphs": [WORDS * 9, WORDS[::-1] * 9]}]}
    (tmp_path / "f.json").write_text(json.dumps([book, book | {"title": "More"}]), encoding="utf-8")
    result = collect([tmp_path / "f.json"], config())
    assert [text.split("\n")[0] for record in result.records for text in record.texts] == ["Birds", "More"]
    assert result.sources[0].kept > 0.95 * result.sources[0].characters
    talk = {
        "messages": [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "good day"}]
    }
    (tmp_path / "g.json").write_text(json.dumps([talk | {"summary": WORDS * 3}] * 3), encoding="utf-8")
    assert "fields summary" in collect([tmp_path / "g.json"], config()).sources[0].dropped


def test_what_vanishes_without_a_reason_is_warned_of() -> None:
    source = Source("f", form="text", characters=100, kept=60, dropped={"column x": 20})
    assert "20 of its 100 characters are in no record" in source.describe_warnings()[0]
    assert not Source("f", characters=100, kept=75, dropped={"column x": 20}).describe_warnings()


def test_hints_that_cannot_help_are_not_given(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"messages": []}\n' * 3, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        collect([tmp_path / "f.jsonl"], config())
    assert "--delimiter" not in str(caught.value)
    (tmp_path / "labels.txt").write_text("joy\nanger\n", encoding="utf-8")
    with pytest.raises(DataError, match="a list of the names of classes, and no text to learn from"):
        collect([tmp_path / "labels.txt"], config())
