"""The two phases of training: on all text, then on replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from mynah.errors import DataError
from mynah.model.transformer import Transformer
from mynah.ngram.prior import TextPrior
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import Batch, BatchAt, PackedBatches, StreamBatches
from mynah.train.config import TrainConfig
from mynah.train.loop import Session, held_out_loss, train
from mynah.train.ramp import ramp_of
from mynah.train.state import Progress
from mynah.train.world import rows

#: Held-out tokens looked at in a measurement, for each token of the steps since the one before: a tenth of their time,
#: as reading takes a third of what learning does. The loss of few tokens goes up and down by chance, and the weights
#: of the lowest are then those of a lucky moment (docs/log.md).
MEASURED_SHARE = 0.3
#: But at least, and at most, so many; the evaluation reads all.
MEASURED_TOKENS = 1 << 13, 1 << 17


@dataclass(frozen=True)
class Priors:
    """What a model that goes on from a prior is given: the prior along the text, and along what is held out."""

    data: TextPrior
    held_out: TextPrior | None


def pretrain(
    model: Transformer,
    data: TokenSet,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session = Session(),
    priors: Priors | None = None,
) -> Progress:
    """Train on every token of the text.

    Raises:
        DataError, TrainingError, ArtifactError, Interrupted: as `train`.
    """
    batches_of = partial(StreamBatches, document_mask=config.document_mask)
    batch_at = batches_of(data, ramp_of(config), config.context_length, config.seed)
    return _train(model, batch_at, held_out, config, session, batches_of, priors)


def tune(
    model: Transformer,
    data: TokenSet,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session = Session(),
    priors: Priors | None = None,
) -> Progress:
    """Train on the assistant's tokens alone; conversations share rows but never see each other.

    Raises:
        DataError: if no conversation holds a reply; otherwise as `train`.
    """
    batch_at = PackedBatches(data, ramp_of(config), config.context_length, config.seed, config.word_dropout)
    return _train(model, batch_at, held_out, config, session, PackedBatches, priors)


def _train(
    model: Transformer,
    batch_at: BatchAt,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session,
    batches_of: Callable[[TokenSet, int, int, int], BatchAt],
    priors: Priors | None,
) -> Progress:
    measured = _held_out_batches(held_out, config, batches_of) if held_out is not None else []
    chosen = batch_at
    if priors is not None:
        measured = [replace(batch, prior=priors.held_out) for batch in measured]
        along = priors.data
        chosen = lambda step: replace(batch_at(step), prior=along)  # noqa: E731
    validate = (lambda: held_out_loss(model, measured, session.world)) if measured else None
    return train(model, chosen, config, session, validate=validate)


def _held_out_batches(
    data: TokenSet,
    config: TrainConfig,
    batches_of: Callable[[TokenSet, int, int, int], BatchAt],
) -> list[Batch]:
    """Return fixed held-out rows, none twice, in parts no larger than a step's; empty if nothing can be measured."""
    fewest, most = MEASURED_TOKENS
    between = min(config.eval_every, config.steps) * config.batch_size * config.context_length
    tokens = min(most, max(fewest, int(MEASURED_SHARE * between)))
    at_most = max(1, tokens // config.context_length)
    try:
        one = batches_of(data, 1, config.context_length, 0)
    except DataError:
        return []
    count = min(at_most, one.rows)  # type: ignore[attr-defined]
    at_once = max(1, config.batch_size // config.grad_accum_steps)
    return rows(batches_of(data, count, config.context_length, 0)(0), -(-count // at_once))
