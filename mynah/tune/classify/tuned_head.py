"""A head and the layers below it, tuned on classes, asked, written and opened again.

N texts, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.interop.bases import find_base
from mynah.interop.huggingface import from_hugging_face, hash_of_directory, read_config
from mynah.interop.trained import adapted_base
from mynah.model.lora import LoRAConfig
from mynah.model.tensor_files import write_tensors
from mynah.model.transformer import Transformer
from mynah.model.weights import check_shapes, read_tensors
from mynah.plan.speed import products_speed
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, Step, train
from mynah.train.rates import rates
from mynah.train.trained import trained_parameters
from mynah.tune.classify.head import Headed, TextBatches, batch_of, loss_of_classes
from mynah.tune.classify.label_text import tokens_a_row
from mynah.tune.classify.linear import log_softmax

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Texts of a step, tokens that are read at once, and of a text at most.
TEXTS_A_STEP, AT_ONCE, LONGEST = 32, 2048, 192
#: Layers that are read, of all: the deeper ones tell more, and take longer; passes that teach anything, and that are
#: enough (docs/log.md).
SHARES, LEAST_PASSES, MOST_PASSES = (0.6, 1 / 3), 2.5, 6.0
#: Of the texts a head is first tuned on so many, and asked about the others.
TRIAL_SHARE = 0.8
#: Texts whose length is looked at.
LOOKED_AT = 1000
ABOUT, FILE = "head.json", "head.safetensors"


@dataclass(frozen=True)
class HeadSettings:
    """How a head is tuned."""

    #: layers of the base that are read, of all; deeper ones tell more, and take longer (docs/log.md)
    share: float
    #: passes over the texts
    passes: float
    #: all weights of these layers are trained, not an adapter beside them
    full: bool = False


class TunedHead:
    """A base whose lower layers and a head over them have learned classes.

    Args:
        model: in evaluation mode.
        tokenizer: the base's.
        base: its name or directory.
        settings: how it was tuned.
    """

    def __init__(self, model: Headed, tokenizer: Tokenizer, base: str, settings: HeadSettings) -> None:
        self.model, self.tokenizer, self.base, self.settings = model, tokenizer, base, settings
        self._before = tokenizer.encode("\n")

    @classmethod
    def learn(
        cls,
        base: str,
        texts: Sequence[str],
        numbers: npt.NDArray[np.int64],
        classes: int,
        settings: HeadSettings,
        *,
        seed: int,
        device: torch.device,
        balanced: bool = False,
        told: Callable[[float], None] | None = None,
    ) -> TunedHead:
        """Tune a head.

        Args:
            base: a base's name or directory.
            texts: N.
            numbers: (N,) of their classes.
            classes: K.
            settings: how deep and how long.
            seed: of the adapter and of the order.
            device: where.
            balanced: whether each class counts as much as any other, however many rows it has.
            told: is told what share is done, from 0 to 1.

        Raises:
            ArtifactError, ConfigError: if the base cannot be read.
            TrainingError: if the loss is not finite.
        """
        made = cls(
            _new(base, classes, settings, seed, device), Tokenizer.load(find_base(base)), base, settings
        )
        weights = np.ones(len(numbers), np.float32)
        if balanced:
            counts = np.bincount(numbers, minlength=classes)
            weights = (len(numbers) / (classes * counts[numbers])).astype(np.float32)
        encoded = made.encode(texts)
        longest = max(map(len, encoded), default=1) + len(made._before)
        batches = TextBatches(encoded, made._before, numbers, weights, TEXTS_A_STEP, seed)
        steps = max(1, round(settings.passes * batches.a_pass))
        suited = rates(made.model.body.config, from_base=True, adapter=not settings.full)
        config = TrainConfig(
            steps=steps,
            batch_size=TEXTS_A_STEP,
            grad_accum_steps=min(TEXTS_A_STEP, -(-TEXTS_A_STEP * longest // AT_ONCE)),
            eval_every=steps,
            seed=seed,
            **{**suited, "spike": 0.0, "schedule": "linear", "warmup": 0.06},
        )

        def watch(step: Step) -> None:
            if told is not None:
                told(step.step / step.steps)

        train(made.model, batches, loss_of_classes, config, Session(None, watch))
        return made

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, of a long one its beginning and its end."""
        half = LONGEST // 2
        encoded = (self.tokenizer.encode(text) for text in texts)
        return [ids if len(ids) <= LONGEST else [*ids[:half], *ids[-half:]] for ids in encoded]

    @torch.no_grad()
    def log_probs(self, texts: Sequence[str]) -> Floats:
        """Return the log-probability of each class for each text, (N, K)."""
        encoded, device = self.encode(texts), next(self.model.parameters()).device
        logits = np.zeros((len(texts), self.model.head.out_features))
        order, done = sorted(range(len(texts)), key=lambda n: len(encoded[n])), 0
        while done < len(order):
            count = 1
            while (
                done + count < len(order)
                and (count + 1) * (len(encoded[order[done + count]]) + len(self._before)) <= AT_ONCE
            ):
                count += 1
            which = order[done : done + count]
            none = np.zeros(count, np.int64), np.zeros(count, np.float32)
            batch = batch_of([encoded[n] for n in which], self._before, *none).to(device)
            logits[which] = self.model(batch.tokens, batch.seen).cpu().numpy()
            done += count
        return log_softmax(logits)

    def save(self, folder: Path) -> None:
        """Write what was trained into a folder that is there; the base stays where it is."""
        about = {
            "base": self.base,
            "base_hash": hash_of_directory(find_base(self.base)),
            "classes": self.model.head.out_features,
            "settings": asdict(self.settings),
        }
        artifacts.write_json(folder / ABOUT, about)
        write_tensors(
            folder / FILE, {name: p.detach().cpu() for name, p in trained_parameters(self.model).items()}
        )

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> TunedHead:
        """Open what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged, or the base is not the one that it was tuned over.
            ConfigError: if the base is not here any more.
        """
        about = artifacts.read_json(folder / ABOUT)
        try:
            base, settings = str(about["base"]), HeadSettings(**about["settings"])
            classes, known = int(about["classes"]), str(about["base_hash"])
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{folder / ABOUT}: damaged: not what a head is read from") from None
        if hash_of_directory(find_base(base)) != known:
            raise ArtifactError(
                f"{folder}: a head over another {base}: its files have changed since; build it anew"
            )
        model = _new(base, classes, settings, 0, device)
        own, found = trained_parameters(model), read_tensors(folder / FILE)
        check_shapes(own, {name: tuple(t.shape) for name, t in found.items()}, folder / FILE)
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(found[name])
        return cls(model.eval(), Tokenizer.load(find_base(base)), base, settings)


