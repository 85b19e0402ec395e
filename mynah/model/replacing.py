"""Other modules in the place of a model's linear maps, made of each weight once however many models hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor, nn

Made = TypeVar("Made")


class OncePerWeight(Generic[Made]):
    """Makes something of weights, and of the same one the same thing again.

    Args:
        make: makes it.
        kept: whether what was made is remembered, for models that have weights in common. A weight is held as long, so
            that its place in memory is nobody else's; otherwise its memory is free once its module is gone.
    """

    def __init__(self, make: Callable[[Tensor], Made], *, kept: bool) -> None:
        self._make, self._kept = make, kept
        self._known: dict[int, tuple[Made, Tensor]] = {}

    def __call__(self, weight: Tensor) -> Made:
        """Return what is made of a weight."""
        if not self._kept:
            return self._make(weight)
        if weight.data_ptr() not in self._known:
            self._known[weight.data_ptr()] = self._make(weight), weight
        return self._known[weight.data_ptr()][0]


def replace_maps(blocks: nn.ModuleList, replaced: Callable[[nn.Linear], nn.Linear | None]) -> None:
    """Put another module in the place of each plain linear map of blocks; adapters and the like stay.

    Args:
        blocks: of a model.
        replaced: gives the other module; None: the map stays.
    """
    for name, module in list(blocks.named_modules()):
        if type(module) is nn.Linear and (other := replaced(module)) is not None:
            above, _, last = name.rpartition(".")
            setattr(blocks.get_submodule(above), last, other)
