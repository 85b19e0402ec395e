"""`mynah train` of which one process hangs, dies or is stopped; HANGS says where, and which.

hung, killed: process 1 after its third step; restarted: killed then, but not when it is started again. making, stopped:
the last process before it makes its model, while process 0 computes for long; clockless: the same on a system
that does not tell the time of a thread. busy: no process, but the first one computes as long. writing: process 0
at its checkpoint. late: process 1 before it joins.
"""

import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

from mynah.cli.main import main
from mynah.pipeline import train_job
from mynah.train import checkpoint
from mynah.train.distributed import heartbeat, world
from mynah.train.distributed.world import World

HANGS = os.environ["HANGS"]
world.TIMEOUT = timedelta(seconds=3)
world.STARTING = heartbeat.STARTING = 9.0
heartbeat.LOST, heartbeat.STILL, heartbeat.AT_DISK = 5.0, 8.0, 12.0
reached, write, build_model = World.reached, checkpoint._write, train_job.build_model


def no_further(self: World, step: int) -> None:
    reached(self, step)
    if (self.rank, step) == (1, 3):
        time.sleep(2)  # heard of by the others
        if HANGS != "hung":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)  # while its heart goes on beating


def never_made(config: Any, begin: Any, world: World, device: Any) -> Any:
    if world.rank == 0:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            pass
    elif world.rank == world.size - 1 and HANGS != "busy":
        if HANGS == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)
    return build_model(config, begin, world, device)


def never_written(*arguments: Any) -> None:
    time.sleep(600)


match HANGS:
    case "hung" | "killed":
        World.reached = no_further  # type: ignore[method-assign]
    case "restarted" if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        World.reached = no_further  # type: ignore[method-assign]
    case "making" | "stopped" | "busy":
        train_job.build_model = never_made
    case "clockless":
        train_job.build_model = never_made
        del time.pthread_getcpuclockid
    case "late" if os.environ["RANK"] == "1":
        time.sleep(600)
    case "writing":
        checkpoint._write = never_written

main(["train", *sys.argv[1:]])
