"""What is learned: a batch that knows how to be cut, moved and counted, and a loss over it.

The loop knows no task. An objective maps (model, batch) to a summed loss and what it is the sum over; whatever else can
be said of rows of data is a batch.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """Rows for one step, whatever they hold."""

    @property
    def count(self) -> int:
        """What the loss of these rows is a mean over: counted tokens, pairs, labelled texts. 0 if nothing counts."""

    @property
    def n_tokens(self) -> int:
        """Tokens that the model looks at."""

    def split(self, parts: int) -> list[Self]:
        """Cut into so many parts of neighbouring rows, the first ones a row larger where it does not divide.

        Where there are fewer rows than parts, the others get rows that count for nothing.
        """

    def to(self, device: torch.device) -> Self:
        """Return the rows with their tensors on a device."""


class Objective(Protocol):
    """A loss."""

    def __call__(self, model: Any, batch: Any) -> tuple[Tensor, int]:
        """Return the loss summed over a batch, a scalar with gradients, and `batch.count`, what it is summed over.

        Args:
            model: what is trained.
            batch: on the model's device.
        """


class Pass(nn.Module):
    """A model and an objective as one module: what is put over it from outside sees the whole of a pass."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch) -> Tensor:
        """Return the summed loss of a batch, a scalar."""
        return self.objective(self.model, batch)[0]
