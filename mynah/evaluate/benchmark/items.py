"""What a benchmark asks: to choose among texts, to go on with one, to write a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Choosing:
    """Texts of which one is right: the model is asked which it finds the likeliest, after what stands before each."""

    #: what stands before, and the text that is scored; what stands before may differ, or be empty
    options: tuple[tuple[str, str], ...]
    #: the number of the right one
    right: int
    #: file and line
    place: str = ""

    @property
    def chance(self) -> float:
        """The share that guessing gets."""
        return 1 / len(self.options)


@dataclass(frozen=True)
class GoingOn:
    """A text that is to be gone on with word for word: would the model say just that?"""

    context: str
    continuation: str
    place: str = ""


@dataclass(frozen=True)
class Writing:
    """A question that is answered in the model's own words; of these the last number, or the whole, is compared."""

    prompt: str
    answer: str
    #: texts that end the answer
    stop: tuple[str, ...] = ("\n\n", "Question:")
    compared: Literal["number", "text"] = "number"
    place: str = ""


@dataclass(frozen=True)
class Programming:
    """A program that is to be gone on with, and what tries it."""

    prompt: str
    #: defines `check(candidate)`
    test: str
    #: the name of what is tried
    entry_point: str
    place: str = ""

    #: texts that end a function (Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1)
    STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


Item = Choosing | GoingOn | Writing | Programming


@dataclass(frozen=True)
class Benchmark:
    """Items of one kind."""

    name: str
    #: how the file is laid out, as people call it
    layout: str
    items: Sequence[Item]

    @property
    def kind(self) -> type[Item]:
        """What its items are."""
        return type(self.items[0])
