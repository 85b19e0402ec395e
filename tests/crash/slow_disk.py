"""`mynah train` on a disk that takes longer than a collective operation may: at a look, and at a checkpoint."""

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mynah.cli.main import main
from mynah.train import checkpoint, heartbeat, job, world

heartbeat.LOST, heartbeat.STILL = 3.0, 5.0
world.TIMEOUT = timedelta(seconds=3)


def slow(function: Callable[..., Any]) -> Callable[..., Any]:
    def slowly(*arguments: Any) -> Any:
        time.sleep(8)
        return function(*arguments)

    return slowly


checkpoint._write = slow(checkpoint._write)
job._is_finished = slow(job._is_finished)
main(["train", *sys.argv[1:]])
