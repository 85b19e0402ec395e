"""One decoder, whose parts are chosen by its config when it is built.

B rows, T tokens, C width of the residual stream, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.attention import Attention, Cache, record_mask, rotary_tables
from mynah.model.config import ModelConfig
from mynah.model.fused import rms_norm, squared_relu
from mynah.model.loss import loss_in_pieces

#: From (M,) places of a batch, counted row by row, to (M, V) log-probabilities of the token that follows each.
PriorAt = Callable[[Tensor], Tensor]


class Prior(Protocol):
    """A model that says how likely each token is next; what it needs to know of a text is opaque here."""

    def contexts(self, tokens: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what is known after each of (N,) tokens, (K, N)."""

    def advance(self, contexts: npt.NDArray[Any], tokens: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return (K, B) contexts after one more token in each of B rows."""

    def rows(self, contexts: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return natural log-probabilities of all tokens, (B, V)."""


#: A target of this value counts for nothing in the loss.
IGNORE = -100


class Norm(nn.Module):
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang & Sennrich 2019), with or without learned scale."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.rms = config.norm == "rms"
        self.shape, self.eps = (config.n_embd,), config.norm_eps
        self.weight = nn.Parameter(torch.ones(config.n_embd)) if config.norm_weight else None
        shifts = config.norm_weight and not self.rms
        self.bias = nn.Parameter(torch.zeros(config.n_embd)) if shifts else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if self.rms:
            return rms_norm(x, self.weight, self.eps)
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class MLP(nn.Module):
    """The position-wise part of a block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        self.up = nn.Linear(config.n_embd, config.hidden, bias=config.bias)
        self.gate = (
            nn.Linear(config.n_embd, config.hidden, bias=config.bias) if config.mlp == "swiglu" else None
        )
        self.down = nn.Linear(config.hidden, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        h = self.up(x)  # (B, T, hidden)
        if self.gate is not None:
            h = F.silu(self.gate(x)) * h  # Shazeer 2020
        elif self.kind == "relu2":
            h = squared_relu(h)
        else:
            h = F.gelu(h, approximate="tanh" if self.kind == "gelu_tanh" else "none")
        out: Tensor = self.down(h)
        return out


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the stream and added back to it (pre-norm)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm1, self.attention = Norm(config), Attention(config, layer)
        self.norm2, self.mlp = Norm(config), MLP(config)
        self.dropout = config.dropout

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        value_embedding: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        a = self.attention(self.norm1(x), rotary, mask, value_embedding, cache)
        x = x + F.dropout(a, self.dropout, self.training)
        return x + F.dropout(self.mlp(self.norm2(x)), self.dropout, self.training)


class Transformer(nn.Module):
    """A GPT-style decoder; `forward` gives hidden states, `logits` and `loss` go on from there."""

    def __init__(self, config: ModelConfig) -> None:
        """Build the modules; weights are whatever torch gives until `init_weights` or loading."""
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.position = (
            nn.Embedding(config.context_length, config.n_embd) if config.positions == "learned" else None
        )
        self.value_embed = (
            nn.Embedding(config.vocab_size, config.kv_heads * config.head_size)
            if config.value_embeddings
            else None
        )
        buckets = config.bigram_buckets
        self.bigram_embed = nn.Embedding(buckets, config.n_embd) if buckets else None
        self.bigram_scale = nn.Parameter(torch.empty(config.n_layer)) if buckets else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = Norm(config)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embed.weight
        #: of a model made to go on from one; its owner sets it
        self.prior: Prior | None = None
        #: how far the prior is trusted at each position
        self.gate = nn.Linear(config.n_embd, 1) if config.prior else None
        self.rotary: tuple[Tensor, Tensor] | None = None  # made at first use, on the right device
        #: in training, keep what enters each block and compute the rest again for the backward pass (Chen et al. 2016)
        self.recompute = False

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        cache: Cache | None = None,
        start: int = 0,
        previous: Tensor | None = None,
    ) -> Tensor:
        """Return the normalised hidden states.

        Args:
            tokens: (B, T) int64.
            segments: (B, T) int64; tokens see only their own segment, and positions count from its
                beginning. None: each row is one.
            cache: earlier keys and values, for decoding.
            start: position of the first token, for decoding.
            previous: (B, T) int64, the token before each, for decoding; None: the row shifted by one.

        Returns:
            (B, T, C).
        """
        T = tokens.shape[1]
        x = self.embed(tokens)
        masks: dict[int, Tensor] = {}
        positions = None
        if segments is not None:
            kind = tokens.device.type  # on which autocast may make queries of another type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
            masks = {
                window: record_mask(segments, window, dtype) for window in set(self.config.layer_windows)
            }
            positions = places_within(segments)
        if self.position is not None:
            where = (
                positions if positions is not None else torch.arange(start, start + T, device=tokens.device)
            )
            x = x + self.position(where)
        rotary = self._rotary(tokens.device, start, T) if self.position is None else None
        values = self.value_embed(tokens) if self.value_embed is not None else None
        pairs = None
        if self.bigram_embed is not None:
            if previous is None:
                previous = F.pad(tokens[:, :-1], (1, 0))
                if positions is not None:  # a record's first token has nobody before it
                    previous = previous.masked_fill(positions == 0, 0)
            pairs = self.bigram_embed(bigram_hash(previous, tokens, self.bigram_embed.num_embeddings))
        x = F.dropout(x, self.config.dropout, self.training)
        for layer, block in enumerate(self.blocks):
            mask = masks.get(self.config.window(layer))
            if pairs is not None and self.bigram_scale is not None:
                x = x + self.bigram_scale[layer] * pairs
            if self.recompute and self.training:
                x = torch.utils.checkpoint.checkpoint(
                    block, x, rotary, mask, values, cache, use_reentrant=False
                )
            else:
                x = block(x, rotary, mask, values, cache)
        hidden: Tensor = self.norm(x)
        return hidden

    def _rotary(self, device: torch.device, start: int, T: int) -> tuple[Tensor, Tensor]:
        """Rotary positions are relative, so a packed row needs no positions of its own."""
        if self.rotary is None or self.rotary[0].shape[0] < start + T or self.rotary[0].device != device:
            config = self.config
            length = max(config.context_length, start + T)
            cos, sin = rotary_tables(length, config.head_size, config.rope_theta)
            self.rotary = cos.to(device), sin.to(device)
        return self.rotary[0][start : start + T], self.rotary[1][start : start + T]

    def logits(self, hidden: Tensor, prior: Tensor | None = None) -> Tensor:
        """Return (..., V) logits of (..., C) hidden states.

        Args:
            hidden: of any number of positions.
            prior: (..., V) log-probabilities of the tokens there, for a model made to go on from a prior: its
            logits are
                those of the network plus gate times prior. The gate is 2 sigmoid(w h + b), 1 at the beginning, so
                that an untrained network leaves the prior as it is.
        """
        logits: Tensor = self.head(hidden)
        if cap := self.config.logit_softcap:
            logits = cap * torch.tanh(logits / cap)
        if self.gate is not None:
            assert prior is not None, "this model goes on from a prior"
            logits = logits + 2 * torch.sigmoid(self.gate(hidden)) * prior
        return logits

    def loss(self, hidden: Tensor, targets: Tensor, prior: PriorAt | None = None) -> Tensor:
        """Return the summed cross-entropy in nats over the targets that are not IGNORE, a scalar.

        Only counted positions reach the head, and a long batch goes through it in pieces (`loss_in_pieces`).

        Args:
            hidden: (B, T, C).
            targets: (B, T) int64.
            prior: gives the prior's log-probabilities of places of the batch.
        """
        flat = targets.reshape(-1)
        hidden = hidden.reshape(-1, hidden.shape[-1])
        places = torch.nonzero(flat != IGNORE)[:, 0]
        if len(places) < len(flat):
            hidden, flat = hidden[places], flat[places]

        def piece(hidden: Tensor, targets: Tensor, places: Tensor) -> Tensor:
            given = prior(places) if prior is not None else None
            return F.cross_entropy(self.logits(hidden, given), targets, reduction="sum")

        head = [self.head.weight, *(self.gate.parameters() if self.gate is not None else ())]
        return loss_in_pieces(piece, hidden, flat, places, self.config.vocab_size, head)


def bigram_hash(previous: Tensor, tokens: Tensor, buckets: int) -> Tensor:
    """Return the row of each pair of neighbouring tokens in a table of `buckets` rows, as `tokens` shaped."""
    return (previous * 1_000_003 + tokens * 8_191) % buckets


def places_within(segments: Tensor) -> Tensor:
    """Return the place of each token within its record, (B, T) int64.

    Args:
        segments: (B, T) int64, equal within a record, records one after another.
    """
    order = torch.arange(segments.shape[1], device=segments.device)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    start = torch.where(begins, order, 0).cummax(dim=1).values
    return order - start
