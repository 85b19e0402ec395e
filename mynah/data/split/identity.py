"""What each record is known by before records are set apart: a place by hash, its time, what it shares with others.

One pass over the shards, in several processes where there are many; some 40 bytes a record are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.data.collect.collector import collect
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.dedup.duplicates import (
    BATCH,
    band_keys,
    fingerprint,
    key_of,
    keys_and_rows,
    short_fingerprint,
)
from mynah.data.dedup.repeats import Keys, Rows, group, join, joined, starts_of, write_keys
from mynah.data.engine import LIGHT_TASKS, EngineConfig, Task, run_tasks
from mynah.data.records import Conversation, Labelled, Pair, Preference, Record
from mynah.data.sources import CollectConfig
from mynah.data.split.decontaminate import Overlap
from mynah.data.store import begin_folder, count_in_shard, finish_folder, read_shard

#: What is known of each shard, and what was found of all: work that is cut off goes on with them.
FACTS, SIDES = (f"{artifacts.CHECKPOINTS}/step-{name}" for name in ("facts", "sides"))
#: What records may share: all of their text, nearly all of what is asked, a person who asks.
EQUAL, ALIKE, PERSON = "equal", "alike", "person"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Identities:
    """What is known of each record, (N,) each."""

    #: in [0, 1), from the record's content and the seed alone
    places: Floats
    #: Unix seconds; NaN where it has none
    times: Floats
    contaminated: npt.NDArray[np.bool_]
    named: npt.NDArray[np.bool_]


_FACTS = ("places", "times", "contaminated", "named")


def facts_task(task: Task) -> Task:
    """Find what each record of a shard is known by, wherever this runs."""
    out = Path(task["out"])
    if out.is_dir():
        return {"out": task["out"]}
    overlap = evaluation_text(tuple(map(tuple, task["evaluation"]))) if task["evaluation"] else ()
    facts: dict[str, list[Any]] = {name: [] for name in _FACTS}
    keys: dict[str, list[int]] = {EQUAL: [], PERSON: []}
    rows: dict[str, list[int]] = {EQUAL: [], PERSON: []}
    bands: list[Keys] = []
    texts: list[str] = []
    for row, record in enumerate(read_shard(Path(task["shard"]))):
        contaminated = record in overlap
        names = people(record)
        facts["places"].append(_place(record, task["seed"]))
        facts["times"].append(_time(record))
        facts["contaminated"].append(contaminated)
        facts["named"].append(bool(names))
        if not contaminated:
            keys[EQUAL].append(short_fingerprint(record))
            rows[EQUAL].append(row)
            for name in names:
                keys[PERSON].append(key_of(name))
                rows[PERSON].append(row)
        if task["alike"]:
            texts.append("" if contaminated else asked(record))
            if len(texts) == BATCH:
                bands.append(band_keys(texts, DuplicateConfig()))
                texts = []
    partial_folder = begin_folder(out)
    if task["alike"]:
        bands.append(band_keys(texts, DuplicateConfig()))
        write_keys(partial_folder, ALIKE, *keys_and_rows(np.concatenate(bands)))
    for name, found in keys.items():
        write_keys(
            partial_folder, name, np.array(found, dtype=np.uint64), np.array(rows[name], dtype=np.int64)
        )
    for name, values in facts.items():
        kind = np.float64 if name in ("places", "times") else np.bool_
        np.save(partial_folder / f"{name}.npy", np.array(values, dtype=kind), allow_pickle=False)
    finish_folder(partial_folder, out)
    return {"out": task["out"]}


@lru_cache(maxsize=1)
def evaluation_text(evaluation: tuple[tuple[str, str], ...]) -> Overlap:
    """Return what evaluation files hold; each is given with its hash."""
    records = collect([Path(path) for path, _ in evaluation], CollectConfig()).records
    return Overlap(text for record in records for text in record.texts)


def asked(record: Record) -> str:
    """Return the part of a record by which it is known again: what is asked, or the text."""
    if isinstance(record, Conversation | Preference):
        heard = [m.content for m in record.messages if m.role == "user"]
        return "\n".join(heard) or "\n".join(record.texts)
    if isinstance(record, Labelled):
        return record.text
    return record.source if isinstance(record, Pair) else "\n".join(record.texts)


def people(record: Record) -> set[str]:
    """Return the names of those who ask in a conversation."""
    if not isinstance(record, Conversation):
        return set()
    return {m.name for m in record.messages if m.role == "user" and m.name}


def _place(record: Record, seed: int) -> float:
    digest = hashlib.sha256(seed.to_bytes(8, "big") + fingerprint(record)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _time(record: Record) -> float:
    messages = record.messages if isinstance(record, Conversation | Preference) else ()
    first = next((m.time for m in messages if m.time), "")
    return datetime.fromisoformat(first).timestamp() if first else float("nan")


def identify(
    shards: list[Path],
    out: Path,
    alike: bool,
    seed: int,
    engine: EngineConfig,
    evaluation: tuple[tuple[str, str], ...],
) -> tuple[Identities, Callable[[str], Rows]]:
    """Return what is known of each record, and a function that finds which of them share something.

    Args:
        shards: the records, N in all.
        out: a folder for what is found on the way.
        alike: whether to look for what is nearly the same.
        seed: of the places.
        engine: where it runs.
        evaluation: files whose text no record may hold, each with its SHA-256.

    The function takes EQUAL, ALIKE or PERSON and returns (M, 2) int64: rows that share it with an earlier one, and the
    first of those.
    """
    facts = [out / FACTS / f"{number:05}" for number in range(len(shards))]
    tasks: list[Task] = [
        {"shard": str(shard), "out": str(folder), "alike": alike, "seed": seed, "evaluation": evaluation}
        for shard, folder in zip(shards, facts, strict=True)
    ]
    workers = engine.workers if len(shards) >= LIGHT_TASKS else 1
    for _ in run_tasks(facts_task, tasks, workers, engine.ray):
        pass
    starts = starts_of(map(count_in_shard, shards))

    def sharing(name: str) -> Rows:
        found = group(facts, name, starts, joined, out / SIDES / name, engine.workers, engine.ray)
        return join(found.astype(np.int64).reshape(-1, 2))

    identities = Identities(*(np.concatenate([np.load(f / f"{name}.npy") for f in facts]) for name in _FACTS))
    return identities, sharing
