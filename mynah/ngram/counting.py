"""Count the n-grams of all orders of a token stream, in bounded memory.

An n-gram is known by two shorter ones: its prefix, all but its last token, and its suffix, all but its first. Both
have ids at the order below, so that one 64-bit key stands for it whatever the order and the vocabulary, and sorting
the keys numbers the n-grams anew: by prefix, among those of one prefix by last token. So what follows a context
lies together, and its suffix, of which interpolation asks, is at hand.

What is held of an order is three numbers an n-gram. The stream itself is one number a token: the id of the n-gram
that ends there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mynah.errors import DataError
from mynah.ngram.columns import Column
from mynah.ngram.kernels import NONE
from mynah.ngram.sorting import Sorter
from mynah.ngram.workspace import Watch, Workspace

#: Ids have 32 bits, and the last one means none.
MOST = int(NONE)


@dataclass
class Level:
    """The distinct n-grams of one order, M of them, by id; of order 1 every token of the vocabulary is there.

    Ids are given by prefix, then by last token, so that the n-grams of a context lie together.
    """

    order: int
    #: (M,) uint32: the (n-1)-gram without the last token; of order 1 always 0
    prefixes: Column
    #: (M,) uint32: the (n-1)-gram without the first token; of order 1 always 0
    suffixes: Column
    #: (M,) uint32: how often it stands in the text, or in how many different tokens' wake
    counts: Column
    #: those that begin a sentence: ids from the first to the second
    opening: tuple[int, int]
    #: (M,) bool: whether it stands in the text often enough to be in the model; None: all are
    kept: Column | None = None

    def __len__(self) -> int:
        return len(self.counts)


def count(
    tokens: Column,
    bos: int,
    vocab_size: int,
    order: int,
    workspace: Workspace,
    *,
    adjusted: bool = True,
    prune: Sequence[int] = (),
    watch: Watch | None = None,
) -> list[Level]:
    """Count.

    Args:
        tokens: (N,) uint32 ids; every sentence begins with `bos`, which stands nowhere else.
        bos: see above.
        vocab_size: number of ids.
        order: the highest one.
        workspace: where what does not fit in memory lies.
        adjusted: whether orders below the highest count different left neighbours (Kneser-Ney), not occurrences.
        prune: for each order, n-grams that stand in the text so often or less are marked as not kept; the last one
            counts for all higher orders. Never falling, so that what is kept has its prefix and suffix kept.
        watch: told after each order.

    Returns:
        The levels of orders 1 to `order`.

    Raises:
        DataError: if there are more tokens or n-grams than 32 bits can number.
    """
    if len(tokens) >= MOST:
        raise DataError(f"{len(tokens):,} tokens; n-grams are counted over at most {MOST - 1:,}")
    levels = [_unigrams(tokens, bos, vocab_size, workspace)]
    ids = tokens
    for n in range(2, order + 1):
        if watch is not None:
            watch(f"counting {n}-grams", n - 2, order - 1)
        level, ids_above = _next(levels[-1], ids, tokens, bos, workspace, last=n == order)
        if ids is not tokens:
            ids.drop()
        levels.append(level)
        ids = ids_above
    if ids is not tokens:
        ids.drop()
    for level in levels:
        least = prune[min(level.order, len(prune)) - 1] if prune else 0
        if least > 0:
            level.kept = workspace.column(np.bool_, f"{level.order}-kept")
            for start, stop in workspace.pieces(len(level)):
                level.kept.append(level.counts.read(start, stop) > least)
    for lower, higher in itertools.pairwise(levels) if adjusted else ():
        _adjust(lower, higher, workspace)
    levels[0].counts.write(bos, np.zeros(1, np.uint32))  # context only: never predicted
    return levels


def _unigrams(tokens: Column, bos: int, vocab_size: int, workspace: Workspace) -> Level:
    counts = np.zeros(vocab_size, np.uint32)
    for start, stop in workspace.pieces(len(tokens)):
        workspace.loops.add_at(counts, tokens.read(start, stop), 0)
    level = Level(
        1,
        workspace.column(np.uint32, "1-prefixes"),
        workspace.column(np.uint32, "1-suffixes"),
        workspace.column(np.uint32, "1-counts"),
        (bos, bos + 1),
    )
    level.prefixes.append(np.zeros(vocab_size, np.uint32))
    level.suffixes.append(np.zeros(vocab_size, np.uint32))
    level.counts.append(counts)
    return level


def _next(
    below: Level, ids: Column, tokens: Column, bos: int, workspace: Workspace, last: bool
) -> tuple[Level, Column]:
    """Return the level above `below`, and the column of ids of its n-grams by where they end (empty for the last)."""
    n = below.order + 1
    bits = max(1, (len(below) - 1).bit_length())
    sorter = Sorter(workspace, f"{n}-run", 2 * bits)
    for start, stop in workspace.pieces(len(tokens)):
        before = ids.read(start - 1, start) if start else np.array([NONE], np.uint32)
        around = np.concatenate([before, ids.read(start, stop)])
        keys, indices = workspace.loops.pair_keys(around, tokens.read(start, stop), bos, bits)
        sorter.add(keys, indices + np.uint32(start))
    prefixes, suffixes = (
        workspace.column(np.uint32, f"{n}-prefixes"),
        workspace.column(np.uint32, f"{n}-suffixes"),
    )
    level = Level(n, prefixes, suffixes, workspace.column(np.uint32, f"{n}-counts"), (0, 0))
    by_index = _ByIndex(workspace, f"{n}-ids", 0 if last else len(tokens))
    made, key, pending = 0, -1, 0
    for keys, indices in sorter.blocks():
        numbers, begins = workspace.loops.number(keys, key)
        if made + len(begins) >= MOST:
            raise DataError(f"more than {MOST:,} different {n}-grams; expected a lower order or less text")
        if not last:
            by_index.add(indices, (numbers.astype(np.int64) + (made - 1)).astype(np.uint32))
        first = keys[begins]
        level.prefixes.append((first >> np.uint64(bits)).astype(np.uint32))
        level.suffixes.append((first & np.uint64((1 << bits) - 1)).astype(np.uint32))
        # The last n-gram of a block may go on in the next one: its count waits until another key comes.
        runs = np.diff(np.append(begins, len(keys)))
        pending += int(begins[0]) if len(begins) else len(keys)
        if len(begins):
            level.counts.append(np.append([pending] if made else [], runs[:-1]))
            pending = int(runs[-1])
        made, key = made + len(begins), int(keys[-1])
    if made:
        level.counts.append(np.array([pending]))
    low, high = below.opening
    level.opening = _range_of(level.prefixes, low), _range_of(level.prefixes, high)
    return level, by_index.column()


def _range_of(prefixes: Column, wanted: int) -> int:
    """Return the first index of a sorted column with `wanted` or more, by bisection."""
    low, high = 0, len(prefixes)
    while low < high:
        middle = (low + high) // 2
        if int(prefixes.read(middle, middle + 1)[0]) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


class _ByIndex:
    """Takes ids with their indices in any order, and makes of them a column by index."""

    def __init__(self, workspace: Workspace, name: str, length: int) -> None:
        self.workspace, self.name, self.length = workspace, name, length
        #: all of it, where it fits
        self.whole = (
            np.full(length, NONE, np.uint32)
            if workspace.folder is None or length <= workspace.block
            else None
        )
        self.sorter = Sorter(workspace, f"{name}-run", max(1, length.bit_length()))

    def add(self, indices: np.ndarray, ids: np.ndarray) -> None:
        """Take ids."""
        if self.whole is not None:
            self.whole[indices] = ids
        else:
            self.sorter.add(indices.astype(np.uint64), ids)

    def column(self) -> Column:
        """Return the column; `NONE` stands where nothing was given."""
        column = self.workspace.column(np.uint32, self.name)
        if self.whole is not None:
            column.append(self.whole)
            return column
        done = 0
        for indices, ids in self.sorter.blocks():
            piece = np.full(int(indices[-1]) + 1 - done, NONE, np.uint32)
            piece[(indices - np.uint64(done)).astype(np.int64)] = ids
            column.append(piece)
            done += len(piece)
        column.append(np.full(self.length - done, NONE, np.uint32))
        return column


def _adjust(level: Level, above: Level, workspace: Workspace) -> None:
    """Replace raw counts by how many different tokens an n-gram follows; what begins a sentence keeps its own.

    Kneser & Ney 1995; Heafield et al. 2013, section 3.2.
    """
    for low, high in workspace.blocks(len(level)):
        counts = np.zeros(high - low, np.uint32)
        for start, stop in workspace.pieces(len(above)):
            workspace.loops.add_at(counts, above.suffixes.read(start, stop), low)
        first, last = max(low, level.opening[0]), min(high, level.opening[1])
        if first < last:
            counts[first - low : last - low] = level.counts.read(first, last)
        level.counts.write(low, counts)
