"""Rows of whole conversations side by side, for fine-tuning.

B rows, T tokens, P tokens that most conversations begin with.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from mynah.errors import DataError
from mynah.model.attention import PREFIX
from mynah.model.transformer import IGNORE
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.template import HEARD, SAID
from mynah.train.batches import TokenBatch, ramp_for
from mynah.train.ramp import BatchRamp

#: What becomes of a conversation that is longer than a row.
LongRows = Literal["split", "cut", "drop"]
#: Pieces that keep an order are packed into rows so many at once.
PACKED_AT_ONCE = 256
#: What stands once at the beginning of a row is what this share of conversations begin with, if it is so many tokens.
SHARING, LEAST_SHARED = 0.7, 4


@dataclass(frozen=True)
class Repeats:
    """What is done where replies repeat; see `TrainConfig.spread` and `TrainConfig.known_after`."""

    spread: bool = False
    known_after: int = 0


class PackedBatches:
    """Rows of whole conversations side by side, for fine-tuning: loss on replies alone.

    Tokens see their own conversation only (the segments say so). A conversation longer than a row is split into
    pieces that overlap by half, so that every reply is learned once, and with context; or as `long` says.

    With `word_dropout`, that share of what others say is blanked out, anew each time (Bowman et al. 2016),
    so that a reply hangs on all words of a question and not on the few that came with it before.

    With `share_prefix`, what most conversations begin with, a system text and the marker of the first speaker, stands
    once at the beginning of a row, and each conversation of the row goes on from there. Losses and gradients are those
    of conversations that each have it themselves, as what comes first in a text depends on nothing after it.
    """

    def __init__(
        self,
        data: TokenSet,
        batch_size: int | BatchRamp,
        context_length: int,
        seed: int,
        word_dropout: float = 0.0,
        repeats: Repeats = Repeats(),
        share_prefix: bool = False,
        long: LongRows = "split",
    ) -> None:
        """Raises DataError if no record holds a reply, or none that is short enough where longer ones are dropped."""
        self.data, self.seed, self.context_length = data, seed, context_length
        self.ramp, self.word_dropout = ramp_for(batch_size), word_dropout
        pieces = _pieces(data, context_length, long)
        if not len(pieces):
            dropped = (
                f" that fits into {context_length} tokens, and longer ones are dropped"
                if long == "drop"
                else ""
            )
            raise DataError(f"no conversation with a reply to learn from{dropped}")
        #: the beginning-of-text token, which stands nowhere inside a text, stands for a blank
        self.blank = int(data.tokens[0])
        pieces = pieces[np.random.default_rng(seed).permutation(len(pieces))]
        self.in_order = repeats.spread
        if repeats.spread or repeats.known_after:
            pieces = _by_repeats(data, pieces, repeats)
        self.pieces = pieces
        #: (P,) what stands once at the beginning of a row, and which pieces leave it out
        self.prefix: npt.NDArray[np.integer[Any]] = data.tokens[:0]
        sharing = np.zeros(len(pieces), np.bool_)
        if share_prefix:
            self.prefix, sharing = _prefix_of_most(data, pieces, context_length // 2)
        #: of each row, how many tokens stand once at its beginning, and the pieces that follow
        self.packed: list[tuple[int, list[int]]] = []
        at_once = PACKED_AT_ONCE if repeats.spread else len(pieces)
        for first in range(0, len(pieces), at_once):
            window = np.arange(first, min(len(pieces), first + at_once))
            for shared in (len(self.prefix), 0) if len(self.prefix) else (0,):
                alike = window[sharing[window] == (shared > 0)]
                lengths = pieces[alike, 1] - pieces[alike, 0] - shared
                rows = _pack(lengths, context_length - shared)
                self.packed += [(shared, alike[row].tolist()) for row in rows]
        self.rows = len(self.packed)
        self._order = lru_cache(2)(self._new_order)

    def __call__(self, step: int) -> TokenBatch:
        """Return the batch of a step."""
        numbers = self.ramp.rows_of(step)
        B, T = len(numbers), self.context_length
        tokens, targets = np.zeros((B, T), np.int64), np.full((B, T), IGNORE)
        segments, positions = np.full((B, T), -1), np.full((B, T), -1)
        heard, places = np.zeros((B, T), np.bool_), np.zeros((B, T), np.int64)
        for b, number in enumerate(numbers):
            epoch, index = divmod(number, self.rows)
            shared, pieces = self.packed[int(self._order(epoch)[index])]
            tokens[b, :shared], segments[b, :shared] = self.prefix[:shared], PREFIX
            places[b, :shared] = np.arange(shared)
            t = shared
            for segment, piece in enumerate(pieces):
                begin, end, counted = self.pieces[piece].tolist()
                begin, counted = begin + shared, max(counted, begin + shared)
                own = slice(t, t + end - begin)
                tokens[b, own] = self.data.tokens[begin:end]
                part = self.data.part[begin : end + 1]
                wanted = part[1:] == SAID
                wanted[: counted - begin] = False
                targets[b, own] = np.where(
                    wanted, self.data.tokens[begin + 1 : end + 1].astype(np.int64), IGNORE
                )
                heard[b, own] = part[:-1] == HEARD
                segments[b, own] = segment
                positions[b, own] = np.arange(begin, end)
                places[b, own] = np.arange(shared, shared + end - begin)
                t += end - begin
        read = torch.from_numpy(tokens)
        if self.word_dropout:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            blanked = torch.rand(B, T, generator=generator) < self.word_dropout
            read = torch.where(blanked & torch.from_numpy(heard), self.blank, read)
        return TokenBatch(
            read, torch.from_numpy(targets), torch.from_numpy(segments), positions, self.data.prior,
            torch.from_numpy(places) if len(self.prefix) else None,
        )  # fmt: skip

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self.in_order and epoch == 0:
            return np.arange(self.rows)
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)


def _pieces(data: TokenSet, context_length: int, long: LongRows = "split") -> npt.NDArray[np.int64]:
    """Return every record cut so that each piece fits a row, if it holds a target; only replies are targets.

    Args:
        data: the conversations.
        context_length: tokens of a row.
        long: what becomes of a longer record (`TrainConfig.long`).

    Returns:
        (P, 3): the position of a piece's first token and of the one after its last, and from which position on what
        follows a token counts: what stands before was learned with the piece before.
    """
    pieces = []
    for begin, end in zip(data.starts[:-1].tolist(), (data.starts[1:] - 1).tolist(), strict=True):
        done = first = begin
        if long != "split" and end - begin > context_length:
            first = done = end - context_length
            if long == "cut" and (data.part[first + 1 : end + 1] == SAID).any():
                pieces.append((first, end, done))
            continue
        while True:
            last = min(first + context_length, end)
            if (data.part[done + 1 : last + 1] == SAID).any():
                pieces.append((first, last, done))
            done, first = last, first + max(1, context_length // 2)
            if last == end:
                break
    return np.array(pieces, np.int64).reshape(-1, 3)


def _prefix_of_most(
    data: TokenSet, pieces: npt.NDArray[np.int64], longest: int
) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.bool_]]:
    """Return what at least `SHARING` of the conversations begin with, none of which has anything to predict within it.

    Args:
        data: the conversations.
        pieces: (N, 3), as `_pieces` has them; only those that begin a conversation count.
        longest: at most so many tokens.

    Returns:
        (P,) tokens, as many as possible, and (N,) which pieces begin with them; no token if they would be fewer
        than `LEAST_SHARED`.
    """
    begins, ends = pieces[:, 0], pieces[:, 1]
    sharing = np.isin(begins, data.starts)
    least = max(2.0, SHARING * np.count_nonzero(sharing))
    prefix: list[int] = []
    while len(prefix) < longest:
        at = np.minimum(begins + len(prefix), len(data.tokens) - 2)
        go_on = sharing & (at + 1 < ends) & (data.part[at + 1] != SAID)
        if not go_on.any():
            break
        found, counts = np.unique(data.tokens[at[go_on]], return_counts=True)
        if counts.max() < least:
            break
        most = found[counts.argmax()]
        sharing = go_on & (data.tokens[at] == most)
        prefix.append(int(most))
    if len(prefix) < LEAST_SHARED:
        return data.tokens[:0], np.zeros(len(pieces), np.bool_)
    return np.array(prefix, data.tokens.dtype), sharing


def _by_repeats(data: TokenSet, pieces: npt.NDArray[np.int64], repeats: Repeats) -> npt.NDArray[np.int64]:
    """Put pieces in the order of how often their last reply was read before, and cut those whose end is known by then.

    Args:
        data: the conversations.
        pieces: (P, 3), as `_pieces` has them, in any order.
        repeats: what is asked for.

    Returns:
        (P, 3), pieces likewise.
    """
    begins = np.empty(len(pieces), np.int64)  # of the last reply, the first token that is predicted
    replies: list[bytes] = []
    for p, (begin, end, _) in enumerate(pieces.tolist()):
        said = data.part[begin : end + 1] == SAID
        last = int(np.flatnonzero(said)[-1]) + 1
        before = np.flatnonzero(~said[:last])
        begins[p] = begin + (int(before[-1]) + 1 if len(before) else 0)
        replies.append(data.tokens[begins[p] : begin + last].tobytes())
    differs = _differs_after(sorted(set(replies)), data.tokens.dtype.itemsize)
    read: Counter[bytes] = Counter()
    times = np.empty(len(pieces), np.int64)
    cut = pieces.copy()
    for p, reply in enumerate(replies):
        times[p] = read[reply]
        read[reply] += 1
        if repeats.known_after and times[p] >= repeats.known_after:
            # The one token more that a piece predicts beyond its end shows how it goes on; of a reply that was begun in
            # the piece before, the first new token is still learned.
            end = max(begins[p] + differs[reply], pieces[p, 2] + 1)
            cut[p, 1] = min(pieces[p, 1], end)
    return cut[np.argsort(times, kind="stable")] if repeats.spread else cut


def _differs_after(replies: Sequence[bytes], size: int) -> dict[bytes, int]:
    """Return after how many tokens each of some different replies, sorted, is none of the others."""
    shared = [0]
    for one, other in itertools.pairwise(replies):
        same = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        shared.append(same // size)
    shared.append(0)
    return {reply: max(shared[i], shared[i + 1]) + 1 for i, reply in enumerate(replies)}


def _pack(lengths: npt.NDArray[np.int64], context_length: int) -> list[list[int]]:
    """Fill rows by best fit: each piece goes to the fullest row that still has room for it.

    Args:
        lengths: (P,) of the pieces.
        context_length: of a row.

    Returns:
        The pieces of each row.
    """
    rows: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    for piece, n in enumerate(lengths.tolist()):
        room = min((r for r in by_room if r >= n), default=None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, context_length
        else:
            row = by_room[room].pop()
            if not by_room[room]:
                del by_room[room]
        rows[row].append(piece)
        if room - n > 0:
            by_room.setdefault(room - n, []).append(row)
    return rows
