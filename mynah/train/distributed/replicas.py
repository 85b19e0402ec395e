"""How a model lies on the processes that train it: a copy in each, or parts, put on from outside the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.roles import Role
from mynah.model.tensor_files import TensorFiles
from mynah.model.transformer import Transformer
from mynah.model.weights import WEIGHTS, init_weights, load_model, model_tensors, new_model
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import TENSOR, local, put, read_into
from mynah.train.distributed.world import World
from mynah.train.objective import Batch, Objective, Pass
from mynah.train.trained import trained_parameters, trained_roles


class Replicas:
    """One model, or a copy of it in every process, whose gradients are summed as they are made."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        world: World,
        batches: Callable[[int], Batch],
        parts: int,
    ) -> None:
        """Put DistributedDataParallel (Li et al. 2020) over the pass if there are several processes.

        Args:
            model: on its device.
            objective: what is learned.
            world: the processes.
            batches: of each step.
            parts: in which a step's rows are taken.
        """
        self.world, self.device = world, next(model.parameters()).device
        self.forward: Any = Pass(model, objective)
        if world.size > 1:
            first = world.share(batches(0)).split(parts)[0]
            self.loss(first).backward()  # type: ignore[no-untyped-call]
            unused = any(p.grad is None for p in trained_parameters(model).values())
            model.zero_grad()
            ids = [self.device.index] if self.device.type == "cuda" else None
            self.forward = nn.parallel.DistributedDataParallel(
                self.forward,
                device_ids=ids,
                gradient_as_bucket_view=True,
                find_unused_parameters=unused,  # the objective may leave parts of a model out; looking costs time
            )
            # It lays gradients out anew after its first pass, and so adds them up in another order: as a run that goes
            # on must not differ from one that was never cut off, that pass is over before the first step of either.
            self.loss(first).backward()  # type: ignore[no-untyped-call]
            model.zero_grad()

    def loss(self, part: Batch) -> Tensor:
        """Return the summed loss of this process's part of a batch.

        What is put over the model gives the mean of the gradients of all rows; the sum is wanted.
        """
        loss: Tensor = self.forward(part.to(self.device))
        return loss * self.world.groups

    def reshard(self) -> None:
        """Free weights that were all-gathered for a pass without gradients."""

    def exchange(self, last: bool) -> AbstractContextManager[None]:
        """Return the context of a pass: the processes exchange gradients after the last part of a step alone."""
        if self.world.size == 1 or last:
            return nullcontext()
        context: AbstractContextManager[None] = self.forward.no_sync()
        return context


class Shards(Replicas):
    """One model, of which each process holds a part, as `build_model` has made it."""

    def __init__(self, model: nn.Module, objective: Objective, world: World) -> None:
        """Take a model that has been sharded."""
        self.world, self.device = world, next(model.parameters()).device
        self.model: Any = model
        self.forward = Pass(model, objective)

    def reshard(self) -> None:
        """Free weights that were all-gathered for a pass without gradients."""
        if self.world.groups > 1:
            self.model.reshard()

    @contextmanager
    def exchange(self, last: bool) -> Iterator[None]:
        """Return the context of a pass: gradients are exchanged after each, or all of them would stand in memory."""
        yield
        if last and self.world.tensor > 1 and self.world.grid is not None:
            parameters = trained_parameters(self.model)
            for name, role in trained_roles(self.model).items():
                # Used by each process for its own heads: a sum over all heads is a sum over the processes.
                if role is Role.OF_HEADS and (grad := parameters[name].grad) is not None:
                    dist.all_reduce(local(grad), group=self.world.grid[TENSOR].get_group())


def build_model(config: ModelConfig, begin: Path | int, world: World, device: torch.device) -> Transformer:
    """Return a model on this process's device; of one in parts, no process ever holds the whole.

    Args:
        config: its shape.
        begin: the folder of a trained one, or a seed.
        world: the processes that it is for.
        device: this process's.

    Raises:
        ArtifactError: if a file is missing or damaged, or the tensors are not those of the config.
    """
    if world.grid is None:
        model = load_model(begin) if isinstance(begin, Path) else new_model(config, begin)
        return model.to(device)
    from mynah.train.distributed.shard import shard_model  # and with it all of DTensor

    with torch.device("meta"):
        model = Transformer(config)
    shard_model(model, world.grid, device)
    if isinstance(begin, Path):
        read_into(model_tensors(model), TensorFiles([begin / WEIGHTS]), begin)
    else:
        init_weights(model, begin, put)
    return model


def check_shareable(model: ModelConfig, tensor: int, size: int) -> None:
    """Raise ConfigError if the blocks of a model cannot be shared by each `tensor` of `size` processes."""
    if tensor == 1:
        return
    if size % tensor:
        raise ConfigError(f"tensor_parallel {tensor}: expected what divides the number of processes, {size}")
    if model.value_embeddings:
        raise ConfigError(
            f"tensor_parallel {tensor}: not for models with value embeddings; expected model.value_embeddings = false, "
            "or sharded = true alone"
        )
    for name, count in (("heads of keys and values", model.n_kv_head), ("hidden units", model.ffn_hidden)):
        if count % tensor:
            raise ConfigError(f"tensor_parallel {tensor}: expected what divides the model's {count:,} {name}")


def ready(
    model: nn.Module,
    objective: Objective,
    config: TrainConfig,
    world: World,
    batches: Callable[[int], Batch],
) -> Replicas:
    """Make a model ready to be trained by these processes; compile it if asked for.

    Args:
        model: on its device.
        objective: what is learned.
        config: how.
        world: the processes.
        batches: of each step.
    """
    world.meet("made")
    for module in model.modules():
        if isinstance(module, Transformer):
            module.recompute = config.recompute
    if world.grid is not None:
        replicas: Replicas = Shards(model, objective, world)
    else:
        replicas = Replicas(model, objective, world, batches, config.grad_accum_steps)
    if config.compile:
        model.compile()  # in place: names of weights stay as they are
    return replicas
