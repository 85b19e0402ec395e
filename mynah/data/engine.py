"""Run the same function over many shards: in this process, on all cores (daft), or on a cluster (daft on Ray).

A task is one shard. It reads a file and writes a folder that appears when it is whole, so that a task may run twice and
one that is done need not run again: what a killed worker had begun is begun anew elsewhere, with the same result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import Field

from mynah.config import Config
from mynah.errors import ConfigError, MissingDependency, MynahError

#: Where a shard is worked on: takes a task (a dict that JSON can hold), returns one.
Task = dict[str, Any]
Work = Callable[[Task], Task]
#: Other processes take a second to start: fewer tasks than this that only read and write are done sooner by this one.
LIGHT_TASKS = 40
#: How often work is taken up again after a worker died; a cluster does so by itself before.
ATTEMPTS = 4


class EngineConfig(Config):
    """Where the work runs; what it makes is the same everywhere, so this is no part of a stage's key."""

    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="processes at once; default: one a core",
    )
    ray: str | None = Field(None, description="address of a Ray cluster; default: this machine")


def run_tasks(work: Work, tasks: Sequence[Task], workers: int = 1, ray: str | None = None) -> Iterator[Task]:
    """Yield the result of each task, in the order in which they finish.

    Args:
        work: a function of a module, so that other processes can import it.
        tasks: one a shard.
        workers: processes on this machine (or, on a cluster, at once in all).
        ray: address of a Ray cluster ("auto", "ray://host:10001"); None: this machine.

    Raises:
        MynahError: the first that a task raises.
        ConfigError: if `ray` cannot be reached.
        MissingDependency: for `ray`, without it.
    """
    if ray is None and (workers <= 1 or len(tasks) <= 1):
        yield from map(work, tasks)
        return
    # Before the import: both report usage otherwise.
    os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import daft

    if ray is not None:
        _connect(ray)

    @daft.cls(use_process=True, max_concurrency=workers)
    class Worker:
        """Runs tasks in a process of its own; an error of Mynah's comes back as a value, so that its words survive."""

        def __init__(self) -> None:
            os.environ["OMP_NUM_THREADS"] = "1"

        def __call__(self, task: str) -> str:
            given = json.loads(task)
            try:
                return json.dumps({"number": given["number"], "done": work(given["task"])})
            except MynahError as error:
                return json.dumps({"number": given["number"], "error": str(error)})

    left = dict(enumerate(tasks))
    for attempt in range(ATTEMPTS):
        try:
            numbered = [json.dumps({"number": number, "task": task}) for number, task in left.items()]
            frame = daft.from_pydict({"task": numbered}).into_batches(1)
            for row in frame.with_column("result", Worker()(daft.col("task"))).iter_rows():
                result = json.loads(str(row["result"]))
                if "error" in result:
                    raise MynahError(result["error"])
                del left[result["number"]]
                yield result["done"]
            return
        except RuntimeError as error:  # a worker died; what it had not finished is begun anew
            if "UDF process" not in str(error):
                raise
            if attempt == ATTEMPTS - 1:
                raise MynahError(
                    f"a worker died {ATTEMPTS} times; what is done stays done; "
                    "fewer --workers need less memory"
                ) from None


def _connect(address: str) -> None:
    try:
        import ray
    except ImportError:
        raise MissingDependency("ray", "cluster", "running on a cluster") from None
    import daft

    try:
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--ray {address}: no cluster there ({type(error).__name__})") from None
    daft.set_runner_ray(noop_if_initialized=True)
