"""The same shards on one process, on two, and on a cluster of which a worker is killed: the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mynah.data import store
from mynah.data.clean.config import CleanConfig
from mynah.data.clean.run import clean_folder, clean_task
from mynah.data.engine import EngineConfig, run_tasks
from mynah.data.records import Document
from mynah.errors import MynahError

#: Cleans a folder with two workers, and kills the one that has begun the fourth shard.
KILLS = """
import os, signal, sys, threading, time
from pathlib import Path
from mynah.data.clean.config import CleanConfig
from mynah.data.engine import EngineConfig
from mynah.data.clean import run
from mynah.data.clean.run import KEPT, WORK, clean_folder
run.LIGHT_TASKS = 2

def kill(work):
    while True:
        for partial in work.glob("00003.*.partial") if work.is_dir() else ():
            os.kill(int(partial.name.split(".")[-2]), signal.SIGKILL)
            print("killed", flush=True)
            return
        time.sleep(0.0005)

source, out, ray = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] or None
threading.Thread(target=kill, args=(out / {"first": WORK, "second": KEPT}[sys.argv[4]],), daemon=True).start()
clean_folder(source, out, CleanConfig(), engine=EngineConfig(workers=2, ray=ray))
"""


def digest(folder: Path) -> str:
    names = sorted(folder.glob("*.parquet"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in names)).hexdigest()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    records = [
        Document(f"caf\u00c3\u00a9 {i % 1000} " + "some words  and more " * 60, f"f:{i}") for i in range(1200)
    ]
    before = store.SHARD_CHARACTERS, store.GROUP_CHARACTERS
    store.SHARD_CHARACTERS, store.GROUP_CHARACTERS = 1 << 16, 1 << 15
    try:
        store.write_records(folder / "in", records)
    finally:
        store.SHARD_CHARACTERS, store.GROUP_CHARACTERS = before
    assert len(store.shards_of(folder / "in")) > 15
    return folder / "in"


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("alone") / "out"
    clean_folder(source, out, CleanConfig(), engine=EngineConfig(workers=1))
    return digest(out)


@pytest.mark.parametrize(
    ("ray", "where"), [("", "first"), ("", "second"), ("local", "first"), ("local", "second")]
)
def test_a_killed_worker_changes_nothing(
    source: Path, expected: str, tmp_path: Path, ray: str, where: str
) -> None:
    if ray:
        pytest.importorskip("ray", reason="needs the extra 'cluster'")
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(source), str(tmp_path / "out"), ray, where],
        capture_output=True, text=True, check=False, timeout=240, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "killed" in done.stdout
    assert digest(tmp_path / "out") == expected


#: Collects a folder of files and splits a folder of shards.
COLLECT_AND_SPLIT = """
import sys
from pathlib import Path
from mynah.data.collect import shards as collecting
from mynah.data.split import split
from mynah.data.engine import EngineConfig
from mynah.data.collect.collector import Collector
from mynah.data.sources import CollectConfig

