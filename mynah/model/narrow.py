"""A whole model in int8, in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mynah.model.int8 import BLOCK, Int8Embedding, Int8Linear, Int8Matrix, few_rows
from mynah.model.transformer import Transformer


def int8_pays(device: torch.device) -> bool:
    """Say whether decoding is quicker with int8 weights here: PyTorch has the product for CPUs alone."""
    return device.type == "cpu" and few_rows() > 0


@torch.no_grad()
def to_int8(model: Transformer, known: dict[int, Any] | None = None) -> None:
    """Put the linear maps, the table of tokens and the head into int8; the model is not trained any more.

    A head that is the table of tokens stays so. Adapters that are computed beside their base, and what is no matrix of
    whole blocks, stay as they are.

    Args:
        model: in evaluation mode.
        known: by its place in memory what was made of a weight already, of models that hold the same ones; None: of no
            other, so that the memory of each weight is free once it is done.
    """
    assert not model.training

    def matrix(weight: Tensor) -> Int8Matrix:
        if known is None:
            return Int8Matrix(weight)
        if weight.data_ptr() not in known:
            # The weight is kept beside it, so that its place is nobody else's until all are done.
            known[weight.data_ptr()] = Int8Matrix(weight), weight
        found: Int8Matrix = known[weight.data_ptr()][0]
        return found

    for name, module in list(model.blocks.named_modules()):
        if type(module) is nn.Linear and module.in_features % BLOCK == 0:
            above, _, last = name.rpartition(".")
            setattr(model.blocks.get_submodule(above), last, Int8Linear(module, matrix(module.weight)))
    if isinstance(model.embed, nn.Embedding) and model.head.in_features % BLOCK == 0:
        table = matrix(model.embed.weight)
        tied = model.head.weight is model.embed.weight
        model.head = Int8Linear(model.head, table if tied else matrix(model.head.weight))
        model.embed = Int8Embedding(table)  # type: ignore[assignment]
