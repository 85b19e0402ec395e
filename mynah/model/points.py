"""Places in a network where what passes by can be read and replaced."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Point(nn.Module):
    """A place that tensors pass through unchanged unless a forward hook is registered on it.

    What the hook returns takes the tensor's place; one that returns None only reads it. Without hooks a call costs no
    more than looking for them. The points of a block are `attention.at_q`, `at_k`, `at_v` ((B, heads, T, D), as they
    meet), `attention.at_pattern` ((B, H, T, S), each row summing to 1) and `at_stream` ((B, T, C), after the block).
    """

    def __call__(self, x: Tensor) -> Any:
        """Return the tensor, or what a hook has made of it."""
        return super().__call__(x) if self.hooked else x

    @property
    def hooked(self) -> bool:
        """Whether somebody looks."""
        return bool(self._forward_hooks or self._forward_pre_hooks)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tensor."""
        return x