shards, files, out, ray = (*map(Path, sys.argv[1:4]), sys.argv[4] or None)
engine = EngineConfig(workers=2 if ray else 1, ray=ray)
collecting.PARALLEL_BYTES = collecting.BATCH_BYTES = 1 << 14
collecting.collect_folder(Collector([files], CollectConfig()), [files], out / "collected", engine)
split.LIGHT_TASKS = 2
split.split_folder(shards, out / "split", split.SplitConfig(), 0, engine)
"""


def test_collecting_and_splitting_on_a_cluster_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra 'cluster'")
    (tmp_path / "files").mkdir()
    for number in range(8):
        rows = "".join(f"question {number} {i},answer {i}\n" for i in range(400))
        (tmp_path / "files" / f"{number}.csv").write_text(f"question,answer\n{rows}", encoding="utf-8")
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    for name, ray in (("alone", ""), ("cluster", "local")):
        done = subprocess.run(
            [sys.executable, "-c", COLLECT_AND_SPLIT, str(source), str(tmp_path / "files"), str(tmp_path / name), ray],
            capture_output=True, text=True, check=False, timeout=240, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for part in ("collected", "split/train", "split/held_out"):
        assert digest(tmp_path / "alone" / part) == digest(tmp_path / "cluster" / part)
    assert store.count_records(tmp_path / "alone" / "collected") == 3200


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_keeps_its_words(tmp_path: Path, workers: int) -> None:
    config = CleanConfig().model_dump(mode="json")
    tasks = [
        {"shard": str(tmp_path / "none.parquet"), "out": str(tmp_path / str(n)), "config": config}
        for n in (1, 2)
    ]
    with pytest.raises(MynahError, match=r"none\.parquet: missing"):
        list(run_tasks(clean_task, tasks, workers))


def test_shards_are_equal_whatever_the_number_of_workers(source: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        clean_folder(source, tmp_path / str(workers), CleanConfig(), engine=EngineConfig(workers=workers))
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_an_interrupted_clean_goes_on_with_the_shards_that_are_done(
    source: Path,
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mynah.data.clean import run as cleaning
    from mynah.stages import Silent, Stages

    whole, done = cleaning.clean_shard, list[str]()

    def shard_by_shard(shard: Path, out: Path, *more: object) -> None:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(out.name)
        whole(shard, out, *more)  # type: ignore[arg-type]

    def work(out: Path) -> dict[str, object]:
        clean_folder(source, out, CleanConfig(), engine=EngineConfig(workers=1))
        return {}

    monkeypatch.setattr(cleaning, "clean_shard", shard_by_shard)
    stages = Stages(tmp_path, 0, Silent())
    with pytest.raises(KeyboardInterrupt):
        stages.run("clean", {}, {}, work)
    assert done == [f"{number:05}" for number in range(5)]
    done.clear()
    monkeypatch.setattr(
        cleaning, "clean_shard", lambda shard, out, *more: (done.append(out.name), whole(shard, out, *more))
    )
    stages.run("clean", {}, {}, work)
    assert "00000" not in done
    assert "00005" in done
    assert not (tmp_path / "clean" / "checkpoints").exists()


def test_a_folder_in_the_way_is_not_deleted(source: Path, tmp_path: Path) -> None:
    from mynah.errors import ArtifactError
    from mynah.stages import Silent, Stages

    (tmp_path / "clean.partial").mkdir()
    (tmp_path / "clean.partial" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="was not made by mynah"):
        Stages(tmp_path, 0, Silent()).run("clean", {}, {}, lambda out: {})
    assert (tmp_path / "clean.partial" / "mine.txt").is_file()
    (tmp_path / "other.partial").mkdir()
    (
        tmp_path / "other.partial" / ".key.json.123.tmp"
    ).touch()  # a process was killed before it had written its key
    Stages(tmp_path, 0, Silent()).run("other", {}, {}, lambda out: {})
    assert (tmp_path / "other" / "manifest.json").is_file()


def test_a_process_killed_while_it_deletes_its_folder_leaves_one_known_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mynah.stages import KEY, Silent, Stages

    unlink = os.unlink

    def fails(out: Path) -> dict[str, object]:
        for name in range(20):
            (out / str(name)).touch()
        key = (out / KEY).read_text(encoding="utf-8")
        (
            out / KEY
        ).unlink()  # a folder lists its files in an order of its own: here neither first made nor last
        (out / KEY).write_text(key, encoding="utf-8")
        raise MynahError("no")

    for survived in range(20):
        left = [survived]

        def killed(*arguments: object, left: list[int] = left, **more: object) -> None:
            if not left[0]:
                raise SystemExit
            left[0] -= 1
            unlink(*arguments, **more)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", killed)
            with pytest.raises(SystemExit):
                Stages(tmp_path, 0, Silent()).run("clean", {}, {}, fails)
        Stages(tmp_path, 0, Silent()).run("clean", {}, {}, lambda out: {})
        assert (tmp_path / "clean" / "manifest.json").is_file()
        (tmp_path / "clean" / "manifest.json").unlink()
