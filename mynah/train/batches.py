"""Batches as pure functions of (seed, step): nothing to save, nothing to replay on resume.

B rows, T tokens.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.errors import DataError
from mynah.model.prior import PriorAt
from mynah.model.transformer import IGNORE, Transformer
from mynah.tokenizer.dataset import PriorAlong, TokenSet
from mynah.tokenizer.template import HEARD, SAID
from mynah.train.ramp import BatchRamp, batch_ramp

#: Pieces that keep an order are packed into rows so many at once.
PACKED_AT_ONCE = 256


@dataclass(frozen=True)
class TokenBatch:
    """Rows of tokens, each to predict what follows it."""

    #: (B, T) int64
    tokens: Tensor
    #: (B, T) int64, the token that follows each, or IGNORE
    targets: Tensor
    #: (B, T) int64, equal within a record; None if rows are plain running text
    segments: Tensor | None = None
    #: (B, T) int64: where each token stands in the text; -1 where none does
    positions: npt.NDArray[np.int64] | None = None
    #: along that text, for a model that goes on from a prior
    prior: PriorAlong | None = None

    @property
    def count(self) -> int:
        """Targets that count."""
        return int((self.targets != IGNORE).sum())

    @property
    def n_tokens(self) -> int:
        """Tokens that the model looks at."""
        return self.tokens.numel()

    def split(self, parts: int) -> list[TokenBatch]:
        """Cut into so many parts of neighbouring rows; see `mynah.train.objective.Batch`."""
        if parts == 1:
            return [self]
        none = [None] * parts
        tokens, targets = self.tokens.tensor_split(parts), self.targets.tensor_split(parts)
        segments = self.segments.tensor_split(parts) if self.segments is not None else none
        positions = np.array_split(self.positions, parts) if self.positions is not None else none
        cut = [
            TokenBatch(*part, self.prior) for part in zip(tokens, targets, segments, positions, strict=True)
        ]
        nothing_counts = replace(cut[0], targets=torch.full_like(cut[0].targets, IGNORE))
        return [part if len(part.tokens) else nothing_counts for part in cut]

    def to(self, device: torch.device) -> TokenBatch:
        """Return the rows with their tensors on a device."""
        segments = self.segments.to(device) if self.segments is not None else None
        return replace(
            self, tokens=self.tokens.to(device), targets=self.targets.to(device), segments=segments
        )

    def prior_at(self) -> PriorAt | None:
        """Return the prior of positions of this batch, or None if there is none."""
        if self.prior is None or self.positions is None:
            return None
        prior, positions = self.prior, self.positions.reshape(-1)
        return lambda flat: torch.from_numpy(prior.log_probs(positions[flat.cpu().numpy()])).to(flat.device)


class NextToken:
    """The objective of language models: cross-entropy of the token that follows, in nats, where it counts."""

    def __call__(self, model: Transformer, batch: TokenBatch) -> tuple[Tensor, int]:
        """Return the summed loss, a scalar, and how many targets counted."""
        hidden = model(batch.tokens, batch.segments)  # (B, T, C)
        return model.loss(hidden, batch.targets, batch.prior_at()), batch.count


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
        self.tokens, self.starts, self.prior = data.tokens, data.starts, data.prior
        self.document_mask = document_mask
        self.ramp, self.seed = _ramp(batch_size), seed
        self.context_length = min(context_length, len(data.tokens) - 1)
        # The offset of an epoch is below one row, so every epoch has this many whole rows.
        self.rows = max(1, (len(self.tokens) - self.context_length) // self.context_length)
        self._epoch = lru_cache(2)(self._new_epoch)

    def __call__(self, step: int) -> TokenBatch:
        """Return the batch of a step."""
        T = self.context_length
        rows, begins = [], []
        for number in self.ramp.rows_of(step):
            epoch, index = divmod(number, self.rows)
            offset, order = self._epoch(epoch)
            begin = offset + int(order[index]) * T
            rows.append(self.tokens[begin : begin + T + 1].astype(np.int64))
            begins.append(begin)
        cut = torch.from_numpy(np.stack(rows))
        positions = np.array(begins)[:, None] + np.arange(T)
        segments = None
        if self.document_mask:
            segments = torch.from_numpy(np.searchsorted(self.starts, positions, side="right"))
        return TokenBatch(cut[:, :-1].contiguous(), cut[:, 1:].contiguous(), segments, positions, self.prior)

    def _new_epoch(self, epoch: int) -> tuple[int, npt.NDArray[np.int64]]:
        generator = np.random.default_rng((self.seed, epoch))
        room = len(self.tokens) - 1 - self.rows * self.context_length
        return int(generator.integers(0, room + 1)), generator.permutation(self.rows)


@dataclass(frozen=True)
class Repeats:
    """What is done where replies repeat; see `TrainConfig.spread` and `TrainConfig.known_after`."""

    spread: bool = False
    known_after: int = 0


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
        repeats: Repeats = Repeats(),
    ) -> None:
        """Raises DataError if no record holds a reply."""
        self.data, self.seed, self.context_length = data, seed, context_length
        self.ramp, self.word_dropout = _ramp(batch_size), word_dropout
        self.pieces = _pieces(data, context_length)
        if not len(self.pieces):
            raise DataError("no conversation with a reply to learn from")
        #: the beginning-of-text token, which stands nowhere inside a text, stands for a blank
        self.blank = int(data.tokens[0])
        self.pieces = self.pieces[np.random.default_rng(seed).permutation(len(self.pieces))]
        self.in_order = repeats.spread
        if repeats.spread or repeats.known_after:
            self.pieces = _by_repeats(data, self.pieces, repeats)
        at_once = PACKED_AT_ONCE if repeats.spread else len(self.pieces)
        lengths = self.pieces[:, 1] - self.pieces[:, 0]
        self.packed = [
            [begin + piece for piece in row]
            for begin in range(0, len(lengths), at_once)
            for row in _pack(lengths[begin : begin + at_once], context_length)
        ]
        self.rows = len(self.packed)
        self._order = lru_cache(2)(self._new_order)

    def __call__(self, step: int) -> TokenBatch:
        """Return the batch of a step."""
        numbers = self.ramp.rows_of(step)
        B, T = len(numbers), self.context_length
        tokens, targets = np.zeros((B, T), np.int64), np.full((B, T), IGNORE)
        segments, positions = np.full((B, T), -1), np.full((B, T), -1)
        heard = np.zeros((B, T), np.bool_)
        for b, number in enumerate(numbers):
            epoch, index = divmod(number, self.rows)
            t = 0
            for segment, piece in enumerate(self.packed[int(self._order(epoch)[index])]):
                begin, end, counted = self.pieces[piece].tolist()
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
                t += end - begin
        read = torch.from_numpy(tokens)
        if self.word_dropout:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            blanked = torch.rand(B, T, generator=generator) < self.word_dropout
            read = torch.where(blanked & torch.from_numpy(heard), self.blank, read)
        return TokenBatch(
            read, torch.from_numpy(targets), torch.from_numpy(segments), positions, self.data.prior
        )

    def _new_order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self.in_order and epoch == 0:
            return np.arange(self.rows)
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)


def _ramp(batch_size: int | BatchRamp) -> BatchRamp:
    return batch_ramp(batch_size) if isinstance(batch_size, int) else batch_size


def _pieces(data: TokenSet, context_length: int) -> npt.NDArray[np.int64]:
    """Return every record cut so that each piece fits a row, if it holds a target; only replies are targets.

    Returns:
        (P, 3): the position of a piece's first token and of the one after its last, and from which position on what
        follows a token counts: what stands before was learned with the piece before.
    """
    pieces = []
    for begin, end in zip(data.starts[:-1].tolist(), (data.starts[1:] - 1).tolist(), strict=True):
        done = first = begin
        while True:
            last = min(first + context_length, end)
            if (data.part[done + 1 : last + 1] == SAID).any():
                pieces.append((first, last, done))
            done, first = last, first + max(1, context_length // 2)
            if last == end:
                break
    return np.array(pieces, np.int64).reshape(-1, 3)


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
