"""The inner loops of counting and scoring in NumPy; `compiled` has the same in Numba, which give the same arrays."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mynah.ngram.packed import PackedInts
from mynah.ngram.table import Logs, Table, find_child

Keys = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.uint32]
LN10 = float(np.log(10))
#: Up to so many items are taken one by one.
_FEW = 8
#: The id of what is no n-gram.
NONE = np.uint32(0xFFFFFFFF)


def sort_pairs(keys: Keys, values: Ids, bits: int) -> tuple[Keys, Ids]:
    """Return pairs by key, those of one key in the order in which they came.

    Args:
        keys: (N,) uint64; may be changed.
        values: (N,) uint32; may be changed.
        bits: how many low bits of a key are used.
    """
    order = np.argsort(keys, kind="stable")
    return keys[order], values[order]


def pair_keys(ids: Ids, tokens: Ids, bos: int, bits: int) -> tuple[Keys, Ids]:
    """Return for each position where an n-gram ends its key, and the position.

    Args:
        ids: (N + 1,) uint32: of the (n-1)-grams that end at the position before the first, and at each of N.
        tokens: (N,) uint32: at these positions.
        bos: the token that begins sentences: no n-gram of two or more tokens ends with it.
        bits: for an id in a key: id of the prefix << bits | id of the suffix.
    """
    indices = np.flatnonzero((ids[:-1] != NONE) & (tokens != bos))
    keys = (ids[indices].astype(np.uint64) << np.uint64(bits)) | ids[indices + 1]
    return keys, indices.astype(np.uint32)


def number(keys: Keys, before: int) -> tuple[Ids, npt.NDArray[np.int64]]:
    """Number sorted keys.

    Args:
        keys: (N,) sorted, not empty.
        before: the last key of what came before, -1 if nothing did.

    Returns:
        (N,) uint32: 0 for the key before, 1 for the first other one, ...; and (M,) int64: where each new one begins.
    """
    new = np.empty(len(keys), np.bool_)
    new[1:] = keys[1:] != keys[:-1]
    new[0] = before < 0 or int(keys[0]) != before
    return np.cumsum(new, dtype=np.uint32), np.flatnonzero(new)


def add_at(counts: Ids, index: Ids, low: int) -> None:
    """Add one to `counts[i - low]` for each i in `index` that is from `low` on and inside `counts`."""
    shifted = index.astype(np.int64) - low
    shifted = shifted[(shifted >= 0) & (shifted < len(counts))]
    counts += np.bincount(shifted, minlength=len(counts)).astype(np.uint32)


def find_children(
    offsets: Keys, offset_bits: int, tokens: Keys, token_bits: int, parents: Ids, wanted: Ids
) -> Ids:
    """Return the child of each parent with the wanted token, or `NONE`, (N,) uint32.

    Args:
        offsets: words of packed integers: the children of i are from offsets[i] to offsets[i + 1].
        offset_bits: of each of them.
        tokens: words of packed integers: the token of each child, sorted among the children of one parent.
        token_bits: of each of them.
        parents: (N,) uint32; `NONE` has no children.
        wanted: (N,) uint32.
    """
    first, last = PackedInts(offsets, offset_bits, 0), PackedInts(tokens, token_bits, 0)
    if len(parents) <= _FEW:  # as in decoding: plain numbers are faster than arrays of a few
        pairs = zip(parents.tolist(), wanted.tolist(), strict=True)
        one_by_one = (NONE if p == NONE else find_child(first, last, p, token) for p, token in pairs)
        return np.array([NONE if child is None else child for child in one_by_one], np.uint32)
    there = np.flatnonzero(parents != NONE)
    found = np.full(len(parents), NONE, np.uint32)
    parent, token = parents[there].astype(np.int64), wanted[there].astype(np.int64)
    low, end = first.at(parent), first.at(parent + 1)
    high = end.copy()
    while (open_ := np.flatnonzero(low < high)).size:  # a binary search for all of them at once
        middle = (low[open_] + high[open_]) >> 1
        less = last.at(middle) < token[open_]
        low[open_[less]] = middle[less] + 1
        high[open_[~less]] = middle[~less]
    inside = np.flatnonzero(low < end)
    hit = inside[last.at(low[inside]) == token[inside]]
    found[there[hit]] = low[hit].astype(np.uint32)
    return found


def settle(
    order: int,
    contexts: Ids,
    found: Ids,
    backoffs: Logs,
    log_probs: Logs,
    total: npt.NDArray[np.float64],
    orders: npt.NDArray[np.uint8],
) -> None:
    """Go on from the score of a higher order to that of the next lower one, until an n-gram is there.

    So no probability is read but the one that counts.

    Args:
        order: the lower one.
        contexts, found: (N,) ids of the contexts and of the n-grams, `NONE` for what is not there.
        backoffs: of the order below.
        log_probs: of this order.
        total: (N,) log10 of what the higher orders leave for this one; changed.
        orders: (N,) the n-gram that was there, 0 where none was so far; changed.
    """
    open_ = orders == 0
    hit = np.flatnonzero(open_ & (found != NONE))
    missed = np.flatnonzero(open_ & (found == NONE) & (contexts != NONE))
    total[missed] += backoffs.at(contexts[missed])
    total[hit] += log_probs.at(found[hit])
    orders[hit] = order


def scatter(
    contexts: Ids, table: Table, beyond: npt.NDArray[np.float32], out: npt.NDArray[np.float32]
) -> None:
    """Write what follows each context into its row.

    Args:
        contexts: (B,) ids, or `NONE`.
        table: of what follows them.
        beyond: (B,) what is added to each natural log-probability.
        out: (B, V) changed.
    """
    there = np.flatnonzero(contexts != NONE)
    if len(there) <= _FEW:
        for row, context in zip(there.tolist(), contexts[there].tolist(), strict=True):
            begin, end = table.children(context)
            logs = table.log_probs.range(begin, end) * np.float32(LN10)
            out[row, table.tokens.range(begin, end)] = logs + beyond[row]
        return
    low = table.offsets.at(contexts[there])
    sizes = table.offsets.at(contexts[there].astype(np.int64) + 1) - low
    ends = np.cumsum(sizes)
    if not len(ends) or not ends[-1]:
        return
    rows = np.repeat(there, sizes)
    indices = np.arange(ends[-1]) + np.repeat(low - (ends - sizes), sizes)
    values = table.log_probs.at(indices) * np.float32(LN10)
    out[rows, table.tokens.at(indices)] = values + beyond[rows]


class Words:
    """Words by id: end to end, and as a list.

    Args:
        flat: (bytes,) uint8.
        begins: (V + 1,) int64: where each word begins.
    """

    def __init__(self, flat: npt.NDArray[np.uint8], begins: npt.NDArray[np.int64]) -> None:
        self.flat, self.begins = flat, begins

    @cached_property
    def listed(self) -> list[bytes]:
        """The words."""
        whole = self.flat.tobytes()
        return [whole[begin:end] for begin, end in pairwise(self.begins.tolist())]


def arpa_lines(
    log_probs: npt.NDArray[np.float32], rows: Ids, backoffs: npt.NDArray[np.float32] | None, words: Words
) -> bytes:
    """Return lines of an ARPA file.

    Args:
        log_probs: (M,), each below 1000 in size.
        rows: (M, n) uint32: the words of each n-gram.
        backoffs: (M,), likewise, or None.
        words: by id.
    """
    columns = [map(words.listed.__getitem__, column) for column in rows.T.tolist()]
    shown = map(b" ".join, zip(*columns, strict=True))
    # Adding 0 makes 0 of -0.
    if backoffs is None:
        return b"".join(b"%.8f\t%b\n" % line for line in zip((log_probs + 0).tolist(), shown, strict=True))
    lines = zip((log_probs + 0).tolist(), shown, (backoffs + 0).tolist(), strict=True)
    return b"".join(b"%.8f\t%b\t%.8f\n" % line for line in lines)
