"""Much to read is read in batches on all cores; what comes out depends on the sources alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.collect import shards
from mynah.data.engine import EngineConfig
from mynah.data.sources import CollectConfig, Source, read_sources
from mynah.data.store import read_changes, read_records
from mynah.errors import DataError
from mynah.pipeline.data_folders import collect_into


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shards, "PARALLEL_BYTES", 1000)
    monkeypatch.setattr(shards, "BATCH_BYTES", 2000)
    made = tmp_path / "in"
    made.mkdir()
    for number in range(8):
        rows = "".join(f"question {number} {i},answer {i}\n" for i in range(60))
        (made / f"{number}.csv").write_text("question,answer\n" + rows + "bad row\n", encoding="utf-8")
    (made / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return made


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_batches_give_what_one_walk_gives(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Source] = []
    counts = [
        collect_into(
            tmp_path / str(n), [folder], CollectConfig(),
            told=lambda s, *_: told.append(s), engine=EngineConfig(workers=n),
        )
        for n in (1, 2)
    ]  # fmt: skip
    assert counts[0] == counts[1]
    assert len(told) == 16
    assert len(list((tmp_path / "1").glob("part-*.parquet"))) > 1
    names = files(tmp_path / "1")
    assert names == files(tmp_path / "2")
    assert all((tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes() for name in names)
    monkeypatch.undo()
    collect_into(tmp_path / "walk", [folder], CollectConfig())
    assert list(read_records(tmp_path / "walk")) == list(read_records(tmp_path / "1"))
    assert sorted(map(repr, read_changes(tmp_path / "walk"))) == sorted(
        map(repr, read_changes(tmp_path / "1"))
    )
    assert read_sources(tmp_path / "walk") == read_sources(tmp_path / "1")


def test_nothing_usable_in_any_batch_is_an_error(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.csv"):
        path.write_text("question,answer\n" + "x\n" * 300, encoding="utf-8")
    with pytest.raises(DataError, match=r"0\.csv: 300 of 300 rows are bad"):
        collect_into(tmp_path / "out", [folder], CollectConfig(), engine=EngineConfig(workers=1))


def test_a_merge_that_is_cut_off_loses_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    whole, made = os.link, list[str]()

    def cut(source: Path, target: Path) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(str(target))
        whole(source, target)

    monkeypatch.setattr(os, "link", cut)
    with pytest.raises(KeyboardInterrupt):
        collect_into(tmp_path / "out", [folder], CollectConfig(), engine=EngineConfig(workers=1))
    monkeypatch.setattr(os, "link", whole)
    counts = collect_into(tmp_path / "out", [folder], CollectConfig(), engine=EngineConfig(workers=1))
    assert len(list(read_records(tmp_path / "out"))) == counts["records"]["conversation"] == 480
