"""`mynah unanswered`: what a bot was asked and could not answer, as the list of what to write next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mynah.errors import ConfigError

#: Questions of a group that are shown beside the first, and characters of each.
SHOWN, LONGEST = 2, 100


def unanswered(
    run: Path, kept: Path, *, output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
) -> None:
    """Group the questions that a bot handed over, those asked most first: what to write replies to next.

    The questions are those that mynah chat --keep-unanswered kept.

    Parameters
    ----------
    run: Path
        The run that could not answer them.
    kept: Path
        The file of mynah chat --keep-unanswered.
    output: Path
        A new CSV file with a row for each group, its reply left empty: fill in what you can, and teach it with
        mynah teach.
    """
    from mynah.pipeline.unanswered import unanswered_of, write_list

    if output is not None and output.exists():
        raise ConfigError(f"{output}: there already; give another --output, or remove it")
    groups = unanswered_of(run, kept)
    total = sum(group.asked for group in groups)
    print(f"{total:,} question{'s' * (total != 1)} in {len(groups):,} group{'s' * (len(groups) != 1)}")
    for group in groups:
        first, *others = (_short(question) for question in group.questions)
        print(f"{group.asked:>5}  {first}")
        for other in others[:SHOWN]:
            print(f"       {other}")
        if len(others) > SHOWN:
            print(f"       and {len(others) - SHOWN:,} more")
        if group.nearest is not None:
            print(f"       nearest in the log: {_short(group.nearest.question)} [{group.nearest.place}]")
    if output is not None:
        write_list(groups, output)
        print(f"written    {output}; fill in replies, then: mynah teach {run} {output}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
