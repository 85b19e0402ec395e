"""What stands more than once in many shards, in bounded memory: keys sorted in each shard, grouped range by range.

A key is a 64-bit hash of what may repeat (a record, a band of its MinHash signature, a line, a reply), kept with the
row that has it. Each shard's keys lie sorted in a file of their own. Equal keys of all shards meet by cutting the space
of keys into ranges: a task takes one range, finds its slice in each file by binary search, and sorts no more than that.
So the number of keys is bounded by the disk, and ranges run on all cores or a cluster as shards do. That any two of n
different things share a key has a chance of n^2 / 2^65: 3 in a million for 10 million.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.data.engine import Task, run_tasks

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
#: Takes (K,) keys in order and their (K,) rows, ascending where keys are equal; returns any array.
Group = Callable[[Keys, Rows], npt.NDArray[np.generic]]

#: Keys that one task sorts: about 250 MB with what sorting needs.
RANGE_KEYS = 4_000_000


def in_order(keys: Keys, rows: Rows) -> tuple[Keys, Rows]:
    """Return keys and rows sorted by key, then row.

    Args:
        keys: (K,) uint64.
        rows: (K,) int64, ascending.
    """
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


def joined(keys: Keys, rows: Rows) -> Rows:
    """Return (M, 2) int64: each row that shares a key with an earlier one, and the first of those it is joined to.

    Rows are joined through others, too. Both columns are row numbers; the first is sorted.
    """
    equal = np.flatnonzero(keys[1:] == keys[:-1])
    return join(np.stack([rows[equal + 1], rows[equal]], axis=1))


def join(links: Rows) -> Rows:
    """Return (M, 2) int64 as `joined` does, for (L, 2) int64 links between rows.

    Every row points to a lower one of its group, and pointers are shortened until nothing moves: Shiloach and
    Vishkin 1982, "An O(log n) parallel connectivity algorithm".
    """
    members, flat = np.unique(links, return_inverse=True)
    pairs = flat.reshape(-1, 2)
    parent = np.arange(len(members))
    while True:
        ends = parent[pairs]
        low, high = ends.min(axis=1), ends.max(axis=1)
        if (low == high).all():
            break
        np.minimum.at(parent, high, low)
        while (further := parent[parent]).tobytes() != parent.tobytes():
            parent = further
    moved = np.flatnonzero(parent != np.arange(len(members)))
    return np.stack([members[moved], members[parent[moved]]], axis=1)


def common(keys: Keys, rows: Rows, most: int, without: Rows) -> Keys:
    """Return the keys that more than `most` rows have, sorted; the rows of `without` (sorted) do not count."""
    found, counts = np.unique(keys[~is_in(rows, without)], return_counts=True)
    return found[counts > most]


def beyond(keys: Keys, rows: Rows, most: int, without: Rows) -> Rows:
    """Return a row for each key of it that `most` earlier rows have; the rows of `without` (sorted) do not count."""
    counted = ~is_in(rows, without)
    keys, rows = keys[counted], rows[counted]
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first)
    rank = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    return rows[rank >= most]


def is_in(values: npt.NDArray[np.integer], known: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return (K,) bool: which values stand in a sorted array."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    place = np.searchsorted(known, values)
    place[place == len(known)] = 0
    return np.asarray(known[place] == values)


def write_keys(folder: Path, name: str, keys: Keys, rows: Rows) -> None:
    """Write a shard's keys, sorted, as `<name>.npy`, and their rows, counted from the shard's first, beside them."""
    keys, rows = in_order(keys, rows)
    np.save(folder / f"{name}.npy", keys, allow_pickle=False)
    np.save(folder / f"{name}-rows.npy", rows.astype(np.uint32), allow_pickle=False)


def _open(folder: Path, name: str) -> npt.NDArray[Any]:
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def read_range(
    folders: Sequence[Path], name: str, starts: Sequence[int], low: int, high: int
) -> tuple[Keys, Rows]:
    """Return the keys from `low` up to and with `high` of all shards, in order, and their rows, counted over all.

    Args:
        folders: where the shards' keys lie.
        name: of the keys.
        starts: the number of each shard's first row.
        low, high: bounds, 0 to 2^64 - 1.
    """
    keys, rows = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
    for folder, start in zip(folders, starts, strict=True):
        sorted_keys = _open(folder, name)
        begin = int(np.searchsorted(sorted_keys, np.uint64(low), "left"))
        end = int(np.searchsorted(sorted_keys, np.uint64(high), "right"))
        keys.append(np.array(sorted_keys[begin:end]))
        rows.append(_open(folder, f"{name}-rows")[begin:end].astype(np.int64) + start)
    return in_order(np.concatenate(keys), np.concatenate(rows))


def group(
    folders: Sequence[Path],
    name: str,
    starts: Sequence[int],
    how: Group,
    out: Path,
    workers: int = 1,
    ray: str | None = None,
) -> npt.NDArray[np.generic]:
    """Return what `how` finds in each range of the keys of all shards, one after the other.

    Args:
        folders: where the shards' keys lie.
        name: of the keys.
        starts: the number of each shard's first row.
        how: a function of a module, or a `partial` of one.
        out: a folder for the ranges that are done.
        workers, ray: as `run_tasks`.
    """
    total = sum(len(_open(folder, name)) for folder in folders)
    count = max(1, -(-total // RANGE_KEYS))
    bounds = [(number << 64) // count for number in range(count + 1)]
    out.mkdir(parents=True, exist_ok=True)
    places = [str(folder) for folder in folders]
    tasks: list[Task] = [
        {
            "folders": places,
            "starts": list(starts),
            "name": name,
            "low": low,
            "high": high - 1,
            "out": str(out / f"{number:05}.npy"),
        }
        for number, (low, high) in enumerate(itertools.pairwise(bounds))
    ]
    for _ in run_tasks(partial(range_task, how), tasks, workers, ray):
        pass
    return np.concatenate([np.load(task["out"], allow_pickle=False) for task in tasks])


def range_task(how: Group, task: Task) -> Task:
    """Look through one range, wherever this runs."""
    out = Path(task["out"])
    if not out.is_file():
        folders = [Path(folder) for folder in task["folders"]]
        found = how(*read_range(folders, task["name"], task["starts"], task["low"], task["high"]))
        with artifacts.replacing(out) as temporary, temporary.open("wb") as file:
            np.save(file, found, allow_pickle=False)
    return {"out": task["out"]}


def starts_of(counts: Iterable[int]) -> list[int]:
    """Return the number of each shard's first row, for the rows of each."""
    return [0, *itertools.accumulate(counts)][:-1]
