"""Causal self-attention: dense, within a window, or apart by segment.

B rows, T tokens, H query heads, G key/value heads, D width of a head, C width of the stream.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.fused import only_plain, rms_norm, rotate
from mynah.model.points import Point
from mynah.model.roles import Role, mark

#: Under autocast on a CPU, attention of shorter rows is faster in float32 (docs/log.md).
LONG_ON_CPU = 512
#: The segment of tokens that all others of their row may see, which stand before them.
PREFIX = -2


class Past(Protocol):
    """What a model that decodes has seen of each row; filled by attention, owned by whoever decodes.

    S tokens in all, the last T of them new.
    """

    #: (B, T) int64: where the new tokens stand in their rows
    positions: Tensor
    #: (B, T) int64: the token before each
    previous: Tensor

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, G, T, D) keys and values of a layer; return all of them, (B, G, S, D)."""

    def mask(self, window: int, dtype: torch.dtype) -> Tensor | None:
        """Return (B, 1, T, S), 0 where a new token may look and -inf elsewhere; None if T = S, or all see all."""


class Attention(nn.Module):
    """Multi-head causal self-attention with grouped heads."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.n_kv_head, config.head_dim
        self.layer = layer
        self.window = config.window(layer)
        self.dropout = config.dropout
        #: what scores are multiplied by
        self.scale = 1 / math.sqrt(config.score_divisor)
        #: query heads that share one head of keys and values
        self.shared = self.n_head // self.n_kv_head
        width = (self.n_head + 2 * self.n_kv_head) * self.head_dim
        #: its rows as `join_heads` lays them out
        self.query_key_value = mark(
            nn.Linear(config.n_embd, width, bias=config.bias_of_qkv), weight=Role.MATRIX, bias=Role.VECTOR
        )
        self.out = mark(
            nn.Linear(self.n_head * self.head_dim, config.n_embd, bias=config.bias),
            weight=Role.INTO_STREAM,
            bias=Role.VECTOR,
        )
        self.qk_norm = config.qk_norm
        self.eps = config.norm_eps
        scaled = config.qk_norm and config.norm_weight
        self.q_scale = nn.Parameter(torch.ones(self.head_dim)) if scaled else None
        self.k_scale = nn.Parameter(torch.ones(self.head_dim)) if scaled else None
        # Every second layer, the last one among them, mixes the value embedding in.
        mixes = config.value_embeddings and (config.n_layer - 1 - layer) % 2 == 0 and layer > 0
        self.value_gate = nn.Parameter(torch.ones(self.n_kv_head)) if mixes else None
        mark(self, q_scale=Role.OF_HEADS, k_scale=Role.OF_HEADS, value_gate=Role.VECTOR)
        self.at_q, self.at_k, self.at_v, self.at_pattern = Point(), Point(), Point(), Point()

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        value_embedding: Tensor | None,
        past: Past | None,
    ) -> Tensor:
        """Attend.

        Args:
            x: (B, T, C).
            rotary: the tables for these positions; None: the layer has no rotary positions.
            mask: what `record_mask` or the past gives for this layer's window; None: each row is one record.
            value_embedding: (B, T, G * D), added to the values by a learned gate per head.
            past: earlier keys and values; the new ones are added to it.

        Returns:
            (B, T, C).
        """
        B, T, _ = x.shape
        joined = self.query_key_value(x)
        if mixed_on_cpu(x):
            joined = joined.float()
        groups = joined.view(B, T, -1, self.shared + 2, self.head_dim)  # (B, T, G, H/G + 2, D)
        q, k, v = groups.split((self.shared, 1, 1), dim=3)
        q = q.flatten(2, 3).transpose(1, 2)  # (B, H, T, D)
        k = k.flatten(2, 3).transpose(1, 2)  # (B, G, T, D)
        v = v.flatten(2, 3)
        if self.value_gate is not None and value_embedding is not None:
            v = v + self.value_gate[:, None] * value_embedding.view_as(v)
        v = v.transpose(1, 2)  # (B, G, T, D)
        if self.qk_norm:
            q = rms_norm(q, self.q_scale, self.eps)
            k = rms_norm(k, self.k_scale, self.eps)
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        q, k, v = self.at_q(q), self.at_k(k), self.at_v(v)
        if past is not None:
            k, v = past.extend(self.layer, k, v)
        y = self._mix(q, k, v, mask)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(B, T, -1))
        return mixed

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B, H, T, D) mixed values of (B, H, T, D) queries and (B, G, S, D) keys and values."""
        B, H, T, D = q.shape
        S = k.shape[2]
        dropout = self.dropout if self.training else 0.0
        if (
            self.at_pattern.hooked or torch.compiler.is_exporting()
        ):  # there sizes are symbols, and no T < S is asked
            return self._mix_openly(q, k, v, mask)
        if (
            T < S
        ):  # decoding: the query heads of a group become rows that look at the same keys, which are not copied
            q = q.reshape(B, k.shape[1], self.shared * T, D)
            if mask is not None:
                mask = mask.repeat(1, 1, self.shared, 1)  # (B, 1, shared * T, S)
            return _attend(q, k, v, mask, self.scale).reshape(B, H, T, D)
        if 0 < self.window < S:
            return banded_attention(q, k, v, self.window, dropout, mask, self.scale)
        return _attend(q, k, v, mask, self.scale, causal=mask is None and T > 1, dropout=dropout)

    def _mix_openly(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Return the same by a pattern (B, H, T, S) that stands in memory and passes `at_pattern`; no dropout."""
        T, S = q.shape[2], k.shape[2]
        if mask is not None and mask.shape[-1] != S:
            raise ConfigError("patterns of a banded layer are seen only where each row is one record")
        if mask is None and T == S:
            seen = causal_mask(T, S, q.device)
            if self.window:
                seen = seen & ~seen.tril(-self.window)
            mask = _added(seen[None], q.dtype)
        k = k.repeat_interleave(self.shared, dim=1)
        v = v.repeat_interleave(self.shared, dim=1)
        scores = q @ k.mT * self.scale
        pattern = (scores if mask is None else scores + mask).softmax(dim=-1)
        mixed: Tensor = self.at_pattern(pattern) @ v
        return mixed


def mixed_on_cpu(x: Tensor) -> bool:
    """Whether products run in half precision on a CPU: norms, turns and short attention are faster in float32 there.

    Of 8 rows of 128 tokens and 6 heads, forward and backward take 18 ms in bfloat16 and 10 in float32, casts counted.
    """
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    scale: float,
    *,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Return `scaled_dot_product_attention`, or what it is made of: forward-mode derivatives of it there are none.

    Args:
        q: (B, H, T, D).
        k, v: (B, G, S, D), each for H / G heads of queries.
        mask: added to the scores.
        scale: what scores are multiplied by before.
        causal: a query sees what is not after it, of S = T.
        dropout: of the pattern.
    """
    shared = q.shape[1] // k.shape[1]
    repeats = shared > 1 and (
        only_plain() or (q.is_cuda and mask is not None)
    )  # PyTorch's kernel would be the slow one
    if repeats:
        k, v = k.repeat_interleave(shared, dim=1), v.repeat_interleave(shared, dim=1)
    if not only_plain():
        gqa = shared > 1 and not repeats
        if not mixed_on_cpu(q):
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=scale, enable_gqa=gqa)
        if q.shape[2] >= LONG_ON_CPU:
            q, k, v = (x.to(torch.get_autocast_dtype("cpu")) for x in (q, k, v))
            mask = mask.to(q.dtype) if mask is not None else None
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=scale, enable_gqa=gqa)
    scores = q @ k.mT * scale
    if causal:
        mask = _added(causal_mask(q.shape[2], k.shape[2], q.device)[None], q.dtype)
    pattern = (scores if mask is None else scores + mask).softmax(dim=-1)
    return F.dropout(pattern, dropout) @ v


