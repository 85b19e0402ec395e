"""Everything that `mynah evaluate` measures: texts, replies, questions and benchmarks, of one model and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.data.records import Record
from mynah.data.sources import CollectConfig
from mynah.device import pick_device
from mynah.errors import ConfigError, DataError
from mynah.evaluate.benchmark.asking import Outcome, ask
from mynah.evaluate.benchmark.files import SHOTS, benchmarks_in, read_benchmark
from mynah.evaluate.benchmark.items import Benchmark
from mynah.evaluate.chance import share_interval
from mynah.evaluate.conversations import judge_replies, prompts_of
from mynah.evaluate.replies import Question, holds_facts, read_questions, reply_to_all
from mynah.evaluate.writing import COPIED
from mynah.generate.copies import Runs
from mynah.pipeline.evaluate_models import TOKENS, Comparison, compare, held_out_of
from mynah.pipeline.evaluate_tasks import evaluate_classes, evaluate_translations
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import Run, find_run, open_run
from mynah.pipeline.open_translator import way_of
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import TokenSet

#: Prompts that a network is asked to reply to, and pairs that are translated, where nothing is said.
REPLIES, TRANSLATED = 20, 200

Told = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Settings:
    """What is measured, and of how much."""

    beside: tuple[str, ...] = ()
    replies: int | None = None
    questions: Path | None = None
    tokens: int = TOKENS
    shots: int = SHOTS
    items: int | None = None
    run_programs: bool = False


@dataclass(frozen=True)
class Found:
    """What was measured."""

    #: of the models, the one asked about first
    names: tuple[str, ...]
    texts: Comparison | None
    replies: dict[str, Any] | None
    answers: dict[str, Any] | None
    #: of each benchmark, what each model reached
    benchmarks: tuple[tuple[Outcome, ...], ...] = ()
    #: of a classifier; of a translator, each way
    classes: dict[str, Any] | None = None
    translations: list[dict[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            "models": list(self.names),
            "texts": self.texts.to_json() if self.texts is not None else None,
            "replies": self.replies,
            "questions": self.answers,
            "classes": self.classes,
            "translations": self.translations,
            "benchmarks": [
                {name: outcome.to_json() for name, outcome in zip(self.names, of, strict=True)}
                for of in self.benchmarks
            ],
        }


def evaluate_all(
    run: Path,
    what: Sequence[Path],
    settings: Settings,
    device: str = "auto",
    told: Told = lambda what, share: None,
) -> Found:
    """Measure a model.

    Args:
        run: a run, a Hugging Face directory or the name of a base.
        what: texts and benchmarks; none: what the run has held out.
        settings: of how much.
        device: where models are computed.
        told: is told what is measured and what share of it is done.

    Raises:
        ArtifactError: if a model is missing or damaged.
        DataError: if there is nothing to measure on, or a file is wrong.
        ConfigError: if programs are to be written and may not be run.
    """
    directory = find_run(run)
    for path in what:
        if not path.exists():
            raise DataError(f"{path}: no such file")
    if (found := _of_a_task(directory, what, settings, device, told)) is not None:
        return found
    benchmarks, texts = _sorted_out(what, settings)
    questions = read_questions(settings.questions) if settings.questions is not None else None
    opened = open_run(directory, device)
    at, name = pick_device(device), directory.resolve().name
    others = [(name, open_run(find_run(name), device)) for name in settings.beside] if benchmarks else []
    records = _records_of(texts) if texts else None
    compared, replied = None, None
    if records is not None or not (benchmarks or questions):
        own = records is None
        records = records if records is not None else held_out_of(directory)
        compared = compare(
            directory,
            opened,
            records,
            settings.beside,
            at,
            own_log=own,
            most_tokens=settings.tokens,
            told=lambda name: told(f"reading: {name}", None),
        )
        if opened.talks and (own or settings.replies):
            replied = _replies(directory, opened, records, settings.replies or REPLIES, told)
    answers = _answers(directory, opened, questions, told) if questions is not None else None
    outcomes = tuple(
        tuple(_asked(benchmark, of, who, settings, told) for of, who in [(name, opened), *others])
        for benchmark in benchmarks
    )
    names = (name, *(other for other, _ in others))
    return Found(names, compared, replied, answers, outcomes)


def _of_a_task(
    directory: Path, what: Sequence[Path], settings: Settings, device: str, told: Told
) -> Found | None:
    """Measure a run that tells classes or translates; None: it does neither."""
    classifies = (RunPaths(directory).classifier / artifacts.MANIFEST).is_file()
    if not classifies and not way_of(directory).directions:
        return None
    if settings.beside or settings.questions is not None or settings.replies is not None:
        raise ConfigError(
            f"{directory.name}: {'tells classes' if classifies else 'translates'}; --beside, --questions and --replies "
            "are for models that talk"
        )
    records = _records_of(what) if what else held_out_of(directory)
    names = (directory.resolve().name,)
    if classifies:
        return Found(names, None, None, None, classes=evaluate_classes(directory, records, device, told))
    count = settings.items or TRANSLATED
    translations = evaluate_translations(directory, records, count, device, told)
    return Found(names, None, None, None, translations=translations)


def _sorted_out(what: Sequence[Path], settings: Settings) -> tuple[list[Benchmark], list[Path]]:
    """Return benchmarks, read, and the paths that are other texts."""
    benchmarks, texts = [], []
    for path in what:
        files = benchmarks_in(path)
        for file in files:
            benchmark = read_benchmark(file, settings.shots)
            if settings.items is not None and len(benchmark.items) > settings.items:
                step = len(benchmark.items) / settings.items
                some = [benchmark.items[int(n * step)] for n in range(settings.items)]
                benchmark = replace(benchmark, items=some)
            benchmarks.append(benchmark)
        if not files:
            texts.append(path)
    return benchmarks, texts


def _records_of(texts: Sequence[Path]) -> list[Record]:
    from mynah.data.collect.collector import collect

    records = collect(texts, CollectConfig()).records
    if not records:
        raise DataError(
            f"{', '.join(map(str, texts))}: nothing in it can be read; look why: mynah collect {texts[0]}"
        )
    return records


def _replies(
    directory: Path, opened: Run, records: Sequence[Record], count: int, told: Told
) -> dict[str, Any] | None:
    asked = prompts_of(records, count)
    if not asked:
        return None
    tokens = RunPaths(directory).tokens_of("train")
    learned = Runs(TokenSet.load(tokens).tokens, COPIED) if tokens.is_file() else None
    return judge_replies(
        opened.model, opened.tokenizer, asked, opened.sampling, learned, partial(told, "replying")
    )


def _answers(directory: Path, opened: Run, questions: Sequence[Question], told: Told) -> dict[str, Any]:
    """Ask a bot as its users meet it: from its log where it answers from one, else in the network's own words."""
    from mynah.data.records import Message

    if not opened.talks:
        raise ConfigError(
            f"{directory}: has learned no conversations; --questions needs a model that replies"
        )
    histories = [
        [*(Message("user", text) for text in q.history), Message("user", q.question)] for q in questions
    ]
    handed = [False] * len(questions)
    if can_answer(directory):
        session = open_answers(directory, opened)
        replies = []
        for number, history in enumerate(histories):
            said = session.reply_to(history)
            replies.append(said.text)
            handed[number] = said.handed_over
            told("answering", (number + 1) / len(histories))
    else:
        replies = reply_to_all(opened.model, opened.tokenizer, histories, opened.sampling)
    right, forbidden, wrong = 0, 0, []
    for question, reply, handed_over in zip(questions, replies, handed, strict=True):
        says_never = any(holds_facts(reply, (fact,)) for fact in question.never)
        # A question without facts is one that nothing answers: to hand it over is right.
        ok = (holds_facts(reply, question.facts) if question.facts else handed_over) and not says_never
        right, forbidden = right + ok, forbidden + says_never
        if not ok:
            wrong.append({"question": question.question, "reply": reply, "expected": question.answer})
    interval = share_interval(right, len(questions))
    return {
        "count": len(questions),
        "right": right,
        "interval": [interval.low, interval.high],
        "forbidden": forbidden,
        "handed_over": sum(handed),
        "wrong": wrong,
    }


def _asked(benchmark: Benchmark, name: str, opened: Run, settings: Settings, told: Told) -> Outcome:
    what = f"{benchmark.name}: {name}"
    told(what, None)
    return ask(
        benchmark,
        opened.model,
        opened.tokenizer,
        partial(told, what),
        run_programs=settings.run_programs,
    )
