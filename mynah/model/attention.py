"""Causal self-attention: dense, within a window, or apart by segment.

B rows, T tokens, H query heads, G key/value heads, D width of a head, C width of the stream.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.config import ModelConfig
from mynah.model.fused import rms_norm, rotate


class Cache(Protocol):
    """Keys and values of the tokens so far; filled by attention, owned by the engine."""

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, G, T, D) keys and values of a layer; return all of them, (B, G, S + T, D)."""
        ...


def rotary_tables(context_length: int, head_size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of rotary positions (Su et al. 2021), (T, D/2) float32 each."""
    wavelength = theta ** (torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angle = torch.arange(context_length, dtype=torch.float64)[:, None] / wavelength
    return angle.cos().float(), angle.sin().float()


class Attention(nn.Module):
    """Multi-head causal self-attention with grouped heads."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.n_head, self.n_kv_head = config.n_head, config.kv_heads
        self.head_size = config.head_size
        self.layer = layer
        self.window = config.window(layer)
        self.dropout = config.dropout
        #: query heads that share one head of keys and values
        self.shared = self.n_head // self.n_kv_head
        rows = (self.n_head + 2 * self.n_kv_head) * self.head_size
        #: its rows as `join_heads` lays them out
        self.query_key_value = nn.Linear(config.n_embd, rows, bias=config.bias_of_qkv)
        self.out = nn.Linear(self.n_head * self.head_size, config.n_embd, bias=config.bias)
        self.qk_norm = config.qk_norm
        self.eps = config.norm_eps
        scaled = config.qk_norm and config.norm_weight
        self.q_scale = nn.Parameter(torch.ones(self.head_size)) if scaled else None
        self.k_scale = nn.Parameter(torch.ones(self.head_size)) if scaled else None
        # Every second layer, the last one among them, mixes the value embedding in.
        mixes = config.value_embeddings and (config.n_layer - 1 - layer) % 2 == 0 and layer > 0
        self.value_gate = nn.Parameter(torch.ones(self.n_kv_head)) if mixes else None

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        value_embedding: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        """Attend.

        Args:
            x: (B, T, C).
            rotary: the tables for these positions.
            mask: what `record_mask` gives for this layer's window; None: each row is one record.
            value_embedding: (B, T, G * D), added to the values by a learned gate per head.
            cache: earlier keys and values; the new ones are added to it.

        Returns:
            (B, T, C).
        """
        B, T, _ = x.shape
        groups = self.query_key_value(x).view(
            B, T, -1, self.shared + 2, self.head_size
        )  # (B, T, G, H/G + 2, D)
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
        if cache is not None:
            k, v = cache.extend(self.layer, k, v)
        if self.shared > 1:
            k = k.repeat_interleave(self.shared, dim=1)  # (B, H, S, D)
            v = v.repeat_interleave(self.shared, dim=1)
        y = self._mix(q, k, v, mask)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(B, T, -1))
        return mixed

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        T, S = q.shape[2], k.shape[2]
        windowed = 0 < self.window < S
        if mask is None and not windowed:
            if T == S or T == 1:
                return F.scaled_dot_product_attention(q, k, v, is_causal=T == S and T > 1, dropout_p=dropout)
            mask = causal_mask(T, S, q.device)
        if windowed and T == S:
            return banded_attention(q, k, v, self.window, dropout, mask)
        if mask is None:
            mask = causal_mask(T, S, q.device)
            if windowed:
                mask = mask & ~mask.tril(S - T - self.window)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def join_heads(q: Tensor, k: Tensor, v: Tensor, head_size: int) -> Tensor:
    """Put rows of queries, keys and values in the order in which `Attention` has them.

    The G groups follow one another, each with its H / G heads of queries, its keys and its values: so a contiguous
    part of the rows is a number of whole groups, which can be computed elsewhere.

    Args:
        q, k, v: (H * D, ...), (G * D, ...), (G * D, ...), heads one after another.
        head_size: D.

    Returns:
        ((H + 2 G) * D, ...).
    """
    groups = len(k) // head_size
    return torch.cat([x.reshape(groups, -1, *x.shape[1:]) for x in (q, k, v)], dim=1).flatten(0, 1)


def split_heads(rows: Tensor, groups: int, head_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of queries, keys and values of what `join_heads` made of them."""
    grouped = rows.reshape(groups, -1, *rows.shape[1:])
    sizes = [grouped.shape[1] - 2 * head_size, head_size, head_size]
    q, k, v = (part.flatten(0, 1) for part in torch.split(grouped, sizes, dim=1))
    return q, k, v


def causal_mask(T: int, S: int, device: torch.device) -> Tensor:
    """Return (T, S) bool: query t, the (S - T + t)th token, sees itself and what came before."""
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def record_mask(segments: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """Return the mask under which the tokens of a row see their own record only.

    It is what is added to scores and not whether a key may be seen, as PyTorch would make the one of the other anew
    for each layer, and keep it until the backward pass.

    Args:
        segments: (B, T) int64, equal within a record.
        window: of the layer; 0: dense.
        dtype: that of the queries.

    Returns:
        0 where a query may see a key, else -inf: (B, 1, T, T), and of a banded layer what `banded_attention` takes.
    """
    T = segments.shape[1]
    if not 0 < window < T:
        same = segments[:, :, None] == segments[:, None, :]
        return _added(same & causal_mask(T, T, segments.device), dtype)
    blocks = _blocks(segments, window)
    same = blocks[..., :, None] == _with_block_before(blocks)[..., None, :]
    return _added((same & _band(blocks.shape[1], window, segments.device)).flatten(0, 1), dtype)


def banded_attention(
    q: Tensor, k: Tensor, v: Tensor, window: int, dropout: float, mask: Tensor | None = None
) -> Tensor:
    """Locally banded attention (Child et al. 2019): a query sees the last `window` tokens, itself included.

    The sequence is cut into N blocks of `window`; a block's queries need the keys of their own block and of the one
    before it, nothing else, so time and memory grow with T * window and not with T * T.

    Args:
        q, k, v: (B, H, T, D), of one length.
        mask: (B N, 1, window, 2 window), added to the scores of the keys of the two blocks; None: all of its window.

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
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
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
