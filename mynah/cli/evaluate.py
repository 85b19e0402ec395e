"""`mynah evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from mynah.errors import ConfigError

if TYPE_CHECKING:
    from mynah.evaluate.benchmark.asking import Outcome
    from mynah.pipeline.evaluate_models import Comparison


def evaluate(
    run: Path,
    *what: Path,
    beside: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    replies: int | None = None,
    questions: Path | None = None,
    tokens: int = 100_000,
    shots: int = 5,
    items: int | None = None,
    run_programs: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    device: str = "auto",
) -> None:
    """Measure a model: on what its run held out, on other texts, on benchmark files.

    Beside it stand the n-gram model of its run, the base that its adapter is over, and models that you name, with the
    chance that a difference is none. Of a run that tells classes or translates the measures are those. Benchmarks are
    files or folders in the layouts of BLiMP, LAMBADA, ARC, PIQA, WinoGrande, COPA, HellaSwag, MMLU, CMMLU, GSM8K, SVAMP
    and HumanEval. docs/evaluation.md says what figures mean.

    Parameters
    ----------
    run: Path
        A run, a Hugging Face directory, or the name of a base.
    what: Path
        Texts and benchmarks; without any, the part that the run has held out.
    beside: tuple[str, ...]
        Another run or base to be measured on the same. May be given several times.
    replies: int
        Prompts that the network alone is asked to reply to. Default 20 for a run that talks, on its held-out part.
    questions: Path
        JSON lines of {"question": ..., "facts": [...], "never": [...]}: what replies must and must not hold.
    tokens: int
        Of texts, at most so many tokens are read: of many records some are drawn, the same each time.
    shots: int
        Worked examples before each question, where a benchmark has them.
    items: int
        Items of each benchmark, or pairs that are translated, at most, evenly spread.
    run_programs: bool
        Run the programs that a model writes for HumanEval on this machine, with little time and memory.
    json: bool
        Print all figures as JSON.
    output: Path
        A file for the same JSON.
    device: str
        auto, cpu, cuda or mps.
    """
    from mynah import artifacts
    from mynah.pipeline.evaluate_command import Settings, evaluate_all

    for name, value in (("--tokens", tokens), ("--items", items), ("--replies", replies)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value}: expected 1 or more")
    if shots < 0:
        raise ConfigError(f"--shots {shots}: expected 0 or more")
    bar = _Bar()
    settings = Settings(beside, replies, questions, tokens, shots, items, run_programs)
    try:
        found = evaluate_all(run, what, settings, device, bar.move)
    finally:
        bar.close()
    told = found.to_json()
    if output is not None:
        artifacts.write_json(output, told)
    if json:
        import json as json_

        print(json_.dumps(told, ensure_ascii=False, indent=2))
        return
    if found.texts is not None:
        _show_texts(found.texts)
    if found.replies is not None:
        _show_replies(found.replies)
    if found.answers is not None:
        _show_answers(found.answers)
    if found.benchmarks:
        _show_benchmarks(found.benchmarks, found.names)
    if found.classes is not None:
        _show_classes(found.classes)
    for way in found.translations or ():
        _show_translations(way)


class _Bar:
    """What is measured and how far, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=None)
        self._what = ""
        if sys.stderr.isatty():
            self._bar.start()

    def move(self, what: str, share: float | None = None) -> None:
        """Tell what is done, and what share of it; None: nobody knows."""
        if what != self._what:
            self._bar.reset(self._task, total=None if share is None else 1.0, description=what)
            self._what = what
        if share is not None:
            self._bar.update(self._task, completed=share, total=1.0)

    def close(self) -> None:
        """Take it away."""
        self._bar.stop()


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 160)
    with console.capture() as drawn:
        console.print(table, markup=False)
    print("\n".join(line.rstrip() for line in drawn.get().split("\n")))


def _of(first: str, verdict: str) -> str:
    """Say how the first model stands against another."""
    return f"{first} is {verdict}" if "with" in verdict else f"{verdict} from {first}"


