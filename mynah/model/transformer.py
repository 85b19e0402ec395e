"""One decoder, whose parts are chosen by its config when it is built.

B rows, T tokens, C width of the residual stream, V vocabulary.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.attention import Attention, Past, mixed_on_cpu, record_mask
from mynah.model.config import ModelConfig
from mynah.model.fused import only_plain, rms_norm, squared_relu
from mynah.model.int8 import Int8Embedding, Int8Matrix
from mynah.model.loss import loss_in_pieces
from mynah.model.points import Point
from mynah.model.positions import Rotary
from mynah.model.prior import Prior, PriorAt, PriorGate
from mynah.model.roles import Role, mark

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
        mark(self, weight=Role.VECTOR, bias=Role.VECTOR)

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
        n, bias, vector = config.ffn_hidden, config.bias, Role.VECTOR
        self.up = mark(nn.Linear(config.n_embd, n, bias), weight=Role.MATRIX, bias=vector)
        self.gate = None
        if config.gated:
            self.gate = mark(nn.Linear(config.n_embd, n, bias), weight=Role.MATRIX, bias=vector)
        self.down = mark(nn.Linear(n, config.n_embd, bias), weight=Role.INTO_STREAM, bias=vector)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        h = self.up(x)  # (B, T, hidden)
        if self.gate is not None:  # Shazeer 2020
            gate = self.gate(x)
            h = (F.silu(gate) if self.kind == "swiglu" else F.gelu(gate, approximate="tanh")) * h
        elif self.kind == "relu2":
            h = squared_relu(h)
        else:
            h = F.gelu(h, approximate="tanh" if self.kind == "gelu_tanh" else "none")
        out: Tensor = self.down(h)
        return out


class Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the stream and added back to it (pre-norm).

    What is added may be normalised, too (Gemma Team 2024, "Gemma 2", section 2).
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm1, self.attention = Norm(config), Attention(config, layer)
        self.norm2, self.mlp = Norm(config), MLP(config)
        self.post_norm1 = Norm(config) if config.post_norm else None
        self.post_norm2 = Norm(config) if config.post_norm else None
        self.dropout = config.dropout
        self.at_stream = Point()

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        value_embedding: Tensor | None,
        past: Past | None,
    ) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        a = self.attention(self.norm1(x), rotary, mask, value_embedding, past)
        if self.post_norm1 is not None:
            a = self.post_norm1(a)
        x = x + F.dropout(a, self.dropout, self.training)
        m = self.mlp(self.norm2(x))
        if self.post_norm2 is not None:
            m = self.post_norm2(m)
        x = x + F.dropout(m, self.dropout, self.training)
        after: Tensor = self.at_stream(x)
        return after


class Transformer(nn.Module):
    """A GPT-style decoder; `forward` gives hidden states, `logits` and `loss` go on from there.

    Nothing of it changes in a forward pass: several threads may use one model.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Build the modules; weights are whatever torch gives until `init_weights` or loading."""
        super().__init__()
        self.config = config
        self.embed = _table(config.vocab_size, config.n_embd)
        learned = config.positions == "learned"
        self.position = _table(config.context_length, config.n_embd) if learned else None
        self.rotary, self.rotary_local = _rotary(config)
        width = config.n_kv_head * config.head_dim
        self.value_embed = _table(config.vocab_size, width) if config.value_embeddings else None
        buckets = config.bigram_buckets
        self.bigram_embed = _table(buckets, config.n_embd) if buckets else None
        self.bigram_scale = nn.Parameter(torch.empty(config.n_layer)) if buckets else None
        mark(self, bigram_scale=Role.VECTOR)
        self.at_embedding = Point()
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = Norm(config)
        self.head = mark(nn.Linear(config.n_embd, config.vocab_size, bias=False), weight=Role.TABLE)
        if config.tie_embeddings:
            self.head.weight = self.embed.weight
        #: of a model made to go on from one; whoever opens it sets it
        self.prior: Prior | None = None
        self.gate = PriorGate(config.n_embd) if config.prior else None
        #: in training, keep what enters each block and compute the rest again for the backward pass (Chen et al. 2016)
        self.recompute = False

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        past: Past | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Return the normalised hidden states.

        Args:
            tokens: (B, T) int64.
            segments: (B, T) int64; tokens see only their own segment, and PREFIX if their row begins with it
                (`can_share_prefix`). None: each row is one.
            past: of each row, for decoding; says where the tokens stand.
            places: (B, T) int64, the position of each token in its record. None: counted from the beginning of its
                segment, or of the row.

        Returns:
            (B, T, C).
        """
        T = tokens.shape[1]
        x = self.embed(tokens)
        if self.config.scale_embeddings:  # by a number of the embedding's own type, as Gemma was trained
            x = x * torch.tensor(math.sqrt(x.shape[-1]), dtype=x.dtype)
        kind = tokens.device.type
        dtype = x.dtype  # of queries
        if torch.is_autocast_enabled(kind):
            x = x.float()  # the stream, of a base whose frozen weights are in half precision too
            dtype = x.dtype if mixed_on_cpu(x) else torch.get_autocast_dtype(kind)
        masks: dict[int, Tensor | None] = {}
        positions: Tensor | int = T  # the first T
        if past is not None:
            positions = past.positions
            masks = {window: past.mask(window, dtype) for window in set(self.config.layer_windows)}
        elif segments is not None:
            masks = {
                window: record_mask(segments, window, dtype) for window in set(self.config.layer_windows)
            }
            if places is not None:
                positions = places
            elif self.position is not None:
                positions = positions_within(segments)
            # Rotary positions are relative, so of a packed row those of the row do.
        if self.position is not None:
            where = torch.arange(T, device=tokens.device) if isinstance(positions, int) else positions
            x = x + self.position(where)
        rotaries = self._rotaries(positions)
        values = self.value_embed(tokens) if self.value_embed is not None else None
        pairs = self._pairs(tokens, segments, past)
        x = self.at_embedding(F.dropout(x, self.config.dropout, self.training))
        for layer, block in enumerate(self.blocks):
            mask = masks.get(self.config.window(layer))
            if pairs is not None and self.bigram_scale is not None:
                x = x + self.bigram_scale[layer] * pairs
            if self.recompute and self.training:
                x = torch.utils.checkpoint.checkpoint(
                    block, x, rotaries[layer], mask, values, past, use_reentrant=False
                )
            else:
                x = block(x, rotaries[layer], mask, values, past)
        hidden: Tensor = self.norm(x)
        return hidden

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self._of_tokens.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the stream, outside of autocast."""
        return self._of_tokens.dtype

    @property
    def _of_tokens(self) -> Tensor | Int8Matrix:
        """The rows of tokens."""
        embed: nn.Module = self.embed
        return embed.matrix if isinstance(embed, Int8Embedding) else self.embed.weight

    def _rotaries(self, positions: Tensor | int) -> list[tuple[Tensor, Tensor] | None]:
        """Return the rotary tables of each layer for these positions, or the first so many."""
        config = self.config
        if self.rotary is None:
            return [None] * config.n_layer
        tables = self.rotary(positions)
        local = self.rotary_local(positions) if self.rotary_local is not None else tables
        return [
            (local if window else tables) if turned else None
            for window, turned in zip(config.layer_windows, config.layers_rotary, strict=True)
        ]

    def _pairs(self, tokens: Tensor, segments: Tensor | None, past: Past | None) -> Tensor | None:
        """Return what the table of pairs holds for each token and the one before it, (B, T, C)."""
        if self.bigram_embed is None:
            return None
        if past is not None:
            previous = past.previous
        else:
            previous = F.pad(tokens[:, :-1], (1, 0))
            if segments is not None:  # a record's first token has nobody before it
                begins = F.pad(segments[:, 1:] != segments[:, :-1], (1, 0), value=True)
                previous = previous.masked_fill(begins, 0)
        pairs: Tensor = self.bigram_embed(bigram_hash(previous, tokens, self.bigram_embed.num_embeddings))
        return pairs

    def logits(self, hidden: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """Return (..., V) logits of (..., C) hidden states.

        Args:
            hidden: of any number of positions.
            log_probs: (..., V) of the prior there, for a model made to go on from one (`PriorGate`).
        """
        logits: Tensor = self.head(hidden)
        if cap := self.config.logit_softcap:
            logits = cap * torch.tanh(logits / cap)
        if self.gate is not None:
            assert log_probs is not None, "this model goes on from a prior"
            logits = self.gate(logits, hidden, log_probs)
        return logits

    def loss(self, hidden: Tensor, targets: Tensor, prior: PriorAt | None = None) -> Tensor:
        """Return the summed cross-entropy in nats over the targets that are not IGNORE, a scalar.

        Only counted positions reach the head, and a long batch goes through it in pieces (`loss_in_pieces`).

        Args:
            hidden: (B, T, C).
            targets: (B, T) int64.
            prior: gives the prior's log-probabilities of positions of the batch.
        """
        flat = targets.reshape(-1)
        hidden = hidden.reshape(-1, hidden.shape[-1])
        if only_plain():  # which positions count must not decide what is computed
            every = torch.arange(len(flat), device=flat.device)
            logits = self.logits(hidden, prior(every) if prior is not None else None)
            return F.cross_entropy(_wide(logits), flat, ignore_index=IGNORE, reduction="sum")
        counted = torch.nonzero(flat != IGNORE)[:, 0]
        if len(counted) < len(flat):
            hidden, flat = hidden[counted], flat[counted]

        def piece(hidden: Tensor, targets: Tensor, positions: Tensor) -> Tensor:
            given = prior(positions) if prior is not None else None
            return F.cross_entropy(_wide(self.logits(hidden, given)), targets, reduction="sum")

        head = [*self.head.parameters(), *(self.gate.parameters() if self.gate is not None else ())]
        return loss_in_pieces(piece, hidden, flat, counted, self.config.vocab_size, head)


def _rotary(config: ModelConfig) -> tuple[Rotary | None, Rotary | None]:
    """Return the tables of all layers, and those of layers with a window where theirs are others."""
    if config.positions == "learned":
        return None, None
    size = config.context_length, config.head_dim
    local = None if config.rope_local_theta is None else Rotary(*size, config.rope_local_theta)
    return Rotary(*size, config.rope_theta, config.rope_scaling), local


def _table(rows: int, width: int) -> nn.Embedding:
    return mark(nn.Embedding(rows, width), weight=Role.TABLE)


def _wide(logits: Tensor) -> Tensor:
    """Return logits in float32 at least: a sum of losses in bfloat16, of a model that is, would have two digits."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def bigram_hash(previous: Tensor, tokens: Tensor, buckets: int) -> Tensor:
    """Return the row of each pair of neighbouring tokens in a table of `buckets` rows, as `tokens` shaped."""
    return (previous * 1_000_003 + tokens * 8_191) % buckets


def can_share_prefix(config: ModelConfig, context_length: int) -> bool:
    """Say whether records of a row of so many tokens may go on from one PREFIX: if nothing goes by where in a row.

    The table of token pairs takes the token before, a prior the text, and a window the tokens of the row.
    """
    windows = all(not 0 < window < context_length for window in config.layer_windows)
    return windows and not config.bigram_buckets and not config.prior


def positions_within(segments: Tensor) -> Tensor:
    """Return the position of each token within its record, (B, T) int64.

    Args:
        segments: (B, T) int64, equal within a record, records one after another.
    """
    order = torch.arange(segments.shape[1], device=segments.device)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    start = torch.where(begins, order, 0).cummax(dim=1).values
    return order - start
