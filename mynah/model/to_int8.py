"""A whole model in int8, in place."""

from __future__ import annotations

import torch
from torch import nn

from mynah.model.int8 import BLOCK, Int8Embedding, Int8Linear, Int8Matrix, few_rows
from mynah.model.replacing import OncePerWeight, replace_maps
from mynah.model.transformer import Transformer


def int8_pays(device: torch.device) -> bool:
    """Say whether decoding is quicker with int8 weights here: PyTorch has the product for CPUs alone."""
    return device.type == "cpu" and few_rows() > 0


@torch.no_grad()
def to_int8(model: Transformer, matrix_of: OncePerWeight[Int8Matrix] | None = None) -> None:
    """Put the linear maps, the table of tokens and the head into int8; the model is not trained any more.

    A head that is the table of tokens stays so. Adapters that are computed beside their base, and what is no matrix of
    whole blocks, stay as they are.

    Args:
        model: in evaluation mode.
        matrix_of: makes the matrices, of several models that have weights in common; None: of this one alone.
    """
    assert not model.training
    make = matrix_of or OncePerWeight(Int8Matrix, kept=False)

    def in_int8(linear: nn.Linear) -> Int8Linear | None:
        return Int8Linear(linear, make(linear.weight)) if linear.in_features % BLOCK == 0 else None

    replace_maps(model.blocks, in_int8)
    if isinstance(model.embed, nn.Embedding) and model.head.in_features % BLOCK == 0:
        table = make(model.embed.weight)
        tied = model.head.weight is model.embed.weight
        model.head = Int8Linear(model.head, table if tied else make(model.head.weight))
        model.embed = Int8Embedding(table)  # type: ignore[assignment]
