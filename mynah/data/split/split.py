"""Hold out a part of the records: by their content, by person or by time; what is alike stays together.

Like cleaning, this goes over the shards twice: once for what each record is known by, once to write the parts. In
between one process decides, with some 40 bytes a record.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mynah import artifacts
from mynah.config import Config
from mynah.data.dedup.repeats import Rows, join, starts_of
from mynah.data.engine import LIGHT_TASKS, EngineConfig, Task, run_tasks
from mynah.data.split.identity import (
    ALIKE,
    EQUAL,
    FACTS,
    PERSON,
    SIDES,
    Floats,
    Identities,
    evaluation_text,
    identify,
)
from mynah.data.store import (
    Account,
    Change,
    RecordWriter,
    begin_folder,
    count_in_shard,
    finish_folder,
    gather,
    read_shard,
    shards_of,
)
from mynah.errors import DataError

#: The parts, and where records of each side are told apart.
TRAIN, HELD_OUT = "train", "held_out"
#: The parts of each shard: work that is cut off goes on with them.
PARTS = f"{artifacts.CHECKPOINTS}/step-parts"
#: Sides of a row: learned from, held out, dropped because it holds evaluation text, or because it is learned from.
_TRAIN, _HELD_OUT, _CONTAMINATED, _LEARNED = range(4)
_REASONS = {
    _CONTAMINATED: ("decontaminate", "13 words in a row of an evaluation file"),
    _LEARNED: ("split", "held out, but equal to a record that is learned from"),
}

Sides = npt.NDArray[np.uint8]


class SplitConfig(Config):
    """What is held out, and how much."""

    held_out: float = Field(0.1, gt=0, lt=0.5, description="share of records held out")
    by: Literal["record", "person", "time"] = Field(
        "record",
        description="record: by its content; person: all of a user's conversations on one side; "
        "time: the latest conversations are held out",
    )
    decontaminate: tuple[str, ...] = Field(
        (), description="evaluation files; records that share 13 words in a row with them are dropped"
    )
    alike: bool = Field(True, description="keep records with nearly the same text on one side")


@dataclass(frozen=True)
class SplitCounts:
    """How many records went where."""

    train: int
    held_out: int
    #: dropped: they share 13 words in a row with an evaluation file
    contaminated: int
    #: dropped: they were to be held out, but equal a record that is learned from
    learned: int
    #: held out because they come with others that are nearly the same
    together: int

    def describe(self) -> str:
        """Say the counts in one line."""
        parts = [f"{self.train:,} to learn from, {self.held_out:,} held out"]
        if self.contaminated:
            parts.append(f"{self.contaminated:,} dropped, they hold evaluation text")
        if self.learned:
            parts.append(f"{self.learned:,} dropped, they equal one that is learned from")
        return "; ".join(parts)


def split_folder(
    source: Path, out: Path, config: SplitConfig, seed: int, engine: EngineConfig = EngineConfig()
) -> SplitCounts:
    """Split a folder of records into the folders `train` and `held_out`, each in the order of the input.

    A group is a record, or all records of a person, with all that are nearly the same (MinHash over what is asked, or
    the text); it is held out by a hash of its first member and the seed, so that added rows never move the others. By
    time, the latest records are held out, and what is nearly the same in the earlier ones goes with them. A record
    that is to be held out and equals one that is learned from is dropped.

    Raises:
        DataError: if there are fewer than two groups, no times or no names to split by, or an evaluation file cannot
        be read.
        ArtifactError: if the records are damaged.
    """
    # A process that lives on must not take another state of the files for this one.
    evaluation = tuple((path, artifacts.sha256_of_file(Path(path))) for path in config.decontaminate)
    if evaluation:
        evaluation_text(evaluation)  # a wrong file is told before the work begins
    shards = shards_of(source)
    starts = starts_of(map(count_in_shard, shards))
    workers = engine.workers if len(shards) >= LIGHT_TASKS else 1
    identities, sharing = identify(shards, out, config.alike, seed, engine, evaluation)
    try:
        sides, together = _decide(identities, _links(sharing, config), config)
    except DataError:  # other records or settings are needed, so nothing here is of use to a later run
        for name in (FACTS, SIDES):
            shutil.rmtree(out / name, ignore_errors=True)
        raise
    _leave_out_learned(sides, sharing(EQUAL))
    np.save(out / SIDES / "sides.npy", sides, allow_pickle=False)
    parts = [out / PARTS / f"{number:05}" for number in range(len(shards))]
    tasks: list[Task] = [
        {"shard": str(shard), "out": str(folder), "sides": str(out / SIDES / "sides.npy"), "start": start}
        for shard, folder, start in zip(shards, parts, starts, strict=True)
    ]
    for _ in run_tasks(part_task, tasks, workers, engine.ray):
        pass
    with Account(out) as account:
        for folder in parts:
            account.take(folder)
    counts = {name: gather([part / name for part in parts], out / name).total() for name in (TRAIN, HELD_OUT)}
    return SplitCounts(
        counts[TRAIN],
        counts[HELD_OUT],
        int((sides == _CONTAMINATED).sum()),
        int((sides == _LEARNED).sum()),
        together,
    )


def fold_folder(
    source: Path,
    work: Path,
    config: SplitConfig,
    seed: int,
    folds: int,
    engine: EngineConfig = EngineConfig(),
) -> Sides:
    """Return a fold for each record of a folder, (N,) uint8: groups are kept together as the split keeps them.

    So a model that was made without a fold knows as little of it as one that was made of all knows of what was held
    out. Members of a group larger than half a fold, which the split never holds out, go their own ways.

    Args:
        source: the folder of records.
        work: a folder for what is found on the way.
        config: how what is held out was chosen; by time, what is alike is kept together and nothing else.
        seed: another than the split's, whose order ends where its share ended.
        folds: 2 to 255.
        engine: where it runs.

    Raises:
        ArtifactError: if the records are damaged.
    """
    identities, sharing = identify(shards_of(source), work, config.alike, seed, engine, ())
    groups = _groups(len(identities.places), _links(sharing, config))
    large = np.bincount(groups)[groups] > max(1.0, 0.5 * len(groups) / folds)
    groups[large] = np.flatnonzero(large)
    return (identities.places[groups] * folds).astype(np.uint8)


def _links(sharing: Callable[[str], Rows], config: SplitConfig) -> Rows:
    """Return the rows that belong together, (M, 2) int64."""
    names = [ALIKE] * config.alike + [PERSON] * (config.by == "person")
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *map(sharing, names)])


def _groups(count: int, links: Rows) -> Rows:
    """Return the first member of each row's group, (N,)."""
    groups = np.arange(count)
    moved, first = join(links).T
    groups[moved] = first
    return groups


