"""Two objectives that are not language models, for one loop; run with RANK and the like set, it trains the one named.

python toy_objectives.py NAME OUT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.train.config import TrainConfig
from mynah.train.distributed.world import connected, joined
from mynah.train.loop import Session, train

VOCABULARY, LENGTH, CLASSES = 40, 12, 3


class Classifier(nn.Module):
    """A decoder that is read at its last token."""

    def __init__(self, body: Transformer) -> None:
        super().__init__()
        self.body = body
        self.classes = nn.Linear(body.config.n_embd, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) to (B, classes)."""
        logits: Tensor = self.classes(self.body(tokens)[:, -1])
        return logits


@dataclass(frozen=True)
class Rows:
    """Rows of any tensors, which share their first dimension; rows where `counts` is false count for nothing."""

    tensors: tuple[Tensor, ...]
    counts: Tensor

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @property
    def n_tokens(self) -> int:
        return sum(t.numel() for t in self.tensors if t.ndim == 2)

    def split(self, parts: int) -> list[Rows]:
        cut = zip(*(t.tensor_split(parts) for t in (*self.tensors, self.counts)), strict=True)
        made = [Rows(tuple(tensors), counts) for *tensors, counts in cut]
        nothing = replace(made[0], counts=torch.zeros_like(made[0].counts))
        return [part if len(part.counts) else nothing for part in made]

    def to(self, device: torch.device) -> Rows:
        return Rows(tuple(t.to(device) for t in self.tensors), self.counts.to(device))


def classify(model: Any, batch: Rows) -> tuple[Tensor, int]:
    """Cross-entropy of the class."""
    tokens, labels = batch.tensors
    losses = F.cross_entropy(model(tokens), labels, reduction="none")
    return (losses * batch.counts).sum(), batch.count


def prefer(model: Any, batch: Rows) -> tuple[Tensor, int]:
    """How much likelier the chosen text is than the rejected one (as Rafailov et al. 2023, without a reference)."""

    def log_prob(tokens: Tensor) -> Tensor:
        logits = model.logits(model(tokens[:, :-1]))
        return logits.log_softmax(-1).gather(2, tokens[:, 1:, None]).sum((1, 2))

    chosen, rejected = batch.tensors
    losses = -F.logsigmoid(0.5 * (log_prob(chosen) - log_prob(rejected)))
    return (losses * batch.counts).sum(), batch.count


def batches(name: str) -> Callable[[int], Rows]:
    """Return the batch of each step, 5 rows: they do not divide by two."""

    def at(step: int) -> Rows:
        generator = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, VOCABULARY, (5, LENGTH), generator=generator)
        counts = torch.ones(5)
        if name == "classify":
            return Rows((tokens, tokens[:, -1] % CLASSES), counts)
        rising = tokens.sort(dim=1).values
        return Rows((rising, tokens), counts)

    return at


OBJECTIVES: dict[str, Callable[[Any, Rows], tuple[Tensor, int]]] = {"classify": classify, "prefer": prefer}


def model_for(name: str) -> nn.Module:
    """Return a fresh model; equal names give equal weights."""
    config = ModelConfig(
        vocab_size=VOCABULARY, context_length=LENGTH, n_layer=2, n_head=2, n_embd=16, tie_embeddings=False,
        init="zero_out", qk_norm=True,
    )  # fmt: skip
    body = new_model(config, 0)
    if name == "prefer":
        return body
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Classifier(body)


def config_of(**changes: Any) -> TrainConfig:
    """Return settings of a short training."""
    return TrainConfig(
        **{"steps": 8, "batch_size": 5, "context_length": LENGTH, "learning_rate": 0.01, **changes}
    )


if __name__ == "__main__":
    name, out = sys.argv[1:]
    model = model_for(name)
    with joined() as alone, connected(alone, torch.device("cpu")) as world:
        done = train(model, batches(name), OBJECTIVES[name], config_of(), Session(world=world))
        if world.first:
            weights = {key: p.detach() for key, p in model.named_parameters()}
            from safetensors.torch import save_file

            save_file(weights, Path(out))
        assert done.step == config_of().steps
        if world.first:
            world.hear("left")  # the others need what it keeps for them
        else:
            world.tell("left")
