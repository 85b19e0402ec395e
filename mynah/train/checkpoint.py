"""Checkpoints: safetensors and JSON under a manifest, atomic and durable, written beside training.

`step-<n>/` holds model.safetensors (what is trained of it, as `mynah.train.trained` says), optimizer.safetensors,
average.safetensors (with `ema`), best.safetensors (with held-out text), progress.json and, written last, manifest.json
with the SHA-256 of the others. It is made as
`step-<n>.partial` and takes its name in one step, so it is whole or not there.

Where each process holds a part of the model, it writes that part, as model-<rank>.safetensors and so on; whoever reads
takes from each file what belongs to its own part, however many there are of either.
"""

from __future__ import annotations

import copy
import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mynah import __version__, artifacts
from mynah.errors import ArtifactError, MynahError
from mynah.model.tensor_files import Part, TensorFiles, write_tensors
from mynah.train.config import TrainConfig
from mynah.train.distributed.dtensors import local, part_of, writes
from mynah.train.distributed.heartbeat import LOST
from mynah.train.distributed.world import World
from mynah.train.state import Progress, TrainState
from mynah.train.trained import described

Say = Callable[[str], None]
#: Name of the thread that writes.
WRITER = "checkpoint"


@dataclass(frozen=True)
class _Snapshot:
    """A copy of everything at a step that this process has to write."""

    #: by file, then by name; and where they lie in the whole, if all processes write
    files: dict[str, dict[str, Tensor]]
    parts: dict[str, dict[str, Part]] | None
    progress: dict[str, Any]
    settings: dict[str, Any]
    #: how many were saved before
    turn: int


