"""From counts to probabilities, order by order.

    p(w | h) = own(hw)  +  weight(h) * p(w | h')

where h' is the context without its oldest token; what `own` and `weight` are, the smoothing says. The recursion
ends in the uniform distribution over all tokens but the one that begins sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mynah.ngram.backoff import BackoffModel
from mynah.ngram.columns import Column
from mynah.ngram.counting import Level
from mynah.ngram.packed import Packer, bits_for
from mynah.ngram.smoothing import Smoothing
from mynah.ngram.table import Logs, Table
from mynah.ngram.workspace import Watch, Workspace, in_order

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Estimated:
    """Probabilities of one order, by id."""

    #: (M,) float64: p(last token | prefix)
    probabilities: Column
    #: (M,) float64: the n-gram's weight as a context, 1 where nothing was seen to follow it; empty at the highest
    #: order
    weights: Column


def counts_of_counts(level: Level, workspace: Workspace) -> list[int]:
    """Return how many n-grams have a count of 1, 2, 3 and 4."""
    found = np.zeros(6, np.int64)
    for start, stop in workspace.pieces(len(level)):
        found += np.bincount(np.minimum(level.counts.read(start, stop), 5), minlength=6)
    return [int(count) for count in found[1:5]]


def estimate(
    levels: Sequence[Level],
    vocab_size: int,
    smoothing: Smoothing,
    workspace: Workspace,
    watch: Watch | None = None,
) -> list[Estimated]:
    """Estimate all orders, from the lowest up.

    Args:
        levels: as `count` gives them, adjusted if the smoothing wants it.
        vocab_size: number of ids, the one that begins sentences included.
        smoothing: the method.
        workspace: where columns lie.
        watch: told after each order.
    """
    result: list[Estimated] = []
    for level in levels:
        if watch is not None:
            watch(f"estimating {level.order}-grams", level.order - 1, len(levels))
        smoothing.prepare(level.order, counts_of_counts(level, workspace))
        made = Estimated(
            workspace.column(np.float64, f"{level.order}-probabilities"),
            workspace.column(np.float64, f"{level.order}-weights"),
        )
        _estimate(level, made, result[-1] if result else None, vocab_size - 1, smoothing, workspace)
        result.append(made)
    return result


def _estimate(
    level: Level,
    made: Estimated,
    below: Estimated | None,
    vocab_size: int,
    smoothing: Smoothing,
    workspace: Workspace,
) -> None:
    """Fill the probabilities of an order, and the weights of the order below."""
    uniform = 1.0 / vocab_size

    def piece(start: int, stop: int) -> tuple[Floats, int, Floats]:
        """Return probabilities, the first context of the piece, and the weights from it to its last one."""
        prefixes = level.prefixes.read(start, stop)
        starts = np.flatnonzero(np.concatenate([[True], prefixes[1:] != prefixes[:-1]]))
        own, weights = smoothing.share(level.counts.read(start, stop).astype(np.float64), starts, vocab_size)
        if level.kept is not None:
            # The mass of what is left out goes to the shorter context, as KenLM's lmplz has it.
            kept = level.kept.read(start, stop)
            weights = weights + np.add.reduceat(np.where(kept, 0.0, own), starts)
            own[~kept] = 0.0
        each = np.repeat(weights, np.diff(np.append(starts, len(own))))
        if smoothing.interpolated and (below is None or smoothing.uniform):
            own += uniform * each
        elif smoothing.interpolated and below is not None:
            own += each * _gather(below.probabilities, level.suffixes.read(start, stop), workspace)
        contexts = prefixes[starts].astype(np.int64)
        first = int(contexts[0])
        # A context that nothing follows has no n-gram here, but its number is between those that have.
        scattered = np.ones(int(contexts[-1]) + 1 - first)
        scattered[contexts - first] = weights
        return own, first, scattered

    for own, first, weights in in_order(piece, _whole_contexts(level, workspace)):
        made.probabilities.append(own)
        if below is not None:
            below.weights.append(np.ones(first - len(below.weights)))
            below.weights.append(weights)
    if below is not None:
        below.weights.append(np.ones(len(below.probabilities) - len(below.weights)))


def _gather(column: Column, indices: npt.NDArray[np.uint32], workspace: Workspace) -> npt.NDArray[Any]:
    """Return the values of a column at indices in any order; one too long for memory is read in blocks."""
    if len(column) <= workspace.block:
        return column.read().take(indices)
    found = np.empty(len(indices), column.dtype)
    for low, high in workspace.blocks(len(column)):
        inside = np.flatnonzero((indices >= low) & (indices < high))
        found[inside] = column.read(low, high).take(indices[inside] - np.uint32(low))
    return found


def _whole_contexts(level: Level, workspace: Workspace) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of pieces of a level that do not cut what belongs to one context."""
    start, length, piece = 0, len(level), workspace.piece
    while start < length:
        stop = min(start + piece, length)
        while stop < length:
            prefixes = level.prefixes.read(start, stop + 1)
            inside = np.flatnonzero(prefixes[1:] != prefixes[:-1])
            if len(inside):
                stop = start + int(inside[-1]) + 1
                break
            stop = min(stop + piece, length)
        yield start, stop
        start = stop


