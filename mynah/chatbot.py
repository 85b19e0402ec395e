"""The short way to a bot: a model that is trained on conversations, talks, and answers from a run's log.

from mynah import GPT3, GPT3ChatBot

bot = GPT3ChatBot.from_pretrained(GPT3.from_pretrained("gpt3"))
bot.train(conversations, epochs=5)
bot.chat("Where is my parcel?")
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from mynah.answers.bot import AnswerSession, Reply
from mynah.api import GPT3
from mynah.config import build_config
from mynah.data.clean.steps import clean_text
from mynah.data.readers.given import Text, to_records
from mynah.errors import ConfigError
from mynah.generate.chat import ChatSession, continue_text
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import Run
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.phases import pretrain, tune


class GPT3ChatBot(GPT3):
    """A model that talks: fine-tuned on conversations, with a memory of the present one."""

    def __init__(
        self, model: Transformer | None, tokenizer: Tokenizer | None, name: str, seed: int, device: str
    ) -> None:
        """Use `from_pretrained`."""
        super().__init__(model, tokenizer, name, seed, device)
        self._session: ChatSession | None = None
        self._answers: AnswerSession | None = None

    @classmethod
    def from_pretrained(cls, source: str | Path | GPT3, *, seed: int = 0, device: str = "auto") -> Self:
        """Open a model, as `GPT3.from_pretrained`; a run that has a log to answer from answers from it."""
        opened = super().from_pretrained(source, seed=seed, device=device)
        if not isinstance(source, GPT3) and opened.talks and can_answer(Path(source)):
            model, tokenizer = opened._ready()
            run = Run(model, tokenizer, opened.talks, opened.sampling, opened.cleaning)
            opened._answers = open_answers(Path(source), run)
        return opened

    def train(self, texts: Iterable[Text], epochs: float = 5, *, learning_rate: float | None = None) -> Self:
        """Learn to reply: the loss counts what the assistant says.

        Texts that name no speakers (single utterances) hold no replies; the model then learns to continue
        them, and `chat` continues what it is given. It says so once.

        Args:
            texts, epochs, learning_rate: as `GPT3.train`; a string may name its speakers ("Q: ... A: ...").

        Raises:
            DataError, TrainingError: as `GPT3.train`.
        """
        data = self._encode(to_records(texts))
        self.talks = bool(data.reply.any())
        if not self.talks:
            warnings.warn(
                "no text names its speakers: the bot learns to continue texts, not to answer; "
                "give pairs (question, answer) or {'messages': [...]} for replies",
                stacklevel=2,
            )
        self._learn(tune if self.talks else pretrain, data, epochs, learning_rate)
        self._session = self._answers = None  # it has learned what the log does not hold
        return self

    def reply(self, text: str) -> Reply:
        """Return the reply to a text, given the conversation so far: its words, how sure it is, and what it rests on.

        Raises:
            ConfigError: if the bot has no log to answer from: it was not opened from a run, or was trained since.
        """
        if self._answers is None:
            raise ConfigError(
                f"{self.name!r} has no log to answer from; open a run of mynah build, or call chat"
            )
        return self._answers.reply(text)

    def chat(self, text: str, **sampling: Any) -> str:
        """Return the reply to a text, given the conversation so far.

        A run that has a log answers from it, as `reply`; with keywords of `SamplingConfig` the network replies alone.

        Raises:
            ConfigError: if the bot has not been trained, or a keyword is unknown.
        """
        if self._answers is not None and not sampling:
            return self._answers.reply(text).text
        model, tokenizer = self._ready()
        config = build_config(SamplingConfig, {**self.sampling.model_dump(), **sampling}, "chat")
        text = clean_text(text, self.cleaning)
        if not self.talks:
            return "".join(continue_text(model, tokenizer, text, config))
        if self._session is None:
            self._session = ChatSession(model, tokenizer, config)
        self._session.config = config
        return "".join(self._session.reply(text))

    def reset(self) -> None:
        """Forget the conversation so far."""
        if self._session is not None:
            self._session.reset()
        if self._answers is not None:
            self._answers.reset()
