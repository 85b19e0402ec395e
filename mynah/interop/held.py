"""In which numbers the frozen weights of a base are held: those that products are quick in, or fewer bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from mynah.model.config import ModelConfig
from mynah.model.gain import LEAST_GAIN, gain_of_bfloat16
from mynah.model.quantized import BYTES, Bits

#: As a recipe says it; auto: the first of `ways` that fits the memory.
Frozen = Literal["auto", "float32", "bfloat16", "q8_0", "q4_1"]
#: Rows of the product that is timed to choose in which numbers a base computes.
_ROWS = 256


@dataclass(frozen=True)
class Held:
    """How weights are held."""

    #: of the products, and of all that is not in few bits
    dtype: torch.dtype
    #: of the maps of the blocks; None: they are in `dtype`
    bits: Bits | None = None

    @property
    def name(self) -> str:
        """As a recipe says it."""
        return self.bits or str(self.dtype).removeprefix("torch.")

    def bytes_of(self, config: ModelConfig) -> int:
        """Return about what a model takes."""
        groups = config.n_params_by_group()
        maps = groups["attention"] + groups["mlp"]
        rest = sum(groups.values()) - maps
        each = self.dtype.itemsize if self.bits is None else BYTES[self.bits]
        return round(maps * each + rest * self.dtype.itemsize)


def held_as(name: str, config: ModelConfig, device: torch.device) -> Held:
    """Return what a recipe's word, other than auto, means here."""
    if name in get_args(Bits):
        return Held(quick_dtype(config, device), name)  # type: ignore[arg-type]
    return Held({"float32": torch.float32, "bfloat16": torch.bfloat16}[name])


def ways(config: ModelConfig, device: torch.device) -> list[Held]:
    """Return the ways to hold a model here, the quickest and largest first."""
    quick = quick_dtype(config, device)
    return [Held(quick), Held(quick, "q8_0"), Held(quick, "q4_1")]


def quickest_that_fits(config: ModelConfig, device: torch.device, fits: Callable[[Held], bool]) -> Held:
    """Return the quickest way to hold a model that fits, or the smallest where none does."""
    tried = ways(config, device)
    return next((held for held in tried if fits(held)), tried[-1])


def quick_dtype(config: ModelConfig, device: torch.device) -> torch.dtype:
    """Return the numbers that a base computes in: bfloat16 where products are faster in it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type != "cpu":
        return torch.float32
    gain = gain_of_bfloat16(_ROWS, config.n_embd, config.ffn_hidden)
    return torch.bfloat16 if gain >= LEAST_GAIN else torch.float32
