"""Does training survive what machines do? Kills, power cuts, disks that fail, bits that flip.

    python tests/crash/harness.py --kills 200 > benchmarks/results/crash.txt
    python tests/crash/harness.py --kills 20 --without fsync     # must fail, as must replace and seed

Each experiment ends in a comparison with a run that nothing happened to: SHA-256 of weights, optimizer state, mean and
best weights, progress (step, data position, schedule, history) and metrics.jsonl must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from disk import Faulty, Kind, Volatile
from trainee import (
    CONFIG,
    SHORT,
    STEPS,
    artifacts_of,
    ended,
    fork,
    result,
    settle,
    start,
    train_once,
    went_on_from,
)

from mynah import artifacts
from mynah.errors import ArtifactError
from mynah.model.weights import new_model
from mynah.train import checkpoint
from mynah.train.checkpoint import Checkpoints
from mynah.train.distributed.world import World
from mynah.train.loop import Step
from mynah.train.precision import Precision
from mynah.train.state import TrainState

#: What is taken out of the product to see whether the harness notices.
TAKEN_OUT = ("fsync", "replace", "seed")


class Harness:
    """Experiments in a folder of their own, and what failed in them."""

    def __init__(self, folder: Path, seed: int, without: str = "") -> None:
        self.folder, self.without = folder, without
        self.random = random.Random(seed)
        self.failures: list[str] = []
        self.wholes: dict[tuple[int, bool], dict[str, str]] = {}
        if without == "seed":  # the generators go on from wherever they are
            torch.manual_seed = lambda seed: torch.default_generator  # type: ignore[assignment]

    def check(self, right: bool, said: str) -> None:
        """Note a failure."""
        if not right:
            self.failures.append(said)

    def check_begin(self, there: list[Path], said: str) -> None:
        """Note a failure if training did not go on from the newest of the checkpoints that were there."""
        newest = int(there[-1].name.removeprefix("step-")) if there else 0
        began = went_on_from()
        self.check(began in (None, newest), f"{said}: training went on after step {began}, not {newest}")

    def whole(self, processes: int, sharded: bool = False) -> dict[str, str]:
        """Return what a run without an accident ends with."""
        key = processes, sharded
        if key not in self.wholes:
            directory = self.folder / f"whole-{processes}{'-in-parts' * sharded}"
            ended(start(directory, processes, sharded), seconds=120.0)
            self.wholes[key] = result(directory)
        return self.wholes[key]

    def kills(self, count: int, processes: int, sharded: bool = False) -> str:
        """Kill a run again and again until it ends; compare; begin another one; until so many kills."""
        expected = self.whole(processes, sharded)
        done, runs, victims, saving = 0, 0, Counter[str](), 0
        while done < count:
            directory = self.folder / f"killed-{processes}-{runs}"
            runs += 1
            while True:
                before = artifacts_of(directory)
                pids = start(directory, processes, sharded)
                which = self.random.randrange(len(pids))
                if not self._moment(directory, pids[0], at_all=done < count):
                    ended(pids)
                    self.check_begin(before, f"run {runs} after {done} kills")
                    break
                os.kill(pids[which], signal.SIGKILL)
                ended(pids)
                done += 1
                victims["launcher" if which == 0 and processes > 1 else f"process {max(0, which - 1)}"] += 1
                saving += any((directory / artifacts.CHECKPOINTS).glob("*.partial"))
                after = artifacts_of(directory)
                lost = before and (not after or after[-1] < before[-1])
                self.check(not lost, f"kill {done}: a finished checkpoint is gone")
                self.check_begin(before, f"kill {done}")
            wrong = [name for name, value in expected.items() if result(directory).get(name) != value]
            self.check(not wrong, f"run {runs} after kills: {', '.join(wrong)} differ")
            shutil.rmtree(directory)
        shown = ", ".join(f"{who} {n}" for who, n in sorted(victims.items()))
        shown += f"; {saving} while a checkpoint was written"
        how = ", each with a part of the model," if sharded else ""
        return f"{done} kills of {processes} process(es){how} in {runs} runs ({shown})"

    def _moment(self, directory: Path, launcher: int, *, at_all: bool) -> bool:
        """Wait for a random step and a little longer; False if training ended before that."""
        metrics = directory / "metrics.jsonl"
        wanted = self.random.randrange(len(_lines(metrics)), STEPS + 4) if at_all else STEPS + 99
        until = self.random.uniform(0, 0.02)
        while os.waitpid(launcher, os.WNOHANG)[0] == 0:
            if len(_lines(metrics)) >= wanted:
                time.sleep(until)
                return os.waitpid(launcher, os.WNOHANG)[0] == 0
            time.sleep(0.001)
        return False

    def power_cuts(self, count: int) -> str:
        """Cut the power at a random step: what was not synced is gone, what training said was saved is not."""
        expected = self.whole(1)
        for number in range(count):
            directory = (self.folder / f"cut-{number}").resolve()
            at = self.random.randrange(2, STEPS)
            ended([fork(lambda d=directory, s=at: self._until_cut(d, s))])
            *told, last = [int(line) for line in _lines(self.folder / "saved")]
            self.check(last == -1, f"power cut at step {at}: the run ended by itself before")
            there = [int(path.name.removeprefix("step-")) for path in artifacts_of(directory)]
            self.check(
                max(told, default=0) <= max(there, default=0),
                f"power cut at step {at}: checkpoints of steps {told[1:]} were saved, {there} are whole",
            )
            whole = artifacts_of(directory)
            train_once(directory)
            self.check_begin(whole, f"after a power cut at step {at}")
            wrong = [name for name, value in expected.items() if result(directory).get(name) != value]
            self.check(not wrong, f"after a power cut at step {at}: {', '.join(wrong)} differ")
            shutil.rmtree(directory)
        return f"{count} power cuts"

    def _until_cut(self, directory: Path, at: int) -> None:
        """In a child: train on a disk that forgets, note each checkpoint that is finished, cut the power."""
        disk = Volatile()
        disk.install(without=self.without)
        saved = self.folder / "saved"
        saved.write_text("0\n", encoding="utf-8")
        pause = self.random.random() * 0.01

        write = checkpoint._write

        def note(snapshot: Any, *rest: Any) -> None:
            write(snapshot, *rest)
            with disk.lock, saved.open("a", encoding="utf-8") as file:  # from here on training counts on it
                file.write(f"{snapshot.progress['step']}\n")

        checkpoint._write = note

        def watch(step: Step) -> None:
            if step.step >= at:
                time.sleep(pause)  # somewhere in the writing of a checkpoint
                try:
                    disk.cut(directory)
                    with saved.open("a", encoding="utf-8") as file:
                        file.write("-1\n")
                finally:
                    os._exit(9)  # the other threads are held

        train_once(directory, watch=watch)

    def disk_faults(self, most: int) -> str:
        """Let every write, sync and rename of a run fail once, in turn; at most `most` of a kind."""
        train_once(self.folder / "short", watch=settle, config=SHORT)
        expected = result(self.folder / "short")
        told: Counter[str] = Counter()
        kinds: tuple[Kind, ...] = ("full", "eio", "short", "lost", "fsync", "rename")
        for kind in kinds:
            probe = Faulty(kind, 0)
            with probe.under():
                train_once(self.folder / "probe", watch=settle, config=SHORT)
            shutil.rmtree(self.folder / "probe")
            places = range(1, probe.count + 1)
            for at in sorted(self.random.sample(places, min(most, len(places)))):
                self._one_fault(kind, at, expected)
                told[kind] += 1
        return "failing calls: " + ", ".join(f"{n} {kind}" for kind, n in told.items())

    def _one_fault(self, kind: Kind, at: int, expected: dict[str, str]) -> None:
        directory = self.folder / "faulty"
        name = f"{kind} at call {at}"
        disk, error = Faulty(kind, at), None
        with disk.under():
            try:
                train_once(directory, watch=settle, config=SHORT)
            except ArtifactError as caught:
                error = str(caught)
        self.check(disk.fired, f"{name}: nothing failed")
        if kind == "short":  # is no error: the rest is written by the next call
            self.check(error is None, f"{name}: {error}")
        else:
            self.check(
                error is not None and str(directory) in error, f"{name}: the error names no path: {error}"
            )
            if kind in ("full", "eio", "lost"):
                self.check(
                    error is not None and " bytes" in error, f"{name}: the error names no bytes: {error}"
                )
        left = [p for p in directory.rglob("*") if p.name.endswith((".tmp", ".partial"))]
        self.check(not left, f"{name}: {len(left)} temporary files stay")
        whole = artifacts_of(directory)
        train_once(directory, config=SHORT)
        self.check_begin(whole, name)
        wrong = [key for key, value in expected.items() if result(directory).get(key) != value]
        self.check(not wrong, f"{name}: {', '.join(wrong)} differ after going on")
        shutil.rmtree(directory)

    def full_disk(self, sizes: tuple[int, ...] = (200, 300, 400, 500)) -> str:
        """Train on a real small disk until it is full; then give it room and go on."""
        expected = self.whole(1)
        for kilobytes in sizes:
            mount = self.folder / "small"
            mount.mkdir(exist_ok=True)
            if os.system(f"mount -t tmpfs -o size={kilobytes}k mynah {mount} 2>/dev/null"):
                return "full disk: mounting is not allowed here; writes that fail stand for it"
            try:
                self._fill(mount, kilobytes, expected)
            finally:
                os.system(f"umount -l {mount}")
        return f"{len(sizes)} full disks (tmpfs of {', '.join(map(str, sizes))} kB)"

    def _fill(self, mount: Path, kilobytes: int, expected: dict[str, str]) -> None:
        directory, error = mount / "run", None
        try:
            train_once(directory)
        except ArtifactError as caught:
            error = str(caught)
        said = error is not None and "No space left" in error and str(mount) in error
        self.check(said, f"disk of {kilobytes} kB: {error}")
        left = [p for p in directory.rglob("*") if p.name.endswith((".tmp", ".partial"))]
        self.check(not left, f"disk of {kilobytes} kB: {len(left)} temporary files stay")
        os.system(f"mount -o remount,size=64m {mount}")
        whole = artifacts_of(directory)
        train_once(directory)
        self.check_begin(whole, f"disk of {kilobytes} kB")
        wrong = [key for key, value in expected.items() if result(directory).get(key) != value]
        self.check(not wrong, f"disk of {kilobytes} kB: {', '.join(wrong)} differ after going on")

    def damage(self, count: int) -> str:
        """Flip a bit, or cut a file short, at random places of the newest checkpoint: each must be seen and told."""
        self.whole(1)
        directory = self.folder / "whole-1"
        former, newest = artifacts_of(directory)[-2:]
        files = sorted(p for p in newest.iterdir())
        total = sum(p.stat().st_size for p in files)
        for number in range(count):
            place = self.random.randrange(total)
            for path in files:
                if place < path.stat().st_size:
                    break
                place -= path.stat().st_size
            kept = path.read_bytes()
            if number % 2:
                path.write_bytes(kept[:place])
                what = f"{path.name} cut at byte {place}"
            else:
                changed = bytearray(kept)
                changed[place] ^= 1 << self.random.randrange(8)
                path.write_bytes(changed)
                what = f"a bit of {path.name} flipped at byte {place}"
            said: list[str] = []
            state = TrainState(
                new_model(_shape(former), 1), CONFIG, Precision("float32", torch.device("cpu"))
            )
            loaded = Checkpoints(directory / artifacts.CHECKPOINTS, said.append, World()).load(state)
            self.check(loaded == former, f"{what}: {loaded} was loaded")
            self.check(
                len(said) == 2 and path.name in said[0] and str(former) in said[1], f"{what}: told {said}"
            )
            path.write_bytes(kept)
        return f"{count} damages (a bit flipped, a file cut short, in turn)"


def _shape(checkpoint: Path) -> object:
    from mynah.model.config import ModelConfig

    return ModelConfig(**artifacts.read_manifest(checkpoint).settings["model"])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kills",
        type=int,
        default=20,
        help="for one process, and as many for two; a tenth of it in parts, a twentieth of four",
    )
    parser.add_argument("--faults", type=int, default=10**6, help="failing calls of a kind at most")
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--without", choices=TAKEN_OUT, default="", help="take this out of the product")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(" ".join(["$ python tests/crash/harness.py", *sys.argv[1:]]))
    now = datetime.now(UTC).isoformat(timespec="minutes")
    print(
        f"{now}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(Path(folder), chosen.seed, chosen.without)
        experiments = [
            lambda: harness.kills(chosen.kills, 1),
            lambda: harness.kills(chosen.kills, 2),
            lambda: harness.kills(max(2, chosen.kills // 10), 2, sharded=True),
            lambda: harness.kills(max(2, chosen.kills // 20), 4),
            lambda: harness.kills(max(2, chosen.kills // 20), 4, sharded=True),
            lambda: harness.power_cuts(chosen.kills),
            lambda: harness.disk_faults(chosen.faults),
            lambda: harness.full_disk(),
            lambda: harness.damage(chosen.damages),
        ]
        if chosen.without == "seed":  # what would notice
            experiments = [lambda: harness.kills(chosen.kills, 1)]
        elif chosen.without:
            experiments = [lambda: harness.power_cuts(chosen.kills)]
        for experiment in experiments:
            begun, failed = time.monotonic(), len(harness.failures)
            told = experiment()
            wrong = len(harness.failures) - failed
            print(f"{told}: {wrong} wrong, {time.monotonic() - begun:.0f} s", flush=True)
    for failure in harness.failures[:20]:
        print(f"  {failure}")
    print(json.dumps({"wrong": len(harness.failures)}))
    sys.exit(bool(harness.failures))


if __name__ == "__main__":
    main()