def _new(base: str, classes: int, settings: HeadSettings, seed: int, device: torch.device) -> Headed:
    """Return the layers of a base that are read, and a head that knows nothing yet."""
    if settings.full:
        body: Transformer = from_hugging_face(find_base(base))[0].to(device)
    else:
        body, _ = adapted_base(find_base(base), LoRAConfig(layers=1.0), seed, device)
    body.blocks = body.blocks[: depth_of(len(body.blocks), settings.share)]
    body.norm = nn.Identity()  # type: ignore[assignment]
    model = Headed(body, classes).to(device)
    if settings.full:  # what no text passes through has nothing to learn
        model.body.head.requires_grad_(body.config.tie_embeddings)
    return model


def depth_of(layers: int, share: float) -> int:
    """Return how many layers are read."""
    return max(1, round(share * layers))


@dataclass(frozen=True)
class Tuner:
    """Tunes heads over a base within a time."""

    #: its name or directory
    base: str
    device: torch.device
    #: for a trial on a part of the texts and the head that is kept, together
    seconds: float
    #: train all weights of the layers, not an adapter
    full: bool = False

    def settings(self, texts: Sequence[str], of_time: float = 1.0) -> HeadSettings | None:
        """Return how deep and how long there is time to tune on texts; None: too short to teach anything.

        The deeper of `SHARES` is taken as soon as it can be made `LEAST_PASSES`.

        Args:
            texts: that are learned.
            of_time: the share of the seconds that there are.
        """
        tokens = self._tokens(texts)
        for share in SHARES:
            passes = of_time * self.seconds / (tokens * self._seconds_a_token(share) * (1 + TRIAL_SHARE))
            if passes >= LEAST_PASSES:
                return HeadSettings(share, min(MOST_PASSES, passes), self.full)
        return None

    def seconds_needed(self, texts: Sequence[str]) -> float:
        """Return how long the quickest head that teaches anything takes."""
        each = LEAST_PASSES * (1 + TRIAL_SHARE) * self._seconds_a_token(SHARES[-1])
        return self._tokens(texts) * each

    def label_passes(self, texts: Sequence[str], label: str, of_time: float) -> tuple[float | None, float]:
        """Return how many passes there is time for to learn to say labels, None if too few; and the minutes needed.

        Args:
            texts: that are learned.
            label: one of typical length.
            of_time: the share of the seconds that there are.
        """
        config = read_config(find_base(self.base))[1]
        a_pass = len(texts) * tokens_a_row(self.base, texts, label)
        a_pass *= (1 + TRIAL_SHARE) * 4 * config.n_params() / products_speed(self.device)
        passes = of_time * self.seconds / a_pass
        needed = LEAST_PASSES * a_pass / of_time / 60
        return (min(MOST_PASSES, passes) if passes >= LEAST_PASSES else None), needed

    def _tokens(self, texts: Sequence[str]) -> float:
        tokenizer = Tokenizer.load(find_base(self.base))
        some = texts[:: max(1, len(texts) // LOOKED_AT)]
        lengths = [min(LONGEST, len(tokenizer.encode(text))) + 2 for text in some]
        return len(texts) * sum(lengths) / max(1, len(some))

    def _seconds_a_token(self, share: float) -> float:
        config = read_config(find_base(self.base))[1]
        weights = config.n_params(embeddings=False) * depth_of(config.n_layer, share) / config.n_layer
        return (6 if self.full else 4) * weights / products_speed(self.device)
