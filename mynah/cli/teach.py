"""`mynah teach`: answers without training, and answers taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mynah.cli.flags import InputFlags, given
from mynah.errors import ConfigError


def teach(
    run: Path,
    *sources: str,
    question: str | None = None,
    reply: str | None = None,
    remove: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    remove_speaker: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    reading: InputFlags = InputFlags(),
) -> None:
    """Teach a bot new answers without training, or take some back; both hold from the next message on.

    What is taught is cleaned as the run's log was. What is taken back is out of what the bot answers from; the network
    may still have learned from it.

    Parameters
    ----------
    run: Path
        A run that mynah build made.
    sources: str
        Files with questions and replies, of any kind that mynah build reads.
    question: str
        One question; with --reply.
    reply: str
        What is said to it.
    remove: str
        FILE:LINE of a reply, as mynah chat --sources shows it, that is no longer given. May be given several times.
    remove_speaker: str
        A name; no exchange that this person took part in is answered from any more. May be given several times.
    """
    from mynah.pipeline.teach import teach_run

    if (question is None) != (reply is None):
        raise ConfigError("--question and --reply go together")
    if not (sources or question or remove or remove_speaker):
        raise ConfigError("nothing to teach; for example: mynah teach runs/shop more.csv")
    pairs = [(question, reply)] if question is not None and reply is not None else []
    told = teach_run(run, sources, pairs, remove, remove_speaker, given(reading.to_recipe()))
    if sources or pairs:
        print(f"taught     {_count(told.taught)}")
    if remove or remove_speaker:
        print(f"removed    {_count(told.removed)}")
    if told.corrections is not None:
        print(f"kept       what it said before, as a preference to learn from: {told.corrections}")
    print(f"answers    from {_count(told.known)}; talk: mynah chat {run}")


def _count(exchanges: int) -> str:
    return f"{exchanges:,} exchange{'s' * (exchanges != 1)}"
