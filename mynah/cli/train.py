"""`mynah train`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from mynah.config import merge, parse_assignment
from mynah.errors import ConfigError, TrainingError

_MANY = Group("More than one process", sort_key=2)


def train(
    recipe: Path | None = None,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    device: str | None = None,
    compile_: Annotated[bool, Parameter(name="--compile", negative="")] = False,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    processes: Annotated[int, Parameter(group=_MANY)] = 1,
    elastic: Annotated[bool, Parameter(group=_MANY, negative="")] = False,
    dry_run: Annotated[bool, Parameter(group=_MANY, negative="")] = False,
    world: Annotated[int, Parameter(group=_MANY)] = 8,
) -> None:
    """Train a model from token shards by a recipe: one process here, or many with torchrun.

    What is cut off goes on from its last checkpoint, to the same bits. The recipe is TOML: tokens = "runs/NAME/tokens",
    preset = "gpt2" (or start = a trained model), and fields of [model] and [train].

    Parameters
    ----------
    recipe: Path
        A TOML file; recipes/gpt2-tiny.toml shows the keys.
    output: Path
        The folder that is made: model, metrics.jsonl, event files.
    device: str
        auto, cpu, cuda or mps.
    compile_: bool
        Translate the model into fused kernels first.
    set_: tuple[str, ...]
        A key of the recipe: train.steps=100. May be given several times.
    processes: int
        Start so many processes on this machine.
    elastic: bool
        Start again from the last checkpoint when a process dies, three times at most.
    dry_run: bool
        Train nothing: print memory, FLOPs and bytes sent for each preset on --world GPUs.
    world: int
        GPUs of a dry run.
    """
    if dry_run:
        from mynah.plan.cluster import describe_cluster

        if world < 1:
            raise ConfigError(f"--world {world}: expected the number of GPUs, 1 or more")
        print(describe_cluster(world))
        return
    if recipe is None or output is None:
        raise ConfigError(
            "expected a recipe and -o DIR; for example: mynah train recipes/gpt2-tiny.toml -o runs/x"
        )
    if processes < 1:
        raise ConfigError(f"--processes {processes}: expected 1 or more")
    changes: dict[str, Any] = {"device": device} if device else {}
    if compile_:
        changes = merge(changes, {"train": {"compile": True}})
    for assignment in set_:
        changes = merge(changes, parse_assignment(assignment))
    from mynah.train.job import Job, load_train_recipe

    job = Job(load_train_recipe(recipe, changes), str(recipe))
    if "RANK" not in os.environ and (processes > 1 or elastic):
        flags = [*(["--device", device] if device else []), *(["--compile"] if compile_ else [])]
        flags += [part for assignment in set_ for part in ("--set", assignment)]
        _launch(processes, elastic, [str(recipe), "-o", str(output), *flags])
        return

    from mynah.cli.progress import run_job

    run_job(job, output)


def _launch(processes: int, elastic: bool, arguments: list[str]) -> None:
    """Start this command in several processes, as torchrun does, and wait for them."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from mynah.train.heartbeat import EXIT

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=3 if elastic else 0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id=f"mynah-{os.getpid()}", monitor_interval=0.5,
    )  # fmt: skip
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        elastic_launch(config, sys.executable)("-m", "mynah.train", *arguments)
    except SignalException:  # passed on to the processes, which have saved and said so
        sys.exit(130)
    except ChildFailedError as error:
        # What killed one makes the others end: the signal is the cause, then an error of a process's own.
        rank, failure = min(
            error.failures.items(), key=lambda item: (item[1].exitcode > 0, item[1].exitcode == EXIT)
        )
        if failure.exitcode in (2, 130):  # told by the process itself
            sys.exit(failure.exitcode)
        if failure.exitcode < 0:
            why = f"process {rank} of {processes} was ended by {signal.Signals(-failure.exitcode).name}"
        elif failure.exitcode == EXIT:
            why = "the processes lost each other"
        else:
            why = f"process {rank} of {processes} ended with status {failure.exitcode}"
        raise TrainingError(f"{why}; run the same command again to go on from the last checkpoint") from None
