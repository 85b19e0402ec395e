"""`mynah report`."""

from __future__ import annotations

from pathlib import Path


def report(run: Path) -> None:
    """Write a run's page anew: what it can answer and how surely, whether it beats simple things, what to do next.

    Every build writes it; do so again after an upgrade, or where it was lost. `mynah data report` is about data alone.

    Parameters
    ----------
    run: Path
        A run that mynah build made.
    """
    from mynah.pipeline.open_run import find_run
    from mynah.pipeline.report_run import report as write

    print(f"report     {write(find_run(run))}")
