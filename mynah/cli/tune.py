"""`mynah tune`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from mynah.cli.build import Flags, run_from, settle, sources_of
from mynah.cli.flags import CleanFlags, InputFlags
from mynah.errors import ConfigError

if TYPE_CHECKING:
    from mynah.pipeline.recipe import Recipe

_HOW = Group("What is learned", sort_key=0)


def tune(
    *sources: str,
    how: Annotated[Literal["adapter", "full", "frozen"] | None, Parameter(group=_HOW)] = None,
    show: Annotated[int | None, Parameter(group=_HOW)] = None,
    flags: Flags = Flags(),
    reading: InputFlags = InputFlags(),
    cleaning: CleanFlags = CleanFlags(),
) -> None:
    """Fit a model to a task: chat, classify, translate or generate; without --task, as the data are.

    It is mynah build, with what is trained said by --how: an adapter over a base (the default where one is at hand),
    all weights (full), or of a classifier a linear map over the states of a base that stays as it is (frozen).

    Parameters
    ----------
    sources: str
        Files and folders; docs/sources.md lists all kinds.
    how: str
        adapter, full or frozen.
    show: int
        Print so many examples as they are learned, each token with whether it counts, and train nothing.
    """
    if show is not None and show < 1:
        raise ConfigError(f"--show {show}: expected 1 or more")
    recipe, directory = settle(sources, flags, reading, cleaning, _trained(how, flags.task), "")
    if show is None:
        run_from(sources, flags, recipe, directory)
    else:
        _show(sources_of(sources, flags), recipe, directory, show)


def _trained(how: str | None, task: str | None) -> dict[str, Any]:
    """Return what --how means, as recipe keys."""
    if how is None:
        return {}
    if how == "frozen":
        if task not in (None, "auto", "classify"):
            raise ConfigError(
                f"--how frozen with --task {task}: a network whose weights stay as they are learns nothing; expected "
                "adapter or full"
            )
        return {"task": "classify", "classify": {"way": "states"}}
    trained: dict[str, Any] = {"full": how == "full"}
    return {**trained, "classify": {"way": "head"}} if task == "classify" else trained


def _show(sources: list[Any], recipe: Recipe, directory: Path, count: int) -> None:
    from itertools import islice

    from mynah.cli.progress import prepare
    from mynah.data.records import Labelled
    from mynah.data.store import read_records
    from mynah.tokenizer.preview import planned_context, preview

    # In a folder of its own: a run of that name, perhaps of another task, stays as it is.
    with tempfile.TemporaryDirectory(prefix="mynah-show-") as place:
        run = Path(place) / directory.name
        folder = prepare(sources, recipe, run)
        for record in islice(read_records(folder), count):
            if isinstance(record, Labelled):
                print(f"{record.place}: {record.label}\n{record.text}")
            else:
                length = planned_context(run) or 256
                print(preview(record, run, length, color=sys.stdout.isatty()))
