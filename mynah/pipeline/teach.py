"""Teach a run what to answer, or take it back, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.answers.teach import open_known, read_taught, taken_back, write_known
from mynah.config import build_config
from mynah.data.clean.run import clean
from mynah.data.collect.collector import collect
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.records import Conversation, Message, Record
from mynah.data.sources import CollectConfig
from mynah.errors import ArtifactError, DataError
from mynah.pipeline.answer_stage import INDEX
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import find_run, open_run, recipe_of
from mynah.retrieval.exchanges import exchanges_of
from mynah.stages import RunPaths

#: Where what is taught on the command line is said to stand.
TAUGHT = "taught"


@dataclass(frozen=True)
class Told:
    """What was done."""

    taught: int
    removed: int
    #: exchanges that are answered from now
    known: int
    #: where corrections of what the bot stated before are kept as preferences; None: there was none now
    corrections: Path | None = None


def teach_run(
    run: Path | str,
    sources: Sequence[str | Path] = (),
    pairs: Sequence[tuple[str, str]] = (),
    remove: Sequence[str] = (),
    remove_speakers: Sequence[str] = (),
    reading: dict[str, Any] | None = None,
) -> Told:
    """Add exchanges to what a run answers from, and take others out of it.

    Args:
        run: of `mynah build`.
        sources: files with replies, read as a build reads them and cleaned as this one's were.
        pairs: (question, reply).
        remove: places, "FILE:LINE", of replies that are no longer given.
        remove_speakers: names; nothing that these people took part in is answered from.
        reading: settings of [collect] for `sources`.

    Raises:
        DataError: if the sources hold no reply, or nothing stands at a place or was said by a name.
        ArtifactError: if it is no run that answers from a log, or it cannot be written.
    """
    directory = find_run(run)
    paths, recipe = RunPaths(directory), recipe_of(directory)
    if not can_answer(directory):
        raise ArtifactError(f"{directory}: has no log to answer from; run the same mynah build again")
    records: list[Record] = [
        Conversation((Message("user", asked), Message("assistant", said, "", _now())), f"{TAUGHT}:{number}")
        for number, (asked, said) in enumerate(pairs, start=_next(paths))
    ]
    if sources:
        config = build_config(CollectConfig, reading or {}, "settings")
        records += collect(list(sources), config).records
    cleaning = recipe.clean.model_copy(update={"duplicates": DuplicateConfig(exact=False)})
    typed = clean(records[: len(pairs)], cleaning).records  # as they are kept everywhere else
    corrected = [found for row in typed if (found := _corrected(directory, *row.texts)) is not None]
    exchanges = list(exchanges_of(clean(records, cleaning).records))
    if records and not exchanges:
        raise DataError("no reply found to teach; expected questions with replies, as mynah build reads them")
    with artifacts.locked(directory):
        before = open_known(paths.answers, paths.answers / INDEX, paths.taught)
        gone = taken_back(before.index, remove, remove_speakers)
        _check_found(remove, {e.place for e in gone}, "no reply of what it answers from stands there")
        _check_found(remove_speakers, {n for e in gone for n in e.names}, "nobody of that name takes part")
        what = read_taught(paths.taught).without(remove, remove_speakers).with_more(exchanges)
        known = write_known(paths.answers, paths.answers / INDEX, paths.taught, what)
        kept = paths.corrections
        if gone:
            _forget(kept, {exchange.reply for exchange in gone}, {exchange.place for exchange in gone})
        for row in corrected:
            artifacts.append(kept, (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))
    return Told(len(exchanges), len(gone), known, kept if corrected else None)


def _corrected(directory: Path, question: str, reply: str) -> dict[str, Any] | None:
    """Return what the bot says now beside what it is taught, as a preference; None if it states nothing else."""
    said = open_answers(directory, open_run(directory)).reply(question)
    if said.handed_over or said.kind not in ("log", "network") or said.text.strip() == reply.strip():
        return None
    places = [source.place for source in said.sources]
    return {"prompt": question, "chosen": reply, "rejected": said.text, "places": places}


def _forget(path: Path, replies: set[str], places: set[str]) -> None:
    """Take corrections out that hold replies which are taken back, or rest on where these stand."""
    if not path.is_file():
        return
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    left = [
        row
        for row in rows
        if not replies & {row["chosen"], row["rejected"]} and not places & set(row["places"])
    ]
    artifacts.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in left))


def _check_found(asked: Sequence[str], found: set[str], wrong: str) -> None:
    for name in asked:
        if name not in found:
            raise DataError(f"{name}: {wrong}; mynah chat --sources shows places")


def _next(paths: RunPaths) -> int:
    """Return the number of the next pair that is taught by itself."""
    numbers = [
        int(place.rpartition(":")[2])
        for place in (exchange.place for exchange in read_taught(paths.taught).exchanges)
        if place.startswith(f"{TAUGHT}:")
    ]
    return max(numbers, default=0) + 1


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
