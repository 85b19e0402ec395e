"""A network that goes on from another model: what that model says of the next token is added to the logits.

M positions of a text, V vocabulary, C width of the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mynah.model.roles import Role, mark

#: From (M,) positions of a batch, counted row by row, to (M, V) log-probabilities of the token that follows each.
PriorAt = Callable[[Tensor], Tensor]


class Prior(Protocol):
    """A model that says how likely each token is next; what it needs to know of a text is opaque to others."""

    def contexts(self, tokens: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what is known after each of (N,) tokens, (K, N)."""

    def advance(self, contexts: npt.NDArray[Any], tokens: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return (K, B) contexts after one more token in each of B rows."""

    def log_probs(self, contexts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return natural log-probabilities of all tokens, (B, V)."""


class PriorGate(nn.Linear):
    """Logits in, logits out: adds a prior's log-probabilities, by as much as the hidden state trusts them.

    logits + 2 sigmoid(w h + b) log p. The factor is 1 at the beginning (w and b are 0), so that an untrained network,
    whose logits are 0, gives the prior as it is.
    """

    def __init__(self, n_embd: int) -> None:
        super().__init__(n_embd, 1)
        mark(self, weight=Role.TABLE, bias=Role.VECTOR)

    def forward(self, logits: Tensor, hidden: Tensor, log_probs: Tensor) -> Tensor:  # type: ignore[override]
        """Return (..., V) logits of (..., V) logits, (..., C) hidden states and (..., V) log-probabilities."""
        return logits + 2 * torch.sigmoid(super().forward(hidden)) * log_probs
