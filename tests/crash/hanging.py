"""`mynah train` of which the second process hangs after its third step, or is killed: HANGS says which of the two."""

import os
import signal
import sys
import time
from datetime import timedelta

from mynah.cli.main import main
from mynah.train import world
from mynah.train.world import World

world.TIMEOUT = timedelta(seconds=3)
at = World.at


def no_further(self: World, step: int) -> None:
    at(self, step)
    if (self.rank, step) == (1, 3):
        time.sleep(3)  # heard of by the others
        if os.environ["HANGS"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)  # while its heart goes on beating


World.at = no_further  # type: ignore[method-assign]
main(["train", *sys.argv[1:]])
