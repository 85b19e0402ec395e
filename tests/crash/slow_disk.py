"""`mynah train` on a disk that takes longer for a checkpoint than a collective operation, or a heartbeat, may."""

import sys
import time
from datetime import timedelta
from typing import Any

from mynah.cli.main import main
from mynah.train import checkpoint, heartbeat, world

heartbeat.LOST = heartbeat.STILL = 3.0
world.TIMEOUT = timedelta(seconds=3)
write = checkpoint._write


def slow(*arguments: Any) -> None:
    time.sleep(6)
    write(*arguments)


checkpoint._write = slow
main(["train", *sys.argv[1:]])
