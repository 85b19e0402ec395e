"""Rotary positions: each pair of numbers of a head is turned by an angle that grows with the position.

T tokens, D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


def rotary_tables(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of rotary positions (Su et al. 2021, section 3.2), (..., D/2) float32 each.

    Args:
        positions: (...) int64.
        head_dim: D.
        theta: base of the wavelengths.
    """
    # In float64 where the device has it, so that far positions keep their angle.
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    wavelength = theta ** (torch.arange(0, head_dim, 2, dtype=exact, device=positions.device) / head_dim)
    angle = positions.to(exact)[..., None] / wavelength
    return angle.cos().float(), angle.sin().float()


class Rotary(nn.Module):
    """The tables of all positions of a context, in float32 whatever the model's own numbers are.

    They follow from the config, so they are in no file; wherever the model is moved, they are made anew there.
    """

    def __init__(self, context_length: int, head_dim: int, theta: float) -> None:
        super().__init__()
        self.context_length, self.head_dim, self.theta = context_length, head_dim, theta
        # No buffers: they would be rounded with the model's numbers, and sent about by what trains many copies.
        self.cos, self.sin = self._tables(torch.get_default_device())

    def forward(self, positions: Tensor | int) -> tuple[Tensor, Tensor]:
        """Return the tables of given positions, (B, 1, T, D/2) each, or of the first T, (T, D/2)."""
        if isinstance(positions, int):
            if positions <= self.context_length:
                return self.cos[:positions], self.sin[:positions]
            return rotary_tables(torch.arange(positions, device=self.cos.device), self.head_dim, self.theta)
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return rotary_tables(torch.arange(self.context_length, device=device), self.head_dim, self.theta)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the model to another device, whatever else is done to its numbers."""
        moved = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if (device := fn(self.cos).device) != self.cos.device:
            self.cos, self.sin = self._tables(device)
        return moved  # type: ignore[no-any-return]