class Checkpoints:
    """The checkpoints of one run in one folder."""

    def __init__(self, directory: Path | None, say: Say, world: World) -> None:
        """Take a folder, which need not be there; None keeps nothing.

        Args:
            directory: holds `step-<n>`.
            say: is told which checkpoint was passed over, and why.
            world: the first of its processes writes, all read.
        """
        self.directory, self.world = directory, world
        self.say: Say = say if world.first else lambda _: None
        #: called in the thread that writes, before a checkpoint counts
        self.before: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None
        self._failed: MynahError | None = None
        #: what was written or loaded, by step, whole; the last ones
        self._whole: list[tuple[int, Path]] = []
        #: the step of what was saved or loaded last
        self._saved = -1
        self._turn = self._saves = 0

    def load(self, state: TrainState, *, planned: bool = False) -> Path | None:
        """Load the newest whole checkpoint; None if there is none.

        One that is damaged is passed over, and `say` is told.

        Args:
            state: takes it over.
            planned: of those at multiples of `checkpoint_every` alone, which do not depend on when a run was cut off.

        Raises:
            ArtifactError: if it belongs to another model or other settings, or the processes see different ones.
        """
        self._wait_for_all()
        self.world.meet(f"loading {self._turn}")
        with self.world.at_disk(f"reading checkpoints in {self.directory}"):
            path = self._load(state, planned)
        self.world.meet(f"loaded {self._turn}")
        step = state.progress.step if path is not None else -1
        if self.world.total(float(step))[0] != step * self.world.size:
            raise ArtifactError(
                f"{self.directory}: the processes see different checkpoints, this one {path or 'none'}; expected one "
                "folder that all machines share"
            )
        return path

    def _load(self, state: TrainState, planned: bool) -> Path | None:
        if self.directory is None:
            return None
        if self.world.first:
            for left in (*self.directory.glob("*.partial"), *self.directory.glob("*.former")):
                shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
        self.world.meet(f"tidy {self._turn}")
        passed_over = []
        for path in sorted(self.directory.glob("step-*[0-9]"), reverse=True):
            if planned and not _is_planned(path, state.config):
                continue
            try:
                manifest = artifacts.read_manifest(path)
            except ArtifactError as error:
                passed_over.append(path)
                self.say(f"{error}; passed over")
                continue
            check_same(manifest.settings, _settings(state), path)
            paths = defaultdict(list)
            for file in path.glob("*.safetensors"):
                paths[file.stem.partition("-")[0]].append(file)
            progress = Progress.from_json(artifacts.read_json(path / "progress.json"), path)
            state.load({name: TensorFiles(found) for name, found in paths.items()}, progress, path)
            self._saved = progress.step
            self._whole.append((progress.step, path))
            if passed_over:
                self.say(f"training goes on from {path}")
            return path
        if passed_over:
            self.say(f"no whole checkpoint in {self.directory}: training begins anew")
        return None

    def save(self, state: TrainState) -> bool:
        """Copy everything and write it in another thread; False, and nothing done, while the last one is being written.

        Raises:
            ArtifactError: if the last one could not be written.
        """
        busy = self._thread is not None and self._thread.is_alive()
        if not busy:
            self.wait()  # a failure is told at once, even if others are still at it
        if self.directory is None or self.world.total(float(busy))[0]:
            return False
        self._saved = state.progress.step
        self._saves += 1
        all_write = self.world.grid is not None
        if not (self.world.first or all_write):
            return True
        files: dict[str, dict[str, Tensor]] = defaultdict(dict)
        parts: dict[str, dict[str, Part]] = defaultdict(dict)
        for name, tensors in state.tensors().items():
            for key, tensor in tensors.items():
                mine = local(tensor.detach())
                if writes(tensor, self.world.at) and mine.numel():
                    files[name][key] = mine.to("cpu", copy=True)
                    parts[name][key] = part_of(tensor)
        state.progress.scaler = state.precision.scaler.state_dict()
        progress = copy.deepcopy(vars(state.progress))
        snapshot = _Snapshot(files, parts if all_write else None, progress, _settings(state), self._saves)
        arguments = (snapshot, state.config)
        self._thread = threading.Thread(target=self._write, args=arguments, daemon=True, name=WRITER)
        self._thread.start()
        return True

    def save_now(self, state: TrainState) -> None:
        """Write everything before returning, unless this step has been written.

        Raises:
            ArtifactError: if it cannot be written.
        """
        self._wait_for_all()
        if self._saved != state.progress.step:
            self.save(state)
            self._wait_for_all()

    def wait(self) -> None:
        """Wait until nothing is being written.

        Raises:
            ArtifactError: if the last checkpoint could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed

    def _wait_for_all(self) -> None:
        """Wait, in every process, until the first one has nothing left to write."""
        self._turn += 1
        self.wait()
        if self.world.first:
            self.world.tell(f"written {self._turn}")
        else:
            self.world.hear(f"written {self._turn}")

    def close(self) -> None:
        """Wait until nothing is being written; a failure is told, not raised, as there may be another one already.

        Among several processes not for ever: one may be gone that this one waits for.
        """
        if self._thread is not None and self.world.size > 1:
            self._thread.join(LOST)
            if self._thread.is_alive():
                return
        try:
            self.wait()
        except MynahError as error:
            self.say(str(error))

    def good(self, before: int) -> Path | None:
        """Return the checkpoint that was written or loaded last, whole, of those before a step."""
        return next((path for step, path in reversed(self._whole) if step < before), None)

    def _write(self, snapshot: _Snapshot, config: TrainConfig) -> None:
        directory = self.directory or Path()
        try:
            with self.world.at_disk(f"writing {directory / _name(snapshot)}"):
                if not self.world.first:
                    _write_part(snapshot, directory, self.world)
                    return
                _write(snapshot, directory, config, self.world, self.before)
            self._whole = [*self._whole, (snapshot.progress["step"], directory / _name(snapshot))][
                -config.keep :
            ]
        except Exception as error:  # of a thread that nobody looks at: told at the next checkpoint
            self._failed = _as_failure(error, directory)


def _write(
    snapshot: _Snapshot, directory: Path, config: TrainConfig, world: World, before: Callable[[], None]
) -> None:
    """Write a checkpoint, with what the others write of it; delete old ones."""
    target = directory / _name(snapshot)
    partial = _partial(target)
    others = range(1, world.size) if snapshot.parts is not None else ()
    try:
        shutil.rmtree(partial, ignore_errors=True)
        failed: MynahError | None = None
        described: dict[str, Any] = {}
        try:
            before()
            artifacts.make_directory(partial)
            world.tell(f"begun {snapshot.turn}")
            described = _write_files(snapshot, partial, world)
        except Exception as error:  # told, but not before nobody writes there any more
            world.tell(f"begun {snapshot.turn}", str(error))
            failed = _as_failure(error, directory)
        for other in others:
            told = json.loads(world.hear(f"part {snapshot.turn} {other}"))
            described |= told["files"]
            failed = failed or (ArtifactError(told["failed"]) if told["failed"] else None)
        if failed is not None:
            raise failed
        artifacts.write_json(partial / "progress.json", snapshot.progress)
        manifest = artifacts.Manifest("checkpoint", "", __version__, snapshot.settings, {}, 0)
        artifacts.finish(partial, target, manifest, described=described)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    there = sorted(directory.glob("step-*[0-9]"))
    # What is newer was passed over as damaged, or is of steps that a spike made void.
    until_now = [path for path in there if path <= target]
    planned = [path for path in until_now if _is_planned(path, config)]
    for path in set(there) - set(until_now[-config.keep :]) - set(planned[-config.keep :]):
        shutil.rmtree(path, ignore_errors=True)


def _write_part(snapshot: _Snapshot, directory: Path, world: World) -> None:
    """Write this process's part of a checkpoint, once the first one has made room for it; tell what became of it."""
    told: dict[str, Any] = {"files": {}, "failed": "it was not begun"}
    try:
        if not world.hear(f"begun {snapshot.turn}"):
            told["files"] = _write_files(snapshot, _partial(directory / _name(snapshot)), world)
            told["failed"] = ""
    except Exception as error:
        told["failed"] = str(_as_failure(error, directory))
        raise
    finally:
        world.tell(f"part {snapshot.turn} {world.rank}", json.dumps(told))