def to_tables(
    levels: Sequence[Level],
    estimated: Sequence[Estimated],
    bos: int,
    smoothing: Smoothing,
    workspace: Workspace,
    compact: bool,
) -> BackoffModel:
    """Return what was estimated as tables, whose arrays lie where the columns lie.

    Args:
        levels, estimated: give back what they take, order by order.
        compact: whether logarithms are rounded to 16 bits.
    """
    tables: list[Table] = []
    last: Column | None = None  # the last tokens of the order below, of all its n-grams
    kept_below: Column | None = None
    for level, made in zip(levels, estimated, strict=True):
        tokens = _last_tokens(level, last, workspace)
        name = f"{level.order}-"
        packed = Packer(workspace.column(np.uint64, name + "packed"), bits_for(len(levels[0]) - 1))
        log_probs = workspace.column(np.float32, name + "log-probs")
        backoffs = workspace.column(np.float32, name + "backoffs")
        for start, stop in workspace.pieces(len(level)):
            chosen = level.kept.read(start, stop) if level.kept is not None else slice(None)
            packed.append(tokens.read(start, stop)[chosen])
            with np.errstate(divide="ignore"):
                log_probs.append(np.log10(made.probabilities.read(start, stop)[chosen]))
                if len(made.weights):
                    backoffs.append(np.log10(made.weights.read(start, stop)[chosen]))
        offsets = _offsets(level, kept_below, 1 if last is None else len(last), workspace)
        if last is None:
            log_probs.write(bos, np.array([-np.inf], np.float32))
        logs = Logs(log_probs.map()), Logs(backoffs.map())
        if compact:
            logs = logs[0].rounded(), logs[1].rounded()
        tables.append(Table(packed.finish(), *logs, offsets.finish()))
        if last is not None:
            last.drop()
        last, kept_below = tokens, level.kept
        for column in (level.prefixes, level.suffixes, level.counts, made.probabilities, made.weights):
            column.drop()
    return BackoffModel(tuple(tables), bos, smoothing.uniform)


def _last_tokens(level: Level, below: Column | None, workspace: Workspace) -> Column:
    """Return the column of last tokens: those of the suffixes."""
    tokens = workspace.column(np.uint32, f"{level.order}-tokens")

    def piece(start: int, stop: int) -> npt.NDArray[np.uint32]:
        if below is None:
            return np.arange(start, stop, dtype=np.uint32)
        return _gather(below, level.suffixes.read(start, stop), workspace)

    for made in in_order(piece, workspace.pieces(len(level))):
        tokens.append(made)
    return tokens


def _offsets(level: Level, kept_below: Column | None, contexts: int, workspace: Workspace) -> Packer:
    """Return where the n-grams of each context begin among those that are kept; only contexts that are kept count."""
    total = len(level)
    if level.kept is not None:
        total = sum(int(level.kept.read(*at).sum()) for at in workspace.pieces(len(level)))
    packer = Packer(workspace.column(np.uint64, f"{level.order}-offsets"), bits_for(total))

    def put(first: int, indices: npt.NDArray[np.int64]) -> None:
        if kept_below is not None:
            indices = indices[kept_below.read(first, first + len(indices))]
        packer.append(indices.astype(np.uint64))

    done = before = 0
    for start, stop in workspace.pieces(len(level)):
        prefixes = level.prefixes.read(start, stop)
        kept = level.kept.read(start, stop) if level.kept is not None else np.ones(stop - start, np.bool_)
        indices = before + np.concatenate([[0], np.cumsum(kept)])
        upto = int(prefixes[-1]) + 1 if stop < len(level) else contexts
        # A context that began in the piece before has its index already.
        put(done, indices[np.searchsorted(prefixes, np.arange(done, upto))])
        done, before = max(done, upto), int(indices[-1])
    if done < contexts:  # an order without n-grams
        put(done, np.full(contexts - done, before))
    packer.append(np.array([total], np.uint64))
    return packer
