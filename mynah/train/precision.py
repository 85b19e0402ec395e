"""In which numbers a model computes while its weights stay float32 (Micikevicius et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from mynah.model.gain import LEAST_GAIN, gain_of_bfloat16

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Smaller products (rows x width in x width out) are not timed: what they cost is not the multiplications.
LEAST_PRODUCT = 1 << 24


class Precision:
    """The dtype of the products, and the scaling of losses that float16 needs.

    float16 reaches down to 6e-8 only: the loss is multiplied by `scaler`'s factor so that small gradients stay above,
    and the gradients are divided by it again. A step whose gradients are not finite is left out and the factor
    halved; every 2,000 good steps it is doubled. In other dtypes the scaler passes everything through.
    """

    def __init__(
        self,
        wanted: Literal["auto", "float32", "bfloat16", "float16"],
        device: torch.device,
        product: tuple[int, int, int] | None = None,
    ) -> None:
        """Choose for a device.

        Args:
            wanted: `auto` is bfloat16 or float16 on CUDA; on a CPU what is faster here; float32 elsewhere.
            device: where the model is.
            product: rows, width in and width out of a typical product, which is timed; None: float32 on a CPU.
        """
        self.device = device.type
        self.dtype = _auto(device, product) if wanted == "auto" else _DTYPES[wanted]
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.dtype == torch.float16)

    @property
    def name(self) -> str:
        """The dtype's name."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which products run in this dtype.

        Weights in it are not held for the rest of a pass (`cache_enabled`): of a model in parts, or of blocks that are
        computed again, they would stay when the weights themselves have long been resharded.
        """
        if self.dtype == torch.float32:
            return nullcontext()
        context: AbstractContextManager[None] = torch.autocast(self.device, self.dtype, cache_enabled=False)
        return context


@contextmanager
def coarse_products() -> Iterator[None]:
    """For float32 products on a CPU that need not be exact: by oneDNN, in bfloat16 where there are tiles for it.

    MKL's take an older path on processors that are not Intel's: on one of AMD's with AVX-512 these are twice as fast,
    and as exact. Elsewhere they cost the same.
    """
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def _auto(device: torch.device, product: tuple[int, int, int] | None) -> torch.dtype:
    if device.type == "cpu" and product is not None and math.prod(product) >= LEAST_PRODUCT:
        return torch.bfloat16 if gain_of_bfloat16(*product) >= LEAST_GAIN else torch.float32
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
