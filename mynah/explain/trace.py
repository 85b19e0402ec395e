"""One pass over a text with everything written down: streams, what heads and MLPs add, patterns of attention.

L layers, H heads, T tokens, C width of the stream, D width of a head, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mynah.errors import ConfigError
from mynah.model.transformer import Block, Norm, Transformer


@dataclass(frozen=True)
class Trace:
    """What went by in one pass over T tokens."""

    tokens: tuple[int, ...]
    #: (L + 1, T, C) the stream before the first block and after each
    streams: Tensor
    #: (L, H, T, C) what each head added to the stream
    heads: Tensor
    #: (L, T, C) what each MLP added; and what attention added that is no head's, its biases
    mlps: Tensor
    biases: Tensor
    #: (L, T, C) what the table of token pairs added before each block; None: there is none
    pairs: Tensor | None
    #: (L, H, T, T) how much each token looked at each
    patterns: Tensor
    #: (T, V) of the token after each
    logits: Tensor


@contextmanager
def hooked(*hooks: Any) -> Iterator[None]:
    """Take hooks away at the end."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def blocks_of(model: Transformer) -> list[Block]:
    """Return its blocks."""
    return [block for block in model.blocks if isinstance(block, Block)]


def check_plain(model: Transformer, tokens: Sequence[int]) -> None:
    """Raise ConfigError if a text cannot be looked into.

    Raises:
        ConfigError: if it is empty or too long.
    """
    if not tokens:
        raise ConfigError("there is no text to explain")
    if len(tokens) > model.config.context_length:
        raise ConfigError(
            f"{len(tokens)} tokens do not fit into the model's context of {model.config.context_length}; "
            "give a shorter text"
        )


def logits_of(model: Transformer, hidden: Tensor, tokens: Sequence[int]) -> Tensor:
    """Return (T, V) logits of (1, T, C) hidden states of a text, float32, with what the prior says, if there is one."""
    given = None
    if model.prior is not None and model.gate is not None:
        given = torch.from_numpy(model.prior.log_probs(model.prior.contexts(np.array(tokens)))).to(
            hidden.device
        )
        given = given[None]
    return model.logits(hidden, given)[0].float()


@torch.no_grad()
def trace(model: Transformer, tokens: Sequence[int]) -> Trace:
    """Read a text and write everything down.

    Args:
        model: in evaluation mode, its weights as they were trained (not in int8).
        tokens: the text; no more than the context holds.

    Raises:
        ConfigError: if it is empty or too long.
    """
    check_plain(model, tokens)
    blocks, config = blocks_of(model), model.config
    streams, heads, biases, mlps, patterns, entered = (list[Tensor]() for _ in range(6))

    def into_block(_: nn.Module, given: tuple[Any, ...]) -> None:
        entered.append(given[0][0])

    def from_heads(block: Block) -> Callable[..., None]:
        def note(_: nn.Module, given: tuple[Tensor]) -> None:
            y = given[0][0].view(-1, config.n_head, config.head_dim)  # (T, H, D)
            # (T, H, C): what each head's mixed values become in the stream
            made = torch.stack([_apply(block.attention.out, y[:, h], h) for h in range(config.n_head)], dim=1)
            bias = block.attention.out.bias
            rest = bias.expand(len(y), -1) if bias is not None else made.new_zeros(len(y), config.n_embd)
            if block.post_norm1 is not None:
                whole = made.sum(1) + rest
                made = torch.stack(
                    [scaled(block.post_norm1, made[:, h], whole) for h in range(config.n_head)], 1
                )
                rest = scaled(block.post_norm1, rest, whole) + shift(block.post_norm1, rest)
            heads.append(made.transpose(0, 1))
            biases.append(rest)

        return note

    def from_mlp(block: Block) -> Callable[..., None]:
        def note(_: nn.Module, __: Any, made: Tensor) -> None:
            mlps.append(block.post_norm2(made)[0] if block.post_norm2 is not None else made[0])

        return note

    hooks = [block.register_forward_pre_hook(into_block) for block in blocks]
    hooks += [
        block.at_stream.register_forward_hook(lambda _, __, x: streams.append(x[0])) for block in blocks
    ]
    hooks += [block.attention.out.register_forward_pre_hook(from_heads(block)) for block in blocks]
    hooks += [block.mlp.register_forward_hook(from_mlp(block)) for block in blocks]
    hooks += [
        block.attention.at_pattern.register_forward_hook(lambda _, __, p: patterns.append(p[0]))
        for block in blocks
    ]
    with hooked(*hooks), _embedded(model, streams):
        hidden = model(torch.tensor([list(tokens)], device=model.device))
        logits = logits_of(model, hidden, tokens)
    pairs = list[Tensor]()
    if config.bigram_buckets:  # what a block gets beside the stream that the one before has left
        pairs = [into - before for into, before in zip(entered, streams, strict=False)]
    return Trace(
        tuple(tokens),
        torch.stack(streams).float(),
        torch.stack(heads).float(),
        torch.stack(mlps).float(),
        torch.stack(biases).float(),
        torch.stack(pairs).float() if pairs else None,
        torch.stack(patterns).float(),
        logits,
    )


