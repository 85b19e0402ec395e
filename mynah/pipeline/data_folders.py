"""Collect, clean and split: each fills a directory, of a build or of the user's choice.

The functions whose names end in `_into` fill a directory that somebody else finishes; `collect`, `clean` and `split`
make a finished one, or find that it is done.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.data.clean.config import CleanConfig
from mynah.data.engine import EngineConfig
from mynah.data.sources import SOURCES, Ask, CollectConfig, Source, is_url, is_web
from mynah.data.split.split import SplitConfig, split_folder
from mynah.errors import ConfigError
from mynah.pipeline.perplexity import RunPerplexity
from mynah.stages import Silent, Stages


def hash_of_source(source: Path | str) -> str:
    """Return a SHA-256 over a file, or over the names and contents of a folder's files.

    What a database holds is not known before it is read, so its hash never repeats. A web site is known by its
    address, so that a walk that was cut off goes on; to read it anew, give another folder.
    """
    if is_url(source) and is_web(str(source)):
        return hashlib.sha256(str(source).encode()).hexdigest()
    if is_url(source):
        return hashlib.sha256(f"{source} {time.time_ns()}".encode()).hexdigest()
    path = Path(source)
    if path.is_file():
        return artifacts.sha256_of_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    return artifacts.sha256_of_json(
        [[p.relative_to(path).as_posix(), artifacts.sha256_of_file(p)] for p in files]
    )


def hashes_of(sources: Sequence[Path | str]) -> dict[str, str]:
    """Return number and name -> hash of each source, for a stage's inputs.

    Raises:
        DataError: if one is missing or empty.
    """
    from mynah.data.readers.inputs import check_exists

    for source in sources:
        if not is_url(source):
            check_exists(Path(source))
    return {
        f"{number}:{'url' if is_url(source) else Path(source).name}": hash_of_source(source)
        for number, source in enumerate(sources)
    }


def collect_into(
    out: Path,
    sources: Sequence[Path | str],
    config: CollectConfig,
    ask: Ask | None = None,
    told: Callable[[Source, int, int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> dict[str, Any]:
    """Read sources into a folder of shards, account and `sources.json`; return counts for the manifest.

    Args:
        out: the folder to fill.
        sources: files, folders, URLs.
        config: how to read them.
        ask: who the assistant of a chat is.
        told: is called with each source that has been read, its number and how many there are.
        engine: where many large sources are read.

    Raises:
        DataError, ConfigError: as `Collector`.
    """
    # Here and below: a command loads its own stage only, which is a tenth of a second of each.
    from mynah.data.collect.collector import Collector
    from mynah.data.collect.shards import collect_folder

    collector = Collector(sources, config, ask, cache=out / artifacts.CHECKPOINTS / "step-web")
    counts = collect_folder(collector, sources, out, engine, told)
    artifacts.write_json(
        out / SOURCES,
        {
            "sources": [asdict(source) for source in collector.sources],
            "left_out": [list(item) for item in collector.left_out],
        },
    )
    return {
        "sources": len(collector.sources),
        "left_out": len(collector.left_out),
        "rows": sum(source.rows for source in collector.sources),
        "rejected": sum(source.rejected for source in collector.sources),
        "records": dict(sorted(counts.items())),
    }


def _judge(config: CleanConfig) -> RunPerplexity | None:
    quality = config.quality
    return RunPerplexity(Path(quality.model)) if quality.perplexity != "off" and quality.model else None


def judges_of(config: CleanConfig) -> dict[str, str]:
    """Return the hash of the model that judges texts, if there is one, for the inputs of cleaning.

    Raises:
        ArtifactError: if it is not there or damaged.
    """
    judge = _judge(config)
    return {"perplexity": judge.check()} if judge is not None else {}


def clean_into(
    source: Path,
    out: Path,
    config: CleanConfig,
    told: Callable[[int, int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> dict[str, Any]:
    """Clean a folder of records into another; return counts for the manifest.

    Raises:
        ConfigError, MissingDependency, ArtifactError: as `clean_folder`.
    """
    from mynah.data.clean.run import clean_folder

    records, account = clean_folder(source, out, config, _judge(config), told, engine)
    reasons: dict[str, dict[str, dict[str, int]]] = {"dropped": {}, "changed": {}, "warned": {}}
    for (action, step, reason), count in sorted(account.counts.items()):
        reasons[action].setdefault(step, {})[reason] = count
    return {
        "kept": records.total(),
        "records": dict(sorted(records.items())),
        **{action: account.by_step(action) for action in reasons},
        "reasons": reasons,
    }


def told_of(counts: dict[str, int]) -> str:
    """Return counts as words: "3 email, 1 phone"."""
    return ", ".join(f"{count:,} {name}" for name, count in Counter(counts).most_common())


def collect(
    sources: Sequence[Path | str],
    out: Path | str,
    config: CollectConfig = CollectConfig(),
    *,
    ask: Ask | None = None,
    told: Callable[[Source, int, int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> Made:
    """Read sources of any kind into a folder of records.

    Args:
        sources: files, folders, archives, URLs.
        out: the folder to make; one that the same sources and settings gave is left as it is.
        config: how to read them.
        ask: who the assistant of a chat is, where nothing says so.
        told: is called with each source that has been read, its number and how many there are.
        engine: where many large sources are read.

    Raises:
        DataError: if a source is missing, empty or cannot be understood.
        ConfigError: if `out` holds something else.
        ArtifactError: if it cannot be written.
    """
    places = [source if is_url(source) else Path(source) for source in sources]
    settings, inputs = config.model_dump(mode="json"), hashes_of(places)
    return _made(
        "collect",
        out,
        settings,
        inputs,
        lambda folder: collect_into(folder, places, config, ask, told, engine),
    )


def clean(
    folder: Path | str,
    out: Path | str,
    config: CleanConfig = CleanConfig(),
    *,
    told: Callable[[int, int], None] | None = None,
    engine: EngineConfig = EngineConfig(),
) -> Made:
    """Clean a folder of records into another; what is dropped or changed is listed there with step, reason and place.

    Args:
        folder: what `collect` made.
        out: the folder to make.
        config: the steps.
        told: is called with how many shards are done, and how many there are.
        engine: where the work runs.

    Raises:
        ConfigError: if `out` holds something else.
        MissingDependency: if a step needs what is not installed.
        ArtifactError: if the records are missing or damaged, or `out` cannot be written.
    """
    source = Path(folder)
    inputs = {"records": artifacts.read_manifest(source).output, **judges_of(config)}

    def work(partial: Path) -> dict[str, Any]:
        return {"source": str(source.resolve()), **clean_into(source, partial, config, told, engine)}

    return _made("clean", out, config.model_dump(mode="json"), inputs, work)


def split(
    folder: Path | str,
    out: Path | str,
    config: SplitConfig = SplitConfig(),
    *,
    seed: int = 0,
    engine: EngineConfig = EngineConfig(),
) -> Made:
    """Split a folder of records into `train` and `held_out`, so that nothing alike stands on both sides.

    Args:
        folder: what `collect` or `clean` made.
        out: the folder to make.
        config: what is held out, and how much.
        seed: another one holds out other records.
        engine: where the work runs.

    Raises:
        DataError: if there is too little to split.
        ConfigError: if `out` holds something else.
        ArtifactError: if the records are missing or damaged, or `out` cannot be written.
    """
    source = Path(folder)
    inputs = {
        "records": artifacts.read_manifest(source).output,
        **hashes_of([Path(path) for path in config.decontaminate]),
    }

    def work(partial: Path) -> dict[str, Any]:
        return asdict(split_folder(source, partial, config, seed, engine))

    return _made("split", out, config.model_dump(mode="json"), inputs, work, seed)


@dataclass(frozen=True)
class Made:
    """A folder that a stage has made."""

    folder: Path
    #: what its manifest counts
    counts: dict[str, Any]
    #: "done" if it was there already, "again" if it took the place of an earlier one, else "new"
    state: str


def _made(
    name: str,
    out: Path | str,
    settings: dict[str, Any],
    inputs: dict[str, str],
    work: Callable[[Path], dict[str, Any]],
    seed: int | None = None,
) -> Made:
    """Run one stage into a folder of the user's choice."""
    out = Path(out).resolve()
    there = (out / artifacts.MANIFEST).is_file()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        made = there and artifacts.read_manifest(out, verify=False).stage
        if made != name:
            what = f"was made by mynah {made}" if made else "is not empty and was not made by mynah"
            raise ConfigError(f"{out}: {what}; give another --out")
    stages = Stages(out.parent, seed or 0, Silent())
    with artifacts.locked(out.parent, f".{out.name}.lock", "another --out", remove=True):
        counts = stages.run(name, settings, inputs, work, folder=out.name, seeded=seed is not None).counts
    return Made(out, counts, "done" if not stages.ran else "again" if there else "new")
