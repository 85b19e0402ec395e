"""Directories that can be trusted: atomic, durable, hashed.

Every stage writes a new directory and the last file in it is `manifest.json`: the SHA-256 of each file,
what it was made from, the settings, the counts. The work happens in `<name>.partial`, which becomes
`<name>` by one rename once everything is on the disk. So a directory either has a manifest and is whole,
or it does not count.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mynah.errors import ArtifactError

MANIFEST = "manifest.json"
#: Observations about a stage (seconds, memory, date): beside the manifest, never part of a hash.
TIMING = "timing.json"
#: The manifest's own SHA-256, over its other fields.
DIGEST = "digest"
#: Folder of what was observed on the way, as event files for TensorBoard: beside the manifest as well.
OBSERVED = "events"
FORMAT = 1
#: A file is written in pieces of this many bytes.
PIECE = 1 << 23
#: In a stage's partial directory: what a later run of the same work goes on with; gone when the stage is done.
CHECKPOINTS = "checkpoints"


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces) as hex."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn an error of the system into an ArtifactError that names what could not be written."""
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror or error}") from None


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; a no-op where directories cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and those that it lies in, durably; nothing if it is there."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with _naming(path):
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Push a file's bytes to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on success it takes the place of `path`, durably, in one step.

    Raises:
        ArtifactError: if the disk is full or the folder cannot be written; nothing is left behind.
    """
    # Processes of several machines may write here at once.
    host = socket.gethostname().replace(".", "-")
    temporary = path.with_name(f".{path.name}.{host}.{os.getpid()}.tmp")
    try:
        with _naming(path):
            make_directory(path.parent)
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
            sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


def write_bytes(path: Path, *data: bytes | memoryview) -> None:
    """Write a file atomically and durably.

    Args:
        path: of the file.
        data: one after another; memoryviews are of single bytes.

    Raises:
        ArtifactError: if it cannot be written; the former file, if any, is untouched.
    """
    with replacing(path) as temporary:
        _write(temporary, data, path)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, for what is read while it grows; `sync_file` makes it durable.

    Raises:
        ArtifactError: if it cannot be written.
    """
    _write(path, (data,), path, os.O_APPEND)


def _write(file: Path, data: Sequence[bytes | memoryview], path: Path, mode: int = os.O_TRUNC) -> None:
    """Write all of `data`, however little the system takes at once, and see that all of it is there."""
    done, size, descriptor = 0, sum(map(len, data)), None
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | mode | getattr(os, "O_BINARY", 0), 0o666)
        before = os.fstat(descriptor).st_size
        for part in data:
            view = memoryview(part)
            while view:
                written = os.write(descriptor, view[:PIECE])
                if written <= 0:
                    raise OSError(errno.EIO, "nothing was written")
                view, done = view[written:], done + written
        done = os.fstat(descriptor).st_size - before
        if done != size:
            raise OSError(errno.EIO, "a part of it is not on the disk")
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written: {error.strerror or error}, after {done:,} of {size:,} bytes"
        ) from None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically and durably, with `\\n` line ends on every system."""
    write_bytes(path, text.encode())


def user_folder() -> Path:
    """Return where Mynah keeps what is the user's: MYNAH_HOME, or else XDG_DATA_HOME or ~/.local/share, with mynah in
    it."""
    if home := os.environ.get("MYNAH_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mynah"


def write_json(path: Path, value: Any) -> None:
    """Write JSON (indented, sorted keys, UTF-8) atomically and durably."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that Mynah wrote.

    Raises:
        ArtifactError: if it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None


@dataclass(frozen=True)
class Manifest:
    """What a finished stage directory says about itself."""

    stage: str
    #: SHA-256 over stage name, settings, inputs, seed and version: equal keys mean equal work.
    key: str
    version: str
    settings: dict[str, Any]
    #: input name -> SHA-256 (of a file, or the `output` of another stage)
    inputs: dict[str, str]
    seed: int
    counts: dict[str, Any] = field(default_factory=dict)
    #: file name relative to the directory -> {"sha256", "bytes"}
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def output(self) -> str:
        """SHA-256 over the files alone: what a following stage depends on."""
        return sha256_of_json({name: info["sha256"] for name, info in self.files.items()})


def stage_key(stage: str, settings: dict[str, Any], inputs: dict[str, str], seed: int, version: str) -> str:
    """Return the key that decides whether a stage must run again."""
    return sha256_of_json([FORMAT, stage, settings, inputs, seed, version])


