"""Whether the other processes of a job are alive: a thread in each that says so of itself and looks at the rest.

A collective operation that waits for a process which is gone, or stands still, waits without a word. So each process
counts upwards in the store that the job was put together through; one whose count stands still is named, and the job
ends. A process whose launcher is gone ends as well: nobody would stop it, and two jobs would write into one folder.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import torch.distributed as dist

#: Seconds between beats, and without one after which a process counts as lost.
BEAT, LOST = 1.0, 15.0
#: Beat of a process that has done its work.
LEFT = "left"
#: Exit code of a process that ends because another one is lost.
EXIT = 75


class Heartbeat:
    """The beats of one process among several."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        """Take the store of the job; a connection of its own is made to it."""
        self.store, self.rank, self.size = store.clone(), rank, size
        self._own = store.clone()  # for all threads but this one's
        #: steps taken, told to the others
        self.step = 0
        self._parent = os.getppid()
        self._seen = {other: ("", time.monotonic()) for other in range(size)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Heartbeat:
        self._beat(0)  # so that the others know from the first step on where this process is
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=2 * BEAT)
        if kind is not None:  # whoever waits for this process will find it lost
            return
        with suppress(dist.DistError, RuntimeError):
            self.store.set(f"beat/{self.rank}", LEFT)

    def tell(self, what: str, answer: str = "") -> None:
        """Let processes go on that wait for this."""
        self._own.set(f"told/{what}", answer)

    def hear(self, what: str) -> str:
        """Wait until another process tells this; return what it answered."""
        while not self._own.check([f"told/{what}"]):
            time.sleep(BEAT / 20)
        answer: bytes = self._own.get(f"told/{what}")
        return answer.decode()

    def _run(self) -> None:
        count = 0
        while not self._ended.wait(BEAT):
            if os.getppid() != self._parent:
                os._exit(EXIT)
            count += 1
            with suppress(dist.DistError, RuntimeError):  # the store goes with the launcher
                self._beat(count)
                self._look()

    def _beat(self, count: int) -> None:
        mine = {"count": count, "step": self.step, "host": socket.gethostname(), "pid": os.getpid()}
        self.store.set(f"beat/{self.rank}", json.dumps(mine))

    def _look(self) -> None:
        """End the job if another process has been silent for too long."""
        now = time.monotonic()
        for other in range(self.size):
            key = f"beat/{other}"
            said = self.store.get(key).decode() if self.store.check([key]) else ""
            if said != self._seen[other][0] or said == LEFT:
                self._seen[other] = said, now
        lost = [other for other, (_, when) in self._seen.items() if now - when > LOST]
        if lost and self.rank not in lost:
            self._end(lost)

    def _end(self, lost: list[int]) -> None:
        told = {other: json.loads(self._seen[other][0] or "{}") for other in lost}
        if self.rank == min(set(range(self.size)) - set(lost)):
            for other, beat in told.items():
                where = f" on {beat['host']}, last heard of after step {beat['step']:,}" if beat else ""
                print(
                    f"mynah: process {other} of {self.size}{where} has not answered for {LOST:.0f} s; the job ends, "
                    "run the same command again to go on from the last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
        for beat in told.values():
            # A process that was stopped does not end when it is asked to.
            if beat.get("host") == socket.gethostname() and hasattr(signal, "SIGKILL"):
                with suppress(OSError):
                    os.kill(beat["pid"], signal.SIGKILL)
        os._exit(EXIT)
