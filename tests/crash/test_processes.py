"""Several processes as a user starts them: the same result as one, and an end in time when one is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from networks import EXACT
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mynah import artifacts
from mynah.cli.train import _run_processes
from mynah.model.weights import load_model
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.distributed.heartbeat import EXIT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and signals: Linux")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", **EXACT}


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, data: TokenSet) -> Path:
    """A recipe and the token shards that it names."""
    folder = tmp_path_factory.mktemp("shards")
    for name in ("train", "held_out"):
        data.save(folder / "tokens.partial" / f"{name}.safetensors")
    made = artifacts.Manifest("tokens", "", "", {}, {}, 0)
    artifacts.finish(folder / "tokens.partial", folder / "tokens", made)
    tokenizer.save(folder / "tokenizer")
    recipe = f"""
tokens = "{folder / "tokens"}"
preset = "gpt2"
model = {{n_layer = 2, n_embd = 32, n_head = 2}}
[train]
steps = 30
batch_size = 4
context_length = 32
eval_every = 10
checkpoint_every = 3
log_every = 1
learning_rate = 1e-3
"""
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    return folder / "recipe.toml"


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "mynah.train", str(recipe), "-o", str(out), *more]


def run(recipe: Path, out: Path, *more: str) -> str:
    done = subprocess.run(
        command(recipe, out, *more), capture_output=True, text=True, timeout=300, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["loss"] is not None]


@pytest.fixture(scope="session")
def alone(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    assert f"trained    {out}: 30 steps" in run(shards, out)
    return out


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_reach_the_loss_of_one(
    shards: Path, alone: Path, tmp_path: Path, processes: int
) -> None:
    run(shards, tmp_path / "run", "--processes", str(processes))
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)
    assert artifacts.read_manifest(tmp_path / "run").key == artifacts.read_manifest(alone).key


def test_torchrun_starts_it_too(shards: Path, alone: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "mynah.train", str(shards), "-o", str(tmp_path / "run")]
    subprocess.run([*torchrun, *arguments], check=True, capture_output=True, timeout=300, env=ENVIRONMENT)
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_model_in_parts_learns_the_same(shards: Path, tmp_path: Path, optimizer: str) -> None:
    changes = (f"optimizer={optimizer}", "ema=0.9", "matrix_every=2", "matrix_learning_rate=1e-3")
    same = [part for change in changes for part in ("--set", f"train.{change}")]
    run(shards, tmp_path / "one", *same)
    run(shards, tmp_path / "two", *same, "--set", "sharded=true", "--processes", "2")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("parts", ["sharded=true", "tensor_parallel=2"])
def test_a_model_in_parts_learns_in_float16(shards: Path, tmp_path: Path, parts: str, optimizer: str) -> None:
    """Its gradients are unscaled, those that are spread and those of tables that each process has whole."""
    same = ["--set", "train.precision=float16", "--set", f"train.optimizer={optimizer}"]
    run(shards, tmp_path / "one", *same)
    run(shards, tmp_path / "two", *same, "--set", parts, "--processes", "2")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-3)


#: Heads that share keys and values, norms of queries and keys with weights, a gated MLP, as Qwen3 has them.
SHARED = {
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 4,
    "n_kv_head": 2,
    "head_dim": 8,
    "ffn_hidden": 48,
    "norm_eps": 1e-6,
}
#: Norms after a block's parts, gated GELU, windows with a base of their own, as Gemma 3 has them.
MAKES = {
    "gpt2": None,
    "qwen3": SHARED,
    "gemma3": SHARED
    | {"post_norm": True, "mlp": "geglu_tanh", "scale_embeddings": True, "query_pre_attn_scalar": 12}
    | {"windows": [8, 0], "rope_local_theta": 100.0},
}


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("make", MAKES)
def test_processes_that_share_each_block_learn_the_same(
    shards: Path, tmp_path: Path, make: str, processes: int
) -> None:
    """Two share each block; of four, two and two have other rows."""
    changes = ["optimizer=muon", "ema=0.9", "matrix_every=2", "matrix_learning_rate=1e-3", "grad_clip=0.5"]
    model = MAKES[make]
    if model is None:
        changes = ["optimizer=adamw", "ema=0.9"]
    same = [part for change in changes for part in ("--set", f"train.{change}")]
    if model is not None:
        fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in model.items())
        text = shards.read_text().replace('"gpt2"', '"qwen3-0.6b"')
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(re.sub(r"(?m)^model = .*$", f"model = {{{fields}}}", text))
        shards = recipe
    run(shards, tmp_path / "one", *same)
    run(shards, tmp_path / "run", *same, "--set", "tensor_parallel=2", "--processes", str(processes))
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    mine, theirs = (load_model(tmp_path / name).state_dict() for name in ("run", "one"))
    for name, tensor in theirs.items():
        torch.testing.assert_close(
            mine[name], tensor, rtol=2e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_a_process_that_fails_by_itself_is_not_waited_for(shards: Path, tmp_path: Path) -> None:
    """Nobody ends the other one, as torchrun would on the same machine."""
    script = [
        sys.executable,
        str(Path(__file__).parent / "failing_disk.py"),
        str(shards),
        "-o",
        str(tmp_path / "run"),
    ]
    shared = {"FAILS": "copy", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes = [
        subprocess.Popen(
            [*script, "--set", "sharded=true"],
            env={**ENVIRONMENT, **shared, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = processes[1].communicate(timeout=120)[1]
    begun = time.monotonic()
    assert "MemoryError" in said
    processes[0].communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert processes[0].returncode == EXIT


def test_more_parts_than_rows_are_the_same_for_all(shards: Path, tmp_path: Path) -> None:
    """Three rows over two processes in four parts each: some parts are empty, and none is exchanged twice."""
    same = ("--set", "train.grad_accum_steps=4", "--set", "train.batch_size=3")
    run(shards, tmp_path / "one", *same)
    for name, *how in (("copies",), ("parts", "--set", "sharded=true"), ("shared", "--tensor-parallel", "2")):
        run(shards, tmp_path / name, *same, *how, "--processes", "2")
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def test_a_checkpoint_goes_from_two_processes_to_one_to_four(shards: Path, tmp_path: Path) -> None:
    """Shared blocks, whole, and in other parts: whoever reads takes what is his."""
    long = ("--set", "train.steps=240", "--set", "train.learning_rate=1e-4")
    run(shards, tmp_path / "alone", *long)
    out = tmp_path / "run"
    for processes, last in (("2", 60), ("1", 120)):
        sharded = ("--tensor-parallel", "2") if processes != "1" else ()
        launcher, _ = begin(shards, out, *long, *sharded, processes=processes, step=last)
        launcher.terminate()
        launcher.communicate(timeout=60)
        assert not out.exists()
        assert launcher.returncode == 130
        before = out.with_name("run.partial") / artifacts.CHECKPOINTS
        assert max(int(path.name[5:]) for path in before.glob("step-*[0-9]")) > last
    run(shards, out, *long, "--tensor-parallel", "2", "--processes", "4")
    assert losses(out) == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)


def test_processes_wait_for_a_slow_disk(shards: Path, alone: Path, tmp_path: Path) -> None:
    """A checkpoint and a look each take 8 s, a collective operation may take 3: the other process says so."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(Path(__file__).parent / "slow_disk.py"), str(shards), "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [*torchrun, *arguments], capture_output=True, text=True, timeout=300, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"mynah: process 0 of 2 on \S+, last heard of .* waits for its disk \(writing ", done.stderr
    )
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


