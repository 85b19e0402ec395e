"""The processes that train one model together, and what each of them has to do.

Started by `torchrun`, each process reads from its environment who it is. All make the same batch of a step, which is
a pure function of (seed, step), and each takes its own rows of it; so the number of processes may change from one
start to the next, and no process has to tell another which rows it took.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.rendezvous import rendezvous

from mynah.model.transformer import IGNORE, Transformer
from mynah.train.batches import Batch
from mynah.train.config import TrainConfig
from mynah.train.heartbeat import EXIT, Heartbeat

#: A collective operation that takes longer than this has lost a process.
TIMEOUT = timedelta(seconds=25)


@dataclass(frozen=True)
class World:
    """One process among `size`; alone by default."""

    rank: int = 0
    size: int = 1
    heartbeat: Heartbeat | None = None
    #: each process holds a part of weights, gradients and optimizer state, and not a copy of all
    sharded: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """Return this process's rows of a batch."""
        if self.size == 1:
            return batch
        return rows(batch, self.size)[self.rank]

    def total(self, *values: float) -> list[float]:
        """Return the sums of values over all processes."""
        if self.size == 1:
            return list(values)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # the one that `joined` has set
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return [float(value) for value in summed]

    def at(self, step: int) -> None:
        """Let the others know how many steps this process has taken."""
        if self.heartbeat is not None:
            self.heartbeat.step = step

    def wait(self) -> None:
        """Wait until all processes are here, which must be soon: for what takes long there is `tell`."""
        self.total(0.0)

    def tell(self, what: str) -> None:
        """Let the other processes go on that wait for this (`hear`), each thing once."""
        if self.heartbeat is not None:
            self.heartbeat.tell(what)

    def hear(self, what: str) -> None:
        """Wait, however long it takes, until another process tells this; if it is lost, the heartbeat ends the job."""
        if self.heartbeat is not None:
            self.heartbeat.hear(what)


@contextmanager
def joined(device: torch.device, sharded: bool = False) -> Iterator[World]:
    """Join the processes that `torchrun` started, if it did: NCCL on GPUs, Gloo elsewhere."""
    if "RANK" not in os.environ:
        yield World()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, rank, size = next(iter(rendezvous("env://", timeout=TIMEOUT)))
    apart = dist.distributed_c10d.PrefixStore("mynah", store)
    dist.init_process_group(backend, store=apart, rank=rank, world_size=size, timeout=TIMEOUT)
    try:
        with Heartbeat(store, rank, size) as heartbeat:
            yield World(rank, size, heartbeat, sharded)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        print(
            f"mynah: process {rank} of {size} has lost the connection to another one; run the same command again to go "
            "on from the last checkpoint",
            file=sys.stderr,
        )
        os._exit(EXIT)  # what is under way with the others cannot be ended any other way
    finally:
        dist.destroy_process_group()


class Objective(nn.Module):
    """A model and its loss as one module: what is put over it from outside sees the whole of a pass."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, device: torch.device) -> Tensor:
        """Return the summed loss of a batch in nats, a scalar."""
        segments = batch.segments.to(device) if batch.segments is not None else None
        hidden = self.model(batch.tokens.to(device), segments)
        return self.model.loss(hidden, batch.targets.to(device), batch.prior_at())


class Replicas:
    """One model, or a copy of it in every process, whose gradients are summed as they are made."""

    def __init__(self, model: Transformer, world: World) -> None:
        """Put DistributedDataParallel (Li et al. 2020) over the model if there are several processes."""
        self.world, self.device = world, next(model.parameters()).device
        self.objective: Any = Objective(model)
        if world.size > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            self.objective = nn.parallel.DistributedDataParallel(self.objective, device_ids=ids)

    def loss(self, part: Batch) -> Tensor:
        """Return the summed loss of this process's part of a batch.

        DistributedDataParallel gives the mean of the processes' gradients; the sum is wanted.
        """
        loss: Tensor = self.objective(part, self.device)
        return loss * self.world.size

    def part(self) -> None:
        """Let go of weights that were put together to be used without a backward pass."""

    def exchange(self, last: bool) -> AbstractContextManager[None]:
        """Return the context of a pass: the processes exchange gradients after the last part of a step alone."""
        if self.world.size == 1 or last:
            return nullcontext()
        context: AbstractContextManager[None] = self.objective.no_sync()
        return context


class Shards(Replicas):
    """One model, of which each process holds a part (FSDP2, Zhao et al. 2023); a block is put together to be used."""

    def __init__(self, model: Transformer, world: World) -> None:
        """Spread each block, and the rest, over the processes."""
        self.world, self.device = world, next(model.parameters()).device
        mesh = init_device_mesh(self.device.type, (world.size,))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        self.model: Any = model
        self.objective = Objective(model)

    def part(self) -> None:
        """Let go of weights that were put together to be used without a backward pass."""
        self.model.reshard()

    def exchange(self, last: bool) -> AbstractContextManager[None]:
        """Return the context of a pass: gradients are exchanged after each, or all of them would stand in memory."""
        return nullcontext()


def spread(model: Transformer, config: TrainConfig, world: World) -> Replicas:
    """Make a model ready to be trained by these processes; compile it if asked for."""
    model.recompute = config.recompute
    ready = Shards(model, world) if world.sharded and world.size > 1 else Replicas(model, world)
    if config.compile:
        model.compile()  # in place: names of weights stay as they are
    return ready


def rows(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into `count` parts of neighbouring rows, the first ones a row larger where it does not divide.

    Where there are fewer rows than parts, the others get a row that counts for nothing.
    """
    if count == 1:
        return [batch]
    nothing = [None] * count
    tokens, targets = batch.tokens.tensor_split(count), batch.targets.tensor_split(count)
    segments = batch.segments.tensor_split(count) if batch.segments is not None else nothing
    places = np.array_split(batch.places, count) if batch.places is not None else nothing
    cut = [Batch(*part, batch.prior) for part in zip(tokens, targets, segments, places, strict=True)]
    nothing_counts = replace(cut[0], targets=torch.full_like(cut[0].targets, IGNORE))
    return [part if len(part.tokens) else nothing_counts for part in cut]
