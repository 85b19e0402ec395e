"""Collect into a folder: in one walk, or where there is much to read, many files at a time on all cores.

What is read together depends on the sources alone, not on the number of workers, so that the shards are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.data.collect.collector import Collector, check_settings
from mynah.data.collect.parallel_files import Unit
from mynah.data.engine import EngineConfig, Task, run_tasks
from mynah.data.records import Rejected
from mynah.data.sources import CollectConfig, Source, is_url
from mynah.data.store import (
    Account,
    Change,
    RecordWriter,
    begin_folder,
    finish_folder,
    gather,
)
from mynah.errors import DataError

#: Sources of more than this many bytes in all are read in batches of about so many.
PARALLEL_BYTES, BATCH_BYTES = 64 << 20, 32 << 20
#: Where batches lie until all are read: work that is cut off goes on with those that are done.
WORK = f"{artifacts.CHECKPOINTS}/step-batches"


def collect_folder(
    collector: Collector,
    sources: Sequence[Path | str],
    out: Path,
    engine: EngineConfig,
    told: Callable[[Source, int, int], None] | None = None,
) -> Counter[str]:
    """Read a collector's sources into the shards and the account of a folder; return counts by kind.

    Raises:
        DataError, ConfigError: as `Collector.items`.
    """
    total = len(collector.units)

    def tell(source: Source) -> None:
        if told is not None:
            told(source, len(collector.sources), total)

    collector.told = tell
    batches = batches_of(collector.units)
    # Where there are several files with much to read nobody is asked who the assistant is: the processes that read
    # cannot.
    alone = any(map(is_url, sources)) or len(batches) == 1
    with Account(out) as account:
        counts = (
            _in_one_walk(collector, out, account)
            if alone
            else _in_batches(collector, sources, batches, out, account, engine)
        )
        for name, reason in collector.left_out:
            account.note(Change("dropped", "read", reason, name))
    return counts


def batches_of(units: Sequence[Unit]) -> list[list[int]]:
    """Return the numbers of units that are read together, in order."""
    sizes = [sum(given.size for given in unit.files) for unit in units]
    if sum(sizes) <= PARALLEL_BYTES:
        return [list(range(len(units)))]
    batches: list[list[int]] = [[]]
    held = 0
    for number, size in enumerate(sizes):
        if held and held + size > BATCH_BYTES:
            batches.append([])
            held = 0
        batches[-1].append(number)
        held += size
    return batches


def _in_one_walk(collector: Collector, out: Path, account: Account) -> Counter[str]:
    with RecordWriter(out, growing=True) as writer:
        for item in collector.items():
            if isinstance(item, Rejected):
                account.note(Change("dropped", "read", item.reason, item.place))
            else:
                writer.write(item)
    return writer.counts


def _in_batches(
    collector: Collector,
    sources: Sequence[Path | str],
    batches: list[list[int]],
    out: Path,
    account: Account,
    engine: EngineConfig,
) -> Counter[str]:
    config = collector.config.model_dump(mode="json")
    paths = [str(source) for source in sources]
    # Part of a task, so that a process that lives on does not take an older state of the folder for this one.
    listing = artifacts.sha256_of_json(
        [[unit.name, *(given.size for given in unit.files)] for unit in collector.units]
    )
    folders = [out / WORK / f"{number:05}" for number in range(len(batches))]
    tasks = [
        {"sources": paths, "config": config, "listing": listing, "units": units, "out": str(folder)}
        for units, folder in zip(batches, folders, strict=True)
    ]
    for _ in run_tasks(collect_task, tasks, engine.workers, engine.ray):
        pass
    usable, refused = False, None
    for folder in folders:
        found: dict[str, Any] = artifacts.read_json(folder / "found.json")
        usable = usable or found["usable"]
        refused = refused or found["refused"]
        collector.left_out += [(name, reason) for name, reason in found["left_out"]]
        for value in found["sources"]:
            collector.sources.append(Source(**value))
            if collector.told is not None:
                collector.told(collector.sources[-1])
        account.take(folder)
    check_settings(collector.config, collector.sources)
    if not usable:
        raise DataError(refused or f"{collector.first}: no usable row found: every text is empty")
    return gather(folders, out)


@lru_cache(maxsize=2)
def _collector(sources: tuple[str, ...], config: str, listing: str) -> Collector:
    """Return the collector of a build, made once a process: finding what lies in a large folder takes time."""
    del listing  # only tells one state of the sources from another
    return Collector([Path(source) for source in sources], CollectConfig.model_validate_json(config))


def collect_task(task: Task) -> Task:
    """Read some units into a folder of their own, which appears when it is whole, wherever this runs."""
    out = Path(task["out"])
    if out.is_dir():
        return {"out": task["out"]}
    partial = begin_folder(out)
    config = CollectConfig.model_validate(task["config"])
    collector = _collector(tuple(task["sources"]), config.model_dump_json(), task["listing"])
    walk = collector.part(task["units"])
    with RecordWriter(partial) as writer, Account(partial) as account:
        for item in walk.walk():
            if isinstance(item, Rejected):
                account.note(Change("dropped", "read", item.reason, item.place))
            else:
                writer.write(item)
    artifacts.write_json(
        partial / "found.json",
        {
            "sources": [asdict(source) for source in walk.sources],
            "left_out": [list(item) for item in walk.left_out],
            "refused": str(walk.refused[0]) if walk.refused else None,
            "usable": walk.usable,
        },
    )
    finish_folder(partial, out)
    return {"out": task["out"]}