def join_heads(q: Tensor, k: Tensor, v: Tensor, head_dim: int) -> Tensor:
    """Put rows of queries, keys and values in the order in which `Attention` has them.

    The G groups follow one another, each with its H / G heads of queries, its keys and its values: so a contiguous
    part of the rows is a number of whole groups, which can be computed elsewhere.

    Args:
        q, k, v: (H * D, ...), (G * D, ...), (G * D, ...), heads one after another.
        head_dim: D.

    Returns:
        ((H + 2 G) * D, ...).
    """
    groups = len(k) // head_dim
    return torch.cat([x.reshape(groups, -1, *x.shape[1:]) for x in (q, k, v)], dim=1).flatten(0, 1)


def heads_in(rows: Tensor, groups: int, head_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the queries, keys and values lie in what `join_heads` lays out, as views.

    Args:
        rows: ((H + 2 G) * D, ...), contiguous.
        groups: G.
        head_dim: D.

    Returns:
        (G, H / G * D, ...), (G, D, ...), (G, D, ...).
    """
    grouped = rows.view(groups, -1, *rows.shape[1:])
    q, k, v = torch.split(grouped, [grouped.shape[1] - 2 * head_dim, head_dim, head_dim], dim=1)
    return q, k, v


def split_heads(rows: Tensor, groups: int, head_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of queries, keys and values of what `join_heads` made of them."""
    q, k, v = (part.flatten(0, 1) for part in heads_in(rows.contiguous(), groups, head_dim))
    return q, k, v


def causal_mask(T: int, S: int, device: torch.device) -> Tensor:
    """Return (T, S) bool: query t, the (S - T + t)th token, sees itself and what came before."""
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def record_mask(segments: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """Return the mask under which the tokens of a row see their own record only.

    It is what is added to scores and not whether a key may be seen, as PyTorch would make the one of the other anew
    for each layer, and keep it until the backward pass.

    Args:
        segments: (B, T) int64, equal within a record; of a layer without a window, PREFIX is seen by all.
        window: of the layer; 0: dense.
        dtype: that of the queries.

    Returns:
        0 where a query may see a key, else -inf: (B, 1, T, T), and of a banded layer what `banded_attention` takes.
    """
    T = segments.shape[1]
    if not 0 < window < T:
        same = (segments[:, :, None] == segments[:, None, :]) | (segments == PREFIX)[:, None, :]
        return _added(same & causal_mask(T, T, segments.device), dtype)
    blocks = _blocks(segments, window)
    same = blocks[..., :, None] == _with_block_before(blocks)[..., None, :]
    return _added((same & _band(blocks.shape[1], window, segments.device)).flatten(0, 1), dtype)


def banded_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int,
    dropout: float,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Locally banded attention (Child et al. 2019): a query sees the last `window` tokens, itself included.

    The sequence is cut into N blocks of `window`; a block's queries need the keys of their own block and of the one
    before it, nothing else, so time and memory grow with T * window and not with T * T.

    Args:
        q: (B, H, T, D).
        k, v: (B, G, T, D).
        mask: (B N, 1, window, 2 window), added to the scores of the keys of the two blocks; None: all of its window.
        scale: what scores are multiplied by before; None: 1 / sqrt(D).

    Returns:
        (B, H, T, D).
    """
    B, H, T, D = q.shape
    # (B, N, window, H, D), and of keys and values (B, N, 2 window, H, D)
    q, k, v = (_blocks(x.transpose(1, 2), window) for x in (q, k, v))
    k, v = _with_block_before(k), _with_block_before(v)
    if mask is None:
        mask = _added(_band(q.shape[1], window, q.device).repeat(B, 1, 1), q.dtype)
    q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (q, k, v))  # (B N, H, ., D)
    y = _attend(q, k, v, mask, scale or 1 / math.sqrt(D), dropout=dropout)
    return y.transpose(1, 2).reshape(B, -1, H, D)[:, :T].transpose(1, 2)


def _blocks(x: Tensor, window: int) -> Tensor:
    """(B, T, ...) to (B, N, window, ...): cut into blocks, the last one filled up with zeros.

    What fills it up comes after all tokens, so none of them sees it.
    """
    B, T, *rest = x.shape
    if pad := -T % window:
        x = F.pad(x, (0, 0) * len(rest) + (0, pad))
    return x.view(B, -1, window, *rest)


def _with_block_before(x: Tensor) -> Tensor:
    """(B, N, window, ...) to (B, N, 2 window, ...): each block after the one before it, the first after zeros."""
    before = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), dim=1)
    return torch.cat((before, x), dim=2)


def _band(blocks: int, window: int, device: torch.device) -> Tensor:
    """Return (N, window, 2 window) bool: a query, of the second of two blocks, sees the last `window` tokens."""
    query = torch.arange(window, device=device)[:, None] + window
    key = torch.arange(2 * window, device=device)[None, :]
    band = ((key <= query) & (key > query - window)).repeat(blocks, 1, 1)
    band[0, :, :window] = False  # there is no block before the first
    return band


def _added(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, ...) bool to (B, 1, ...): what is added to the scores of all heads."""
    nothing = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return nothing.masked_fill(~seen, -math.inf).unsqueeze(1)
