"""`mynah chat` and `mynah generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mynah.cli.lines import batches
from mynah.errors import ConfigError, MynahError

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
    int8: Annotated[bool, Parameter(negative="")] = False
    "Hold the network's weights in 8 bits: half the memory of bfloat16, and on a CPU a large one replies sooner."

    def open(self, directory: Path, **defaults: Any) -> Run:
        """Open a run with these settings on top of its own."""
        from dataclasses import replace

        from mynah.config import build_config
        from mynah.device import give_memory_back, pick_device
        from mynah.generate.settings import SamplingConfig
        from mynah.pipeline.open_run import open_run

        names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "max_tokens", "seed")
        given = {name: value for name in names if (value := getattr(self, name)) not in (None, ())}
        run = open_run(directory, pick_device(self.device))
        if self.int8:
            from mynah.model.to_int8 import int8_pays, to_int8

            if not int8_pays(run.model.device):
                print("(8 bits save memory here, and no time)", file=sys.stderr)
            to_int8(run.model)
        else:
            from mynah.model.packed import pack

            pack(run.model)
        give_memory_back()
        values = {**run.sampling.model_dump(), **defaults, **given}
        return replace(run, sampling=build_config(SamplingConfig, values, "settings"))


@Parameter(name="*")
@dataclass(frozen=True)
class Answers:
    """What a run with a log answers, and what it shows of it; what is not given comes from the run's recipe."""

    answers: Literal["grounded", "free", "strict", "network"] | None = None
    """grounded: only what stands in the log, slots filled from the conversation; strict: word for word; free: the log
    where it is sure, else the network's own words; network: the network alone."""
    wrong_at_most: Annotated[str | None, Parameter(name="--wrong-at-most")] = None
    "Share of what it states that may be wrong, such as 2%; what it does not know so surely is handed over."
    sources: Annotated[bool, Parameter(negative="")] = False
    "Show file, line and date of what each reply rests on."
    json: Annotated[bool, Parameter(name="--json", negative="")] = False
    "Print each reply as a JSON object: text, confidence, sources, handed_over, kind."
    keep_unanswered: Path | None = None
    "A file to which questions that were handed over are added, one a line as JSON; nothing else is kept."


def chat(run: Path, *, answers: Answers = Answers(), sampling: Sampling = Sampling()) -> None:
    """Talk to a model; the history is kept.

    A run whose log holds replies answers from it and hands over where it does not know; others, and --answers network,
    reply in their own words, which stream. /reset forgets the conversation, /quit ends it. Without a terminal, lines
    are read from standard input and each reply is one line or more on standard output.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a Hugging Face directory.
    """
    from mynah.pipeline.open_answers import can_answer
    from mynah.pipeline.open_run import find_run
    from mynah.pipeline.open_translator import way_of

    directory = find_run(run)
    if way_of(directory).directions and answers.answers != "network":
        raise ConfigError(
            f'{run}: translates and does not talk; ask it: mynah translate {run} "a text"; to learn to talk from the '
            "same file: mynah build FILE --task chat"
        )
    opened = sampling.open(run)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if opened.talks and answers.answers != "network" and can_answer(directory):
        _answer(
            directory,
            opened,
            answers,
            terminal,
            drawn=sampling != Sampling(device=sampling.device, int8=sampling.int8),
        )
        return
    if answers != Answers(answers=answers.answers) or answers.answers not in (None, "network"):
        raise ConfigError(f"{run}: has no log to answer from; leave out --answers, --sources and the like")
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


