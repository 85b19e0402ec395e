"""The data stages as folders: collect, clean and split, each filling a directory; builds and commands use the same."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.data.clean.config import CleanConfig
from mynah.data.engine import EngineConfig
from mynah.data.sources import SOURCES, AskSpeaker, CollectConfig, Source, is_url, is_web
from mynah.pipeline.perplexity import RunPerplexity


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
    ask: AskSpeaker | None = None,
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
