"""`mynah classify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mynah.errors import DataError, MynahError

if TYPE_CHECKING:
    from mynah.tune.classify.classifier import Prediction

#: Lines that are classified at once; the first answers come before the last lines are there.
AT_ONCE = 64


def classify(
    run: Path,
    *texts: str,
    file: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    device: str = "auto",
) -> None:
    """Say which class texts are of, and how probable that is; of none, where a text looks like no class.

    Parameters
    ----------
    run: Path
        A run that mynah build made of texts with classes.
    texts: str
        Texts; without any, and without --file, the lines of standard input.
    file: Path
        A file with a text a line.
    json: bool
        Print each as a JSON object: label, probability, inside, probabilities.
    all_: bool
        Print the probability of every class.
    device: str
        auto, cpu, cuda or mps.
    """
    from mynah.pipeline.open_classifier import open_classifier

    opened = open_classifier(run, device)
    for some in _batches(texts, file):
        for found in opened.predict(some):
            print(_shown(found, json, all_), flush=True)


def _shown(found: Prediction, as_json: bool, every: bool) -> str:
    if as_json:
        import json

        return json.dumps(found.to_json(), ensure_ascii=False)
    outside = "" if found.inside else "\tlooks like none of the classes"
    if every:
        shown = "\t".join(f"{name} {p:.1%}" for name, p in found.probabilities.items())
        return f"{shown}{outside}"
    return f"{found.label}\t{found.probability:.1%}{outside}"


def _batches(texts: tuple[str, ...], file: Path | None) -> Iterator[list[str]]:
    if texts and file is not None:
        raise DataError("name texts or --file, not both")
    if texts:
        yield list(texts)
        return
    try:
        if file is not None:
            with file.open(encoding="utf-8-sig") as lines:
                yield from _of_lines(lines, AT_ONCE)
        else:
            yield from _of_lines(sys.stdin, 1 if sys.stdin.isatty() else AT_ONCE)
    except UnicodeDecodeError:
        raise MynahError(f"{file or 'standard input'} is not valid UTF-8 text") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None


def _of_lines(lines: object, count: int) -> Iterator[list[str]]:
    some: list[str] = []
    for line in lines:  # type: ignore[attr-defined]
        some.append(line.rstrip("\r\n"))
        if len(some) == count:
            yield some
            some = []
    if some:
        yield some
