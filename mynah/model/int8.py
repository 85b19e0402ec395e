"""A whole model in int8, for decoding: half of what bfloat16 takes is read for each token, a quarter of float32."""

from __future__ import annotations

import torch
from torch import nn

from mynah.model.quantized import (
    Quantized,
    QuantizedEmbedding,
    QuantizedLinear,
    can_quantize,
    rows_as_int8,
)
from mynah.model.transformer import Transformer


def int8_pays(device: torch.device) -> bool:
    """Say whether decoding is quicker with int8 weights here: PyTorch has the product for CPUs alone."""
    return device.type == "cpu" and rows_as_int8() > 0


@torch.no_grad()
def quantize(model: Transformer) -> None:
    """Put the linear maps, the table of tokens and the head into int8, in place; the model is not trained any more.

    A head that is the table of tokens stays so: there is one copy. Adapters that are computed beside their base, and
    what is no matrix, stay as they are.

    Args:
        model: in evaluation mode.
    """
    assert not model.training
    for name, module in list(model.blocks.named_modules()):
        if type(module) is nn.Linear and can_quantize(module):
            above, _, last = name.rpartition(".")
            held = QuantizedLinear(module, Quantized(module.weight, "int8"))
            setattr(model.blocks.get_submodule(above), last, held)
    if not isinstance(model.embed, nn.Embedding) or not can_quantize(model.head):
        return
    table = Quantized(model.embed.weight, "int8")
    tied = model.head.weight is model.embed.weight
    model.head = QuantizedLinear(model.head, table if tied else Quantized(model.head.weight, "int8"))
    model.embed = QuantizedEmbedding(table)  # type: ignore[assignment]
