"""Rotary positions: each pair of numbers of a head is turned by an angle that grows with the position.

T tokens, D width of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from mynah.model.config import RopeScaling


def rotary_tables(
    positions: Tensor, head_dim: int, theta: float, scaling: RopeScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of rotary positions (Su et al. 2021, section 3.2), (..., D/2) float32 each.

    Args:
        positions: (...) int64.
        head_dim: D.
        theta: base of the wavelengths.
        scaling: how they are stretched; with YaRN's attention factor, both tables are multiplied by it.
    """
    # In float64 where the device has it, so that far positions keep their angle.
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    wavelength = theta ** (torch.arange(0, head_dim, 2, dtype=exact, device=positions.device) / head_dim)
    if scaling is None:
        angle = positions.to(exact)[..., None] / wavelength
        return angle.cos().float(), angle.sin().float()
    kept = _kept(wavelength, theta, scaling)
    angle = positions.to(exact)[..., None] * ((kept + (1 - kept) / scaling.factor) / wavelength)
    return (angle.cos() * scaling.attention_factor).float(), (angle.sin() * scaling.attention_factor).float()


def _kept(wavelength: Tensor, theta: float, scaling: RopeScaling) -> Tensor:
    """Return how much of each frequency stays as it is, 0 to 1; the rest of it is divided by the factor.

    Of linear scaling nothing stays (Chen et al. 2023, "Extending context window ... via positional interpolation").
    Llama 3's slope goes with how often a pair turns in the original context (Meta's `apply_scaling` of Llama 3.1),
    that of YaRN with its number (Peng et al. 2023, section 3.2, "NTK-by-parts").

    Args:
        wavelength: (D/2,), over 2 pi.
        theta: base of the wavelengths.
        scaling: of which kind.
    """
    if scaling.rope_type == "linear" or scaling.original_context_length is None:
        return torch.zeros_like(wavelength)
    turns = scaling.original_context_length / (2 * math.pi)  # of a pair whose frequency is 1
    if scaling.rope_type == "llama3":
        low, high = scaling.low_freq_factor, scaling.high_freq_factor
        return ((turns / wavelength - low) / (high - low)).clamp(0, 1)
    head_dim = 2 * len(wavelength)
    # Where in the head's dimensions, counted by pairs, is what turns so often.
    first, last = (
        head_dim * math.log(turns / often) / (2 * math.log(theta))
        for often in (scaling.beta_fast, scaling.beta_slow)
    )
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_dim - 1)
    pair = torch.arange(len(wavelength), dtype=wavelength.dtype, device=wavelength.device)
    return 1 - ((pair - first) / (last - first or 0.001)).clamp(0, 1)


class Rotary(nn.Module):
    """The tables of all positions of a context, in float32 whatever the model's own numbers are.

    They follow from the config, so they are in no file; wherever the model is moved, they are made anew there.
    """

    def __init__(
        self, context_length: int, head_dim: int, theta: float, scaling: RopeScaling | None = None
    ) -> None:
        super().__init__()
        self.context_length, self.head_dim, self.theta = context_length, head_dim, theta
        self.scaling = scaling
        # No buffers: they would be rounded with the model's numbers, and sent about by what trains many copies.
        self.cos, self.sin = self._tables(torch.get_default_device())

    def forward(self, positions: Tensor | int) -> tuple[Tensor, Tensor]:
        """Return the tables of given positions, (B, 1, T, D/2) each, or of the first T, (T, D/2)."""
        if isinstance(positions, int):
            if positions <= self.context_length:
                return self.cos[:positions], self.sin[:positions]
            return self._of(torch.arange(positions, device=self.cos.device))
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return self._of(torch.arange(self.context_length, device=device))

    def _of(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return rotary_tables(positions, self.head_dim, self.theta, self.scaling)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the model to another device, whatever else is done to its numbers."""
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if (device := fn(self.cos).device) != self.cos.device:
            self.cos, self.sin = self._tables(device)
        return moved  # type: ignore[no-any-return]
