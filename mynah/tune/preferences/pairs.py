"""Pairs of replies as batches, and what a network makes of them before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mynah.errors import DataError
from mynah.model.transformer import IGNORE, Transformer
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.template import SAID
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, train
from mynah.train.state import Progress
from mynah.tune.preferences.config import PreferConfig
from mynah.tune.preferences.objective import PairBatch, Preferred, log_probs_of_replies

Floats = npt.NDArray[np.float32]
#: Tokens of replies that are read at once.
AT_ONCE = 2048


@dataclass(frozen=True)
class ReplyPairs:
    """Conversations that end in the better reply, and the same that end in the worse one.

    Args:
        chosen: N conversations.
        rejected: N, in the same order.
    """

    chosen: TokenSet
    rejected: TokenSet

    @classmethod
    def of(cls, data: TokenSet, rejected: TokenSet) -> ReplyPairs:
        """Take the preferences out of what is learned from.

        Raises:
            DataError: if there are not as many of both.
        """
        chosen = data.select(data.records_of("preference"))
        if len(chosen) != len(rejected):
            raise DataError(
                f"{len(chosen):,} better and {len(rejected):,} worse replies: the base's chat template refuses some of "
                "them; build without preferences: --set prefer.loss=none"
            )
        return cls(chosen, rejected)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.chosen)

    def batch(
        self, which: npt.NDArray[np.intp], context_length: int, reference: Floats | None = None
    ) -> PairBatch:
        """Return pairs as a batch; of a prompt that is too long the end, of a reply the beginning.

        Args:
            which: (P,) of the pairs.
            context_length: tokens of a row at most.
            reference: (2, N) of all pairs; None: zeros.
        """
        rows = [[_row(side, int(n), context_length) for n in which] for side in (self.chosen, self.rejected)]
        longest = max(len(tokens) for side in rows for tokens, _ in side)
        tokens = torch.zeros(2, len(which), longest, dtype=torch.int64)
        targets = torch.full_like(tokens, IGNORE)
        for side, of in enumerate(rows):
            for row, (read, wanted) in enumerate(of):
                tokens[side, row, : len(read)] = torch.from_numpy(read)
                targets[side, row, : len(read)] = torch.from_numpy(wanted)
        known = np.zeros((2, len(which)), np.float32) if reference is None else reference[:, which]
        return PairBatch(tokens, targets, torch.from_numpy(known))

    def lengths(self, context_length: int) -> npt.NDArray[np.int64]:
        """Return the tokens of the longer side of each pair, (N,)."""
        both = (np.diff(self.chosen.starts), np.diff(self.rejected.starts))
        longest: npt.NDArray[np.int64] = np.minimum(np.maximum(*both), context_length)
        return longest


def _row(
    data: TokenSet, record: int, context_length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the tokens of a conversation and the targets of its last reply."""
    tokens, part = data.record(record), data.record_part(record)
    said = part == SAID
    before, last = np.flatnonzero(~said), np.flatnonzero(said)
    # What was said before the last reply is part of the prompt, which both sides share.
    begin = int(before[before < last[-1]][-1]) + 1 if len(last) and len(before[before < last[-1]]) else 0
    said = said & (np.arange(len(said)) >= begin)
    # The prompt keeps its end, in half of the row at least, and the reply its beginning.
    room = context_length + 1
    first = max(0, min(len(tokens) - room, begin - room // 2))
    tokens, said = tokens[first : first + room], said[first : first + room]
    return tokens[:-1], np.where(said[1:], tokens[1:], IGNORE)


@torch.no_grad()
def likelihoods(
    model: Transformer,
    pairs: ReplyPairs,
    context_length: int,
    told: Callable[[float], None] | None = None,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the log-probability of each reply and its tokens, (2, N) each.

    Args:
        model: in evaluation mode.
        pairs: N.
        context_length: tokens of a row at most.
        told: is told what share is done, from 0 to 1.
    """
    device = next(model.parameters()).device
    said, counts = np.zeros((2, len(pairs)), np.float32), np.zeros((2, len(pairs)), np.int64)
    lengths = pairs.lengths(context_length)
    order, done = np.argsort(lengths, kind="stable"), 0
    while done < len(order):
        count = 1
        while done + count < len(order) and 2 * (count + 1) * lengths[order[done + count]] <= AT_ONCE:
            count += 1
        which = order[done : done + count]
        batch = pairs.batch(which, context_length).to(device)
        two, P, T = batch.tokens.shape
        total, n = log_probs_of_replies(
            model, batch.tokens.reshape(two * P, T), batch.targets.reshape(two * P, T)
        )
        said[:, which] = total.view(two, P).cpu().numpy()
        counts[:, which] = n.view(two, P).cpu().numpy()
        done += count
        if told is not None:
            told(done / len(order))
    return said, counts


def prefer(
    model: Transformer,
    pairs: ReplyPairs,
    held_out: ReplyPairs | None,
    settings: PreferConfig,
    config: TrainConfig,
    session: Session = Session(),
    told: Callable[[float], None] | None = None,
) -> tuple[Progress, dict[str, Any]]:
    """Train in place; return the progress, and what held-out pairs say before and after.

    Args:
        model: what has learned the better replies; also the reference.
        pairs: to learn from.
        held_out: to measure on.
        settings: which loss.
        config: how long and how; `batch_size` counts pairs.
        session: where to write, whom to tell.
        told: is told what share of the reading before it is done, from 0 to 1.

    Raises:
        DataError: if there is no pair.
        TrainingError, ArtifactError, Interrupted: as `train`.
    """
    if not len(pairs):
        raise DataError("there are no pairs of a better and a worse reply to learn from")
    model.eval()
    needs_reference = settings.loss != "orpo"
    read = max(1, min(len(pairs), config.steps * config.batch_size))
    order = np.random.default_rng(config.seed).permutation(len(pairs))[:read]
    reference = np.zeros((2, len(pairs)), np.float32)
    if needs_reference:  # of those that will be read
        part = ReplyPairs(pairs.chosen.select(np.sort(order)), pairs.rejected.select(np.sort(order)))
        reference[:, np.sort(order)] = likelihoods(model, part, config.context_length, told)[0]
    before = likelihoods(model, held_out, config.context_length) if held_out is not None else None

    def batches(step: int) -> PairBatch:
        at = np.arange(step * config.batch_size, (step + 1) * config.batch_size)
        epoch, index = np.divmod(at, read)
        orders = {int(e): np.random.default_rng((config.seed, int(e))).permutation(order) for e in set(epoch)}
        which = np.array([orders[int(e)][i] for e, i in zip(epoch, index, strict=True)])
        return pairs.batch(which, config.context_length, reference)

    done = train(model, batches, Preferred(settings), config, session)
    measured: dict[str, Any] = {"pairs": len(pairs), "read": read}
    if held_out is not None and before is not None:
        after = likelihoods(model, held_out, config.context_length)
        measured["held_out"] = _measured(before, after)
    return done, measured


def _measured(
    before: tuple[Floats, npt.NDArray[np.int64]], after: tuple[Floats, npt.NDArray[np.int64]]
) -> dict[str, Any]:
    """Return for how many pairs the better reply is the likelier one, a token, before and after; and the rewards."""
    lengths = np.maximum(before[1], 1)
    moved = after[0] - before[0]

    def share(said: Floats) -> float:
        mean = said / lengths
        return float((mean[0] > mean[1]).mean())

    return {
        "count": before[0].shape[1],
        "likelier_before": share(before[0]),
        "likelier_after": share(after[0]),
        # Rafailov et al. 2023, section 4: the reward is by how much a reply has become likelier.
        "reward_accuracy": float((moved[0] > moved[1]).mean()),
        "reward_margin": float((moved[0] - moved[1]).mean()),
    }
