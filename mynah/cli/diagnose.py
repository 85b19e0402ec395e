"""`mynah diagnose`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def diagnose(
    run: Path,
    *,
    language: Literal["en", "zh"] = "en",
    json: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
) -> None:
    """Find what is wrong with a run, with the evidence and the next command.

    Looked for are: overfitting, underfitting, a learning rate that is too high or too low, a loss that jumps, too
    little text for the size, held-out records that were learned, labels that look wrong, replies without an end, the
    signs of a template in the text, forgetting, a tokenizer that splits the text badly, units that are dead.

    Parameters
    ----------
    run: Path
        A run that mynah build made.
    language: Literal["en", "zh"]
        Of what is said.
    json: bool
        Print findings as a JSON list.
    device: str
        auto, cpu, cuda or mps.
    """
    from rich.console import Console

    from mynah.pipeline.diagnose_run import diagnose as look
    from mynah.pipeline.open_run import find_run

    terminal = Console(stderr=True)
    with terminal.status("...") as status:
        told = status.update if sys.stderr.isatty() else lambda what: None
        found = look(find_run(run), device, told)
    if json:
        import json as json_

        print(json_.dumps([finding.to_json() for finding in found], ensure_ascii=False, indent=2))
        return
    if not found:
        print("nothing is wrong that is looked for" if language == "en" else "没有发现所检查的问题")
    for finding in found:
        print(f"- {finding.what(language)}")
        for place in finding.places[:5]:
            print(f"    {place}")
        print(f"  {'next' if language == 'en' else '下一步'}: {finding.next(language)}")
