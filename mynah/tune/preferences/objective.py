"""Losses over pairs of replies, and how likely replies are.

P pairs, R = 2 P rows (all chosen ones first, then the rejected ones), T tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mynah.model.loss import rows_at_once
from mynah.model.transformer import IGNORE, Transformer
from mynah.tune.preferences.config import PreferConfig


@dataclass(frozen=True)
class PairBatch:
    """Pairs of replies to the same prompts."""

    #: (2, P, T) int64, chosen and rejected, filled up behind each
    tokens: Tensor
    #: (2, P, T) int64, the token that follows each where it is part of the reply, or IGNORE
    targets: Tensor
    #: (2, P) float32, log-probability of each reply under the network that training begins with
    reference: Tensor

    @property
    def count(self) -> int:
        """Pairs that count: those with a token of each reply."""
        return int((self.targets != IGNORE).any(-1).all(0).sum())

    @property
    def n_tokens(self) -> int:
        """Tokens that the model looks at."""
        return self.tokens.numel()

    def split(self, parts: int) -> list[PairBatch]:
        """Cut into so many parts of neighbouring pairs; see `mynah.train.objective.Batch`."""
        if parts == 1:
            return [self]
        cut = [t.tensor_split(parts, dim=1) for t in (self.tokens, self.targets, self.reference)]
        made = [PairBatch(*part) for part in zip(*cut, strict=True)]
        nothing = replace(made[0], targets=torch.full_like(made[0].targets, IGNORE))
        return [part if part.tokens.shape[1] else nothing for part in made]

    def to(self, device: torch.device) -> PairBatch:
        """Return the pairs with their tensors on a device."""
        return PairBatch(*(t.to(device) for t in (self.tokens, self.targets, self.reference)))


def log_probs_of_replies(model: Transformer, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each row's targets, summed, and how many there are, (R,) each; float32.

    The head is at counted positions alone, in pieces that are computed again for the backward pass.

    Args:
        model: of which gradients may be asked.
        tokens: (R, T) int64.
        targets: (R, T) int64, or IGNORE.
    """
    counted = targets != IGNORE
    rows = counted.nonzero()[:, 0]
    hidden, wanted = model(tokens)[counted], targets[counted]  # (M, C), (M,)

    def piece(hidden: Tensor, wanted: Tensor) -> Tensor:
        return -F.cross_entropy(model.logits(hidden).float(), wanted, reduction="none")

    at_once = rows_at_once(model.config.vocab_size, tokens.device.type)
    parts = [
        checkpoint(piece, some, of, use_reentrant=False)
        for some, of in zip(torch.split(hidden, at_once), torch.split(wanted, at_once), strict=True)
    ]
    total = torch.zeros(len(tokens), device=tokens.device)
    if parts:
        total = total.index_add(0, rows, torch.cat(parts))
    return total, counted.sum(-1)


class Preferred:
    """An objective: the chosen reply becomes likelier beside the rejected one."""

    def __init__(self, config: PreferConfig) -> None:
        self.config = config

    def __call__(self, model: Transformer, batch: PairBatch) -> tuple[Tensor, int]:
        """Return the summed loss of the pairs, a scalar, and how many count."""
        two, pairs, T = batch.tokens.shape
        said, lengths = log_probs_of_replies(
            model, batch.tokens.reshape(two * pairs, T), batch.targets.reshape(two * pairs, T)
        )
        losses = self.losses(said.view(two, pairs), lengths.view(two, pairs), batch.reference)
        counts = (batch.targets != IGNORE).any(-1).all(0)
        return losses.masked_fill(~counts, 0.0).sum(), batch.count

    def losses(self, said: Tensor, lengths: Tensor, reference: Tensor) -> Tensor:
        """Return the loss of each pair, (P,).

        Args:
            said: (2, P) log-probabilities of chosen and rejected replies.
            lengths: (2, P) their tokens.
            reference: (2, P) the same under the network that training begins with.
        """
        beta, lengths = self.config.beta, lengths.clamp(min=1)
        if self.config.loss == "orpo":  # Hong et al. 2024, equations 4 to 7
            mean = said / lengths
            odds = mean - torch.log1p(-mean.exp().clamp(max=1 - 1e-6))
            return -mean[0] - beta * F.logsigmoid(odds[0] - odds[1])
        moved = said - reference
        if (
            self.config.loss == "ipo"
        ):  # Azar et al. 2024, equation 17; of one token of a reply, as their authors do
            chosen, rejected = moved / lengths
            return torch.square(chosen - rejected - 1 / (2 * beta))
        margin = beta * (moved[0] - moved[1])  # Rafailov et al. 2023, equation 7
        smoothing = self.config.label_smoothing
        return -(1 - smoothing) * F.logsigmoid(margin) - smoothing * F.logsigmoid(-margin)