@pytest.mark.parametrize(
    ("fails", "said"),
    [("write", r"No space left on device, after 0 of [\d,]+ bytes"), ("hash", "Input/output error")],
)
def test_when_one_process_cannot_write_its_part_there_is_no_checkpoint(
    shards: Path, tmp_path: Path, fails: str, said: str
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(Path(__file__).parent / "failing_disk.py"), str(shards), "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [*torchrun, *arguments, "--set", "sharded=true"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**ENVIRONMENT, "FAILS": fails},
    )
    assert done.returncode
    where = r"mynah: (process 1: )?\S+/step-\d+.partial/optimizer-00001.safetensors: cannot be written: "
    assert re.search(where + said, done.stderr)
    left = sorted(path.name for path in (tmp_path / "run.partial" / artifacts.CHECKPOINTS).iterdir())
    assert left[0] == "step-0000003"
    assert all(re.fullmatch(r"step-\d+", name) for name in left)
    run(shards, tmp_path / "run")
    run(shards, tmp_path / "alone")
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)


def begin(
    recipe: Path, out: Path, *more: str, processes: str = "2", step: int = 0
) -> tuple[subprocess.Popen[str], list[int]]:
    """Start training, wait for a checkpoint after `step`; return the launcher and the processes in order."""
    slow = ("--set", "train.steps=3000", "--processes", processes, *more)
    launcher = subprocess.Popen(
        command(recipe, out, *slow), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    deadline = time.monotonic() + 120
    folder = out.with_name(f"{out.name}.partial") / artifacts.CHECKPOINTS
    while not any(int(path.name[5:]) > step for path in folder.glob("step-*[0-9]")):
        assert launcher.poll() is None, launcher.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return launcher, ranks_of(launcher.pid)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def ranks_of(launcher: int) -> list[int]:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text(encoding="ascii").split()
    found = {}
    for pid in map(int, children):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if rank := re.search(rb"\0RANK=(\d+)\0", environment):
            found[int(rank[1])] = pid
    return [found[rank] for rank in sorted(found)]


def test_a_dead_process_ends_the_job_and_is_named(shards: Path, tmp_path: Path) -> None:
    launcher, ranks = begin(shards, tmp_path / "run")
    begun = time.monotonic()
    os.kill(ranks[1], signal.SIGKILL)
    said = launcher.communicate(timeout=40)[1]
    assert time.monotonic() - begun < 30
    assert launcher.returncode == 2
    assert "process 1 of 2 was ended by SIGKILL; run the same command again" in said
    assert "Traceback" not in said
    assert not Path(f"/proc/{ranks[0]}").exists()


def test_a_stalled_process_ends_the_job_and_is_named(shards: Path, tmp_path: Path) -> None:
    launcher, ranks = begin(shards, tmp_path / "run")
    begun = time.monotonic()
    os.kill(ranks[1], signal.SIGSTOP)
    said = launcher.communicate(timeout=60)[1]
    assert time.monotonic() - begun < 30
    assert launcher.returncode == 2
    assert re.search(
        r"mynah: process 1 of 2 on \S+, last heard of after step \d+, has not answered for 15 s", said
    )
    assert not Path(f"/proc/{ranks[1]}").exists()


@pytest.mark.parametrize(
    ("hangs", "size", "lost", "step", "said"),
    [
        ("hung", 2, 1, "3", "stands still"),
        ("killed", 2, 1, "3", "is gone"),
        ("making", 3, 2, "0", "stands still"),
        ("clockless", 3, 2, "0", "stands still"),
        ("stopped", 2, 1, "0", "has not answered for 5 s"),
        ("writing", 2, 0, "30", "stands still"),
    ],
)
def test_a_process_is_named_that_hangs_or_was_lost_on_another_machine(
    shards: Path, tmp_path: Path, hangs: str, size: int, lost: int, step: str, said: str
) -> None:
    """Without a launcher, which would see what becomes of its own processes."""
    environment = {**ENVIRONMENT, "HANGS": hangs, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"}
    environment["MASTER_PORT"] = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, *hanging(shards, tmp_path)],
            stderr=subprocess.PIPE, text=True, env={**environment, "RANK": str(rank)},
        )
        for rank in range(size)
    ]  # fmt: skip
    told = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started if process is not started[lost]] == [EXIT] * (size - 1)
    lines = [line for text in told for line in text.splitlines() if line.startswith("mynah: process")]
    named = rf"mynah: process {lost} of {size} on \S+, last heard of after step {step},"
    assert re.match(rf"{named} {said}; the job ends", lines[-1])
    where = rf"{named} waits for its disk \(writing \S+/step-0000003\); the job goes on if"
    assert all(re.match(where, line) for line in lines[:-1])
    assert len(lines) == 1 + (hangs == "writing")  # said once, whoever ends


