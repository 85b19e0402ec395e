"""`mynah collect`, `mynah clean`, `mynah split` and `mynah data ...`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mynah.cli.flags import CleanFlags, InputFlags, as_source, ask_on_terminal, given
from mynah.config import merge, parse_assignment
from mynah.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from mynah.data.sources import Source
    from mynah.pipeline.data_folders import Made
    from mynah.pipeline.recipe import Recipe

_OUT = Parameter(name=("--out", "-o"))
_SET = Parameter(name="--set", negative="")


def collect(
    *sources: str,
    out: Annotated[Path, _OUT],
    recipe: Path | None = None,
    workers: int | None = None,
    ray: str | None = None,
    set_: Annotated[tuple[str, ...], _SET] = (),
    reading: InputFlags = InputFlags(),
) -> None:
    """Read sources of any kind into records: shards of Parquet, what was understood, and every row left out.

    Parameters
    ----------
    sources: str
        Files, folders, archives, a database URL; docs/sources.md lists all kinds.
    out: Path
        Folder to make.
    recipe: Path
        A TOML recipe; of it, [collect] and [engine] count.
    workers: int
        Processes at once, where there is much to read. Default: one a core.
    ray: str
        Address of a Ray cluster: auto, or ray://HOST:10001. Default: this machine.
    set_: tuple[str, ...]
        Any other key: --set collect.gap_hours=2. May be given several times.
    """
    from mynah.data.sources import read_sources, told_kinds
    from mynah.pipeline.data_folders import collect as collect_folder
    from mynah.pipeline.failures import noted

    settings = _recipe(
        recipe, given({"collect": reading.to_recipe(), "engine": {"workers": workers, "ray": ray}}), set_
    )
    places = list(map(as_source, sources))
    if not places:
        raise ConfigError("no input given; for example: mynah collect chats.csv -o data/chats")

    def told(source: Source, number: int, total: int) -> None:
        if number <= 20 or number == total:
            print(f"[{number}/{total}] {source.describe()}")
        for warning in source.describe_warnings():
            print(f"! {warning}")

    with noted("collect", out):
        made = collect_folder(
            places, out, settings.collect, ask=ask_on_terminal(), told=told, engine=settings.engine
        )
    _tell(made, out)
    counts = made.counts
    print(
        f"{out}: {told_kinds(counts['records'])}; {counts['rejected']:,} rows rejected, "
        f"{counts['left_out']:,} files passed over"
    )
    passed_over = read_sources(out)[1]
    for name, reason in passed_over[:20]:
        print(f"passed over: {name}: {reason}")
    if len(passed_over) > 20:
        print(f"... and {len(passed_over) - 20:,} more: mynah data show {out} --dropped")
    print(f"next       mynah clean {out} -o {out}-clean")


def clean(
    folder: Path,
    *,
    out: Annotated[Path, _OUT],
    recipe: Path | None = None,
    workers: int | None = None,
    ray: str | None = None,
    set_: Annotated[tuple[str, ...], _SET] = (),
    cleaning: CleanFlags = CleanFlags(),
) -> None:
    """Clean collected records; every record that is dropped or changed is listed with step, reason and place.

    Parameters
    ----------
    folder: Path
        What mynah collect made.
    out: Path
        Folder to make.
    recipe: Path
        A TOML recipe; of it, [clean] and [engine] count.
    workers: int
        Processes at once. Default: one a core.
    ray: str
        Address of a Ray cluster: auto, or ray://HOST:10001. Default: this machine.
    set_: tuple[str, ...]
        Any other key: --set clean.duplicates.lines=10. May be given several times.
    """
    from mynah.data.sources import told_kinds
    from mynah.pipeline.data_folders import clean as clean_folder
    from mynah.pipeline.data_folders import told_of
    from mynah.pipeline.failures import noted

    if folder.is_file():
        raise ConfigError(f"{folder}: is a file; read it first: mynah collect {folder} -o data/{folder.stem}")
    records_of(folder)
    settings = _recipe(
        recipe, given({"clean": cleaning.to_recipe(), "engine": {"workers": workers, "ray": ray}}), set_
    )
    with noted("clean", out), _bar() as told:
        made = clean_folder(folder, out, settings.clean, told=told, engine=settings.engine)
    _tell(made, out)
    counts = made.counts
    for action in ("changed", "warned", "dropped"):
        if counts[action]:
            print(f"{action:<8} {told_of(counts[action])}")
    records = told_kinds(counts["records"])
    print(f"{out}: {records} kept")
    print(f"next       mynah data report {out}")


def split(
    folder: Path,
    *,
    out: Annotated[Path, _OUT],
    by: Literal["record", "person", "time"] | None = None,
    held_out: float | None = None,
    decontaminate: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    recipe: Path | None = None,
    seed: int | None = None,
    workers: int | None = None,
    ray: str | None = None,
    set_: Annotated[tuple[str, ...], _SET] = (),
) -> None:
    """Split records into what is learned from and what is held out, as mynah build does.

    Parameters
    ----------
    folder: Path
        What mynah collect or mynah clean made.
    out: Path
        Folder to make, with train and held_out in it.
    by: str
        record, person (all of a person's conversations on one side) or time (the latest are held out). Default: record.
    held_out: float
        Share of the records that is held out. Default 0.1.
    decontaminate: tuple[Path, ...]
        An evaluation file: what shares 13 words in a row with it is dropped. May be given several times.
    recipe: Path
        A TOML recipe; of it, [split], [engine] and the seed count.
    seed: int
        Another seed holds out other records.
    workers: int
        Processes at once. Default: one a core.
    ray: str
        Address of a Ray cluster: auto, or ray://HOST:10001. Default: this machine.
    set_: tuple[str, ...]
        Any other key: --set split.alike=false. May be given several times.
    """
    from mynah.data.split.split import SplitCounts
    from mynah.pipeline.data_folders import split as split_records

    source = records_of(folder)
    flags = {
        "split": {
            "by": by,
            "held_out": held_out,
            "decontaminate": [str(path) for path in decontaminate] or None,
        },
        "engine": {"workers": workers, "ray": ray},
        "seed": seed,
    }
    settings = _recipe(recipe, given(flags), set_)
    made = split_records(source, out, settings.split, seed=settings.seed, engine=settings.engine)
    _tell(made, out)
    print(SplitCounts(**made.counts).describe())
    print(f"next       mynah data show {out}/held_out; what was dropped: mynah data show {out} --dropped")


def report(folder: Path, *, out: Annotated[Path | None, _OUT] = None) -> None:
    """Write report.html and report.json about records: counts by step, examples, lengths, languages, speakers.

    Parameters
    ----------
    folder: Path
        What mynah collect, mynah clean or mynah build made.
    out: Path
        Folder for the two files. Default: beside the records.
    """
    from mynah.report.data_report import write_data_report

    page = write_data_report(folder, out or folder.parent / f"{folder.name}-report")
    print(f"report     {page}")


def show(
    folder: Path,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 5,
    skip: int = 0,
    place: str | None = None,
    dropped: bool = False,
    tokens: Path | None = None,
    context_length: int | None = None,
) -> None:
    """Print records as JSON lines; or what was dropped and changed; or what a model would be trained on.

    Parameters
    ----------
    folder: Path
        A folder of records.
    count: int
        How many.
    skip: int
        How many to pass over first.
    place: str
        Only those whose place contains this, for example chats.csv:12.
    dropped: bool
        Show the account instead: action, step, reason, place.
    tokens: Path
        A run (or Hugging Face directory) with a tokenizer: show tokens and loss mask.
    context_length: int
        With --tokens: where a model's context ends. Default: as the run was planned, else 256.
    """
    import json
    from itertools import islice

    from mynah.data.records import as_dict
    from mynah.data.store import DROPPED, read_changes, read_records

    if count < 1 or skip < 0:
        raise ConfigError("--count must be 1 or more, and --skip 0 or more")
    inner = records_of(folder)
    shown = 0
    if dropped:
        # A split has its account beside its two parts.
        account = folder if (folder / DROPPED).is_file() else inner
        changes = (c for c in read_changes(account) if place is None or place in c.place)
        for change in islice(changes, skip, skip + count):
            shown += 1
            reason = f": {change.reason}" if change.reason else ""
            print(f"{change.place}\t{change.action}\t{change.step}{reason}")
        _hint(shown, count, skip, "nothing was dropped or changed")
        return
    records = (r for r in read_records(inner) if place is None or place in r.place)
    for record in islice(records, skip, skip + count):
        shown += 1
        if tokens is None:
            print(json.dumps(as_dict(record), ensure_ascii=False))
        else:
            from mynah.tokenizer.preview import planned_context, preview

            length = context_length or planned_context(tokens) or 256
            print(preview(record, tokens, length, color=sys.stdout.isatty()))
    _hint(shown, count, skip, "no records")


def _hint(shown: int, count: int, skip: int, nothing: str) -> None:
    """Say on stderr, to a person alone, that nothing was found or that there may be more."""
    if not sys.stderr.isatty():
        return
    if not shown:
        print(f"{nothing} here{' (beyond --skip, or at this --place)' if skip else ''}", file=sys.stderr)
    elif shown == count:
        print(f"there may be more: --count {10 * count}, or --skip {skip + count}", file=sys.stderr)


def diff(before: Path, after: Path, *, count: Annotated[int, Parameter(name=("--count", "-n"))] = 5) -> None:
    """Compare two folders of records by place: how many are only in one, how many changed, with examples.

    Parameters
    ----------
    before: Path
        A folder of records.
    after: Path
        Another one, made from the same input.
    count: int
        Examples of each kind.
    """
    from mynah.data.summary.compare import compare

    found = compare(records_of(before), records_of(after), count)
    print(f"{before}: {found.before:,} records; {after}: {found.after:,} records")
    for what, total, places in (
        ("only in the first", found.only_before, found.examples_before),
        ("only in the second", found.only_after, found.examples_after),
        ("changed", found.changed, []),
    ):
        shown = f": {', '.join(places)}" + (" ..." if total > len(places) else "") if places else ""
        print(f"{total:,} {what}{shown}")
    for place, lines in found.examples_changed:
        print(f"\n{place}")
        for line in lines:
            print(f"  {line}")


def records_of(folder: Path) -> Path:
    """Return the folder with the records: itself, or the newest data stage of a run.

    Raises:
        ArtifactError: if there are none.
    """
    if not folder.exists():
        from mynah.pipeline.failures import failure_of

        why = failure_of(folder)
        raise ArtifactError(f"{folder}: no such folder{f'; {why}' if why else ''}")
    if folder.is_file():
        raise ArtifactError(
            f"{folder}: is a file; read it first: mynah collect {folder} -o data/{folder.stem}"
        )
    for inner in (folder, folder / "clean", folder / "collect", folder / "train"):
        if any(inner.glob("part-*.parquet")):
            return inner
    raise ArtifactError(f"{folder}: no records in it; expected a folder that mynah collect or clean made")


def _recipe(path: Path | None, flags: dict[str, object], assignments: tuple[str, ...]) -> Recipe:
    from mynah.pipeline.recipe import load_recipe

    for assignment in assignments:
        flags = merge(flags, parse_assignment(assignment))
    return load_recipe(path, flags)


def _tell(made: Made, out: Path) -> None:
    """Say if a folder was there before."""
    if made.state == "done":
        print(f"{out}: already done with these settings")
    elif made.state == "again":
        print(f"{out}: made anew; it held what other sources or settings gave")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a function that moves a bar with the time left, a shard at a time."""
    from rich.progress import Progress

    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("cleaning", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
