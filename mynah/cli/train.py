"""`mynah train`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from mynah.config import merge, parse_assignment
from mynah.errors import ConfigError, TrainingError

#: How often a job is started again.
_RESTARTS = 3
_MANY = Group("More than one process", sort_key=2)


def train(
    recipe: Path | None = None,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    device: str | None = None,
    compile_: Annotated[bool, Parameter(name="--compile", negative="")] = False,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    processes: Annotated[int, Parameter(group=_MANY)] = 1,
    tensor_parallel: Annotated[int | None, Parameter(group=_MANY)] = None,
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
    tensor_parallel: int
        So many neighbouring processes share the heads and hidden units of each block.
    elastic: bool
        Start again from the last checkpoint when a process dies, three times at most.
    dry_run: bool
        Train nothing: print memory, FLOPs and bytes sent for each preset on --world GPUs.
    world: int
        GPUs of a dry run.
    """
    if tensor_parallel is not None and tensor_parallel < 1:
        raise ConfigError(f"--tensor-parallel {tensor_parallel}: expected 1 or more")
    if dry_run:
        from mynah.plan.cluster import describe_cluster

        if world < 1:
            raise ConfigError(f"--world {world}: expected the number of GPUs, 1 or more")
        print(describe_cluster(world, 1 if tensor_parallel is None else tensor_parallel))
        return
    if recipe is None or output is None:
        raise ConfigError(
            "expected a recipe and -o DIR; for example: mynah train recipes/gpt2-tiny.toml -o runs/x"
        )
    if processes < 1:
        raise ConfigError(f"--processes {processes}: expected 1 or more")
    changes: dict[str, Any] = {"device": device} if device else {}
    if tensor_parallel is not None:
        changes = merge(changes, {"tensor_parallel": tensor_parallel})
    if compile_:
        changes = merge(changes, {"train": {"compile": True}})
    for assignment in set_:
        changes = merge(changes, parse_assignment(assignment))
    from mynah.cli.progress import run_job
    from mynah.pipeline.train_job import Job, load_train_recipe
    from mynah.train.distributed.heartbeat import LOST
    from mynah.train.distributed.world import joined

    if "RANK" not in os.environ and (processes > 1 or elastic):
        Job(load_train_recipe(recipe, changes), str(recipe), processes)  # says what is wrong with it, once
        flags = [*(["--device", device] if device else []), *(["--compile"] if compile_ else [])]
        flags += ["--tensor-parallel", str(tensor_parallel)] if tensor_parallel is not None else []
        flags += [part for assignment in set_ for part in ("--set", assignment)]
        _launch(processes, elastic, [str(recipe), "-o", str(output), *flags])
        return

    told_by_first = False
    with joined() as others:
        job = Job(load_train_recipe(recipe, changes), str(recipe), world=others)
        try:
            run_job(job, output, others)
        except TrainingError:
            if others.first:
                raise
            told_by_first = True  # as all processes see the same loss; then the launcher ends this one
            signal.signal(signal.SIGTERM, lambda *_: os._exit(2))
    if told_by_first:
        time.sleep(LOST)
        sys.exit(2)


def _launch(processes: int, elastic: bool, arguments: list[str]) -> None:
    """Start this command in several processes and wait for them; if asked to, start again when one is lost."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    for restarts_left in reversed(range(_RESTARTS + 1 if elastic else 1)):
        lost = _run_processes(processes, arguments)
        if lost is None:
            return
        if not restarts_left:
            raise TrainingError(f"{lost}; run the same command again to go on from the last checkpoint")
        print(f"mynah: {lost}; starting again from the last checkpoint", file=sys.stderr, flush=True)


def _run_processes(processes: int, arguments: list[str]) -> str | None:
    """Start this command in several processes, as torchrun does, and wait for them.

    A process that ended by its own doing (bad input, Ctrl-C) has said why, and would do it again: this one exits as it
    did.

    Returns:
        What happened, if a process was lost.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from mynah.train.distributed.heartbeat import EXIT

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0, rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", run_id=f"mynah-{os.getpid()}", monitor_interval=0.5,
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)("-m", "mynah.train", *arguments)
        return None
    except SignalException:  # passed on to the processes, which have saved and said so
        sys.exit(130)
    except ChildFailedError as error:
        # What killed one makes the others end: a signal is the cause, then an error of a process's own; SIGTERM is what
        # the launcher sends to the rest.
        rank, failure = min(
            error.failures.items(),
            key=lambda item: (item[1].exitcode in (EXIT, -signal.SIGTERM), item[1].exitcode > 0),
        )
        if failure.exitcode in (2, 130):
            sys.exit(failure.exitcode)
        if failure.exitcode < 0:
            return f"process {rank} of {processes} was ended by {signal.Signals(-failure.exitcode).name}"
        if failure.exitcode == EXIT:
            return "the processes lost each other"
        return f"process {rank} of {processes} ended with status {failure.exitcode}"