def _write_files(snapshot: _Snapshot, partial: Path, world: World) -> dict[str, Any]:
    """Write the tensors; return what the manifest says of the files."""
    described = {}
    for name, tensors in snapshot.files.items():
        path = partial / (
            f"{name}.safetensors" if snapshot.parts is None else f"{name}-{world.rank:05d}.safetensors"
        )
        write_tensors(path, tensors, snapshot.parts[name] if snapshot.parts is not None else None)
        described[path.name] = artifacts.describe_file(path)
    return described


def _as_failure(error: Exception, directory: Path) -> MynahError:
    """Return what is told of an error: one of the system, or of Python, says where as well."""
    if isinstance(error, MynahError):
        return error
    why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return ArtifactError(f"{directory}: cannot be written: {why}")


def _is_planned(path: Path, config: TrainConfig) -> bool:
    """Whether a checkpoint is there whenever a run was cut off: what a spike goes back to."""
    return int(path.name.removeprefix("step-")) % config.checkpoint_every == 0


def _name(snapshot: _Snapshot) -> str:
    return f"step-{snapshot.progress['step']:07d}"


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _settings(state: TrainState) -> dict[str, Any]:
    return {"model": described(state.model), "train": state.config.deciding()}


def check_same(found: dict[str, Any], expected: dict[str, Any], path: Path) -> None:
    """Raise ArtifactError, naming the first difference, if a checkpoint is of other work."""
    for part, name in (("model", "another model"), ("train", "a run with other settings")):
        there, wanted = found.get(part, {}), expected[part]
        for key in {**wanted, **there}:
            if there.get(key) != wanted.get(key):
                raise ArtifactError(
                    f"{path}: a checkpoint of {name}: {key} is {there.get(key)} in it, {wanted.get(key)} here; "
                    f"name another folder, or delete {path.parent}"
                )
