"""`mynah classify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mynah.cli.lines import batches

if TYPE_CHECKING:
    from mynah.tune.classify.prediction import Prediction


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
    for some in batches(texts, file):
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
