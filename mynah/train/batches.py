"""Batches as pure functions of (seed, step): nothing to save, nothing to replay on resume.

B rows, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.errors import DataError
from mynah.model.prior import PriorAt
from mynah.model.transformer import IGNORE, Transformer
from mynah.tokenizer.dataset import PriorAlong, TokenSet
from mynah.train.ramp import BatchRamp, batch_ramp


@dataclass(frozen=True)
class TokenBatch:
    """Rows of tokens, each to predict what follows it."""

    #: (B, T) int64
    tokens: Tensor
    #: (B, T) int64, the token that follows each, or IGNORE
    targets: Tensor
    #: (B, T) int64, equal within a record; None if rows are plain running text
    segments: Tensor | None = None
    #: (B, T) int64: where each token stands in the text; -1 where none does
    positions: npt.NDArray[np.int64] | None = None
    #: along that text, for a model that goes on from a prior
    prior: PriorAlong | None = None
    #: (B, T) int64: where each token stands in its record, if that is not where it stands after its segment's first
    places: Tensor | None = None

    @property
    def count(self) -> int:
        """Targets that count."""
        return int((self.targets != IGNORE).sum())

    @property
    def n_tokens(self) -> int:
        """Tokens that the model looks at."""
        return self.tokens.numel()

    def split(self, parts: int) -> list[TokenBatch]:
        """Cut into so many parts of neighbouring rows; see `mynah.train.objective.Batch`."""
        if parts == 1:
            return [self]
        tensors = {name: tensor.tensor_split(parts) for name, tensor in self._tensors().items()}
        positions = np.array_split(self.positions, parts) if self.positions is not None else [None] * parts
        cut = [
            replace(self, positions=positions[i], **{name: split[i] for name, split in tensors.items()})
            for i in range(parts)
        ]
        nothing_counts = replace(cut[0], targets=torch.full_like(cut[0].targets, IGNORE))
        return [part if len(part.tokens) else nothing_counts for part in cut]

    def to(self, device: torch.device) -> TokenBatch:
        """Return the rows with their tensors on a device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("tokens", "targets", "segments", "places")}
        return {name: tensor for name, tensor in fields.items() if tensor is not None}

    def prior_at(self) -> PriorAt | None:
        """Return the prior of positions of this batch, or None if there is none."""
        if self.prior is None or self.positions is None:
            return None
        prior, positions = self.prior, self.positions.reshape(-1)
        return lambda flat: torch.from_numpy(prior.log_probs(positions[flat.cpu().numpy()])).to(flat.device)


class NextToken:
    """The objective of language models: cross-entropy of the token that follows, in nats, where it counts."""

    def __call__(self, model: Transformer, batch: TokenBatch) -> tuple[Tensor, int]:
        """Return the summed loss, a scalar, and how many targets counted."""
        hidden = model(batch.tokens, batch.segments, places=batch.places)  # (B, T, C)
        return model.loss(hidden, batch.targets, batch.prior_at()), batch.count


class StreamBatches:
    """Rows cut from all records laid end to end, for pretraining.

    Each epoch begins its cuts at another offset and takes the rows in another order. Tokens see what came before in
    their row, of other records too, as GPT-3's do (Brown et al. 2020, appendix B); with `document_mask` of their own
    record alone (Zhao et al. 2024).
    """

    def __init__(
        self,
        data: TokenSet,
        batch_size: int | BatchRamp,
        context_length: int,
        seed: int,
        document_mask: bool = False,
    ) -> None:
        """Raises DataError if there are fewer than two tokens."""
        if len(data.tokens) < 2:
            raise DataError("fewer than two tokens to train on")
        self.tokens, self.starts, self.prior = data.tokens, data.starts, data.prior
        self.document_mask = document_mask
        self.ramp, self.seed = ramp_for(batch_size), seed
        self.context_length = min(context_length, len(data.tokens) - 1)
        # The offset of an epoch is below one row, so every epoch has this many whole rows.
        self.rows = max(1, (len(self.tokens) - self.context_length) // self.context_length)
        self._epoch = lru_cache(2)(self._new_epoch)

    def __call__(self, step: int) -> TokenBatch:
        """Return the batch of a step."""
        T = self.context_length
        rows, begins = [], []
        for number in self.ramp.rows_of(step):
            epoch, index = divmod(number, self.rows)
            offset, order = self._epoch(epoch)
            begin = offset + int(order[index]) * T
            rows.append(self.tokens[begin : begin + T + 1].astype(np.int64))
            begins.append(begin)
        cut = torch.from_numpy(np.stack(rows))
        positions = np.array(begins)[:, None] + np.arange(T)
        segments = None
        if self.document_mask:
            segments = torch.from_numpy(np.searchsorted(self.starts, positions, side="right"))
        return TokenBatch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous(), segments, positions, self.prior)

    def _new_epoch(self, epoch: int) -> tuple[int, npt.NDArray[np.int64]]:
        generator = np.random.default_rng((self.seed, epoch))
        room = len(self.tokens) - 1 - self.rows * self.context_length
        return int(generator.integers(0, room + 1)), generator.permutation(self.rows)


def ramp_for(batch_size: int | BatchRamp) -> BatchRamp:
    """Return the rows of each step: as many always, or as they grow."""
    return batch_ramp(batch_size) if isinstance(batch_size, int) else batch_size
