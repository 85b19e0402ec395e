"""The processes that train one model together, and what each of them has to do.

Started by `torchrun`, each process reads from its environment who it is. All make the same batch of a step, which is
a pure function of (seed, step), and each takes its own rows of it; so the number of processes may change from one
start to the next, and no process has to tell another which rows it took.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous

from mynah.errors import ConfigError, TrainingError
from mynah.train.distributed.dtensors import DATA, TENSOR
from mynah.train.distributed.heartbeat import STARTING, Heartbeat
from mynah.train.objective import Batch

BatchT = TypeVar("BatchT", bound=Batch)
#: A collective operation that takes longer than this has lost a process.
TIMEOUT = timedelta(seconds=24)
#: What torchrun sets beside RANK.
_OF_LAUNCHER = "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"


@dataclass(frozen=True)
class World:
    """One process among `size`; alone by default."""

    rank: int = 0
    size: int = 1
    heartbeat: Heartbeat | None = None
    #: of processes, each of which holds a part of weights, gradients and optimizer state; None: each holds a copy.
    #: Those along DATA have different rows of a batch, those along TENSOR share heads and hidden units of each block
    grid: DeviceMesh | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    @property
    def tensor(self) -> int:
        """How many neighbouring processes have the same rows of a batch."""
        return self.grid.size(1) if self.grid is not None else 1

    @property
    def groups(self) -> int:
        """Into how many parts the rows of a batch go."""
        return self.size // self.tensor

    @property
    def at(self) -> dict[str, int]:
        """Where this process stands in the grid of processes."""
        return {DATA: self.rank // self.tensor, TENSOR: self.rank % self.tensor}

    def share(self, batch: BatchT) -> BatchT:
        """Return this process's rows of a batch."""
        return batch.split(self.groups)[self.at[DATA]]

    def total(self, *values: float) -> list[float]:
        """Return the sums of values over all processes."""
        if self.size == 1:
            return list(values)
        self.further()
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # the one that `connected` has set
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return [float(value) for value in summed]

    def reached(self, step: int) -> None:
        """Let the others know how many steps this process has taken."""
        if self.heartbeat is not None:
            self.heartbeat.reached = (step, 0)

    def further(self) -> None:
        """Let the others know that this process has come a little further in its step: before it may wait for them."""
        if self.heartbeat is not None:
            step, part = self.heartbeat.reached
            self.heartbeat.reached = (step, part + 1)

    def meet(self, what: str) -> None:
        """Wait until all processes have come to the same point, each point once."""
        self.tell(f"{what} {self.rank}")
        for other in range(self.size):
            self.hear(f"{what} {other}")

    def tell(self, what: str, answer: str = "") -> None:
        """Let the other processes go on that wait for this (`hear`), each thing once."""
        if self.heartbeat is not None:
            self.heartbeat.tell(what, answer)

    def hear(self, what: str) -> str:
        """Wait until another process tells this, as long as that one does something; return what it answered."""
        return self.heartbeat.hear(what) if self.heartbeat is not None else ""

    def at_disk(self, what: str) -> AbstractContextManager[None]:
        """Let the other processes know that this thread may wait for a disk, and at what."""
        return self.heartbeat.at_disk(what) if self.heartbeat is not None else nullcontext()


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that `torchrun` started, if it did, so far that they hear of each other.

    Raises:
        ConfigError: if they were started by something else that does not say how many there are, and where.
        TrainingError: if some of them do not come.
    """
    if "RANK" not in os.environ:
        yield World()
        return
    if missing := [name for name in _OF_LAUNCHER if name not in os.environ]:
        raise ConfigError(
            f"RANK is set, but not {', '.join(missing)}; expected what torchrun sets, or none of it"
        )
    begun = time.monotonic()
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=timedelta(seconds=STARTING))))
    except dist.DistError as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        if time.monotonic() - begun < STARTING:
            raise TrainingError(
                f"{where}: processes cannot meet there: {str(error).splitlines()[0]}"
            ) from None
        raise TrainingError(
            f"not all {os.environ.get('WORLD_SIZE')} processes have come to {where} within {STARTING:.0f} s; "
            "docs/cluster.md has the command for each machine"
        ) from None
    # A launcher that starts them again keeps the store, and all that was said there before.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.distributed_c10d.PrefixStore(f"attempt {attempt}", store)
    with Heartbeat(store, rank, size) as heartbeat:
        yield World(rank, size, heartbeat)


@contextmanager
def connected(world: World, device: torch.device, sharded: bool = False, tensor: int = 1) -> Iterator[World]:
    """Let processes compute together: NCCL on GPUs, Gloo elsewhere.

    Args:
        world: as `joined` gave it; one process alone stays as it is.
        device: this process's.
        sharded: each holds a part of the model.
        tensor: so many neighbours share each block.
    """
    heartbeat, size = world.heartbeat, world.size
    if heartbeat is None:
        yield world
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        world.meet("read")  # its shards, which may take one longer than another
        if device.type == "cuda":
            torch.cuda.set_device(device)
        apart = dist.distributed_c10d.PrefixStore("mynah", heartbeat.store.clone())
        grid = None
        world.further()
        with heartbeat.waiting():
            dist.init_process_group(backend, store=apart, rank=world.rank, world_size=size, timeout=TIMEOUT)
            if size > 1 and (sharded or tensor > 1):
                grid = init_device_mesh(device.type, (size // tensor, tensor), mesh_dim_names=(DATA, TENSOR))
        yield replace(world, grid=grid)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        heartbeat.disconnected()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
