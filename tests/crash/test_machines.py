"""Two machines as far as the network can tell: two namespaces joined by a virtual link."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_processes import ENVIRONMENT, alone, command, losses, shards

from mynah import artifacts
from mynah.train.distributed.heartbeat import EXIT

__all__ = ["alone", "shards"]
NAMES = (f"mynah-a-{os.getpid()}", f"mynah-b-{os.getpid()}")
ADDRESSES = ("10.213.7.1", "10.213.7.2")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[None]:
    """Make two network namespaces with one link between them, and nothing else."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("network namespaces need root on Linux")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "mynah0", "netns", NAMES[0], "type", "veth", "peer", "mynah0", "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "mynah0")
            for device in ("mynah0", "lo"):
                ip("-n", name, "link", "set", device, "up")
    except (OSError, subprocess.CalledProcessError):
        _remove()
        pytest.skip("no network namespaces on this system")
    yield
    _remove()


def _remove() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def on(name: str, arguments: list[str], **more: str) -> subprocess.Popen[str]:
    """Start a command in a namespace, on a machine of that name."""
    own_name = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
    environment = {**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "mynah0", **more}
    return subprocess.Popen(
        ["ip", "netns", "exec", name, *own_name, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_two_machines_train_together(network: None, shards: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    nodes = []
    for node, name in enumerate(NAMES):
        torchrun = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node),
            "--nproc-per-node", "1", "--master-addr", ADDRESSES[0], "--master-port", "29577",
        ]  # fmt: skip
        nodes.append(on(name, [*torchrun, "-m", "mynah.train", str(shards), "-o", str(out)]))
    said = [node.communicate(timeout=240) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert losses(out) == pytest.approx(losses(alone), rel=1e-5)
    assert artifacts.read_manifest(out).counts["steps"] == 30


def test_a_machine_that_is_cut_off_is_named(network: None, shards: Path, tmp_path: Path) -> None:
    """Nobody is told that the connection is gone: packets get lost, and that is all."""
    out = tmp_path / "run"
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": ADDRESSES[0], "MASTER_PORT": "29578"}
    nodes = [
        on(name, command(shards, out, "--set", "train.steps=100000"), RANK=str(rank), **shared)
        for rank, name in enumerate(NAMES)
    ]
    deadline = time.monotonic() + 120
    while not any(tmp_path.glob("run.partial/checkpoints/step-*[0-9]")):
        assert time.monotonic() < deadline
        assert [node.poll() for node in nodes] == [None, None]
        time.sleep(0.1)
    begun = time.monotonic()
    ip("-n", NAMES[1], "link", "set", "mynah0", "down")
    said = nodes[0].communicate(timeout=60)[1]
    assert time.monotonic() - begun < 30
    assert nodes[0].returncode == EXIT
    assert f"mynah: process 1 of 2 on {NAMES[1]}, last heard of after step" in said
    cut_off = nodes[1].communicate(timeout=60)[1]
    assert nodes[1].returncode == EXIT
    assert "mynah: process 1 of 2 has lost the connection to another one" in cut_off
