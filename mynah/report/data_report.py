"""`report.html` and `report.json` about a folder of records, or about the data of a build."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from mynah import __version__, artifacts
from mynah.data.sources import SOURCES, read_sources
from mynah.data.store import DROPPED
from mynah.data.summary.summary import examples, summarise
from mynah.errors import ArtifactError
from mynah.report.data_page import sections
from mynah.report.data_words import say
from mynah.report.style import page

#: Records that are shown as they are.
SHOWN = 6


def write_data_report(folder: Path, out: Path) -> Path:
    """Write the report of records into a folder; return the page.

    Args:
        folder: what `mynah collect`, `mynah clean` or `mynah build` made.
        out: the folder for `report.html` and `report.json`.

    Raises:
        ArtifactError: if there are no records, or the report cannot be written.
    """
    summary, body = describe_data(folder)
    artifacts.write_json(out / "report.json", summary)
    name = html.escape(folder.name)
    artifacts.write_text(
        out / "report.html",
        page(name, f"<h1>{name}: {say('title')}</h1>{body}<p><small>Mynah {__version__}</small></p>"),
    )
    return out / "report.html"


def describe_data(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the summary of records, for JSON, and the sections of the page.

    Raises:
        ArtifactError: if there are no records.
    """
    collected, cleaned = _stages(folder)
    records = cleaned or collected
    if records is None:
        what = (
            "is a file" if folder.is_file() else "no records in it" if folder.exists() else "no such folder"
        )
        raise ArtifactError(f"{folder}: {what}; expected a folder that mynah collect or clean made")
    split = folder / "split"
    places = {"collect": collected, "clean": cleaned, "split": split if (split / DROPPED).is_file() else None}
    accounts = {name: place for name, place in places.items() if place is not None}
    before = collected if cleaned is not None else None
    summary = summarise(records, accounts, before)
    sources, left_out = read_sources(collected) if collected is not None else ([], [])
    return summary, sections(summary, sources, left_out, examples(records, SHOWN))


def _stages(folder: Path) -> tuple[Path | None, Path | None]:
    """Return the folders of what was collected and of what was cleaned, as far as they are there."""
    if (folder / "collect").is_dir():  # a run
        cleaned = folder / "clean"
        return folder / "collect", cleaned if cleaned.is_dir() else None
    if not any(folder.glob("part-*.parquet")):
        return None, None
    if (folder / SOURCES).is_file():
        return folder, None
    source = artifacts.read_manifest(folder).counts.get("source")
    collected = Path(source) if source else None
    # The account and the sources are told if what was cleaned is still where it was.
    return (collected if collected is not None and (collected / SOURCES).is_file() else None), folder