@contextmanager
def _embedded(model: Transformer, streams: list[Tensor]) -> Iterator[None]:
    """Note the stream before the first block."""
    with hooked(model.at_embedding.register_forward_hook(lambda _, __, x: streams.append(x[0]))):
        yield


def _apply(out: nn.Linear, y: Tensor, head: int) -> Tensor:
    """Return (T, C), what the mixed values (T, D) of one head become."""
    D = y.shape[1]
    made: Tensor = y @ out.weight[:, head * D : (head + 1) * D].T
    return made


def scaled(norm: Norm, part: Tensor, whole: Tensor) -> Tensor:
    """Return what a norm makes of a part of what it normalises, its scale being that of the whole.

    The parts of a sum become parts of what the norm makes of the sum, but for its bias: with the scale held, a norm is
    linear.

    Args:
        norm: of the last dimension.
        part: (..., C).
        whole: (..., C), of which it is a part.
    """
    whole = whole.float()
    if norm.rms:
        scale = torch.rsqrt(whole.square().mean(-1, keepdim=True) + norm.eps)
        made = part.float() * scale
    else:
        variance = whole.var(-1, keepdim=True, unbiased=False)
        made = (part.float() - part.float().mean(-1, keepdim=True)) * torch.rsqrt(variance + norm.eps)
    return made * norm.weight.float() if norm.weight is not None else made


def shift(norm: Norm, like: Tensor) -> Tensor:
    """Return what a norm adds, (..., C): its bias."""
    return torch.zeros_like(like) if norm.bias is None else norm.bias.to(like.dtype).expand_as(like)


@dataclass(frozen=True)
class Contributions:
    """What each part of a network adds to the logit of a token; together they are it, before a cap or a prior."""

    #: (L, H) and (L,)
    heads: Tensor
    mlps: Tensor
    #: of the embedding; of tables of pairs, and of all biases
    embedding: float
    pairs: float
    biases: float
    #: their sum
    total: float


@torch.no_grad()
def contributions(model: Transformer, found: Trace, at: int, token: int) -> Contributions:
    """Return what each part adds to the logit of a token after the token at a place (nostalgebraist 2020; Elhage 2021).

    Args:
        model: the one of the trace.
        found: of a text.
        at: the place, from 0.
        token: whose logit.
    """
    whole = found.streams[-1][at]
    row = model.head.weight[token].float()

    def of(part: Tensor) -> Tensor:
        return scaled(model.norm, part, whole.expand_as(part)) @ row

    heads, mlps = of(found.heads[:, :, at]), of(found.mlps[:, at])
    embedding = float(of(found.streams[0][at]))
    pairs = float(of(found.pairs[:, at]).sum()) if found.pairs is not None else 0.0
    biases = float(of(found.biases[:, at]).sum()) + float(shift(model.norm, whole) @ row)
    total = float(heads.sum() + mlps.sum()) + embedding + pairs + biases
    return Contributions(heads, mlps, embedding, pairs, biases, total)


@torch.no_grad()
def logit_lens(model: Transformer, found: Trace, at: int, top: int = 3) -> list[list[tuple[int, float]]]:
    """Return what the network would say after each layer were it the last one: likeliest tokens and log-probabilities.

    The first is before any block (nostalgebraist 2020, "interpreting GPT: the logit lens").
    """
    hidden = model.norm(found.streams[:, at].to(model.dtype))  # (L + 1, C)
    logits = model.head(hidden).float()
    if cap := model.config.logit_softcap:
        logits = cap * torch.tanh(logits / cap)
    values, ids = logits.log_softmax(dim=-1).topk(min(top, logits.shape[-1]), dim=-1)
    return [
        list(zip(row.tolist(), value.tolist(), strict=True)) for row, value in zip(ids, values, strict=True)
    ]


def rollout(patterns: Tensor) -> Tensor:
    """Return (L, T, T), how much of each first token is in each place after so many layers (Abnar & Zuidema 2020).

    Args:
        patterns: (L, H, T, T).
    """
    T = patterns.shape[-1]
    mixed = torch.eye(T)
    found = []
    for pattern in patterns.mean(dim=1).cpu():
        mixed = (0.5 * pattern + 0.5 * torch.eye(T)) @ mixed  # half of it is the stream that goes by
        found.append(mixed)
    return torch.stack(found)


def surprise(found: Trace) -> list[float]:
    """Return how surprised the network was by each token but the first, bits."""
    log_probs = found.logits[:-1].log_softmax(dim=-1)
    wanted = torch.tensor(found.tokens[1:], device=log_probs.device)
    bits: list[float] = (-log_probs.gather(1, wanted[:, None])[:, 0] / math.log(2)).tolist()
    return bits
