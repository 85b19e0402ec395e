"""Two machines as far as the network can tell: two namespaces joined by a virtual link."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_processes import ENVIRONMENT, alone, losses, shards

from mynah import artifacts

__all__ = ["alone", "shards"]
NAMES = ("mynah-a", "mynah-b")
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


def test_two_machines_train_together(network: None, shards: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    nodes = []
    for node, name in enumerate(NAMES):
        torchrun = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node),
            "--nproc-per-node", "1", "--master-addr", ADDRESSES[0], "--master-port", "29577",
        ]  # fmt: skip
        command = ["ip", "netns", "exec", name, *torchrun, "-m", "mynah.train", str(shards), "-o", str(out)]
        environment = {**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "mynah0"}
        nodes.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        )
    said = [node.communicate(timeout=240) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert losses(out) == pytest.approx(losses(alone), rel=1e-5)
    assert artifacts.read_manifest(out).counts["steps"] == 30
