"""Write the page of a finished run anew, from what its stages left there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.pipeline.open_run import recipe_of
from mynah.report.class_report import write_class_report
from mynah.report.pair_report import write_pair_report
from mynah.report.run_report import write_report
from mynah.stages import RunPaths, Silent, Stages

Page = Callable[[RunPaths, dict[str, dict[str, Any]]], None]


def report(directory: Path) -> Path:
    """Write `report.html`; return where it is.

    Raises:
        ArtifactError: if it is no run, or not finished.
    """
    seed, paths = recipe_of(directory).seed, RunPaths(directory)
    pages: tuple[tuple[Path, Page], ...] = (
        (paths.classifier, write_class_report),
        (paths.translated, write_pair_report),
        (paths.evaluation.parent, write_report),
    )
    page = next((write for folder, write in pages if (folder / artifacts.MANIFEST).is_file()), None)
    if page is None:
        raise ArtifactError(
            f"{directory}: the build is not finished; run the same mynah build again to go on"
        )
    page(paths, Stages(directory, seed, Silent()).timings())
    return paths.report
