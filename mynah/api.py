"""The short way to a model: one class that learns from a list of texts and goes on with others.

from mynah import GPT3

model = GPT3.from_pretrained("gpt3")
model.train(texts, epochs=10)
model.generate("It was")
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.config import build_config
from mynah.data.clean.config import CleanConfig
from mynah.data.clean.run import clean
from mynah.data.dedup.config import DuplicateConfig
from mynah.data.readers.given import Text, to_records
from mynah.data.records import Record
from mynah.device import available_memory, pick_device
from mynah.errors import ArtifactError, ConfigError, DataError
from mynah.evaluate.language_model import draw_order, score_network, summarise
from mynah.generate.chat import continue_text
from mynah.generate.outline import outlined
from mynah.generate.settings import SamplingConfig
from mynah.interop.bases import find_base
from mynah.interop.huggingface import to_hugging_face
from mynah.model.presets import PRESETS, preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model, save_model
from mynah.ngram.prior import PRIOR, NGramPrior, TextPrior
from mynah.pipeline.open_run import SAVED, is_saved, open_run
from mynah.plan.budget import row_shape, shape_for
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer, choose_vocab_size
from mynah.train.config import TrainConfig
from mynah.train.memory import check_memory
from mynah.train.phases import pretrain
from mynah.train.rates import rates
from mynah.train.state import Progress
from mynah.train.trained import TrainedCount

#: Measurements without gain after which training stops.
PATIENCE = 4
#: From so many records, or tokens of fewer, a tenth is held out.
LEAST_RECORDS, LEAST_TOKENS = 40, 20_000
_CLEANING = CleanConfig()
#: "gpt3" alone is the family: the size follows the data, largest first (tokens, preset).
_FAMILY = ((2_000_000, "gpt3-mini"), (300_000, "gpt3-micro"), (0, "gpt3-nano"))


class GPT3:
    """A language model of GPT-3's make (or any preset), trained on your texts."""

    def __init__(
        self, model: Transformer | None, tokenizer: Tokenizer | None, name: str, seed: int, device: str
    ) -> None:
        """Use `from_pretrained`."""
        self.model, self.tokenizer = model, tokenizer
        self.name, self.seed = name, seed
        self.device = pick_device(device)
        #: whether it was fine-tuned on conversations
        self.talks = False
        #: how replies are drawn, and what users type is cleaned, where nothing else is said: a run's own settings
        self.sampling, self.cleaning = SamplingConfig(), _CLEANING
        #: whether its weights were trained before, and are to be changed gently
        self._from_folder = False

    @classmethod
    def from_pretrained(cls, source: str | Path | GPT3, *, seed: int = 0, device: str = "auto") -> Self:
        """Open a model.

        Args:
            source: a run of `mynah build`, a folder made by `save`, a Hugging Face directory (of `FAMILIES`), a base
                of `mynah base list`, another model, or a preset's name. "gpt3" is the family: its size follows the
                data. OpenAI never published GPT-3's weights, so a name starts from random ones, and says so once.
            seed: of random weights and of training.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            ConfigError: if `source` is neither a folder, a base nor a preset.
            ArtifactError: if the folder is damaged.
        """
        if isinstance(source, GPT3):
            # A copy: training the bot must not change the model it came from.
            adopted = cls(copy.deepcopy(source.model), source.tokenizer, source.name, seed, device)
            if adopted.model is not None:
                adopted.model.to(adopted.device)
            adopted._from_folder = source._from_folder
            adopted.talks, adopted.sampling, adopted.cleaning = source.talks, source.sampling, source.cleaning
            return adopted
        name = str(source)
        if not Path(source).is_dir() and name != "gpt3" and name not in PRESETS:
            try:
                source = find_base(name)
            except ConfigError as error:
                raise ConfigError(
                    f"{name!r} is neither a folder nor a preset (gpt3, {', '.join(PRESETS)}): {error}"
                ) from None
        if Path(source).is_dir():
            run = open_run(Path(source), pick_device(device), torch.float32)  # it may be trained on
            opened = cls(run.model, run.tokenizer, str(source), seed, device)
            opened.talks, opened._from_folder = run.talks, True
            opened.sampling, opened.cleaning = run.sampling, run.clean
            return opened
        _say_random(name)
        return cls(None, None, name, seed, device)

    def train(self, texts: Iterable[Text], epochs: float = 10, *, learning_rate: float | None = None) -> Self:
        """Learn to predict texts.

        Of many texts a tenth is held out. Where more epochs only learn the rest by heart, training stops, says so, and
        leaves the weights that did best on what was held out.

        Args:
            texts: strings, lists of words, `{"messages": [...]}` or pairs (question, answer).
            epochs: passes over them, at most.
            learning_rate: peak, of embeddings and head; that of the matrices is changed in proportion. None: what suits
                the model.

        Raises:
            DataError: if there is no text.
            ConfigError: if training needs more memory than there is.
            TrainingError: if the loss is not finite.
        """
        self._learn(pretrain, self._encode(to_records(texts)), epochs, learning_rate)
        return self

    def generate(self, prompt: str = "", outline: Sequence[str] = (), **sampling: Any) -> str:
        """Return the text that follows a prompt.

        Args:
            prompt: how the text begins.
            outline: points, each of which begins a part: "# Heading", or how a paragraph begins.
            sampling: of `SamplingConfig`; of an outline, `max_tokens` are those of a part.

        Raises:
            ConfigError: if the model has not been trained, or a keyword is unknown.
        """
        model, tokenizer = self._ready()
        config = build_config(
            SamplingConfig, {**self.sampling.model_dump(), "temperature": 0.8, **sampling}, "generate"
        )
        if outline:
            return "".join(outlined(model, tokenizer, prompt, outline, config)).strip()
        return "".join(continue_text(model, tokenizer, prompt, config))

    def evaluate(self, texts: Iterable[Text]) -> dict[str, float]:
        """Return how well texts are predicted that it should not have learned: bpb, perplexity, accuracy.

        Of a model that talks, replies alone are measured, where there are some.

        Args:
            texts: as `train` takes them.

        Raises:
            ConfigError: if the model has not been trained.
            DataError: if there is no text.
        """
        model, tokenizer = self._ready()
        data = encode_records(to_records(texts), tokenizer)
        if not len(data):
            raise DataError("there is no text to measure on")
        scores = score_network(model, data, model.config.context_length)
        score = summarise(scores, data, replies_only=self.talks and bool(data.reply.any()))
        if score is None:
            raise DataError("there is no text to measure on: every row is empty")
        return {"bpb": score.bpb, "perplexity": score.perplexity, "accuracy": score.accuracy}

    def save(self, directory: str | Path) -> Path:
        """Write model and tokenizer into a folder that `from_pretrained` and `mynah chat` open.

        The folder is new, empty or an earlier `save`, which it replaces in one step.

        Raises:
            ConfigError: if the model has not been trained.
            ArtifactError: if the folder holds something else, or cannot be written.
        """
        model, tokenizer = self._ready()
        path = Path(directory).resolve()
        if path.exists() and not (path.is_dir() and (is_saved(path) or not any(path.iterdir()))):
            raise ArtifactError(f"{path}: holds something that save did not write; name a new folder")
        manifest = Manifest(SAVED, "", __version__, self._settings(), {}, self.seed, {"talks": self.talks})
        with artifacts.new_directory(path, manifest) as partial:
            tokenizer.save(partial)
            save_model(model, partial)
            if isinstance(model.prior, NGramPrior):
                model.prior.save(partial / PRIOR)
        return path

    def _settings(self) -> dict[str, Any]:
        """Return what is kept beside the weights."""
        return {
            "sampling": self.sampling.model_dump(mode="json"),
            "clean": self.cleaning.model_dump(mode="json"),
        }

    def export(self, directory: str | Path) -> Path:
        """Write model and tokenizer as a new directory that `transformers` reads.

        Raises:
            ConfigError: if the model has not been trained, or has parts that `transformers` cannot run.
            ArtifactError: if the directory holds something already, or cannot be written.
        """
        to_hugging_face(*self._ready(), Path(directory), talks=self.talks)
        return Path(directory).resolve()

    def _ready(self) -> tuple[Transformer, Tokenizer]:
        if self.model is None or self.tokenizer is None:
            raise ConfigError(f"{self.name!r} has no weights yet; call train first")
        return self.model, self.tokenizer

    def _encode(self, records: list[Record]) -> TokenSet:
        """Clean and encode; a model without weights gets its tokenizer and its weights here."""
        # What is said twice is meant twice here.
        cleaned = clean(
            records, self.cleaning.model_copy(update={"duplicates": DuplicateConfig(exact=False)})
        ).records
        if not cleaned:
            raise DataError("no text to train on: every row is empty")
        if self.tokenizer is None:
            texts = [text for record in cleaned for text in record.texts]
            size = choose_vocab_size(sum(len(text.encode()) for text in texts))
            self.tokenizer = Tokenizer.train(texts, size)
        data = encode_records(cleaned, self.tokenizer)
        if self.model is None:
            name = self.name
            if name == "gpt3":
                name = next(n for least, n in _FAMILY if len(data.tokens) >= least)
            context = row_shape(data)[1]
            config = preset(name, self.tokenizer.vocab_size, context_length=context)
            model = new_model(config, self.seed)
            self.model = model.to(self.device)
        return data

    def _with_prior(self, data: TokenSet) -> TokenSet:
        """Return texts with the model's prior along them, if it has one; they should not be those it was counted on."""
        assert self.model is not None
        prior = self.model.prior
        if not isinstance(prior, NGramPrior):
            return data
        warnings.warn(
            "this model goes on from an n-gram model, which stays as it is: train it further on new texts only, or it "
            "learns to trust what the n-gram model has seen",
            stacklevel=3,
        )
        return replace(data, prior=TextPrior.of(prior, data.tokens))

    def _learn(
        self, phase: Callable[..., Progress], data: TokenSet, epochs: float, learning_rate: float | None
    ) -> None:
        """Train in place; stop where what is held out gains no more, and say so."""
        assert self.model is not None
        whole = data
        data, held_out = set_apart(whole)
        if whole.reply.any() and not data.reply.any():  # the few replies that there are must be learned
            data, held_out = whole, None
        config = self._config(data, epochs, learning_rate)
        available, count = available_memory(self.device), TrainedCount.of(self.model)
        preset_name = self.name if self.name in PRESETS else None
        check_memory(preset_name, self.model.config, config, available, trained=count)
        done = phase(self.model, self._with_prior(data), held_out, config)
        if held_out is not None and done.best_step < done.step:
            best = epochs * done.best_step / config.steps
            warnings.warn(
                f"the weights after {best:.1f} of {epochs:g} epochs are kept: from there on the loss of texts held out "
                "fell no further, and the others were only learned by heart",
                stacklevel=3,
            )

    def _config(self, data: TokenSet, epochs: float, learning_rate: float | None) -> TrainConfig:
        assert self.model is not None
        rows = shape_for(self.model.config, row_shape(data), from_base=self._from_folder)
        steps = max(1, math.ceil(epochs * len(data.tokens) / (rows[0] * rows[1])))
        own = rates(self.model.config, from_base=self._from_folder)
        if learning_rate is not None:
            for name in [name for name in own if name.endswith("_learning_rate")]:
                own[name] *= learning_rate / own["learning_rate"]
            own["learning_rate"] = learning_rate
        return TrainConfig(
            steps=steps,
            batch_size=rows[0],
            context_length=rows[1],
            seed=self.seed,
            eval_every=max(1, steps // 20),
            patience=PATIENCE,
            **own,
        )


def set_apart(data: TokenSet) -> tuple[TokenSet, TokenSet | None]:
    """Return what is learned from, and a tenth that is held out; None of too few texts.

    Of many records it is drawn by what they hold, so that equal ones stay together; of few long ones it is the end.
    """
    n = len(data.tokens)
    if len(data) >= LEAST_RECORDS:
        held = draw_order(data) < 0.1
        if 0 < held.sum() < len(data):
            return data.select(np.flatnonzero(~held)), data.select(np.flatnonzero(held))
    elif n >= LEAST_TOKENS:
        cut = n - n // 10
        starts = data.starts[: int(np.searchsorted(data.starts, cut))]
        begin = TokenSet(
            data.tokens[:cut],
            np.append(starts, cut),
            data.part[:cut],
            data.n_bytes[: len(starts)],
            data.kind[: len(starts)],
        )
        end = TokenSet(
            data.tokens[cut:], np.array([0, n - cut]), data.part[cut:], data.n_bytes[-1:], data.kind[-1:]
        )
        return begin, end
    return data, None


_told: set[str] = set()


def _say_random(name: str) -> None:
    """Say once a process that a name has no weights."""
    if name in _told:
        return
    _told.add(name)
    warnings.warn(
        f"{name!r} names an architecture, not weights (OpenAI never published GPT-3's): "
        "the model starts from random ones and knows only what you train it on",
        stacklevel=3,
    )