def part_task(task: Task) -> Task:
    """Write the parts of one shard, wherever this runs."""
    out = Path(task["out"])
    if out.is_dir():
        return {"out": task["out"]}
    sides = np.load(task["sides"], mmap_mode="r", allow_pickle=False)
    made = begin_folder(out)
    with RecordWriter(made / TRAIN) as train, RecordWriter(made / HELD_OUT) as held, Account(made) as account:
        for row, record in enumerate(read_shard(Path(task["shard"])), start=task["start"]):
            side = int(sides[row])
            if side in _REASONS:
                account.note(Change("dropped", *_REASONS[side], record.place))
            else:
                (train if side == _TRAIN else held).write(record)
    finish_folder(made, out)
    return {"out": task["out"]}


def _decide(identities: Identities, links: Rows, config: SplitConfig) -> tuple[Sides, int]:
    """Return the side of each row, and how many are held out because they belong to others.

    Args:
        identities: of N records.
        links: (M, 2) int64, rows that belong together.
        config: settings.
    """
    count = len(identities.places)
    groups = _groups(count, links)
    usable = ~identities.contaminated
    sizes = np.bincount(groups[usable], minlength=count)
    heads = np.flatnonzero(sizes)
    if len(heads) < 2:
        raise DataError(
            f"only {len(heads)} usable record found after cleaning, at least 2 are needed: "
            "one to learn from and one to hold out; give more rows"
        )
    if config.by == "person" and not (identities.named & usable).any():
        raise DataError(
            "split by person: no conversation says who asks; name the column with --speaker-column, "
            "or split by record"
        )
    # A group larger than half of what is to be held out (everybody who only said hello) is learned from.
    largest = max(1.0, 0.5 * config.held_out * usable.sum(), float(sizes[heads].min()))
    small = heads[sizes[heads] <= largest]
    if config.by == "time":
        held = _latest(identities, groups, small, len(heads), config.held_out)
    else:
        held = _lowest(identities.places, small, len(heads), config.held_out)
    sides = np.where(np.isin(groups, held), _HELD_OUT, _TRAIN).astype(np.uint8)
    sides[identities.contaminated] = _CONTAMINATED
    return sides, int((sizes[held] - 1).sum())


def _lowest(places: Floats, small: Rows, groups: int, share: float) -> Rows:
    """Return the groups whose place is below the share, at least one and not all of them."""
    order = small[np.lexsort((small, places[small]))]
    held = order[places[order] < share]
    if not len(held):  # a small set: hold out its lowest hash
        return order[:1]
    return held[:-1] if len(held) == groups else held


def _latest(identities: Identities, groups: Rows, small: Rows, count: int, share: float) -> Rows:
    """Return the groups of the latest records; records without a time are learned from."""
    timed = np.flatnonzero(~np.isnan(identities.times) & ~identities.contaminated)
    usable = int((~identities.contaminated).sum())
    if len(timed) * 2 < usable:
        raise DataError(
            f"split by time: only {len(timed):,} of {usable:,} records have one; "
            "name the column with --time-column, or split by record"
        )
    order = groups[timed[np.lexsort((timed, identities.times[timed]))]]
    wanted = max(1, round(share * usable))
    held = np.intersect1d(order[-wanted:], small)
    if not len(held):
        held = order[np.isin(order, small)][-1:]
    return held[held != order[0]] if len(held) == count else held


def _leave_out_learned(sides: Sides, equal: Rows) -> None:
    """Mark rows that are to be held out and equal one that is learned from.

    Args:
        sides: (N,), changed in place.
        equal: (M, 2) int64, each row that equals an earlier one and the first of its equals.
    """
    rows, first = equal.T
    learned = np.union1d(first[sides[rows] == _TRAIN], first[sides[first] == _TRAIN])
    for members in (rows[np.isin(first, learned)], np.intersect1d(first, learned)):
        sides[members[sides[members] == _HELD_OUT]] = _LEARNED
