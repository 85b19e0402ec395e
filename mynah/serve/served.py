"""What a service speaks for: models by name, one copy of weights that several of them have in common."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mynah.answers.bot import AnswerSession
from mynah.answers.config import Mode
from mynah.data.clean.config import CleanConfig
from mynah.generate.drafts import Counted, Drafter, Repeats
from mynah.generate.grammar import Grammars
from mynah.generate.settings import SamplingConfig
from mynah.model.multi_lora import over_one_base, share_weights
from mynah.model.transformer import Transformer
from mynah.ngram.prior import NGramPrior
from mynah.serve.errors import ApiError
from mynah.serve.feedback import Feedback
from mynah.tokenizer.tokenizer import Tokenizer


@dataclass
class Served:
    """A model that can be asked."""

    name: str
    model: Transformer
    tokenizer: Tokenizer
    #: whether it has learned conversations; otherwise it only goes on with text
    talks: bool
    sampling: SamplingConfig
    clean: CleanConfig
    #: seconds since 1970
    created: int = 0
    #: of a run that answers from its log; what it says in its own words is drawn here, not there
    answers: AnswerSession | None = None
    #: counted from the same text, with the same tokenizer
    ngram: NGramPrior | None = None
    #: keeps what people say of its replies; None: nothing is kept
    feedback: Feedback | None = None
    #: a page about it
    report: Path | None = None
    #: what decodes it beside others over the same base, and the number of its adapter there; None: it is decoded alone
    beside: tuple[Transformer, int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.answers is not None:
            self.answers.answerer.network = lambda history: iter(())

    @cached_property
    def _grammars(self) -> Grammars:
        return Grammars(self.tokenizer, self.model.config.vocab_size)

    @property
    def grammars(self) -> Grammars:
        """What makes constraints; begun when it is first asked for."""
        with self._lock:
            return self._grammars

    def drafters(self, likely: Sequence[Sequence[int]] = ()) -> list[Drafter]:
        """Return what guesses a reply: texts that it is likely to repeat, the log as it was counted, the prompt."""
        counted = [Counted(self.ngram)] if self.ngram is not None else []
        return [*([Repeats(likely)] if likely else []), *counted, Repeats()]

    def session(self, mode: Mode | None) -> AnswerSession:
        """Return a new conversation that answers from the log.

        Args:
            mode: how; None: as the run does.

        Raises:
            ApiError: if there is no log.
        """
        if self.answers is None:
            raise ApiError(
                f"{self.name} has no log to answer from; leave out answers, or say network",
                400,
                None,
                "answers",
            )
        answerer = self.answers.answerer
        if mode is not None and mode != answerer.mode:
            answerer = copy.copy(answerer)
            answerer.mode = mode
        return AnswerSession(answerer, self.answers.clean)


class Models:
    """Those that are served.

    Args:
        served: of different names, at least one.
    """

    def __init__(self, served: Iterable[Served]) -> None:
        self.by_name = {one.name: one for one in served}
        models = [one.model for one in self.by_name.values()]
        share_weights(models)
        self._multi = over_one_base(models)
        for multi in self._multi:
            for adapter, member in enumerate(multi.members):
                list(self.by_name.values())[member].beside = multi.model, adapter

    @property
    def networks(self) -> list[Transformer]:
        """All networks, those that stand for several models too."""
        return [one.model for one in self.by_name.values()] + [multi.model for multi in self._multi]

    def get(self, name: str) -> Served:
        """Return the model of a name.

        Raises:
            ApiError: if there is none.
        """
        if name not in self.by_name:
            raise ApiError(
                f"no such model; here are: {', '.join(self.by_name)}", 404, "model_not_found", "model"
            )
        return self.by_name[name]
