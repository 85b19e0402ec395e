"""Damaged input of every kind: no traceback, no hang, no flood of memory.

    python benchmarks/fuzz_readers.py [--mutants 1000] [--seed 0] [--readers table,pdf] [--keep FOLDER]

Each reader's small samples are mutated with a seed, each this many times: cut, bits flipped, NULs, pieces repeated, swapped or dropped, brackets
and tags nested ten thousand deep, bombs, names with `../`, lone surrogates, endless lines, dates that do not exist. Every
mutant is read in a process that is watched: an exception that is no MynahError, one that does not name the file, more than 2 seconds of processor time (above 4 MiB in proportion) or more than 512 MiB
above what the interpreter itself takes is a failure. `--keep` saves the failing files.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz_samples import SAMPLES

SECONDS, MEBIBYTES = 2.0, 512
#: Files larger than this many bytes may take longer in proportion.
LARGE = 4 << 20
#: After this long without an answer the process is ended; a machine under load is slow for other reasons.
PATIENCE = 20.0


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy."""
    kind = rng.randrange(13)
    size = max(1, len(data))
    at, length = rng.randrange(size), rng.randrange(1, max(2, size // 4))
    if kind == 0:
        return data[:at]
    if kind == 1:
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 3, 20, 200))):
            if flipped:
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return data[:at] + bytes(rng.choice((1, 10, 5000))) + data[at:]
    if kind == 3:
        return data[:at] + data[at : at + length] * rng.choice((2, 20)) + data[at:]
    if kind == 4:
        return data[:at] + data[at + length :]
    if kind == 5:
        return data[at:] + data[:at]
    if kind == 6:
        nest = rng.choice(
            (b"[", b"{", b'{"a":', b"<a>", b"<div>", b"(", b"- ", b'"', b"\\begin{a}{", b"[[", b"{{", b"> ")
        )
        return data[:at] + nest * 10_000 + data[at:]
    if kind == 7:
        return (
            data[:at]
            + rng.choice((b"\xed\xa0\x80", b"\\ud800", b"&#xD800;", b"\xff\xfe", b"\xf4\x90\x80\x80")) * 5
            + data[at:]
        )
    if kind == 8:
        return (
            data[:at]
            + rng.choice((b"x", b"1", b"a,", b"\t", "字".encode())) * rng.choice((100_000, 2_000_000))
            + data[at:]
        )
    if kind == 9:
        wrong = rng.choice(
            (b"99/99/9999", b"0000-00-00", b"9999999999999", b"1e999", b"-1", b"4294967295", b"25:61")
        )
        found = [i for i in range(len(data)) if data[i : i + 1].isdigit()]
        return data[: (place := rng.choice(found))] + wrong + data[place + 1 :] if found else wrong + data
    if kind == 10:
        return data[:at] + rng.randbytes(length) + data[at + length :]
    if kind == 11:
        return data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\x0b", b"\xe2\x80\xa8", b"")))
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def work(connection: Connection) -> None:
    """Read the files whose paths come in; answer each with (failure or "", seconds, MiB)."""
    from mynah.data.collect.collector import collect
    from mynah.data.sources import CollectConfig
    from mynah.errors import MynahError

    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    while (path := connection.recv()) is not None:
        before = _memory()
        _reset_peak()
        begun = time.process_time()
        failure = ""
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                collect([Path(path)], CollectConfig())
        except MynahError as error:
            failure = "" if Path(path).name in str(error) else "a refusal that does not name the file"
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            failure = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        seconds = time.process_time() - begun
        mebibytes = max(0.0, _peak() - before)
        if not failure and seconds > SECONDS * max(1.0, Path(path).stat().st_size / LARGE):
            failure = "slow"
        if not failure and mebibytes > MEBIBYTES:
            failure = "memory"
        connection.send((failure, seconds, mebibytes))


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def _memory() -> float:
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Watched:
    """A process that reads, started anew when it hangs or dies."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.start()

    def start(self) -> None:
        self.connection, theirs = self.context.Pipe()
        self.process = self.context.Process(target=work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def read(self, path: Path) -> tuple[str, float, float]:
        self.connection.send(str(path))
        try:
            if self.connection.poll(PATIENCE):
                answer: tuple[str, float, float] = self.connection.recv()
                return answer
            failure = "hang"
        except EOFError:
            failure = f"died ({self.process.exitcode})"
        self.process.kill()
        self.process.join()
        self.start()
        return failure, PATIENCE, 0.0

    def stop(self) -> None:
        self.connection.send(None)
        self.process.join(5)


def fuzz(
    readers: list[str], mutants: int, seed: int, keep: Path | None = None
) -> tuple[dict[str, Counter[str]], int]:
    """Return reader -> failures by what they were, and how many mutants there were; print a line a reader."""
    found: dict[str, Counter[str]] = {}
    made = 0
    watched = Watched()
    with tempfile.TemporaryDirectory() as folder:
        for reader in readers:
            samples = SAMPLES[reader]()
            rng = random.Random(f"{seed}/{reader}")
            failures: Counter[str] = Counter()
            slowest = largest = 0.0
            for number in range(mutants * len(samples)):
                name, data = samples[number % len(samples)]
                damaged = mutate(data, rng)
                if rng.random() < 0.3:
                    damaged = mutate(damaged, rng)
                path = Path(folder) / name
                path.write_bytes(damaged)
                failure, seconds, mebibytes = watched.read(path)
                slowest, largest = max(slowest, seconds), max(largest, mebibytes)
                if failure:
                    failures[failure] += 1
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{reader}-{number}-{name}").write_bytes(damaged)
                path.unlink()
            shown = ", ".join(f"{n} {what}" for what, n in failures.most_common()) or "none"
            print(
                f"{reader:<10} {len(samples):>2} x {mutants} mutants  failures: {shown}  (slowest {slowest:.2f} s, most {largest:.0f} MiB)",
                flush=True,
            )
            found[reader] = failures
            made += mutants * len(samples)
    watched.stop()
    return found, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", default=",".join(SAMPLES))
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begun = time.perf_counter()
    found, made = fuzz(arguments.readers.split(","), arguments.mutants, arguments.seed, arguments.keep)
    total = sum(sum(failures.values()) for failures in found.values())
    print(f"{total} failures in {made:,} mutants, seed {arguments.seed}, {time.perf_counter() - begun:.0f} s")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
