"""A build on the terminal: a line a stage, a bar in training."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mynah import artifacts
from mynah.cli.flags import ask_on_terminal
from mynah.data.split.split import TRAIN as TRAIN_PART
from mynah.pipeline.answer_stage import ABOUT
from mynah.pipeline.build import STAGES, build
from mynah.pipeline.plan_stage import PLAN
from mynah.pipeline.recipe import Recipe
from mynah.pipeline.train_job import Job
from mynah.stages import TRAIN, RunPaths, Silent
from mynah.train.distributed.world import World
from mynah.train.loop import Interrupted, Step

#: Without a terminal a line of progress comes this often, in seconds.
LINE_SECONDS = 20.0

#: What each stage does, in words.
_DOES = {stage.name: stage.does for stage in STAGES} | {TRAIN: "training"}


class TerminalReporter:
    """Prints stages and notes; shows what takes long as a bar, or as a line now and then without a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.running: str | None = None
        self.last_line = time.monotonic()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
        self.bar = self.task = self.running = None

    def stage(self, name: str, state: str) -> None:
        """Print that a stage begins, goes on or is done already."""
        self.close()
        what = _DOES.get(name, name)
        more = {"done": "already done", "resume": f"{what}, from the last checkpoint"}.get(state, what)
        style = "dim" if state == "done" else "bold"
        self.console.print(f"[{style}]{name:<10}[/] {more}", highlight=False)
        self.last_line = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line of explanation."""
        self.close()
        self.console.print(f"{'':<11}{text}", style="dim", highlight=False, markup=False, soft_wrap=True)

    def training(self, stage: str, step: Step) -> None:
        """Move the bar."""
        held = "" if step.best_loss is None else f"held-out {step.best_loss:.3f}  "
        told = f"loss {step.loss:.3f}  {held}{step.tokens_per_second:,.0f} tokens/s"
        if not self.console.is_terminal:
            now = time.monotonic()
            if now - self.last_line > LINE_SECONDS:
                self.last_line = now
                self.console.print(f"{'':<11}step {step.step:,}/{step.steps:,}  {told}", highlight=False)
            return
        self._move(stage, step.step, step.steps, f"{step.step:,}/{step.steps:,}  {told}")

    def progress(self, what: str, share: float) -> None:
        """Move the bar."""
        told = f"{what} {share:.0%}"
        if self.console.is_terminal:
            self._move(what, share, 1.0, told)
        elif (now := time.monotonic()) - self.last_line > LINE_SECONDS:
            self.last_line = now
            self.console.print(f"{'':<11}{told}", highlight=False)

    def _move(self, what: str, done: float, total: float, told: str) -> None:
        if self.bar is None or self.running != what:
            self.close()
            self.bar = Progress(
                TextColumn(f"{'':<10}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
                speed_estimate_period=30,
            )
            self.task = self.bar.add_task("", total=total, told=told)
            self.running = what
            self.bar.start()
        assert self.task is not None
        self.bar.update(self.task, completed=done, told=told)


def run_build(sources: list[Path | str], recipe: Recipe, directory: Path, *, again: str) -> None:
    """Build with progress on the terminal; say at the end where everything is.

    Raises:
        MynahError: as `build`.
    """
    console = Console(file=sys.stdout, soft_wrap=True)
    reporter = TerminalReporter(console)
    try:
        result = build(sources, recipe, directory, reporter, ask_on_terminal())
    except (Interrupted, KeyboardInterrupt) as stop:
        reporter.close()
        saved = (
            "everything so far"
            if isinstance(stop, Interrupted)
            else "what was finished, and the last checkpoint,"
        )
        console.print(f"Stopped; {saved} is saved. To go on, run the same command again:", highlight=False)
        console.print(f"  {again}", markup=False, highlight=False)
        sys.exit(130)
    finally:
        reporter.close()
    _summary(console, result, directory)


def prepare(sources: list[Path | str], recipe: Recipe, directory: Path) -> Path:
    """Do what comes before training, with progress on stderr; return the folder of the records that are learned from.

    Raises:
        MynahError: as `build`.
    """
    reporter = TerminalReporter(Console(file=sys.stderr, soft_wrap=True))
    try:
        build(sources, recipe, directory, reporter, ask_on_terminal(), until=PLAN.name)
    finally:
        reporter.close()
    paths = RunPaths(directory)
    return paths.pairs / TRAIN_PART if paths.pairs.is_dir() else paths.records_of(TRAIN_PART)


def run_job(job: Job, output: Path, world: World) -> None:
    """Train with progress on the terminal; of several processes, the first one tells.

    Raises:
        MynahError: as `Job.run`.
    """
    first = world.first
    console = Console(file=sys.stdout, soft_wrap=True)
    reporter = TerminalReporter(console) if first else Silent()
    try:
        made = job.run(output, reporter, world)
    except (Interrupted, KeyboardInterrupt) as stop:
        if first:
            saved = "everything so far" if isinstance(stop, Interrupted) else "the last checkpoint"
            reporter.note(f"stopped; {saved} is saved: run the same command again to go on")
        sys.exit(130)
    finally:
        if isinstance(reporter, TerminalReporter):
            reporter.close()
    counts = made.counts
    if first:
        best = counts["best_loss"]
        held = (
            f", best held-out loss {best:.3f} nats a token after step {counts['best_step']:,}" if best else ""
        )
        console.print(f"trained    {output}: {counts['steps']:,} steps{held}", highlight=False, markup=False)
        if (output / "tokenizer.json").is_file():
            verb = "chat" if counts["talks"] else "generate"
            console.print(f"use        mynah {verb} {output}", highlight=False, markup=False)


def _answered(directory: Path) -> Iterator[str]:
    """Say what the bot, who answers from the log, does on the questions, and on its own held-out exchanges."""
    path = RunPaths(directory).answers / ABOUT
    if not path.is_file():
        return
    about = artifacts.read_json(path)
    others = (
        "the others in the network's own words" if about["mode"] == "free" else "it hands over the others"
    )
    if asked := about.get("questions"):
        if asked["count"]:
            yield (
                f"the bot: {asked['answered'] / asked['count']:.1%} of {asked['count']} questions answered, "
                f"{asked['right'] / max(1, asked['answered']):.1%} of these rightly; {others}"
            )
        if asked["unanswerable"]:
            silent = 1 - asked["stated"] / asked["unanswerable"]
            yield f"of {asked['unanswerable']} that the log does not answer, {silent:.1%} handed over or asked back"
    elif about["sure"]:
        point = next(p for p in about["curve"] if p["from"] >= about["threshold"])
        yield (
            f"the bot: answers {point['answered']:.1%} of {about['held_out']} held-out questions from the log, at "
            f"most {point['wrong']:.1%} of what it states is wrong; {others}"
        )


def _told_of_classes(result: dict[str, Any], directory: Path) -> Iterator[str]:
    """Say how well a classifier tells its classes, and how to ask it."""
    if "held_out" in result:
        measured, majority = result["held_out"], result["beside"]["majority"]["accuracy"]
        yield (
            f"{measured['accuracy']:.1%} of {measured['count']:,} held-out texts get the right class, macro-F1 "
            f"{measured['macro_f1']:.1%}; the most frequent class is that of {majority:.1%}"
        )
    else:
        yield "no text with a known class was held out: nothing could be measured"
    yield f"report     {RunPaths(directory).report}"
    yield f'classify   mynah classify {directory} "a text"'


def _told_of_pairs(result: dict[str, Any], directory: Path) -> Iterator[str]:
    """Say how well a translator translates, and how to ask it."""
    for found in result["directions"]:
        model, lexicon, way = found["model"], found["beside"]["lexicon"], found["direction"]
        if model["bleu"] <= lexicon["bleu"]:
            yield (
                f"{way['source']} to {way['target']}: no better than word by word; give it more --minutes or pairs"
            )
    if not result["directions"]:
        yield "no pair was held out: nothing could be measured"
    yield f"report     {RunPaths(directory).report}"
    yield f'translate  mynah translate {directory} "a text"'


def _summary(console: Console, result: dict[str, Any], directory: Path) -> None:
    for key, told in (("labels", _told_of_classes), ("directions", _told_of_pairs)):
        if key in result:
            for line in told(result, directory):
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            return
    verdict = result["verdict"]
    on_replies = verdict.get("on") == "replies"  # evaluations of earlier versions do not say
    of = " of replies" if on_replies else ""
    figures = (
        f"{verdict['network_bpb']:.3f} bits per held-out byte{of}, n-gram model {verdict['ngram_bpb']:.3f}"
    )
    if on_replies:
        figures += f", the base as it came {result['base']['replies']['bpb']:.3f}"
    elif untouched := result.get("untouched"):
        figures += f", the base as it came {untouched['all']['bpb']:.3f}"
    lines = [f"network {figures}"]
    if not verdict["beats_ngram"]:
        more = "or more text" if on_replies or "untouched" in result else "more text, or a --base"
        lines.append(f"the network does not beat the n-gram model: give it more --minutes, {more}")
    if questions := result.get("questions"):
        lines.append(
            f"the network alone: {questions['accuracy']:.1%} of {questions['count']} held-out questions answered with "
            f"the right facts; the best lookup {questions['lookup_accuracy']:.1%}"
        )
    lines += _answered(directory)
    if general := result.get("general"):
        lines.append(
            f"a general text, not of the log: {general['before']:.3f} bits a byte before, {general['after']:.3f} after"
        )
    for line in lines:
        console.print(line, highlight=False, markup=False)
    console.print(f"report     {directory / 'report.html'}", highlight=False, markup=False)
    ask = f"talk       mynah chat {directory}"
    if "chat" not in result:
        ask = f"write      mynah generate {directory}"
    console.print(ask, highlight=False, markup=False)
