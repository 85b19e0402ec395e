"""An object that is too long to be read at once gives what it gives when it is read whole."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import collect
from mynah.data.readers import json_object, json_scanner, json_values
from mynah.data.readers.inputs import Input
from mynah.data.records import Rejected
from mynah.data.sources import CollectConfig
from mynah.errors import DataError


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (json_object, json_values):
        monkeypatch.setattr(module, "WHOLE", 3000)
    monkeypatch.setattr(json_scanner, "_PIECE", 17)


def some_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if kind < 0.3 or depth == 4:
        return rng.choice(
            [1, -2.5, 1e9, True, None, 'a"b\\c', "你好\u2028", "x" * rng.randint(0, 60), 10**19]
        )
    if kind < 0.6:
        return [some_value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {rng.choice("abcdefg") * 2: some_value(rng, depth + 1) for _ in range(rng.randint(0, 4))}


def read(path: Path) -> list[Any]:
    return [
        item if isinstance(item, Rejected) else item[1]
        for item in json_values.read_values(Input(path.name, path), "utf-8")
    ]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("seed", range(12))
def test_records_are_found_wherever_they_lie(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    records = [{"id": i, "v": some_value(rng), "text": "words " * 9} for i in range(100)]
    head = {"name": "x", "small": {"k": [{"a": 1}]}, "n": [1, 2, 3]}
    path = tmp_path / "x.json"
    for body in ({"messages": records}, {"chats": {"about": "y", "list": records}}):
        value = {**head, **body, "tail": some_value(rng, 4)}
        path.write_text(
            json.dumps(value, ensure_ascii=seed % 2 == 0, indent=[None, 1][seed % 2]), encoding="utf-8"
        )
        *found, beside = read(path)
        assert found == records
        assert isinstance(beside, Rejected)
        assert "beside the records" in beside.reason
        assert not beside.bad
    members = {f"dialogue-{record['id']}": record for record in records}
    path.write_text(json.dumps(members), encoding="utf-8")
    assert read(path) == records


@pytest.mark.usefixtures("_small")
def test_what_follows_damage_is_given_up_and_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    text = json.dumps({"messages": [{"id": i, "text": "words " * 9} for i in range(100)]})
    path.write_text(text[:5000], encoding="utf-8")
    *good, bad = read(path)
    assert [value["id"] for value in good] == list(range(len(good)))
    assert len(good) > 50
    assert isinstance(bad, Rejected)
    path.write_text('{"messages" ' + " " * 4000 + "}", encoding="utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        read(path)
    path.write_text('{"a": 1, "b": "' + "x" * 4000 + '"}', encoding="utf-8")
    with pytest.raises(DataError, match="without a list of records"):
        read(path)


def test_an_export_of_years_is_read_as_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        {"id": i, "type": "message", "date": f"2024-01-{1 + i // 40:02}T10:{i % 60:02}:00", "from": f"P{i % 3}",
         "from_id": f"user{i % 3}", "text": f"hello {i}", **({"reply_to_message_id": i - 7} if i % 5 == 0 else {})}
        for i in range(400)
    ]  # fmt: skip
    path = tmp_path / "result.json"
    export = {"name": "Group", "type": "private_group", "id": 1, "messages": messages}
    path.write_text(json.dumps(export), encoding="utf-8")
    whole = collect([path], CollectConfig())
    for module in (json_object, json_values):
        monkeypatch.setattr(module, "WHOLE", 3000)
    piecewise = collect([path], CollectConfig())
    assert piecewise.records == whole.records
    assert len(whole.records) > 10
    assert (piecewise.sources[0].rows, piecewise.sources[0].form) == (400, "a chat app's export")
