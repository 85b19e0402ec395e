"""The two phases of training: on all text, then on replies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mynah.errors import DataError
from mynah.model.config import ModelConfig
from mynah.model.lora import scale_adapter
from mynah.model.transformer import Transformer, can_share_prefix
from mynah.tokenizer.dataset import TokenSet
from mynah.train.batches import NextToken, StreamBatches, TokenBatch
from mynah.train.config import TrainConfig
from mynah.train.distributed.world import World
from mynah.train.loop import Session, agreed_precision, held_out_loss, train
from mynah.train.memory import check_positions
from mynah.train.packed import PackedBatches, Repeats
from mynah.train.ramp import ramp_of
from mynah.train.state import Progress

#: Held-out tokens looked at in a measurement, for each token of the steps since the one before: a tenth of their time,
#: as reading takes a third of what learning does. The loss of few tokens goes up and down by chance, and the weights
#: of the lowest are then those of a lucky moment (docs/log.md).
MEASURED_SHARE = 0.3
#: But at least, and at most, so many; the evaluation reads all.
MEASURED_TOKENS = 1 << 13, 1 << 17
#: What is left of an adapter that is taken back, and how much more held-out replies may cost then (docs/log.md).
DRAWN_BACK, NO_MORE = 0.85, 1.01


def pretrain(
    model: Transformer,
    data: TokenSet,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session = Session(),
) -> Progress:
    """Train on every token of the text.

    Raises:
        ConfigError: if a row is longer than the positions that the model has learned.
        DataError, TrainingError, ArtifactError, Interrupted: as `train`.
    """
    batches_of = partial(StreamBatches, document_mask=config.document_mask)
    return _train(model, data, held_out, config, session, batches_of)


def tune(
    model: Transformer,
    data: TokenSet,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session = Session(),
) -> Progress:
    """Train on the assistant's tokens alone; conversations share rows but never see each other.

    Raises:
        DataError: if no conversation holds a reply; otherwise as `pretrain`.
    """
    batches_of = partial(PackedBatches, share_prefix=can_share_prefix(model.config, config.context_length))
    return _train(model, data, held_out, config, session, batches_of, **_of_training(config))


def draw_back(model: Transformer, held_out: TokenSet | None, config: TrainConfig) -> float:
    """Take an adapter back a little, if held-out replies cost hardly more for it, and return what is left of it.

    Between the weights of a base and the tuned ones lie some that say the replies as well and have forgotten less of
    all else (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

    Args:
        model: a base with an adapter, not `dora`.
        held_out: conversations; None: nothing to judge by, it stays as it is.
        config: as it was trained.
    """
    batches_of = partial(PackedBatches, share_prefix=can_share_prefix(model.config, config.context_length))
    measured = _held_out_batches(held_out, config, batches_of) if held_out is not None else []
    if not measured:
        return 1.0
    losses = []
    with agreed_precision(model, config, World()).autocast():
        for factor in (1.0, DRAWN_BACK):
            scale_adapter(model, factor)
            losses.append(held_out_loss(model, measured, NextToken()))
    if losses[1] <= NO_MORE * losses[0]:
        return DRAWN_BACK
    scale_adapter(model, 1 / DRAWN_BACK)
    return 1.0


def rows_of_replies(model: ModelConfig, data: TokenSet, config: TrainConfig) -> int:
    """Return the rows of a pass of `tune`: fewer than the tokens fill, where prefixes and known ends are left out."""
    share = can_share_prefix(model, config.context_length)
    packed = PackedBatches(
        data, 1, config.context_length, config.seed, share_prefix=share, **_of_training(config)
    )
    return packed.rows


def _of_training(config: TrainConfig) -> dict[str, Any]:
    """Return what holds for the rows that are learned from, and not for those that are measured on."""
    return {
        "word_dropout": config.word_dropout,
        "repeats": Repeats(config.spread, config.known_after),
        "long": config.long,
    }


def _train(
    model: Transformer,
    data: TokenSet,
    held_out: TokenSet | None,
    config: TrainConfig,
    session: Session,
    batches_of: Callable[..., StreamBatches | PackedBatches],
    **of_training: Any,
) -> Progress:
    check_positions(model.config, config)
    batches = batches_of(data, ramp_of(config), config.context_length, config.seed, **of_training)
    measured = _held_out_batches(held_out, config, batches_of) if held_out is not None else []
    objective = NextToken()
    validate = (lambda: held_out_loss(model, measured, objective, session.world)) if measured else None
    return train(model, batches, objective, config, session, validate=validate)


def measured_tokens(between: int, asked: int | None = None) -> int:
    """Return how many held-out tokens a measurement looks at.

    Args:
        between: so many are trained on between two of them.
        asked: `TrainConfig.eval_tokens`.
    """
    if asked is not None:
        return asked
    fewest, most = MEASURED_TOKENS
    return min(most, max(fewest, int(MEASURED_SHARE * between)))


def _held_out_batches(
    data: TokenSet, config: TrainConfig, batches_of: Callable[..., StreamBatches | PackedBatches]
) -> list[TokenBatch]:
    """Return fixed held-out rows, none twice, in parts no larger than a step's; empty if nothing can be measured."""
    between = min(config.eval_every, config.steps) * config.batch_size * config.context_length
    at_most = max(1, measured_tokens(between, config.eval_tokens) // config.context_length)
    try:
        one = batches_of(data, 1, config.context_length, 0)
    except DataError:
        return []
    count = min(at_most, one.rows)
    at_once = max(1, config.batch_size // config.grad_accum_steps)
    return batches_of(data, count, config.context_length, 0)(0).split(-(-count // at_once))