def _answer(directory: Path, opened: Run, answers: Answers, terminal: bool, *, drawn: bool) -> None:
    """Answer line by line from a run's log; `drawn`: it was said how replies are to be drawn."""
    import json

    from mynah import artifacts
    from mynah.pipeline.open_answers import open_answers

    mode = answers.answers if answers.answers != "network" else None
    session = open_answers(
        directory,
        opened,
        mode,
        share_of(answers.wrong_at_most),
        lambda text: print(f"({text})", file=sys.stderr),
    )
    if drawn and session.answerer.mode != "free":
        print("(how replies are drawn matters to --answers free and network only)", file=sys.stderr)
    if terminal:
        print("Type a message; /reset forgets, /quit ends.")
    for line in _lines(terminal):
        if line.strip() in ("/quit", "/exit"):
            return
        if line.strip() == "/reset":
            session.reset()
            print("(forgotten)", file=sys.stderr)
            continue
        if not line.strip():
            continue
        try:
            reply = session.reply(line)
        except KeyboardInterrupt:
            print("\n(reply cut off)", file=sys.stderr)
            continue
        except MynahError as error:
            print(f"({error})", file=sys.stderr)
            continue
        if answers.json:
            print(json.dumps(reply.to_json(), ensure_ascii=False), flush=True)
        else:
            print(reply.text, flush=True)
            if answers.sources:
                for source in reply.sources:
                    when = f", {source.time}" if source.time else ""
                    print(f"  [{source.place}{when}: {source.question}]", flush=True)
        if answers.keep_unanswered is not None and reply.handed_over:
            kept = {
                "question": session.history[-2].content,
                "before": [m.content for m in session.history[:-2]],
            }
            artifacts.append(
                answers.keep_unanswered, (json.dumps(kept, ensure_ascii=False) + "\n").encode("utf-8")
            )


def share_of(text: str | None) -> float | None:
    """Read a share: "2%" or "0.02".

    Raises:
        ConfigError: if it is none.
    """
    if text is None:
        return None
    try:
        share = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise ConfigError(f"--wrong-at-most {text}: expected a share between 0 and 1, such as 2% or 0.02")
    return share


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


def generate(
    run: Path,
    *,
    prompt: str = "",
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 1,
    no_copy: int | None = None,
    outline: Path | None = None,
    sampling: Sampling = Sampling(),
) -> None:
    """Continue a text, or write one along an outline.

    Of several texts by a run it is said on stderr how much they repeat, and how much is copied from what it learned.

    Parameters
    ----------
    run: Path
        A run that mynah build made, or a Hugging Face directory.
    prompt: str
        How the text begins: its first line, or a title.
    count: int
        How many texts; with more than one, each ends in an empty line.
    no_copy: int
        Never copy so many tokens on end from the text that was learned.
    outline: Path
        A file of points, one a line: "# Heading", or how a paragraph begins. Each gets --max-tokens at most.
    """
    from mynah.evaluate.writing import COPIED, describe_writing, measure_writing
    from mynah.generate.chat import continue_text
    from mynah.generate.copies import Runs
    from mynah.generate.outline import outlined

    lines = [line for some in batches((), outline) for line in some] if outline is not None else []
    points = [line for line in lines if line.strip()]
    if outline is not None and not points:
        raise ConfigError(f"--outline {outline}: holds no points; expected one a line")
    if count < 1:
        raise ConfigError(f"--count {count}: expected 1 or more")
    if no_copy is not None and no_copy < 2:
        raise ConfigError(f"--no-copy {no_copy}: expected 2 or more")
    learned = _learned(run)
    if no_copy is not None and learned is None:
        raise ConfigError(
            f"--no-copy: {run} has no text that it learned beside it; expected a run of mynah build"
        )
    opened = sampling.open(run, temperature=0.8)
    copies = Runs(learned, no_copy) if no_copy is not None and learned is not None else None
    written = []
    for number in range(count):
        seed = opened.sampling.seed
        config = opened.sampling.model_copy(update={"seed": seed + number if seed is not None else None})
        text = ""
        print(prompt, end="", flush=True)
        written_on = (
            outlined(opened.model, opened.tokenizer, prompt, points, config, copies)
            if points
            else continue_text(opened.model, opened.tokenizer, prompt, config, copies)
        )
        for piece in written_on:
            text += piece
            print(piece, end="", flush=True)
        print("\n" if count > 1 else "")
        written.append(opened.tokenizer.encode(text))
    if learned is not None and count > 1:
        told = describe_writing(measure_writing(written, Runs(learned, COPIED)))
        print(f"({told})", file=sys.stderr)


def _learned(run: Path) -> Any:
    """Return the tokens that a run has learned from, (N,); None of what is no run."""
    from mynah.pipeline.open_run import find_run
    from mynah.stages import RunPaths
    from mynah.tokenizer.dataset import TokenSet

    path = RunPaths(find_run(run)).tokens_of("train")
    return TokenSet.load(path).tokens if path.is_file() else None
