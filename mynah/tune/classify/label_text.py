"""The label as text: a base with an adapter learns to say a text's class, and is asked how likely it would say each.

Only classes are compared, so nothing else can be said. What is known of a label's words helps where rows are few
(Schick & Schütze 2021, "Exploiting Cloze Questions for Few Shot Text Classification").

N texts, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mynah import artifacts
from mynah.data.records import Labelled, Message
from mynah.errors import ArtifactError, DataError
from mynah.generate.scoring import Scorer
from mynah.interop.bases import find_base
from mynah.interop.huggingface import hash_of_directory
from mynah.interop.trained import Adapter, adapted_base, open_adapter, save_adapter
from mynah.model.lora import LoRAConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.system import shortest_system, with_system
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, Step
from mynah.train.phases import tune
from mynah.train.rates import rates
from mynah.tune.classify.linear import log_softmax

Floats = npt.NDArray[np.float64]
#: Tokens of a step, and classes at most: each is read for each text.
ROW_TOKENS, MOST_CLASSES = 256, 32
#: Characters of a text that are read: its beginning and its end.
LONGEST = 600
ABOUT = "label_text.json"


@dataclass(frozen=True)
class LabelText:
    """A base that has learned to say classes.

    Args:
        model: in evaluation mode.
        tokenizer: and its template.
        base: its name or directory.
        labels: K, as they are said.
    """

    model: Transformer
    tokenizer: Tokenizer
    base: str
    labels: tuple[str, ...]

    @classmethod
    def learn(
        cls,
        base: str,
        texts: Sequence[str],
        numbers: npt.NDArray[np.int64],
        labels: Sequence[str],
        passes: float,
        *,
        seed: int,
        device: torch.device,
        told: Callable[[float], None] | None = None,
    ) -> LabelText:
        """Train an adapter to say the class of each text.

        Args:
            base: a base's name or directory.
            texts: N.
            numbers: (N,) of their classes.
            labels: K.
            passes: over the texts.
            seed: of the adapter and of the order.
            device: where.
            told: is told what share is done, from 0 to 1.

        Raises:
            ArtifactError, ConfigError: if the base cannot be read.
            DataError: if its template cannot say the texts.
        """
        model, _ = adapted_base(find_base(base), LoRAConfig(), seed, device)
        tokenizer = tokenizer_of(base)
        rows = [Labelled(shortened(text), labels[int(n)]) for text, n in zip(texts, numbers, strict=True)]
        data = encode_records(rows, tokenizer)
        steps = max(1, round(passes * len(data.tokens) / ROW_TOKENS))
        config = TrainConfig(
            steps=steps,
            batch_size=1,
            context_length=min(ROW_TOKENS, model.config.context_length),
            eval_every=steps,
            seed=seed,
            **rates(model.config, from_base=True, adapter=True),
        )

        def watch(step: Step) -> None:
            if told is not None:
                told(step.step / step.steps)

        tune(model, data, None, config, Session(None, watch))
        return cls(model.eval(), tokenizer, base, tuple(labels))

    def log_probs(self, texts: Sequence[str]) -> Floats:
        """Return the log-probability of each class for each text, (N, K), of these classes alone."""
        # All of each label, and what ends it: two may differ at their last word alone.
        longest = max(len(self.tokenizer.encode(label)) for label in self.labels)
        scorer = Scorer(self.model, self.tokenizer, longest + 8)
        histories = [[Message("user", shortened(text))] for text in texts]
        found = scorer.score(histories, [self.labels] * len(texts))
        return log_softmax(
            np.array([[one.total for one in of] for of in found]).reshape(-1, len(self.labels))
        )

    def save(self, folder: Path) -> None:
        """Write the adapter into a folder that is there; the base stays where it is."""
        lora = LoRAConfig()
        base_hash = hash_of_directory(find_base(self.base))
        save_adapter(self.model, Adapter(lora, self.base, base_hash), folder)
        artifacts.write_json(folder / ABOUT, {"labels": list(self.labels)})

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> LabelText:
        """Open what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged, or the base is not the one that it was trained on.
        """
        about = artifacts.read_json(folder / ABOUT)
        if not isinstance(about, dict) or not isinstance(about.get("labels"), list):
            raise ArtifactError(f"{folder / ABOUT}: damaged: not what labels are read from")
        model, adapter = open_adapter(folder, device)
        return cls(model.eval(), tokenizer_of(adapter.base), adapter.base, tuple(map(str, about["labels"])))


def tokenizer_of(base: str) -> Tokenizer:
    """Return a base's tokenizer, with the shortest words before a conversation."""
    tokenizer = Tokenizer.load(find_base(base))
    if not tokenizer.brings_template:
        return tokenizer
    system = shortest_system(tokenizer)
    return tokenizer if system is None else with_system(tokenizer, system)


def shortened(text: str) -> str:
    """Return a text, of a long one its beginning and its end."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def tokens_a_row(base: str, texts: Sequence[str], label: str) -> float:
    """Return how many tokens a text with its class takes, about.

    Raises:
        DataError: if the base's template can say none of them.
    """
    some = texts[:: max(1, len(texts) // 200)]
    data = encode_records([Labelled(shortened(text), label) for text in some], tokenizer_of(base))
    if not len(data):
        raise DataError("the base's chat template can say none of the texts")
    return len(data.tokens) / len(data)
