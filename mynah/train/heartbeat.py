"""Whether the other processes of a job are alive: a thread in each that says so of itself and looks at the rest.

A collective operation that waits for a process which is gone, or stands still, waits without a word. So each process
counts upwards in the store that the job was put together through; one whose count stands still is named, and the job
ends. One that beats and does not train (its disk does not answer, say) lets the operation of the others fail: it is the
one that has come less far than they. A process whose launcher is gone ends as well: nobody would stop it, and two jobs
would write into one folder.
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
#: Beats within which a process that is gone has missed some, and all have told how far they have come.
SOON = 3
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
        #: steps taken, and how many places of the next one this process has come to; told to the others
        self.reached = (0, 0)
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
        mine = {"count": count, "reached": self.reached, "host": socket.gethostname(), "pid": os.getpid()}
        self.store.set(f"beat/{self.rank}", json.dumps(mine))

    def _look(self) -> None:
        """End the job if another process has been silent for too long."""
        now = time.monotonic()
        for other in range(self.size):
            key = f"beat/{other}"
            said = self.store.get(key).decode() if self.store.check([key]) else ""
            if said != self._seen[other][0] or said == LEFT:
                self._seen[other] = said, now
        lost = self._silent(now, LOST)
        if lost and self.rank not in lost:
            self._end(lost, f"has not answered for {LOST:.0f} s")

    def _silent(self, now: float, seconds: float) -> list[int]:
        return [other for other, (_, when) in self._seen.items() if now - when > seconds]

    def disconnected(self) -> None:
        """End the job after a collective operation failed, and name whose doing it was, as far as that can be told.

        The process ends at once: what is under way with the others cannot be ended any other way.
        """
        for _ in range(SOON):
            time.sleep(BEAT)
            lost = self._silent(time.monotonic(), 2.5 * BEAT)
            if self.rank in lost:  # the store went with the process that held it
                self._end([], "")
            if lost:
                self._end(lost, "is gone")
        told = {other: json.loads(said) for other, (said, _) in self._seen.items() if said not in ("", LEFT)}
        reached = {other: tuple(beat["reached"]) for other, beat in told.items()}
        behind = [other for other, place in reached.items() if place < max(reached.values())]
        self._end(behind, "stands still")

    def _end(self, lost: list[int], why: str) -> None:
        """End the job; the first of those that are not lost says why."""
        told = {other: json.loads(self._seen[other][0] or "{}") for other in lost}
        lines = []
        for other, beat in told.items():
            where = f" on {beat['host']}, last heard of after step {beat['reached'][0]:,}," if beat else ""
            lines.append(f"process {other} of {self.size}{where} {why}")
        if not lost:
            lines = [f"process {self.rank} of {self.size} has lost the connection to another one"]
        elif self.rank != min(set(range(self.size)) - set(lost), default=self.rank):
            lines = []
        for line in lines:
            again = "the job ends, run the same command again to go on from the last checkpoint"
            print(f"mynah: {line}; {again}", file=sys.stderr, flush=True)
        for beat in told.values():
            # A process that was stopped does not end when it is asked to.
            if beat.get("host") == socket.gethostname() and hasattr(signal, "SIGKILL"):
                with suppress(OSError):
                    os.kill(beat["pid"], signal.SIGKILL)
        os._exit(EXIT)
