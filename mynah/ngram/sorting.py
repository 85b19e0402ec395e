"""Sort more pairs of a key and a value than fit in memory: sorted runs on the disk, merged a block at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mynah.ngram.columns import Column
from mynah.ngram.workspace import Workspace

Keys = npt.NDArray[np.uint64]
Values = npt.NDArray[np.uint32]


class Sorter:
    """Takes pairs in any order and gives them back by key; pairs of one key come in any order.

    Args:
        workspace: where runs lie; in memory there is one run.
        name: of the files.
        bits: how many low bits of a key are used.
    """

    def __init__(self, workspace: Workspace, name: str, bits: int) -> None:
        self.workspace, self.name, self.bits = workspace, name, bits
        self._waiting: list[tuple[Keys, Values]] = []
        self._count = 0
        self._runs: list[tuple[Column, Column]] = []

    def add(self, keys: Keys, values: Values) -> None:
        """Take pairs."""
        self._waiting.append((keys, values))
        self._count += len(keys)
        if self.workspace.folder is not None and self._count >= self.workspace.block:
            self._spill()

    def _sorted(self) -> tuple[Keys, Values]:
        waiting, self._waiting, self._count = self._waiting, [], 0
        keys = np.concatenate([k for k, _ in waiting]) if len(waiting) != 1 else waiting[0][0]
        values = np.concatenate([v for _, v in waiting]) if len(waiting) != 1 else waiting[0][1]
        del waiting
        made: tuple[Keys, Values] = self.workspace.loops.sort_pairs(keys, values, self.bits)
        return made

    def _spill(self) -> None:
        keys, values = self._sorted()
        number = len(self._runs)
        run = (
            self.workspace.column(np.uint64, f"{self.name}-{number}-keys"),
            self.workspace.column(np.uint32, f"{self.name}-{number}-values"),
        )
        run[0].append(keys)
        run[1].append(values)
        self._runs.append(run)

    def blocks(self) -> Iterator[tuple[Keys, Values]]:
        """Yield all pairs by key; a key may go on from one block to the next."""
        if not self._runs:
            if self._count:
                yield self._sorted()
            return
        if self._count:
            self._spill()
        yield from self._merged()
        for run in self._runs:
            for column in run:
                column.drop()
        self._runs = []

    def _merged(self) -> Iterator[tuple[Keys, Values]]:
        indices = [0] * len(self._runs)
        share = max(1, self.workspace.block // len(self._runs))
        while True:
            heads = [
                run[0].read(index, min(index + share, len(run[0])))
                for run, index in zip(self._runs, indices, strict=True)
            ]
            # What is not above the last key that was read of any run that goes on can be given out now.
            ends = [
                head[-1]
                for head, index, run in zip(heads, indices, self._runs, strict=True)
                if index + len(head) < len(run[0])
            ]
            if not ends and not any(map(len, heads)):
                return
            taken = [
                len(head) if not ends else int(np.searchsorted(head, min(ends), side="right"))
                for head in heads
            ]
            keys = np.concatenate([head[:count] for head, count in zip(heads, taken, strict=True)])
            values = np.concatenate(
                [
                    run[1].read(index, index + count)
                    for run, index, count in zip(self._runs, indices, taken, strict=True)
                ]
            )
            indices = [index + count for index, count in zip(indices, taken, strict=True)]
            if len(keys):
                yield self.workspace.loops.sort_pairs(keys, values, self.bits)
