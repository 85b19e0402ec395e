"""`mynah build`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from mynah.config import merge, parse_assignment
from mynah.errors import ConfigError

_DIAL = Group("How long, how large", sort_key=1)
_INPUT = Group("How the input is read (detected; the guess is printed)", sort_key=2)
_MORE = Group("More", sort_key=3)


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """Flags of a build; each overrides one key of the recipe."""

    minutes: Annotated[float | None, Parameter(group=_DIAL)] = None
    "About how long the whole build may take; sets model and steps by measured speed. Default 5."
    size: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Instead of minutes: nano, micro, mini, small, gpt3-nano, gpt2, ... trained for 8 passes."
    name: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Name of the run. Default: the first file's name."
    recipe: Annotated[Path | None, Parameter(group=_DIAL)] = None
    "A TOML recipe; flags override it. The resolved one is saved in the run."
    runs: Annotated[Path, Parameter(group=_DIAL)] = Path("runs")
    "Folder for runs."
    base: Annotated[Path | None, Parameter(group=_DIAL)] = None
    "Start from a trained model: a Hugging Face directory (GPT-2 or Llama family)."
    sample: Annotated[str | None, Parameter(group=_DIAL)] = None
    "Build from the bundled shop log instead of files: en or zh."

    text_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the text."
    question_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with what the user says."
    answer_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the reply."
    conversation_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that is equal within a conversation."
    message_id_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with a message's id."
    reply_to_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the id of the message replied to."
    speaker_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that says who speaks."
    direction_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column that is true (or 'in') for the user's messages."
    time_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the time."
    label_column: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Column with the class of a text."
    assistant: Annotated[
        tuple[str, ...], Parameter(name=("--assistant", "--me"), group=_INPUT, negative="")
    ] = ()
    "Who the assistant is: a name among the speakers; --me in your own chats. May be given several times."
    gap: Annotated[float | None, Parameter(group=_INPUT)] = None
    "Hours of silence that begin a new conversation, where no column tells them. Default 6."
    encoding: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Encoding of the input, such as gb18030."
    delimiter: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Character between the cells of a table."
    header: Annotated[bool | None, Parameter(group=_INPUT)] = None
    "Whether a table's first row names its columns."
    rows_are: Annotated[str | None, Parameter(group=_INPUT)] = None
    "What a row is: messages, pairs, labelled or text."
    form: Annotated[str | None, Parameter(group=_INPUT)] = None
    "Read files as: table, json, text, chat, yaml or cornell."

    lowercase: Annotated[bool | None, Parameter(group=_MORE, negative="")] = None
    "Lower-case all text."
    stop_words: Annotated[tuple[str, ...], Parameter(group=_MORE, negative="")] = ()
    "Remove stop words of a language, en or zh; ruins generation."
    questions: Annotated[Path | None, Parameter(group=_MORE)] = None
    "JSON lines of questions with the facts of a right reply; the report shows the share."
    seed: Annotated[int | None, Parameter(group=_MORE)] = None
    "Seed of everything. Default 0."
    device: Annotated[str | None, Parameter(group=_MORE)] = None
    "auto, cpu, cuda or mps."
    set_: Annotated[tuple[str, ...], Parameter(name="--set", group=_MORE, negative="")] = ()
    "Any other key of the recipe: section.key=value. May be given several times."

    def to_recipe(self) -> dict[str, Any]:
        """Return the given flags as a nested dict of recipe keys."""
        columns = {
            key: getattr(self, f"{key}_column")
            for key in (
                "text",
                "question",
                "answer",
                "conversation",
                "message_id",
                "reply_to",
                "speaker",
                "direction",
                "time",
                "label",
            )
        }
        delimiter = "\t" if self.delimiter in ("\\t", "tab") else self.delimiter
        values: dict[str, Any] = {
            "seed": self.seed,
            "device": self.device,
            "base": str(self.base) if self.base else None,
            "collect": {
                "encoding": self.encoding,
                "delimiter": delimiter,
                "form": self.form,
                "header": self.header,
                "gap_hours": self.gap,
                "columns": {**columns, "rows_are": self.rows_are, "assistant": self.assistant or None},
            },
            "clean": {"lowercase": self.lowercase, "stop_words": self.stop_words or None},
            "plan": {"minutes": self.minutes, "size": self.size},
            "evaluate": {"questions": str(self.questions) if self.questions else None},
        }
        for assignment in self.set_:
            values = merge(values, parse_assignment(assignment))
        return _given(values)


def _given(value: dict[str, Any]) -> dict[str, Any]:
    """Drop what was not given."""
    kept = {k: _given(v) if isinstance(v, dict) else v for k, v in value.items()}
    return {k: v for k, v in kept.items() if v is not None and v != {}}


def build(*files: Path, flags: Flags = Flags()) -> None:
    """Turn files of text or chat into a model, with an honest report: runs/NAME/.

    Runs collect, clean, split, tokenizer, n-gram baseline, pretrain, fine-tune, evaluate, report.
    What is done already is not done again; a build cut off anywhere goes on where it was.

    Parameters
    ----------
    files: Path
        CSV, TSV, JSON, JSON lines, YAML (chatterbot) or plain text.
    """
    from mynah.recipe import load_recipe

    given = flags.to_recipe()
    if flags.sample is not None:
        files, given = _sample(flags.sample, files, given)
    if not files:
        raise ConfigError("no input file given; for example: mynah build chats.csv")
    recipe = load_recipe(flags.recipe, given, exclusive=("minutes", "size"))
    name = flags.name or (f"sample-{flags.sample}" if flags.sample else files[0].stem)
    if not re.fullmatch(r"[^/\\\0]{1,100}", name) or name in (".", ".."):
        raise ConfigError(f"--name {name!r}: expected a plain folder name")
    directory = flags.runs / name

    from mynah.cli.progress import run_build

    run_build(list(files), recipe, directory, again=again(sys.argv[1:]))


def _sample(
    language: str, files: tuple[Path, ...], given: dict[str, Any]
) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """Return the bundled log and its questions."""
    from importlib.resources import files as resources

    folder = Path(str(resources("mynah") / "samples"))
    path = folder / f"shop_{language}.csv"
    if files or not path.is_file():
        known = sorted(p.stem.removeprefix("shop_") for p in folder.glob("shop_*.csv"))
        wrong = "takes no files" if files else f"{language}: no such sample"
        raise ConfigError(f"--sample {wrong}; expected one of: {', '.join(known)}")
    questions = {"evaluate": {"questions": str(folder / f"questions_{language}.jsonl")}}
    return (path,), merge(questions, given)


def again(arguments: list[str]) -> str:
    """Return the command line that goes on with this build."""
    import shlex

    return "mynah " + shlex.join(arguments)
