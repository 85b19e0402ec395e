"""`mynah build`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from mynah.cli.flags import CleanFlags, InputFlags, as_source, given
from mynah.config import merge, parse_assignment
from mynah.errors import ConfigError

#: As `mynah.pipeline.recipe.Recipe.task`.
TaskName = Literal["auto", "chat", "classify", "translate", "generate"]
if TYPE_CHECKING:
    from mynah.pipeline.recipe import Recipe

_DIAL = Group("How long, how large", sort_key=1)
_MORE = Group("More", sort_key=4)


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """Flags of a build; each overrides one key of the recipe."""

    minutes: Annotated[float | None, Parameter(group=_DIAL)] = None
    "About how long the whole build may take; sets model and steps by measured speed. Default 5."
    size: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Instead of minutes: nano, micro, mini, small, gpt3-nano, gpt2, ... trained for 2.5 passes, the makes of others 5."
    name: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Name of the run. Default: the first file's name."
    recipe: Annotated[Path | None, Parameter(group=_DIAL)] = None
    "A TOML recipe; flags override it. The resolved one is saved in the run."
    runs: Annotated[Path, Parameter(group=_DIAL)] = Path("runs")
    "Folder for runs."
    task: Annotated[TaskName | None, Parameter(group=_DIAL)] = None
    "What is learned: chat, classify, translate or generate (to go on with text). Default: auto, as the data are."
    base: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Start from: a name of mynah base list, a Hugging Face directory, or none. Default: auto, the best that is here."
    system: Annotated[str | None, Parameter(group=_DIAL)] = None
    "What a base is told before each conversation; default: its own words. Without: those or none, what is shorter."
    full: Annotated[bool | None, Parameter(group=_DIAL, negative="")] = None
    "Train all weights of the base. Default: an adapter (LoRA) beside them, which is quicker and smaller."
    prior: Annotated[Literal["none", "ngram"] | None, Parameter(group=_DIAL)] = None
    "ngram: the network learns what an n-gram model misses, and goes on from it. Default: none."
    sample: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Build from the bundled shop log instead of files: en or zh."

    questions: Annotated[Path | None, Parameter(group=_MORE)] = None
    "JSON lines of questions with the facts of a right reply; the report shows the share."
    beside: Annotated[tuple[str, ...], Parameter(group=_MORE, negative="")] = ()
    "Another run of the same log, or a base, that the report compares with, on the same records. May be repeated."
    seed: Annotated[int | None, Parameter(group=_MORE)] = None
    "Seed of everything. Default 0."
    device: Annotated[str | None, Parameter(group=_MORE)] = None
    "auto, cpu, cuda or mps."
    set_: Annotated[tuple[str, ...], Parameter(name="--set", group=_MORE, negative="")] = ()
    "Any other key of the recipe: section.key=value. May be given several times."

    def to_recipe(self) -> dict[str, Any]:
        """Return the given flags as a nested dict of recipe keys."""
        return {
            "seed": self.seed,
            "device": self.device,
            "task": self.task,
            "base": self.base,
            "system": self.system,
            "full": self.full,
            "prior": {"kind": self.prior},
            "plan": {"minutes": self.minutes, "size": self.size},
            "evaluate": {
                "questions": str(self.questions) if self.questions else None,
                "beside": list(self.beside) or None,
            },
        }


def build(
    *sources: str,
    flags: Flags = Flags(),
    reading: InputFlags = InputFlags(),
    cleaning: CleanFlags = CleanFlags(),
) -> None:
    """Turn files of text or chat into a model, with an honest report: runs/NAME/.

    Texts with classes become a classifier, texts in pairs a translator (--task says otherwise), all else a model that
    talks or writes. Runs collect, clean, split, tokenizer, n-gram baseline, pretrain, fine-tune, answers, evaluate,
    report.
    What is done already is not done again; a build cut off anywhere goes on where it was.

    Parameters
    ----------
    sources: str
        Files and folders: tables, JSON, exports of chat apps, text; docs/sources.md lists all kinds.
    """
    run_from(sources, flags, *settle(sources, flags, reading, cleaning, {}, ""))


def pretrain(
    *sources: str,
    flags: Flags = Flags(),
    reading: InputFlags = InputFlags(),
    cleaning: CleanFlags = CleanFlags(),
) -> None:
    """Train a model on all text and stop there: a build without fine-tuning on replies.

    What comes out continues text. The run is named after the first file, with -base behind it.

    Parameters
    ----------
    sources: str
        Files and folders: tables, JSON, exports of chat apps, text; docs/sources.md lists all kinds.
    """
    run_from(
        sources, flags, *settle(sources, flags, reading, cleaning, {"plan": {"replies": False}}, "-base")
    )


def settle(
    sources: tuple[str, ...],
    flags: Flags,
    reading: InputFlags,
    cleaning: CleanFlags,
    more: dict[str, Any],
    ending: str,
) -> tuple[Recipe, Path]:
    """Return the recipe of a build, and the directory of its run.

    Args:
        sources: as given.
        flags: of the build.
        reading: flags.
        cleaning: flags.
        more: keys that the command itself sets.
        ending: of the run's name, where it has none.

    Raises:
        ConfigError: if there is no input, a flag makes no sense, or the name is none.
    """
    from mynah.pipeline.recipe import load_recipe

    values = {**flags.to_recipe(), "collect": reading.to_recipe(), "clean": cleaning.to_recipe()}
    chosen = merge(given(values), more)
    for assignment in flags.set_:
        chosen = merge(chosen, parse_assignment(assignment))
    files = sources_of(sources, flags)
    if flags.sample is not None:
        chosen = merge(
            {"evaluate": {"questions": str(files[0].parent / f"questions_{flags.sample}.jsonl")}}, chosen
        )
    if not files:
        raise ConfigError("no input given; for example: mynah build chats.csv")
    recipe = load_recipe(flags.recipe, chosen, exclusive=("minutes", "size"))
    default = f"sample-{flags.sample}" if flags.sample else PurePath(sources[0]).stem
    name = flags.name or default + ending
    if not re.fullmatch(r"[^/\\\0]{1,100}", name) or name in (".", ".."):
        raise ConfigError(f"--name {name!r}: expected a plain folder name")
    return recipe, flags.runs / name


def run_from(sources: tuple[str, ...], flags: Flags, recipe: Recipe, directory: Path) -> None:
    """Build with progress on the terminal.

    Raises:
        MynahError: as `build`.
    """
    from mynah.cli.progress import run_build

    run_build(sources_of(sources, flags), recipe, directory, again=again(sys.argv[1:]))


def sources_of(sources: tuple[str, ...], flags: Flags) -> list[Any]:
    """Return what is read: files, folders and URLs as given, or the bundled log of a language.

    Raises:
        ConfigError: if there is no such log, or files beside it.
    """
    if flags.sample is None:
        return list(map(as_source, sources))
    language = flags.sample
    from importlib.resources import files as resources

    folder = Path(str(resources("mynah") / "samples"))
    path = folder / f"shop_{language}.csv"
    if sources or not path.is_file():
        known = sorted(p.stem.removeprefix("shop_") for p in folder.glob("shop_*.csv"))
        wrong = "takes no files" if sources else f"{language}: no such sample"
        raise ConfigError(f"--sample {wrong}; expected one of: {', '.join(known)}")
    return [path]


def again(arguments: list[str]) -> str:
    """Return the command line that goes on with this build."""
    import shlex

    return "mynah " + shlex.join(arguments)
