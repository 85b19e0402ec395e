"""Batches as pure functions of (seed, step): nothing to save, nothing to replay on resume.

B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.errors import DataError
from mynah.model.transformer import IGNORE, PriorAt
from mynah.tokenizer.dataset import HEARD, SAID, TokenSet
from mynah.train.ramp import BatchRamp, batch_ramp

if TYPE_CHECKING:  # n-gram models are not needed to train without one
    from mynah.ngram.prior import TextPrior


@dataclass(frozen=True)
class Batch:
    """Rows for one step."""

    #: (B, T) int64
    tokens: Tensor
    #: (B, T) int64, the token that follows each, or IGNORE
    targets: Tensor
    #: (B, T) int64, equal within a record; None if rows are plain running text
    segments: Tensor | None = None
    #: (B, T) int64: where each token stands in the text; -1 where none does
    places: npt.NDArray[np.int64] | None = None
    #: along that text, for a model that goes on from a prior
    prior: TextPrior | None = None

    def prior_at(self) -> PriorAt | None:
        """Return the prior of places of this batch, or None if there is none."""
        if self.prior is None or self.places is None:
            return None
        prior, places = self.prior, self.places.reshape(-1)
        return lambda flat: torch.from_numpy(prior.rows(places[flat.cpu().numpy()])).to(flat.device)


BatchAt = Callable[[int], Batch]


class StreamBatches:
    """Rows cut from all records laid end to end, for pretraining.

    Each epoch begins its cuts at another offset and takes the rows in another order. Tokens see what came before in
    their row, of other records too, as GPT-3's do (Brown et al. 2020, appendix B); with `document_mask` of their own
    record alone (Zhao et al. 2024).
    """

    def __init__(
        self,
        data: TokenSet,
        batch_size: int | BatchRamp,
        context_length: int,
        seed: int,
        document_mask: bool = False,
    ) -> None:
        """Raises DataError if there are fewer than two tokens."""
        if len(data.tokens) < 2:
            raise DataError("fewer than two tokens to train on")
        self.tokens, self.starts = data.tokens, data.starts
        self.document_mask = document_mask
        self.ramp, self.seed = _ramp(batch_size), seed
        self.context_length = min(context_length, len(data.tokens) - 1)
        # The offset of an epoch is below one row, so every epoch has this many whole rows.
        self.rows = max(1, (len(self.tokens) - self.context_length) // self.context_length)
        self._epoch = lru_cache(2)(self._new_epoch)

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        T = self.context_length
        rows, begins = [], []
        for number in self.ramp.rows(step):
            epoch, place = divmod(number, self.rows)
            offset, order = self._epoch(epoch)
            begin = offset + int(order[place]) * T
            rows.append(self.tokens[begin : begin + T + 1].astype(np.int64))
            begins.append(begin)
        cut = torch.from_numpy(np.stack(rows))
        places = np.array(begins)[:, None] + np.arange(T)
        segments = None
        if self.document_mask:
            segments = torch.from_numpy(np.searchsorted(self.starts, places, side="right"))
        return Batch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous(), segments, places)

    def _new_epoch(self, epoch: int) -> tuple[int, npt.NDArray[np.int64]]:
        generator = np.random.default_rng((self.seed, epoch))
        room = len(self.tokens) - 1 - self.rows * self.context_length
        return int(generator.integers(0, room + 1)), generator.permutation(self.rows)


class PackedBatches:
    """Rows of whole conversations side by side, for fine-tuning: loss on replies alone.

    Tokens see their own conversation only (the segments say so). A conversation longer than a row is cut into
    pieces that overlap by half, so that every reply is learned once, and with context.

    With `word_dropout`, that share of what others say is blanked out, anew each time (Bowman et al. 2016),
    so that a reply hangs on all words of a question and not on the few that came with it before.
    """

    def __init__(
        self,
        data: TokenSet,
        batch_size: int | BatchRamp,
        context_length: int,
        seed: int,
        word_dropout: float = 0.0,
    ) -> None:
        """Raises DataError if no record holds a reply."""
        self.ramp, self.seed, self.context_length = _ramp(batch_size), seed, context_length
        self.word_dropout = word_dropout
        pieces = [p for r in range(len(data)) for p in _pieces(data, r, context_length)]
        if not pieces:
            raise DataError("no conversation with a reply to learn from")
        #: the beginning-of-text token, which stands nowhere inside a text, stands for a blank
        self.blank = int(data.tokens[0])
        order = np.random.default_rng(seed).permutation(len(pieces))
        self.packed = _pack([pieces[i] for i in order], context_length)
        self.rows = len(self.packed)
        self._order = lru_cache(2)(self._new_order)

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        numbers = self.ramp.rows(step)
        B, T = len(numbers), self.context_length
        tokens = torch.zeros(B, T, dtype=torch.int64)
        targets = torch.full((B, T), IGNORE, dtype=torch.int64)
        segments = torch.full((B, T), -1, dtype=torch.int64)
        heard = torch.zeros(B, T, dtype=torch.bool)
        places = np.full((B, T), -1, np.int64)
        for b, number in enumerate(numbers):
            epoch, place = divmod(number, self.rows)
            t = 0
            for s, (ids, wanted, other, first) in enumerate(self.packed[int(self._order(epoch)[place])]):
                n = len(ids)
                tokens[b, t : t + n] = torch.from_numpy(ids)
                targets[b, t : t + n] = torch.from_numpy(wanted)
                segments[b, t : t + n] = s
                heard[b, t : t + n] = torch.from_numpy(other)
                places[b, t : t + n] = np.arange(first, first + n)
                t += n
        if self.word_dropout:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            blanked = torch.rand(B, T, generator=generator) < self.word_dropout
            tokens = torch.where(blanked & heard, self.blank, tokens)
        return Batch(tokens, targets, segments, places)

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)


def _ramp(batch_size: int | BatchRamp) -> BatchRamp:
    return batch_ramp(batch_size) if isinstance(batch_size, int) else batch_size


#: ids, targets, which of the ids somebody else than the assistant says, and where the first stands in the text
Piece = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_], int]


def _pieces(data: TokenSet, record: int, context_length: int) -> list[Piece]:
    """Return a record cut so that each piece fits a row; only replies are targets."""
    ids, part = data.record(record), data.record_part(record)
    wanted = np.where(part[1:] == SAID, ids[1:], IGNORE)
    ids, heard = ids[:-1], part[:-1] == HEARD
    pieces = []
    done = 0
    for begin in range(0, max(1, len(ids)), max(1, context_length // 2)):
        end = min(begin + context_length, len(ids))
        targets = wanted[begin:end].copy()
        targets[: max(0, done - begin)] = IGNORE
        if (targets != IGNORE).any():
            first = int(data.starts[record]) + begin
            pieces.append((ids[begin:end], targets, heard[begin:end], first))
        done = end
        if end == len(ids):
            break
    return pieces


def _pack(pieces: list[Piece], context_length: int) -> list[list[Piece]]:
    """Fill rows by best fit: each piece goes to the fullest row that still has room for it."""
    rows: list[list[Piece]] = []
    by_room: dict[int, list[int]] = {}
    for piece in pieces:
        n = len(piece[0])
        room = min((r for r in by_room if r >= n), default=None)
        if room is None:
            rows.append([])
            place, room = len(rows) - 1, context_length
        else:
            place = by_room[room].pop()
            if not by_room[room]:
                del by_room[room]
        rows[place].append(piece)
        if room - n > 0:
            by_room.setdefault(room - n, []).append(place)
    return rows
