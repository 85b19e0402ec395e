"""Ask a model what a benchmark asks, and count what it gets right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mynah.errors import ConfigError
from mynah.evaluate.benchmark.items import Benchmark, Choosing, GoingOn, Programming, Writing
from mynah.evaluate.benchmark.likelihood import log_likelihoods
from mynah.evaluate.benchmark.programs import passes
from mynah.evaluate.chance import Interval, share_interval
from mynah.generate.chat import until
from mynah.generate.engine import Request, generate_all
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens of an answer in the model's own words, and of a program.
ANSWER, PROGRAM = 256, 384
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


@dataclass(frozen=True)
class Outcome:
    """What a model reached."""

    name: str
    layout: str
    #: of each item, whether it was right
    right: tuple[bool, ...]
    interval: Interval
    #: the share that guessing gets; None: next to nothing
    chance: float | None
    #: other figures by their usual names
    more: dict[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return sum(self.right) / len(self.right)

    def to_json(self) -> dict[str, Any]:
        """Return it without what each item got."""
        return {
            "name": self.name,
            "layout": self.layout,
            "items": len(self.right),
            "accuracy": self.accuracy,
            "interval": list(asdict(self.interval).values()),
            "chance": self.chance,
            **self.more,
        }


def ask(
    benchmark: Benchmark,
    model: Transformer,
    tokenizer: Tokenizer,
    told: Callable[[float], None] | None = None,
    *,
    run_programs: bool = False,
) -> Outcome:
    """Ask a model everything.

    Args:
        benchmark: what is asked.
        model: in evaluation mode.
        tokenizer: its own.
        told: is told what share is done, from 0 to 1.
        run_programs: run what it writes where programs are asked for.

    Raises:
        ConfigError: if programs are asked for and may not be run, or nothing of a text fits the context.
    """
    items = benchmark.items
    more: dict[str, float] = {}
    chance: float | None = None
    if choosing := [item for item in items if isinstance(item, Choosing)]:
        right, by_length = _choose(choosing, model, tokenizer, told)
        chance = sum(item.chance for item in choosing) / len(choosing)
        more["accuracy_by_length"] = sum(by_length) / len(by_length)
    elif going := [item for item in items if isinstance(item, GoingOn)]:
        likely = log_likelihoods(
            model, tokenizer, [(item.context, item.continuation) for item in going], told
        )
        right = [one.greedy for one in likely]
        more["perplexity"] = math.exp(min(700.0, -sum(one.log_prob for one in likely) / len(likely)))
    elif writing := [item for item in items if isinstance(item, Writing)]:
        texts = _written(model, tokenizer, [(item.prompt, item.stop) for item in writing], ANSWER)
        right = [_same(text, item) for text, item in zip(texts, writing, strict=True)]
    else:
        if not run_programs:
            raise ConfigError(
                f"{benchmark.name}: to see whether programs are right they are run on this machine; allow it: "
                "--run-programs"
            )
        programs = [item for item in items if isinstance(item, Programming)]
        texts = _written(model, tokenizer, [(item.prompt, item.STOP) for item in programs], PROGRAM)
        right = [
            passes(item.prompt + text, item.test, item.entry_point)
            for text, item in zip(texts, programs, strict=True)
        ]
    interval = share_interval(sum(right), len(right))
    return Outcome(benchmark.name, benchmark.layout, tuple(right), interval, chance, more)


def _choose(
    items: Sequence[Choosing],
    model: Transformer,
    tokenizer: Tokenizer,
    told: Callable[[float], None] | None,
) -> tuple[list[bool], list[bool]]:
    """Return whether the likeliest choice is the right one, and the likeliest by its length in characters."""
    pairs = [option for item in items for option in item.options]
    likely = iter(log_likelihoods(model, tokenizer, pairs, told))
    right, by_length = [], []
    for item in items:
        found = [next(likely).log_prob for _ in item.options]
        lengths = [max(1, len(text.lstrip())) for _, text in item.options]
        right.append(_first_best(found) == item.right)
        by_length.append(_first_best([one / n for one, n in zip(found, lengths, strict=True)]) == item.right)
    return right, by_length


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _written(
    model: Transformer, tokenizer: Tokenizer, asked: Sequence[tuple[str, tuple[str, ...]]], most: int
) -> list[str]:
    """Return what a model goes on with, the likeliest token each time, up to a text that ends it."""
    most = min(most, model.config.context_length // 2)
    config = SamplingConfig(max_tokens=most)
    room = model.config.context_length - most
    ids = [tokenizer.begin(prompt)[-room:] for prompt, _ in asked]
    ends = tokenizer.template.stop_ids
    written = generate_all(model, [Request(prompt, config, stop=ends) for prompt in ids])
    return [
        "".join(until(tokenizer.stream(said, prompt), stop))
        for said, prompt, (_, stop) in zip(written, ids, asked, strict=True)
    ]


def _same(text: str, item: Writing) -> bool:
    if item.compared == "text":
        return " ".join(text.split()) == " ".join(item.answer.split())
    said, wanted = number_at_end(text), number_at_end(item.answer)
    return said is not None and said == wanted


def number_at_end(text: str) -> float | None:
    """Return the last number of a text."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None
