from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.errors import ArtifactError


def make(directory: Path) -> Manifest:
    partial = directory.with_name(directory.name + ".partial")
    artifacts.write_bytes(partial / "a.bin", b"hello")
    return artifacts.finish(partial, directory, Manifest("s", "k", "0", {}, {}, 0))


def test_manifest_round_trip(tmp_path: Path) -> None:
    made = make(tmp_path / "stage")
    assert artifacts.read_manifest(tmp_path / "stage") == made
    # printf hello | sha256sum
    assert made.files["a.bin"]["sha256"].startswith("2cf24dba5fb0a30e26e83b2ac5b9e29e")
    assert not (tmp_path / "stage.partial").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    make(tmp_path / "stage")
    path = tmp_path / "stage" / "a.bin"
    if damage == "flip":
        path.write_bytes(b"hellp")
    elif damage == "cut":
        path.write_bytes(b"hell")
    else:
        path.unlink()
    with pytest.raises(ArtifactError, match=r"a\.bin"):
        artifacts.read_manifest(tmp_path / "stage")


def test_a_directory_without_manifest_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    with pytest.raises(ArtifactError, match="missing"):
        artifacts.read_manifest(tmp_path / "stage")


def test_full_disk_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.write_bytes(tmp_path / "f", b"old")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifacts, "sync_file", full)
    with pytest.raises(ArtifactError, match="No space left"):
        artifacts.write_bytes(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_lock_is_held_against_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mynah import artifacts\n"
        "try:\n    with artifacts.locked(Path(sys.argv[1])): print('got it')\n"
        "except Exception as error: print(error)"
    )

    def other() -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout

    with artifacts.locked(tmp_path):
        assert "another process is at work here" in other()
    assert "got it" in other()


def test_stage_key_depends_on_everything() -> None:
    base = ("s", {"a": 1}, {"x": "h"}, 0, "1")
    others = [
        ("t", *base[1:]),
        ("s", {"a": 2}, *base[2:]),
        ("s", {"a": 1}, {"x": "i"}, 0, "1"),
        ("s", {"a": 1}, {"x": "h"}, 1, "1"),
        ("s", {"a": 1}, {"x": "h"}, 0, "2"),
    ]
    keys = {artifacts.stage_key(*arguments) for arguments in [base, *others]}
    assert len(keys) == 6


def test_the_former_directory_comes_back_if_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = make(tmp_path / "stage")
    real = os.replace

    def failing(source: Path, target: Path) -> None:
        if Path(source).name == "stage.partial":
            raise OSError(errno.EIO, "the disk says no")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ArtifactError, match="the disk says no"):
        make(tmp_path / "stage")
    monkeypatch.undo()
    assert artifacts.read_manifest(tmp_path / "stage") == former
    assert not (tmp_path / "stage.former").exists()
