"""What training tells of itself: lines of JSON, event files for TensorBoard, and Weights & Biases if asked for."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mynah import artifacts
from mynah.errors import MissingDependency
from mynah.train.config import TrainConfig

METRICS = "metrics.jsonl"


class Board(Protocol):
    """Whoever draws curves."""

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take the values of a step."""

    def close(self) -> None:
        """Write what is left."""


class Metrics:
    """Writes `metrics.jsonl`, whose lines are the same however often training was cut off, and feeds the boards.

    What differs from run to run (speed, memory) goes to the boards alone.
    """

    def __init__(self, directory: Path | None, config: TrainConfig, lines: int, step: int) -> None:
        """Open the files of a run that goes on with the first `lines` lines, from `step`.

        Raises:
            MissingDependency: if Weights & Biases is asked for and not installed.
            ArtifactError: if a file cannot be written.
        """
        self.path = directory / METRICS if directory is not None else None
        self.lines = 0
        self.boards: list[Board] = []
        if directory is not None:
            events = directory / artifacts.OBSERVED
            artifacts.make_directory(events)
            self.cut(lines)
            self.boards.append(_EventFiles(events, step + 1 if step else 0))
            if config.wandb:
                self.boards.append(_WeightsAndBiases(config, events))

    def cut(self, lines: int) -> None:
        """Leave the first `lines` lines."""
        if self.path is None:
            return
        there = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.is_file() else []
        # The last line may have been cut off with the process.
        kept = [line for line in there[:lines] if line.endswith("\n")]
        artifacts.write_text(self.path, "".join(kept))
        self.lines = len(kept)

    def note(self, row: Mapping[str, Any], observed: dict[str, float] | None = None) -> None:
        """Add a line, which must hold `step`; numbers of it, and what was observed, go to the boards."""
        if self.path is None:
            return
        artifacts.append(self.path, (json.dumps(row, sort_keys=True) + "\n").encode())
        self.lines += 1
        numbers = {k: float(v) for k, v in row.items() if k != "step" and isinstance(v, int | float)}
        for board in self.boards:
            board.add(int(row["step"]), {**numbers, **(observed or {})})

    def sync(self) -> None:
        """Push the lines so far to the disk."""
        if self.path is not None and self.path.is_file():
            artifacts.sync_file(self.path)

    def close(self) -> None:
        """Close the boards."""
        for board in self.boards:
            board.close()


class _EventFiles:
    """TensorBoard's event files; a step that is taken again hides what an earlier attempt said of it.

    tensorboardX has the messages and their checksum. Its own writer is a thread, which dies with the disk and lets
    training wait for ever.
    """

    def __init__(self, directory: Path, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self.path = directory / name
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if step:
            self._write(
                Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))
            )

    def add(self, step: int, values: dict[str, float]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        rows = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=rows)))

    def close(self) -> None:
        """Everything is in the file already."""

    def _write(self, event: Any) -> None:
        """Add a TFRecord: length, its checksum, the message, its checksum."""
        from tensorboardX.record_writer import masked_crc32c

        message = event.SerializeToString()
        length = struct.pack("<Q", len(message))
        sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, message))
        artifacts.append(self.path, length + next(sums) + message + next(sums))


class _WeightsAndBiases:
    """Weights & Biases; WANDB_MODE=offline keeps it on this machine."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingDependency("wandb", "wandb", "the setting wandb") from None
        os.environ.setdefault("WANDB_SILENT", "true")
        self.run = wandb.init(
            project=config.wandb,
            config=config.model_dump(mode="json"),
            dir=str(folder),
        )

    def add(self, step: int, values: dict[str, float]) -> None:
        self.run.log(values, step=step)

    def close(self) -> None:
        self.run.finish()
