"""Whether a network begins well: how strong the signal is in each layer at step 0, forward and backward.

A stream that grows or shrinks layer by layer, a layer that no gradient reaches, hidden units that never answer: each
costs a run that is only known to be lost hours later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mynah.model.transformer import Block, Transformer

#: How far the stream may grow or shrink from the embedding to the last layer, and gradients differ between layers. Of
#: the first, sound initialisations stay below a third (GPT-2's stream of 0.02 is soon written over by blocks).
_GROWTH, _GRADIENTS = 100.0, 100.0
#: How far the first loss may be from that of a uniform guess, nats.
_LOSS = 0.7
#: Share of hidden units that may answer to no token of a batch.
_SILENT = 0.5


@dataclass(frozen=True)
class LayerSignal:
    """What goes through one block; root mean squares."""

    #: of the residual stream after it
    stream: float
    #: of the gradients of its attention's and of its MLP's matrices
    attention_gradient: float
    mlp_gradient: float
    #: share of hidden units that are 0 for every token
    silent: float


@dataclass(frozen=True)
class StartSignal:
    """What goes through a network on a first batch."""

    #: nats a token, and what a uniform guess has
    loss: float
    uniform: float
    #: root mean square of the residual stream before the first block
    embedded: float
    layers: tuple[LayerSignal, ...]

    def problems(self) -> list[str]:
        """Say what is wrong, layer by layer; empty if nothing is."""
        found = []
        if not abs(self.loss - self.uniform) < _LOSS:
            found.append(f"the first loss is {self.loss:.2f}, a uniform guess has {self.uniform:.2f}")
        last = self.layers[-1].stream
        if not self.embedded / _GROWTH < last < self.embedded * _GROWTH:
            found.append(
                f"the stream goes from {self.embedded:.3g} before the blocks to {last:.3g} after them"
            )
        for part in ("attention", "mlp"):
            sizes = [getattr(layer, f"{part}_gradient") for layer in self.layers]
            for number, size in enumerate(sizes):
                if not 0 < size < math.inf:
                    found.append(f"block {number}: the {part}'s gradient is {size}")
            if all(0 < size < math.inf for size in sizes) and max(sizes) > _GRADIENTS * min(sizes):
                found.append(f"gradients of {part}s are from {min(sizes):.3g} to {max(sizes):.3g}")
        found += [
            f"block {number}: {layer.silent:.0%} of the hidden units answer to nothing"
            for number, layer in enumerate(self.layers)
            if layer.silent > _SILENT
        ]
        return found


def start_signal(model: Transformer, tokens: Tensor) -> StartSignal:
    """Send a batch through a network and back, in the mode that it is in (with dropout, or without).

    Args:
        model: without a prior; its gradients are cleared.
        tokens: (B, T) int64; each is to be predicted from those before it.
    """
    blocks = [block for block in model.blocks if isinstance(block, Block)]
    streams: list[float] = []
    silent: list[float] = []
    hooks = [blocks[0].register_forward_pre_hook(lambda _block, given: streams.append(_rms(given[0])))]
    for block in blocks:
        hooks.append(block.register_forward_hook(lambda _block, _given, out: streams.append(_rms(out))))
        hooks.append(
            block.mlp.down.register_forward_pre_hook(lambda _, given: silent.append(_silent(given[0])))
        )
    try:
        model.zero_grad()
        loss = model.loss(model(tokens[:, :-1]), tokens[:, 1:]) / tokens[:, 1:].numel()
        loss.backward()  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()
    layers = tuple(
        LayerSignal(stream, _gradient(block.attention), _gradient(block.mlp), share)
        for stream, block, share in zip(streams[1:], blocks, silent, strict=True)
    )
    model.zero_grad()
    return StartSignal(float(loss.detach()), math.log(model.config.vocab_size), streams[0], layers)


def _silent(hidden: Tensor) -> float:
    """Return the share of the units of (B, T, hidden) that are 0 everywhere."""
    return float((hidden == 0).flatten(0, 1).all(0).float().mean())


def _rms(x: Tensor) -> float:
    return float(x.detach().square().mean().sqrt())


def _gradient(part: nn.Module) -> float:
    """Return that of its matrices: biases are reached even where nothing goes through."""
    gradients = [p.grad.flatten() for p in part.parameters() if p.grad is not None and p.ndim > 1]
    return _rms(torch.cat(gradients)) if gradients else 0.0