def _show_texts(found: Comparison) -> None:
    for part, title in (("replies", "Replies"), ("all", "All text")):
        rows = []
        for model in found.models:
            if model.left_out or part not in model.parts:
                continue
            scores = model.parts[part]
            figures, against = scores.to_json(), model.against.get(part)
            interval = figures["interval"]
            rows.append(
                [
                    model.name,
                    f"{scores.bpb:.3f}",
                    f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "",
                    f"{scores.perplexity:.1f}",
                    f"{figures['accuracy']:.1%}",
                    f"{figures['accuracy_5']:.1%}" if figures["accuracy_5"] is not None else "",
                    _of(found.models[0].name, against.verdict) if against is not None else "",
                ]
            )
        if rows:
            _table(
                f"{title}: {found.records:,} records, {found.models[0].parts[part].bytes.sum():,} bytes",
                ["", "bits a byte", "95 %", "perplexity", "next token", "among 5", ""],
                rows,
            )
    for model in found.models:
        if model.left_out:
            print(f"{model.name} is not compared: {model.left_out}")
    first = found.models[0]
    part = "replies" if "replies" in first.parts else "all"
    if len(found.sources) > 1:
        rows = []
        for source, numbers in found.sources.items():
            bpb, n_bytes = first.parts[part].of(numbers)
            if n_bytes:
                rows.append([source, f"{len(numbers):,}", f"{n_bytes:,}", f"{bpb:.3f}"])
        _table(f"{first.name} by source, {part}", ["", "records", "bytes", "bits a byte"], rows)
    by_place = first.parts[part].to_json()["bits_a_token_by_position"]
    if len(by_place) > 1:
        rows = [[name, f"{bits:.2f}"] for name, bits in by_place.items()]
        _table(f"{first.name} by place of the token in its record, {part}", ["", "bits a token"], rows)


def _show_replies(found: dict[str, Any]) -> None:
    from mynah.evaluate.writing import describe_writing

    low, high = found["chrf_interval"] or (found["chrf"], found["chrf"])
    print(f"Replies of the network alone to {found['count']} held-out prompts:")
    print(
        f"  chrF {found['chrf']:.1f} ({low:.1f} to {high:.1f}), ROUGE-L {found['rouge_l']:.2f}; "
        f"{found['characters']:.0f} characters, what was replied {found['characters_of_references']:.0f}; "
        f"{found['stopped']:.0%} ended by themselves"
    )
    print(f"  {describe_writing(found)}\n")


def _show_answers(found: dict[str, Any]) -> None:
    print(
        f"Questions: {found['right']} of {found['count']} answered with the right facts "
        f"({found['interval'][0]:.0%} to {found['interval'][1]:.0%}), {found['forbidden']} with what must never be "
        f"said, {found['handed_over']} handed over"
    )
    for wrong in found["wrong"][:10]:
        print(f"  {wrong['question']!r}: {wrong['reply']!r}")
    print()


def _show_classes(found: dict[str, Any]) -> None:
    low, high = found["interval"]
    print(
        f"{found['count']:,} texts: accuracy {found['accuracy']:.1%} ({low:.1%} to {high:.1%}), macro-F1 "
        f"{found['macro_f1']:.1%}, log loss {found['log_loss']:.3f}"
    )
    if found["unknown"]:
        print(f"not learned, and so mistaken: {', '.join(found['unknown'])}")
    if found["never_said"]:
        print(f"never said: {', '.join(found['never_said'])}")
    rows = [
        [
            row["name"],
            f"{row['precision']:.1%}",
            f"{row['recall']:.1%}",
            f"{row['f1']:.1%}",
            f"{row['support']:,}",
        ]
        for row in found["classes"]
    ]
    _table("By class", ["", "precision", "recall", "F1", "texts"], rows)


def _show_translations(found: dict[str, Any]) -> None:
    low, high = found["chrf_interval"] or (found["chrf"], found["chrf"])
    print(
        f"{found['direction']}, {found['count']:,} texts: BLEU {found['bleu']:.1f}, chrF {found['chrf']:.1f} (of "
        f"single texts {low:.1f} to {high:.1f})\n  {found['bleu_signature']}\n  {found['chrf_signature']}"
    )


def _show_benchmarks(outcomes: Sequence[Sequence[Outcome]], names: Sequence[str]) -> None:
    from mynah.evaluate.chance import paired_right

    rows = []
    for of in outcomes:
        for number, outcome in enumerate(of):
            against = paired_right(of[0].right, outcome.right).verdict if number else ""
            more = ", ".join(
                f"{key.replace('_', ' ')} " + (f"{value:.1f}" if key == "perplexity" else f"{value:.1%}")
                for key, value in outcome.more.items()
            )
            rows.append(
                [
                    outcome.name if not number else "",
                    names[number],
                    f"{len(outcome.right):,}",
                    f"{outcome.accuracy:.1%}",
                    f"{outcome.interval.low:.1%} to {outcome.interval.high:.1%}",
                    f"{outcome.chance:.0%}" if outcome.chance is not None else "",
                    more,
                    _of(names[0], against) if against else "",
                ]
            )
    if len(outcomes) > 1:
        for number, name in enumerate(names):
            mean = sum(of[number].accuracy for of in outcomes) / len(outcomes)
            rows.append(["mean of all" if not number else "", name, "", f"{mean:.1%}", "", "", "", ""])
    _table("Benchmarks", ["", "model", "items", "right", "95 %", "by guessing", "", ""], rows)
