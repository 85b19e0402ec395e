"""A running mean of the weights, which is often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mynah.train.distributed.dtensors import local, locals_of, put
from mynah.train.trained import trained_parameters


class Average:
    """The exponential moving average of what is trained of a model (Polyak & Juditsky 1992).

    In the first steps it forgets faster, as min(decay, (1 + step) / (10 + step)), so that the random start does not
    weigh on it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the weights as they are."""
        self.decay, self.weights = decay, trained_parameters(model)
        self.mean = {name: p.detach().clone() for name, p in self.weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after a step (from 0)."""
        kept = min(self.decay, (1 + step) / (10 + step))
        means, weights = locals_of(list(self.mean.values())), locals_of(self.weights.values())
        torch._foreach_lerp_(means, weights, 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the mean as its weights for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, p in self.weights.items():
            weight, mean = local(p), local(self.mean[name])
            former = weight.clone()
            weight.copy_(mean)
            mean.copy_(former)

    @torch.no_grad()
    def stay(self) -> None:
        """Leave the mean in the model."""
        for name, p in self.weights.items():
            put(p, self.mean[name])

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again with the weights as they are."""
        for name, p in self.weights.items():
            put(self.mean[name], p)
