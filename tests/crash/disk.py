"""A disk that fails on purpose, put under the calls by which artifacts are written.

`Faulty` makes one call fail. `Volatile` remembers what was never synced and takes it away when the power is cut: bytes
of files, new names in directories, whole new directories.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

Kind = Literal["full", "eio", "short", "lost", "fsync", "rename"]


class Faulty:
    """Counts writes, syncs and renames, and lets the n-th of its kind fail."""

    def __init__(self, kind: Kind, at: int) -> None:
        self.kind, self.at, self.count = kind, at, 0
        self.fired = False

    @contextmanager
    def under(self) -> Iterator[Faulty]:
        """Put this disk under `os.write`, `os.fsync` and `os.replace`."""
        kept = os.write, os.fsync, os.replace

        def write(descriptor: int, data: Any) -> int:
            if self._strikes("full", "eio", "short", "lost"):
                if self.kind == "short":
                    return kept[0](descriptor, data[: len(data) // 2])
                if self.kind == "lost":  # says that all is written
                    kept[0](descriptor, data[: len(data) // 2])
                    return len(data)
                number = errno.ENOSPC if self.kind == "full" else errno.EIO
                raise OSError(number, os.strerror(number))
            return kept[0](descriptor, data)

        def fsync(descriptor: int) -> None:
            if self._strikes("fsync"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            kept[1](descriptor)

        def replace(source: Any, target: Any) -> None:
            if self._strikes("rename"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            kept[2](source, target)

        os.write, os.fsync, os.replace = write, fsync, replace  # type: ignore[assignment]
        try:
            yield self
        finally:
            os.write, os.fsync, os.replace = kept

    def _strikes(self, *kinds: str) -> bool:
        if self.kind not in kinds:
            return False
        self.count += 1
        if self.count != self.at:
            return False
        self.fired = True
        return True


class Volatile:
    """Remembers what would be gone without power."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.real = {name: getattr(os, name) for name in ("write", "fsync", "replace", "mkdir")}
        #: files with bytes that were not synced, and how many of them were
        self.dirty: dict[Path, int] = {}
        #: what was synced of each file
        self.synced: dict[Path, int] = {}
        #: names given in a directory that was not synced since: new name -> former name, None if it was made anew
        self.named: dict[Path, Path | None] = {}

    def install(self, *, without: str = "") -> None:
        """Put this disk under the process for good; `without` one of fsync, replace: the call does nothing."""

        def write(descriptor: int, data: Any) -> int:
            with self.lock:
                path = _path_of(descriptor)
                self.dirty[path] = self.synced.get(path, 0)
                return int(self.real["write"](descriptor, data))

        def fsync(descriptor: int) -> None:
            if without == "fsync":
                return
            with self.lock:
                path = _path_of(descriptor)
                self.dirty.pop(path, None)
                self.synced[path] = os.fstat(descriptor).st_size
                self.named = {new: old for new, old in self.named.items() if new.parent != path}

        def replace(source: Any, target: Any) -> None:
            if without == "replace":
                return
            with self.lock:
                source, target = Path(source), Path(target)
                replaced = target.exists()
                self.real["replace"](source, target)
                self.dirty = {_moved(path, source, target): n for path, n in self.dirty.items()}
                self.synced = {_moved(path, source, target): n for path, n in self.synced.items()}
                inside = {_moved(new, source, target): old for new, old in self.named.items()}
                self.named = inside
                if not replaced:  # else one of the two is there whatever happens
                    self.named[target] = source if source.parent == target.parent else None

        def mkdir(path: Any, *rest: Any, **more: Any) -> None:
            with self.lock:
                self.real["mkdir"](path, *rest, **more)
                self.named[Path(path)] = None

        for call in (write, fsync, replace, mkdir):
            setattr(os, call.__name__, call)

    def cut(self, keep: Path) -> None:
        """Take away what was not synced, of everything under `keep`, and hold every other thread for ever."""
        self.lock.acquire()
        # What another thread is just deleting is gone, too.
        for path, synced in self.dirty.items():
            with suppress(FileNotFoundError):
                if keep in path.parents:
                    os.truncate(path, (synced + path.stat().st_size) // 2)
        for new, old in sorted(self.named.items(), key=lambda item: -len(item[0].parts)):
            with suppress(FileNotFoundError):
                if keep not in new.parents or not new.exists():
                    continue
                if old is not None and not old.exists():
                    self.real["replace"](new, old)
                elif new.is_dir():
                    shutil.rmtree(new)
                else:
                    new.unlink()


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _moved(path: Path, source: Path, target: Path) -> Path:
    return target / path.relative_to(source) if source == path or source in path.parents else path
