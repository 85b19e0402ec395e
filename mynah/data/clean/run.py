"""Clean a folder of records: every record by itself, shard by shard, then what only all of them can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mynah.artifacts import CHECKPOINTS
from mynah.data.clean.config import CleanConfig, DuplicateConfig, EngineConfig
from mynah.data.clean.duplicates import (
    BATCH,
    LineCounts,
    ReplyCap,
    clusters,
    short_fingerprint,
    signatures,
)
from mynah.data.clean.steps import Perplexity, clean_record, drop_empty, steps_of
from mynah.data.engine import Task, run_tasks
from mynah.data.records import Document, Labelled, Record
from mynah.data.store import (
    Account,
    Change,
    RecordWriter,
    begin_folder,
    finish_folder,
    read_changes,
    read_records,
    read_shard,
    shards_of,
)

#: Where shards lie between the two passes: work that is cut off goes on with those that are done.
WORK = f"{CHECKPOINTS}/step-shards"


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
    for kept, changes in _together(lambda: iter(alone), config.duplicates):
        result.changes += changes
        if kept is not None:
            result.records.append(kept)
    return result


def clean_folder(
    source: Path,
    out: Path,
    config: CleanConfig,
    perplexity: Perplexity | None = None,
    told: Callable[[int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> tuple[Counter[str], Account]:
    """Clean the records of a folder into another one; return counts by kind and the account.

    A shard that is done stays done if the work is cut off: it is found again in `out`.

    Args:
        source: a folder of shards.
        out: where to write shards and `dropped.parquet`.
        config: which steps.
        perplexity: a model's judgement, for `quality.max_perplexity`.
        told: is called with the number of shards that are done after each.
        engine: where the first pass runs.

    Raises:
        ConfigError, MissingDependency: as `steps_of`.
        ArtifactError: if the records are damaged or cannot be written.
    """
    steps_of(config, perplexity)  # a wrong setting is told before the work begins
    work = out / WORK
    shards = shards_of(source)
    folders = [work / f"{number:05}" for number in range(len(shards))]
    left = [(shard, folder) for shard, folder in zip(shards, folders, strict=True) if not folder.is_dir()]
    if perplexity is not None:  # a model does not travel to other processes
        for shard, folder in left:
            clean_shard(shard, folder, config, perplexity)
    else:
        settings = config.model_dump(mode="json")
        tasks = [{"shard": str(shard), "out": str(folder), "config": settings} for shard, folder in left]
        before = len(shards) - len(left)
        for done, _ in enumerate(run_tasks(clean_task, tasks, engine.workers, engine.ray), start=before + 1):
            if told is not None:
                told(done)

    def alone() -> Iterator[Record]:
        for folder in folders:
            yield from read_records(folder)

    with RecordWriter(out) as writer, Account(out) as account:
        for folder in folders:
            for change in read_changes(folder):
                account.note(change)
        for kept, changes in _together(alone, config.duplicates):
            for change in changes:
                account.note(change)
            if kept is not None:
                writer.write(kept)
    return writer.counts, account


def clean_task(task: Task) -> Task:
    """Clean one shard, wherever this runs."""
    out = Path(task["out"])
    if not out.is_dir():
        clean_shard(Path(task["shard"]), out, CleanConfig.model_validate(task["config"]))
    return {"out": task["out"]}


def clean_shard(shard: Path, out: Path, config: CleanConfig, perplexity: Perplexity | None = None) -> None:
    """Run the steps over one shard into a folder of its own, which appears when it is whole."""
    steps = steps_of(config, perplexity)
    partial = begin_folder(out)
    with RecordWriter(partial) as writer, Account(partial) as account:
        for record in read_shard(shard):
            kept, changes = clean_record(record, steps)
            for change in changes:
                account.note(change)
            if kept is not None:
                writer.write(kept)
    finish_folder(partial, out)


def _together(
    walk: Callable[[], Iterator[Record]], config: DuplicateConfig
) -> Iterator[tuple[Record | None, list[Change]]]:
    """Drop repeats; `walk` goes over all records in order, and again for each kind of repeat that needs it."""
    lines = _count_lines(walk()) if config.lines is not None else None
    first = find_alike(walk(), config) if config.near else None
    # The same text of another class is no repeat; where nothing is labelled, nothing is remembered.
    labels = {n: label_of(r) for n, r in enumerate(walk()) if isinstance(r, Labelled)} if config.near else {}
    seen: set[int] = set()
    cap = ReplyCap(config.replies) if config.replies is not None else None
    for number, record in enumerate(walk()):
        if config.exact:
            key = short_fingerprint(record)
            if key in seen:
                yield None, [Change("dropped", "duplicates", "equal to an earlier record", record.place)]
                continue
            seen.add(key)
        if (
            first is not None
            and first[number] != number
            and labels.get(int(first[number])) == label_of(record)
        ):
            yield None, [Change("dropped", "duplicates", "nearly equal to an earlier record", record.place)]
            continue
        if cap is not None and cap.too_many(record):
            yield None, [Change("dropped", "duplicates", "a reply that was kept often enough", record.place)]
            continue
        changes: list[Change] = []
        if lines is not None and config.lines is not None and isinstance(record, Document):
            shorter = lines.without_common(record.text, config.lines)
            if shorter != record.text:
                record = replace(record, text=shorter)
                changes.append(Change("changed", "duplicates", "lines of many documents", record.place))
                if drop_empty(record)[1]:
                    yield (
                        None,
                        [
                            Change(
                                "dropped", "duplicates", "nothing but lines of many documents", record.place
                            )
                        ],
                    )
                    continue
        yield record, changes


def label_of(record: Record) -> str | None:
    """Return the class of a labelled text."""
    return record.label if isinstance(record, Labelled) else None


def _count_lines(records: Iterable[Record]) -> LineCounts:
    counts = LineCounts()
    for record in records:
        if isinstance(record, Document):
            counts.add(record.text)
    return counts


def find_alike(
    records: Iterable[Record],
    config: DuplicateConfig,
    text_of: Callable[[Record], str] = lambda record: "\n".join(record.texts),
) -> npt.NDArray[np.int64]:
    """Return (N,) int64: for each record the first one whose text is nearly the same; itself if there is none."""
    found: list[npt.NDArray[np.uint64]] = []
    batch: list[str] = []
    for record in records:
        batch.append(text_of(record))
        if len(batch) == BATCH:
            found.append(signatures(batch, config))
            batch = []
    found.append(signatures(batch, config))
    return clusters(np.concatenate(found))
