"""`mynah train` on a disk that takes longer than a collective operation may: at a look, and at a checkpoint."""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mynah.cli.main import main
from mynah.pipeline import train_job
from mynah.train import checkpoint
from mynah.train.distributed import heartbeat, world

heartbeat.LOST, heartbeat.STILL = 3.0, 5.0
world.TIMEOUT = timedelta(seconds=3)


def slow(function: Callable[..., Any]) -> Callable[..., Any]:
    def slowly(*arguments: Any) -> Any:
        time.sleep(8)
        return function(*arguments)

    return slowly


checkpoint._write = slow(checkpoint._write)
train_job._is_finished = slow(train_job._is_finished)
main(["train", *sys.argv[1:]])
