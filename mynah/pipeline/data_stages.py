"""The stages that make clean, split records of sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mynah.artifacts import Manifest
from mynah.data.sources import read_sources
from mynah.data.split.split import SplitCounts, split_folder
from mynah.data.store import DROPPED
from mynah.pipeline.data_folders import clean_into, collect_into, hashes_of, judges_of, told_of
from mynah.pipeline.stage import Build, Counts, Stage

#: Sources that are described one by one.
SHOWN = 8


def _collect(build: Build, out: Path) -> Counts:
    recipe = build.recipe
    return collect_into(out, build.sources, recipe.collect, build.ask, engine=recipe.engine)


def _say_collected(build: Build, manifest: Manifest) -> Iterator[str]:
    folder = build.paths.stage("collect")
    sources, left_out = read_sources(folder)
    for source in sources[:SHOWN]:
        yield source.describe()
    for warning in [told for source in sources for told in source.describe_warnings()][:SHOWN]:
        yield f"! {warning}"
    if len(sources) > SHOWN:
        yield f"... and {len(sources) - SHOWN} sources more"
    for name, reason in left_out[:SHOWN]:
        yield f"passed over: {name}: {reason}"
    if manifest.counts["rejected"]:
        yield f"{manifest.counts['rejected']:,} rows rejected, listed in {folder / DROPPED}"


def _clean(build: Build, out: Path) -> Counts:
    return clean_into(build.paths.stage("collect"), out, build.recipe.clean, engine=build.recipe.engine)


def _say_cleaned(build: Build, manifest: Manifest) -> Iterator[str]:
    dropped = told_of(manifest.counts["dropped"])
    told = f"; dropped: {dropped}" if dropped else ""
    yield f"{manifest.counts['kept']:,} records kept{told}"
    if build.recipe.clean.stop_words:
        yield "stop words are removed: the bot will not write whole sentences"


def _split(build: Build, out: Path) -> Counts:
    recipe = build.recipe
    return asdict(split_folder(build.paths.stage("clean"), out, recipe.split, recipe.seed, recipe.engine))


def _say_split(build: Build, manifest: Manifest) -> Iterator[str]:
    yield SplitCounts(**manifest.counts).describe()


COLLECT = Stage(
    "collect",
    "reading the input",
    _collect,
    settings=lambda build: build.recipe.collect.model_dump(mode="json"),
    files=lambda build: hashes_of(build.sources),
    say=_say_collected,
)
CLEAN = Stage(
    "clean",
    "cleaning",
    _clean,
    needs=("collect",),
    settings=lambda build: build.recipe.clean.model_dump(mode="json"),
    files=lambda build: judges_of(build.recipe.clean),
    say=_say_cleaned,
)
SPLIT = Stage(
    "split",
    "holding a part out",
    _split,
    needs=("clean",),
    settings=lambda build: build.recipe.split.model_dump(mode="json"),
    files=lambda build: hashes_of([Path(path) for path in build.recipe.split.decontaminate]),
    say=_say_split,
    seeded=True,
)
