"""Whether the other processes of a job are alive: a thread in each that says so of itself and looks at the rest.

A collective operation that waits for a process which is gone, or stands still, waits without a word. So each process
counts upwards in the store that the job was put together through; one whose count stands still is named, and the job
ends. One that beats and does nothing else lets the operation of the others fail: it is the one that has come less far
than they. Where others wait without such an operation (`hear`), because a disk may be slow, it is the one that neither
waits nor computes; at the disk it is given longer, and is named all the same. A process whose launcher is gone ends as
well: nobody would stop it, and two jobs would write into one folder.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist

#: Seconds between beats, and without one after which a process counts as lost.
BEAT, LOST = 1.0, 15.0
#: Seconds after which a process that others wait for, and that computes nothing, counts as lost; more than any
#: collective operation may take. And those that it may be at the disk before that.
STILL, AT_DISK = 27.0, 600.0
#: Share of the time that a process computes at least, if it is not still: what keeps a hung one alive takes less.
LEAST_WORK = 0.01
#: Seconds in which processes that are started together have all come.
STARTING = 600.0
#: Beats within which a process that is gone has been silent for longer than one that beats ever is (two: its own, and
#: until this one looks), and all have told how far they have come.
SOON = 4
#: Beat of a process that has done its work.
LEFT = "left"
#: Exit code of a process that ends because another one is lost.
EXIT = 75


@dataclass
class _Other:
    """What is known of a process."""

    #: its last beat, and when that was another one than before
    said: str
    heard: float
    #: what changes while it computes, and when it did
    sign: Any
    moved: float

    @property
    def beat(self) -> dict[str, Any]:
        """The last beat, in parts; empty before the first one, and once the process has done its work."""
        return json.loads(self.said) if self.said not in ("", LEFT) else {}


class Heartbeat:
    """The beats of one process among several."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        """Take the store of the job; a connection of its own is made to it."""
        self.store, self.rank, self.size = store.clone(), rank, size
        self._own = store.clone()  # for all threads but this one's
        #: steps taken, and how many parts of the next one this process has come to; told to the others
        self.reached = (0, 0)
        self._parent = os.getppid()
        now = time.monotonic()
        self._others = {other: _Other("", now, None, now) for other in range(size)}
        #: how many threads wait for another process; of those that are at the disk, their time and what they do there
        self._hearing = 0
        self._disk: dict[int, tuple[Callable[[], float], str]] = {}
        self._work = _clock()
        self._lock, self._ending = threading.Lock(), threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Heartbeat:
        with suppress(dist.DistError, RuntimeError):
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
        with self.waiting():
            while not self._own.check([f"told/{what}"]):
                time.sleep(BEAT / 20)
        answer: bytes = self._own.get(f"told/{what}")
        return answer.decode()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the others know that this thread waits for one of them."""
        with self._lock:
            self._hearing += 1
        try:
            yield
        finally:
            with self._lock:
                self._hearing -= 1

    @contextmanager
    def at_disk(self, what: str) -> Iterator[None]:
        """Let the others know that this thread may wait for a disk."""
        here = threading.get_ident()
        with self._lock:
            self._disk[here] = _clock(), what
        try:
            yield
        finally:
            with self._lock:
                del self._disk[here]

    def _run(self) -> None:
        count, connected = 0, time.monotonic()
        try:
            while not self._ended.wait(BEAT):
                if os.getppid() != self._parent:
                    os._exit(EXIT)
                count += 1
                with suppress(dist.DistError, RuntimeError):  # the store goes with the launcher
                    self._beat(count)
                    self._look()
                    connected = time.monotonic()
                if time.monotonic() - connected > LOST:
                    self._end([], "")
        except Exception:  # without its heart a process would be taken for a lost one
            with suppress(OSError, ValueError):
                traceback.print_exc()
            os._exit(EXIT)

    def _beat(self, count: int) -> None:
        mine = {"count": count, "reached": self.reached, "host": socket.gethostname(), "pid": os.getpid()}
        with self._lock:  # within which no thread whose time is taken ends
            work = self._work() + sum(clock() for clock, _ in self._disk.values())
            disk = next((what for _, what in self._disk.values()), "")
            mine |= {"hears": self._hearing > 0, "work": int(work / (LEAST_WORK * STILL)), "disk": disk}
        self.store.set(f"beat/{self.rank}", json.dumps(mine))

    def _look(self) -> None:
        """End the job if another process has been silent, or done nothing while this one waits, for too long."""
        now = time.monotonic()
        for number, other in self._others.items():
            key = f"beat/{number}"
            said = self.store.get(key).decode() if self.store.check([key]) else ""
            if said != other.said or said == LEFT:
                other.said, other.heard = said, now
                sign = {**other.beat, "count": None}
                # One that waits, or has done its work, holds nobody up.
                if sign != other.sign or said == LEFT or sign["hears"]:
                    other.sign, other.moved = sign, now
        lost = self._silent(now, LOST)
        if lost and self.rank not in lost:
            self._end(lost, f"has not answered for {LOST:.0f} s")
        late = [
            number
            for number, other in self._others.items()
            if not other.said and now - other.heard > STARTING
        ]
        if late:
            self._end(late, f"has not come within {STARTING:.0f} s")
        if self._hearing:
            self._look_for_still(now)

    def _look_for_still(self, now: float) -> None:
        """Name those that this process waits for and that do nothing; end the job unless they may be at the disk."""
        still = {n: other for n, other in self._others.items() if other.beat and now - other.moved > STILL}
        for number, other in still.items():
            disk = other.beat["disk"]
            if disk and self._is_first(f"named/{number}/{disk}"):
                what = f"waits for its disk ({disk}); the job goes on if that is within {AT_DISK / 60:.0f} minutes"
                _say(f"{self._describe(number)} {what}")
        lost = [n for n, other in still.items() if not other.beat["disk"] or now - other.moved > AT_DISK]
        if lost:
            self._end(lost, "stands still")

    def _silent(self, now: float, seconds: float) -> list[int]:
        return [
            number for number, other in self._others.items() if other.said and now - other.heard > seconds
        ]

    def disconnected(self) -> None:
        """End the job after a collective operation failed, and name whose doing it was, as far as that can be told.

        The process ends at once: what is under way with the others cannot be ended any other way.
        """
        with self._lock:
            self._hearing += 1  # until it ends
        for _ in range(SOON):
            time.sleep(BEAT)
            lost = self._silent(time.monotonic(), 2.5 * BEAT)
            if self.rank in lost:  # the store went with the process that held it
                self._end([], "")
            if lost:
                self._end(lost, "is gone")
        beats = {number: other.beat for number, other in self._others.items() if other.beat}
        reached = {other: tuple(beat["reached"]) for other, beat in beats.items()}
        behind = [other for other, far in reached.items() if far < max(reached.values())]
        self._end(behind, "stands still")

    def _end(self, lost: list[int], why: str) -> None:
        """End the job; the first process that does says why."""
        self._ending.acquire()  # for ever: the other thread of this process may come here, too
        lines = [f"{self._describe(other)} {why}" for other in lost]
        if not lost:
            lines = [f"process {self.rank} of {self.size} has lost the connection to another one"]
        if self._is_first("ended"):
            for line in lines:
                _say(f"{line}; the job ends, run the same command again to go on from the last checkpoint")
        for beat in (self._others[other].beat for other in lost):
            # A process that was stopped does not end when it is asked to.
            if beat.get("host") == socket.gethostname() and hasattr(signal, "SIGKILL"):
                with suppress(OSError):
                    os.kill(beat["pid"], signal.SIGKILL)
        os._exit(EXIT)

    def _is_first(self, what: str) -> bool:
        """Whether no other process has come to this before; if that cannot be asked in time, it is."""
        answers: list[int] = []

        def ask() -> None:
            with suppress(dist.DistError, RuntimeError):
                answers.append(self._own.add(f"first/{what}", 1))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(2 * BEAT)  # a connection that is cut may not say so for minutes
        return answers in ([], [1])

    def _describe(self, number: int) -> str:
        beat = self._others[number].beat
        where = f" on {beat['host']}, last heard of after step {beat['reached'][0]:,}," if beat else ""
        return f"process {number} of {self.size}{where}"


def _clock() -> Callable[[], float]:
    """Return what tells the seconds that this thread has computed; where the system does not say, all but the heart."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return lambda: time.process_time() - time.thread_time()
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that is gone, a log on a full disk
        print(f"mynah: {line}", file=sys.stderr, flush=True)
