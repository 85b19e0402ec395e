"""Cutting a model over a grid of processes. It loads DTensor, 40 MB, which a process that trains alone does without."""

from __future__ import annotations

import logging

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)

from mynah.model.transformer import Block, Transformer
from mynah.train.distributed.dtensors import DATA, TENSOR


def shard_model(model: Transformer, grid: DeviceMesh, device: torch.device) -> None:
    """Cut a model that has no memory yet (on the meta device) over the processes, and give each its part's.

    Of each block, neighbours share heads and hidden units (Shoeybi et al. 2019); what a process then
    has is cut once more over all that have other rows (FSDP2, Zhao et al. 2023), and all-gathered to be used, block by
    block. What the numbers are is for `init_weights` or a file to say.
    """
    # It warns that what is cut twice takes two all-gathers, which is so.
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)
    if grid[TENSOR].size() > 1:
        for block in model.blocks:
            _share_block(block, grid[TENSOR])
    if grid[DATA].size() > 1:
        for block in model.blocks:
            fully_shard(block, mesh=grid[DATA])
        fully_shard(model, mesh=grid[DATA])
    model.to_empty(device=device)
    if model.config.tie_embeddings:  # which to_empty has taken apart
        model.head.weight = model.embed.weight


def _share_block(block: nn.Module, mesh: DeviceMesh) -> None:
    """Let neighbours share a block: columns of what widens, rows of what narrows, and a sum at the end of each."""
    assert isinstance(block, Block)
    plan: dict[str, ParallelStyle] = {
        "attention.query_key_value": ColwiseParallel(),
        "attention.out": RowwiseParallel(),
        "mlp.up": ColwiseParallel(),
        "mlp.down": RowwiseParallel(),
    }
    if block.mlp.gate is not None:  # two matrices read the same: one sum of their gradients, not two
        plan |= {"mlp": PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate())}
        plan |= {"mlp.gate": ColwiseParallel()}
    parallelize_module(block, mesh, plan)