def hanging(recipe: Path, folder: Path) -> list[str]:
    return [str(Path(__file__).parent / "hanging.py"), str(recipe), "-o", str(folder / "run")]


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def test_a_process_that_computes_for_long_is_waited_for(shards: Path, tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "HANGS": "busy"}
    done = subprocess.run(
        [sys.executable, *TORCHRUN, *hanging(shards, tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "mynah: process" not in done.stderr


@pytest.mark.parametrize("parts", ["false", "true"])
def test_torchrun_starts_lost_processes_again(shards: Path, alone: Path, tmp_path: Path, parts: str) -> None:
    """Nothing that the first ones said to each other is heard by the second ones."""
    torchrun = [*TORCHRUN, "--max-restarts", "1"]
    done = subprocess.run(
        [sys.executable, *torchrun, *hanging(shards, tmp_path), "--set", f"sharded={parts}"],
        capture_output=True, text=True, timeout=200, env={**ENVIRONMENT, "HANGS": "restarted"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)
    assert "damaged" not in done.stdout + done.stderr


@pytest.mark.parametrize("launcher", [True, False])
def test_processes_do_not_wait_for_ever_for_one_that_never_comes(
    shards: Path, tmp_path: Path, launcher: bool
) -> None:
    environment = {**ENVIRONMENT, "HANGS": "late"}
    torchrun = TORCHRUN if launcher else []
    if not launcher:
        environment |= {
            "RANK": "0",
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": free_port(),
        }
    done = subprocess.run(
        [sys.executable, *torchrun, *hanging(shards, tmp_path)],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    said = (
        "process 1 of 2 has not come within 9 s; the job ends"
        if launcher
        else "not all 2 processes have come"
    )
    assert f"mynah: {said}" in done.stderr
    assert done.returncode == (1 if launcher else 2)  # 1 is torchrun's


def test_without_its_launcher_a_job_ends(shards: Path, tmp_path: Path) -> None:
    launcher, ranks = begin(shards, tmp_path / "run")
    launcher.kill()
    launcher.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_elastic_job_goes_on_by_itself(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    launcher, ranks = begin(shards, out, "--elastic", "--set", "train.steps=120")
    os.kill(ranks[0], signal.SIGKILL)
    said = launcher.communicate(timeout=120)[1]
    assert launcher.returncode == 0, said
    assert "process 0 of 2 was ended by SIGKILL; starting again from the last checkpoint" in said
    assert "training goes on" not in said  # no damage, no word
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(121))
    assert len(list((out / "events").iterdir())) == 2  # one file a start: it went on, and did not begin anew


def test_an_elastic_job_does_not_repeat_its_own_errors(shards: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(
            shards, tmp_path / "run", "--elastic", "--processes", "2", "--set", "train.learning_rate=1e30"
        ),
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
    )
    assert done.returncode == 2
    assert done.stderr.count("try a lower learning rate") == 1
    assert "starting again" not in done.stderr


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({0: 2, 1: -signal.SIGTERM}, 2),
        ({0: -signal.SIGTERM, 1: -signal.SIGKILL}, "process 1 of 2 was ended by SIGKILL"),
        ({0: EXIT, 1: -signal.SIGSEGV}, "process 1 of 2 was ended by SIGSEGV"),
        ({0: -signal.SIGTERM, 1: 1}, "process 1 of 2 ended with status 1"),
    ],
)
def test_the_launcher_tells_the_cause_from_what_it_did_itself(
    monkeypatch: pytest.MonkeyPatch, codes: dict[int, int], told: int | str
) -> None:
    failures = {rank: ProcessFailure(rank, 1000 + rank, code, "") for rank, code in codes.items()}

    def failing(*_: object) -> NoReturn:
        raise ChildFailedError("mynah", failures)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: failing)
    if isinstance(told, int):
        with pytest.raises(SystemExit) as ended:
            _run_processes(2, [])
        assert ended.value.code == told
    else:
        assert _run_processes(2, []) == told


def test_two_jobs_do_not_write_into_one_folder(shards: Path, tmp_path: Path) -> None:
    launcher, _ = begin(shards, tmp_path / "run")
    second = subprocess.run(
        command(shards, tmp_path / "run", "--set", "train.steps=3000"),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    launcher.terminate()
    launcher.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process is at work here" in second.stderr
