"""Clean a folder of records: every record by itself, shard by shard, then what only all of them can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mynah.artifacts import CHECKPOINTS
from mynah.data.clean.config import CleanConfig
from mynah.data.clean.steps import Perplexity, clean_record, steps_of
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.dedup.duplicates import KeysOf, Repeats, find_in_memory
from mynah.data.dedup.repeats import group, starts_of, write_keys
from mynah.data.engine import LIGHT_TASKS, EngineConfig, Task, run_tasks
from mynah.data.records import Record
from mynah.data.store import (
    Account,
    Change,
    RecordWriter,
    begin_folder,
    count_records,
    finish_folder,
    gather,
    read_records,
    read_shard,
    shards_of,
)

#: Where shards lie after the first pass, what was found to repeat, and the shards after the second pass: work that is
#: cut off goes on with those that are done.
WORK, REPEATS, KEPT = (f"{CHECKPOINTS}/step-{name}" for name in ("shards", "repeats", "kept"))


@dataclass
class Cleaned:
    """The records that are left, and the account in memory."""

    records: list[Record] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def count(self, action: str) -> Counter[str]:
        """Return how many records each step has dropped, changed or warned of."""
        return Counter(change.step for change in self.changes if change.action == action)


def clean(records: Iterable[Record], config: CleanConfig, perplexity: Perplexity | None = None) -> Cleaned:
    """Clean records in memory.

    Raises:
        ConfigError, MissingDependency: as `steps_of`.
    """
    steps = steps_of(config, perplexity)
    result = Cleaned()
    alone: list[Record] = []
    for record in records:
        kept, changes = clean_record(record, steps)
        result.changes += changes
        if kept is not None:
            alone.append(kept)
    for kept, changes in find_in_memory(alone, config.duplicates).leave_out(alone):
        result.changes += changes
        if kept is not None:
            result.records.append(kept)
    return result


def clean_folder(
    source: Path,
    out: Path,
    config: CleanConfig,
    perplexity: Perplexity | None = None,
    told: Callable[[int, int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> tuple[Counter[str], Account]:
    """Clean the records of a folder into another one; return counts by kind and the account.

    Three passes, each over all cores or a cluster: the steps over each shard, with the keys of what may repeat; the
    keys of all shards together (`mynah.data.dedup.repeats`); the shards again without what repeats. A shard or a
    range of keys that is done stays done if the work is cut off: it is found again in `out`.

    Args:
        source: a folder of shards.
        out: where to write shards and `dropped.parquet`.
        config: which steps.
        perplexity: a model's judgement; can be pickled if there are several workers.
        told: is called with the number of shards that are done and of all, over the passes.
        engine: where it runs.

    Raises:
        ConfigError, MissingDependency: as `steps_of`.
        ArtifactError: if the records are damaged or cannot be written.
    """
    steps_of(config, perplexity)  # a wrong setting is told before the work begins
    shards = shards_of(source)
    work = [out / WORK / f"{number:05}" for number in range(len(shards))]
    kept = [out / KEPT / f"{number:05}" for number in range(len(shards))]
    repeats = config.duplicates.any
    total = len(shards) * (1 + repeats)

    def tell(done: int) -> None:
        if told is not None:
            told(done, total)

    settings = config.model_dump(mode="json")
    tasks: list[Task] = [
        {"shard": str(shard), "out": str(folder), "config": settings}
        for shard, folder in zip(shards, work, strict=True)
    ]
    _run(partial(clean_task, perplexity=perplexity), tasks, engine.workers, engine.ray, tell)
    if repeats:
        starts = starts_of(map(count_records, work))
        if not (out / REPEATS / "found").is_dir():
            partial_folder = begin_folder(out / REPEATS / "found")
            _find_repeats(work, starts, out / REPEATS, config.duplicates, engine).save(partial_folder)
            finish_folder(partial_folder, out / REPEATS / "found")
        tasks = [
            {"cleaned": str(cleaned), "start": start, "repeats": str(out / REPEATS / "found"), "out": str(folder)}
            for cleaned, start, folder in zip(work, starts, kept, strict=True)
        ]  # fmt: skip
        workers = engine.workers if len(shards) >= LIGHT_TASKS else 1
        _run(leave_out_task, tasks, workers, engine.ray, lambda done: tell(len(shards) + done))
    with Account(out) as account:
        for first, second in zip(work, kept, strict=True):
            account.take(first)
            if repeats:
                account.take(second)
    return gather(kept if repeats else work, out), account


def _run(
    task: Callable[[Task], Task],
    tasks: Sequence[Task],
    workers: int,
    ray: str | None,
    tell: Callable[[int], None],
) -> None:
    """Run the tasks whose folders are not there yet."""
    left = [given for given in tasks if not Path(given["out"]).is_dir()]
    for done, _ in enumerate(run_tasks(task, left, workers, ray), start=len(tasks) - len(left) + 1):
        tell(done)


def _find_repeats(
    shards: Sequence[Path], starts: Sequence[int], out: Path, config: DuplicateConfig, engine: EngineConfig
) -> Repeats:
    return Repeats.find(
        config,
        lambda name, how: group(shards, name, starts, how, out / name, engine.workers, engine.ray),
    )


def clean_task(task: Task, perplexity: Perplexity | None = None) -> Task:
    """Clean one shard, wherever this runs."""
    out = Path(task["out"])
    if not out.is_dir():
        clean_shard(Path(task["shard"]), out, CleanConfig.model_validate(task["config"]), perplexity)
    return {"out": task["out"]}


def clean_shard(shard: Path, out: Path, config: CleanConfig, perplexity: Perplexity | None = None) -> None:
    """Run the steps over one shard into a folder of its own, which appears when it is whole."""
    steps = steps_of(config, perplexity)
    keys = KeysOf(config.duplicates)
    partial_folder = begin_folder(out)
    with RecordWriter(partial_folder) as writer, Account(partial_folder) as account:
        for record in read_shard(shard):
            kept, changes = clean_record(record, steps)
            for change in changes:
                account.note(change)
            if kept is not None:
                writer.write(kept)
                keys.add(kept)
    for name, (found, rows) in keys.found().items():
        write_keys(partial_folder, name, found, rows)
    finish_folder(partial_folder, out)


def leave_out_task(task: Task) -> Task:
    """Leave the repeats out of one cleaned shard, wherever this runs."""
    out = Path(task["out"])
    if not out.is_dir():
        source = Path(task["cleaned"])
        repeats = Repeats.open(Path(task["repeats"])).part(task["start"], count_records(source))
        partial_folder = begin_folder(out)
        with RecordWriter(partial_folder) as writer, Account(partial_folder) as account:
            for record, changes in repeats.leave_out(read_records(source)):
                for change in changes:
                    account.note(change)
                if record is not None:
                    writer.write(record)
        finish_folder(partial_folder, out)
    return {"out": task["out"]}
