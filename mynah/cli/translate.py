"""`mynah translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mynah.cli.lines import batches


def translate(
    run: Path,
    *texts: str,
    file: Path | None = None,
    to: str | None = None,
    beam: int | None = None,
    length_penalty: float | None = None,
    glossary: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
) -> None:
    """Translate texts by a run that learned it from pairs.

    Parameters
    ----------
    run: Path
        A run that mynah build made of texts in pairs, or a folder that Translator.save wrote.
    texts: str
        Texts; without any, and without --file, the lines of standard input.
    file: Path
        A file with a text a line; each becomes one line.
    to: str
        The language, by its code or English name, of a run that has learned both directions.
    beam: int
        Hypotheses that are kept; 1 is quicker, and a little worse. Default: as the run was built, 4.
    length_penalty: float
        Above 0, long translations are not held against their length. Default: as the run was built, 1.
    glossary: Path
        Terms that are always translated so: source and target, cut by a tab or comma, a pair a line.
    json: bool
        Print each as a JSON object: text, confidence, terms.
    device: str
        auto, cpu, cuda or mps.
    """
    import json as json_lines

    from mynah.config import build_config
    from mynah.generate.settings import BeamConfig
    from mynah.pipeline.open_translator import open_translator
    from mynah.tune.translate.directions import choose
    from mynah.tune.translate.glossary import read_glossary

    terms = read_glossary(glossary) if glossary is not None else None  # before a model is opened for it
    opened, way = open_translator(run, device)
    direction = choose(opened.directions, to)
    changed = {"width": beam, "length_penalty": length_penalty}
    values = {**way.beam.model_dump(), **{k: v for k, v in changed.items() if v is not None}}
    config = build_config(BeamConfig, values, "translate")
    if terms is None:
        terms = way.terms(direction)
    for some in batches(texts, file):
        for found in opened.translate(some, direction, config, terms):
            print(json_lines.dumps(found.to_json(), ensure_ascii=False) if json else found.text, flush=True)