def read_manifest(directory: Path, *, verify: bool = True) -> Manifest:
    """Read a directory's manifest and, by default, check every file against it.

    Raises:
        ArtifactError: if the manifest is missing or unreadable, or a file is missing, was changed or
            has the wrong size. The file is named.
    """
    path = directory / MANIFEST
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ArtifactError(f"{path}: not a manifest of format {FORMAT}")
    digest = value.pop(DIGEST, None)  # manifests of earlier versions have none
    if digest is not None and digest != sha256_of_json(value):
        raise ArtifactError(f"{path}: damaged: its digest is not that of its fields; {_mend(path)}")
    try:
        manifest = Manifest(**value)
    except TypeError:
        raise ArtifactError(f"{path}: damaged: its fields are not those of a manifest") from None
    if verify:
        for name, info in manifest.files.items():
            _verify(directory / name, info)
    return manifest


def _verify(path: Path, info: dict[str, Any]) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path}: missing, its manifest lists it; {_mend(path)}")
    size = path.stat().st_size
    if size != info["bytes"]:
        raise ArtifactError(
            f"{path}: damaged: {size:,} bytes found, {info['bytes']:,} expected; {_mend(path)}"
        )
    if sha256_of_file(path) != info["sha256"]:
        raise ArtifactError(f"{path}: damaged: SHA-256 differs from its manifest; {_mend(path)}")


def _mend(path: Path) -> str:
    return f"delete the folder {path.parent} and have it made anew by what made it"


def describe_file(path: Path) -> dict[str, Any]:
    """Push a file to the disk; return what a manifest says of it.

    Raises:
        ArtifactError: if it cannot be synced or read back.
    """
    with _naming(path):
        sync_file(path)
        return {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}


def finish(
    partial: Path,
    directory: Path,
    manifest: Manifest,
    leave_out: tuple[str, ...] = (),
    described: Mapping[str, dict[str, Any]] | None = None,
) -> Manifest:
    """Turn a partial directory into a finished one: hash, sync, manifest last, one rename.

    Args:
        partial: where the work was done.
        directory: what it becomes.
        manifest: what is said of it, besides the files.
        leave_out: names of what is of use until then, and deleted afterwards.
        described: files that other processes have written, synced and described (`describe_file`).

    Raises:
        ArtifactError: if something cannot be written; the former directory is then still there.
    """
    former = directory.with_name(f"{directory.name}.former")
    with _naming(directory):
        files = {}
        for path in sorted(p for p in partial.rglob("*") if p.is_file()):
            name = path.relative_to(partial).as_posix()
            if name.split("/")[0] not in (MANIFEST, TIMING, OBSERVED, *leave_out):
                files[name] = (described or {}).get(name) or describe_file(path)
        done = Manifest(**{**asdict(manifest), "files": files})
        write_json(partial / MANIFEST, {**asdict(done), DIGEST: sha256_of_json(asdict(done))})
        sync_directory(partial)
        shutil.rmtree(former, ignore_errors=True)
        replaced = directory.exists()
        if replaced:
            os.replace(directory, former)
        try:
            os.replace(partial, directory)
        except OSError:
            if replaced:
                os.replace(former, directory)
            raise
        sync_directory(directory.parent)
        shutil.rmtree(former, ignore_errors=True)
        for name in leave_out:
            path = directory / name
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    return done


@contextmanager
def new_directory(directory: Path, manifest: Manifest) -> Iterator[Path]:
    """Yield a folder to fill; on success it becomes `directory`, and takes the place of a former one, in one step.

    Raises:
        ArtifactError: if it cannot be written; nothing is left behind, and the former directory is still there.
    """
    target = directory.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")  # nobody else's folder
    try:
        yield partial
        finish(partial, target, manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def locked(
    directory: Path, name: str = ".lock", other: str = "another --name", remove: bool = False
) -> Iterator[None]:
    """Hold a directory for one process; released by the system even if the process is killed.

    Args:
        directory: made if it is not there.
        name: of the lock's file in it.
        other: what to give a second process, so that it need not wait.
        remove: leave no lock file behind, where the directory is the user's own.

    Raises:
        ArtifactError: if another process holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        make_directory(directory)
        lock = FileLock(directory / name, timeout=0)
        lock.acquire()
    except Timeout:
        raise ArtifactError(
            f"{directory / name}: another process is at work here; wait for it, or give this one {other}"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{directory}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        if remove:
            with suppress(OSError):  # Windows does not delete what is open
                (directory / name).unlink()
        lock.release()
