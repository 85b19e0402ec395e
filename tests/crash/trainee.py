"""What the crash harness trains: a tiny model by the real loop, in child processes that can be killed.

Children are forked from a process that has imported everything, so that a start takes milliseconds.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mynah import artifacts
from mynah.data.records import Document
from mynah.errors import MynahError
from mynah.model.config import ModelConfig
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.checkpoint import WRITER
from mynah.train.config import TrainConfig
from mynah.train.distributed import heartbeat
from mynah.train.distributed.replicas import build_model
from mynah.train.distributed.world import World, connected, joined
from mynah.train.loop import Session, Step
from mynah.train.phases import pretrain

STEPS = 60
#: Both optimizers, dropout, mean weights, a rate that may fall early: all the state there is.
CONFIG = TrainConfig(
    steps=STEPS, batch_size=4, context_length=32, eval_every=10, checkpoint_every=2, log_every=1, keep=2, ema=0.9,
    schedule="wsd", stall=2, patience=50, learning_rate=3e-3,
)  # fmt: skip

#: A few steps, for disks that fail at each call in turn.
SHORT = CONFIG.model_copy(update={"steps": 8, "eval_every": 4, "checkpoint_every": 3})

#: Where training notes the step after which it went on: not on the disk that fails.
BEGAN = Path(tempfile.mkdtemp()) / "step"
atexit.register(shutil.rmtree, BEGAN.parent)

heartbeat.BEAT = 0.02  # so that orphans end at once


def corpus() -> tuple[Tokenizer, TokenSet, TokenSet]:
    """Return a tokenizer and made-up text, equal each time."""
    birds = ("mynah", "parrot", "crow", "magpie", "jay", "starling")
    texts = [f"The {birds[i % 6]} said {i * 7 % 60} words and then {i * 11 % 60} more." for i in range(120)]
    tokenizer = Tokenizer.train(texts, 300)
    sets = [encode_records(map(Document, part), tokenizer) for part in (texts[:100], texts[100:])]
    return tokenizer, sets[0], sets[1]


TOKENIZER, DATA, HELD_OUT = corpus()


def train_once(
    directory: Path,
    world: World | None = None,
    watch: Callable[[Step], None] | None = None,
    config: TrainConfig = CONFIG,
) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    shape = ModelConfig(
        vocab_size=TOKENIZER.vocab_size, context_length=32, n_layer=2, n_head=2, n_embd=32, mlp="relu2", qk_norm=True,
        tie_embeddings=False, value_embeddings=True, init="zero_out", dropout=0.1,
    )  # fmt: skip
    BEGAN.unlink(missing_ok=True)

    def look(step: Step) -> None:
        if not BEGAN.exists():
            BEGAN.write_text(f"{step.step - 1}\n", encoding="ascii")
        if watch is not None:
            watch(step)

    session = Session(directory, look, lambda _: None, world or World())
    pretrain(build_model(shape, 0, session.world, torch.device("cpu")), DATA, HELD_OUT, config, session)


def went_on_from() -> int | None:
    """Return the step after which the last start of training went on; None if it came to no step."""
    said = BEGAN.read_text(encoding="ascii") if BEGAN.exists() else ""
    return int(said) if said else None


def settle(_: Step) -> None:
    """Wait until no checkpoint is being written, so that the calls of a run come in one order."""
    for thread in threading.enumerate():
        if thread.name == WRITER:
            thread.join()


def start(directory: Path, processes: int, sharded: bool = False) -> list[int]:
    """Fork training and return the process ids: launcher first if there are several, then the ranks."""
    BEGAN.unlink(missing_ok=True)  # a start may be killed before it comes to that
    if processes == 1:
        return [fork(lambda: train_once(directory))]
    for name in ("mynah.train.distributed.shard", "torch._dynamo"):  # which each of several would load
        importlib.import_module(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reading, writing = os.pipe()
    launcher = fork(lambda: _launch(directory, processes, port, writing, sharded))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        ranks = json.loads(pipe.readline())
    return [launcher, *ranks]


def fork(work: Callable[[], None]) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        work()
        status = 0
    except MynahError as error:
        print(f"child: {error}", file=sys.stderr)
        status = 2
    finally:
        sys.stderr.flush()
        os._exit(status)


def _launch(directory: Path, processes: int, port: int, pipe: int, sharded: bool) -> None:
    """Start the ranks and, as torchrun does, end all of them when one ends badly."""
    ranks = [fork(lambda r=rank: _rank(directory, r, processes, port, sharded)) for rank in range(processes)]
    os.write(pipe, (json.dumps(ranks) + "\n").encode())
    os.close(pipe)
    left = set(ranks)
    while left:
        pid, status = os.wait()
        left.discard(pid)
        if status:
            for other in left:
                os.kill(other, signal.SIGKILL)
            os._exit(1)


def _rank(directory: Path, rank: int, processes: int, port: int, sharded: bool) -> None:
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a process says that lost another one
    with joined() as others, connected(others, torch.device("cpu"), sharded) as world:
        train_once(directory, world)


def ended(pids: list[int], seconds: float = 20.0) -> None:
    """Wait until processes are gone, the launcher's orphans among them.

    Raises:
        TimeoutError: if one is still there.
    """
    deadline = time.monotonic() + seconds
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {[p for p in pids if _is_alive(p)]} are still there")
        time.sleep(0.002)


def _is_alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:  # not ours: a grandchild
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z"
    return True


def result(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of everything that a run ended with, by file; times are left out."""
    last = artifacts_of(directory)[-1]
    hashes = {path.name: artifacts.sha256_of_file(path) for path in sorted(last.glob("*.safetensors"))}
    progress = artifacts.read_json(last / "progress.json")
    del progress["seconds"]
    hashes["progress"] = artifacts.sha256_of_json(progress)
    hashes["metrics"] = hashlib.sha256((directory / "metrics.jsonl").read_bytes()).hexdigest()
    return hashes


def artifacts_of(directory: Path) -> list[Path]:
    """Return the checkpoints whose manifests hold true, oldest first."""
    found = []
    for path in sorted((directory / artifacts.CHECKPOINTS).glob("step-*[0-9]")):
        try:
            artifacts.read_manifest(path)
        except MynahError:
            continue
        found.append(path)
    return found
