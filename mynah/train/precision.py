"""In which numbers a model computes while its weights stay float32 (Micikevicius et al. 2018)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """The dtype of the products, and the scaling of losses that float16 needs.

    float16 reaches down to 6e-8 only: the loss is multiplied by `scaler`'s factor so that small gradients stay above,
    and the gradients are divided by it again. A step whose gradients are not finite is left out and the factor
    halved; every 2,000 good steps it is doubled. In other dtypes the scaler passes everything through.
    """

    def __init__(
        self, wanted: Literal["auto", "float32", "bfloat16", "float16"], device: torch.device
    ) -> None:
        """Choose for a device: `auto` is bfloat16 or float16 on CUDA, float32 elsewhere."""
        self.device = device.type
        self.dtype = _auto(device) if wanted == "auto" else _DTYPES[wanted]
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.dtype == torch.float16)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which products run in this dtype.

        Weights in it are not held for the rest of a pass (`cache_enabled`): of a model in parts, or of blocks that are
        computed again, they would stay when the weights themselves have long been let go.
        """
        if self.dtype == torch.float32:
            return nullcontext()
        context: AbstractContextManager[None] = torch.autocast(self.device, self.dtype, cache_enabled=False)
        return context


def _auto(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
