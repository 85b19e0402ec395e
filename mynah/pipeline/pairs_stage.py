"""The stage that turns pairs into questions and replies: which way they are translated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import Conversation, Pair, Record
from mynah.data.store import read_records, write_records
from mynah.errors import DataError
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.tune.translate.directions import Direction, as_conversations, directions_of
from mynah.tune.translate.glossary import Glossary

#: Beside the records of the stage, and in the folder of `translate`: with another glossary nothing is trained again.
DIRECTIONS, GLOSSARY = "directions.json", "glossary.json"
PARTS = ("train", "held_out")


def is_paired(records: Sequence[Record]) -> bool:
    """Whether records are texts and their translations: at least four of five."""
    pairs = sum(isinstance(record, Pair) for record in records)
    return pairs > 0 and 5 * pairs >= 4 * len(records)


def read_pairs(build: Build, part: str) -> list[Pair]:
    """Return the pairs of a part as they were split."""
    return [pair for row in read_records(build.paths.records_of(part)) if (pair := _as_pair(row)) is not None]


def _as_pair(record: Record) -> Pair | None:
    """Return a pair; a question with its reply is one too, where somebody asked for a translator of such a file."""
    if isinstance(record, Pair):
        return record
    if isinstance(record, Conversation) and [m.role for m in record.messages] == ["user", "assistant"]:
        asked, said = record.texts
        return Pair(asked, said, record.place)
    return None


def _pairs(build: Build, out: Path) -> Counts:
    given = read_pairs(build, "train")
    if not given:
        raise DataError(
            "no text and translation in any row: expected two columns, or two files with as many lines; which columns: "
            "--question-column SOURCE --answer-column TARGET"
        )
    settings = build.recipe.translate
    directions = directions_of(given, settings.directions, told=build.base is not None)
    artifacts.write_json(out / DIRECTIONS, [direction.to_json() for direction in directions])
    counts: Counts = {}
    for part, rows in zip(PARTS, (given, read_pairs(build, "held_out")), strict=True):
        write_records(out / part, as_conversations(rows, directions))
        counts[part] = len(rows)
    return counts


def directions_in(folder: Path) -> tuple[Direction, ...]:
    """Return the directions that the stage `pairs` wrote."""
    return tuple(Direction(**value) for value in artifacts.read_json(folder / DIRECTIONS))


def glossary_in(folder: Path) -> Glossary:
    """Return the glossary that the stage `translate` kept, of the first texts to the second; none if it has not run."""
    path = folder / GLOSSARY
    if not path.is_file():
        return Glossary()
    return Glossary(tuple((source, target) for source, target in artifacts.read_json(path)))


def _say_pairs(build: Build, manifest: Manifest) -> Iterator[str]:
    directions = directions_in(build.paths.pairs)
    both = "" if len(directions) > 1 else " (both ways: --set translate.directions=both)"
    yield f"{manifest.counts['train']:,} pairs: {' and '.join(d.describe() for d in directions)}{both}"


PAIRS = Stage(
    "pairs",
    "finding out which way to translate",
    _pairs,
    needs=("split",),
    settings=lambda build: {
        "directions": build.recipe.translate.directions,
        "told": build.base is not None,
    },
    say=_say_pairs,
    wanted=lambda build: build.task == "translate",
)
