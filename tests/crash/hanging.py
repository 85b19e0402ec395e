"""`mynah train` of which one process hangs, dies or is stopped; HANGS says where, and which.

hung, killed: process 1 after its third step. making, stopped: process 1 before it makes its model. writing: process 0
at its checkpoint. late: process 1 before it joins.
"""

import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

from mynah.cli.main import main
from mynah.train import checkpoint, heartbeat, job, world
from mynah.train.world import World

world.TIMEOUT = timedelta(seconds=3)
world.STARTING = heartbeat.STARTING = 9.0
heartbeat.LOST, heartbeat.STILL, heartbeat.AT_DISK = 5.0, 7.0, 12.0
at, write, placed = World.at, checkpoint._write, job.placed


def no_further(self: World, step: int) -> None:
    at(self, step)
    if (self.rank, step) == (1, 3):
        time.sleep(2)  # heard of by the others
        if os.environ["HANGS"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)  # while its heart goes on beating


def never_made(config: Any, begin: Any, world: World, device: Any) -> Any:
    if world.rank == 1 and os.environ["HANGS"] == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if world.rank == 1:
        time.sleep(600)
    return placed(config, begin, world, device)


def never_written(*arguments: Any) -> None:
    time.sleep(600)


match os.environ["HANGS"]:
    case "hung" | "killed":
        World.at = no_further  # type: ignore[method-assign]
    case "making" | "stopped":
        job.placed = never_made
    case "late" if os.environ["RANK"] == "1":
        time.sleep(600)
    case "writing":
        checkpoint._write = never_written

main(["train", *sys.argv[1:]])
