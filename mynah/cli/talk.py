"""`mynah chat` and `mynah generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from mynah.errors import MynahError

if TYPE_CHECKING:
    from mynah.pipeline.open_run import Run

PROMPT = "> "


@Parameter(name="*")
@dataclass(frozen=True)
class Sampling:
    """How replies are drawn; what is not given comes from the run's recipe."""

    temperature: float | None = None
    "0: always the most likely token. Default 0 for chat, 0.8 for generate."
    top_k: int | None = None
    "Draw among the k most likely tokens."
    top_p: float | None = None
    "Draw among the likeliest tokens that hold this probability mass."
    min_p: float | None = None
    "Draw among tokens at least this share as likely as the likeliest."
    repetition_penalty: float | None = None
    "Above 1: tokens that stand in the text already are less likely."
    stop: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    "A text that ends the reply and is not part of it. May be given several times."
    max_tokens: int | None = None
    "Longest reply in tokens."
    seed: int | None = None
    "The same seed gives the same text."
    device: str = "auto"
    "auto, cpu, cuda or mps."

    def open(self, directory: Path, **defaults: Any) -> Run:
        """Open a run with these settings on top of its own."""
        from dataclasses import replace

        from mynah.config import build_config
        from mynah.device import pick_device
        from mynah.generate.settings import SamplingConfig
        from mynah.pipeline.open_run import open_run

        names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "max_tokens", "seed")
        given = {name: value for name in names if (value := getattr(self, name)) not in (None, ())}
        run = open_run(directory, pick_device(self.device))
        values = {**run.sampling.model_dump(), **defaults, **given}
        return replace(run, sampling=build_config(SamplingConfig, values, "settings"))


def chat(run: Path, *, sampling: Sampling = Sampling()) -> None:
    """Talk to a model; replies stream, the history is kept.

    /reset forgets the conversation, /quit ends it. Without a terminal, lines are read from standard input and
    each reply is one line or more on standard output.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a Hugging Face directory.
    """
    opened = sampling.open(run)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not opened.talks:
        print("(no conversations were trained on: your line is continued as text)", file=sys.stderr)
    if terminal:
        print("Type a message; /reset forgets, /quit ends.")
    _converse(opened, _lines(terminal))


def _lines(terminal: bool) -> Iterator[str]:
    """Yield what is typed or piped in, until its end."""
    while True:
        try:
            yield input(PROMPT if terminal else "")
        except (EOFError, KeyboardInterrupt):
            if terminal:
                print()
            return
        except UnicodeDecodeError:
            raise MynahError("standard input is not valid UTF-8 text") from None


def _converse(opened: Run, lines: Iterator[str]) -> None:
    from mynah.data.clean.steps import clean_text
    from mynah.generate.chat import ChatSession, continue_text

    session = ChatSession(opened.model, opened.tokenizer, opened.sampling)
    for line in lines:
        text = clean_text(line, opened.clean)
        if text in ("/quit", "/exit"):
            return
        if text == "/reset":
            session.reset()
            print("(forgotten)", file=sys.stderr)
            continue
        if not text:
            continue
        before = session.dropped
        pieces = (
            session.reply(text)
            if opened.talks
            else continue_text(opened.model, opened.tokenizer, text, opened.sampling)
        )
        try:
            for piece in pieces:
                print(piece, end="", flush=True)
            print(flush=True)
        except MynahError as error:
            print(f"({error})", file=sys.stderr)
        except KeyboardInterrupt:
            print("\n(reply cut off)", file=sys.stderr)
        if session.dropped > before:
            print(
                f"(the context is full: the oldest {session.dropped} turns are no longer seen)",
                file=sys.stderr,
            )


def generate(run: Path, *, prompt: str = "", sampling: Sampling = Sampling()) -> None:
    """Continue a text.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a Hugging Face directory.
    prompt: str
        How the text begins.
    """
    from mynah.generate.chat import continue_text

    opened = sampling.open(run, temperature=0.8)
    print(prompt, end="", flush=True)
    for piece in continue_text(opened.model, opened.tokenizer, prompt, opened.sampling):
        print(piece, end="", flush=True)
    print()
