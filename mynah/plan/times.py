"""How long a build takes besides its steps: measuring in training, and the evaluation at the end."""

from __future__ import annotations

from dataclasses import dataclass

from mynah.model.config import ModelConfig
from mynah.train.phases import measured_tokens

#: A forward pass takes this share of a step, which goes back too (Kaplan et al. 2020, section 2.1).
FORWARD = 1 / 3
#: Scoring n-grams, looking questions up and drawing the report, seconds.
REPORT_SECONDS = 8.0
#: A token that is generated costs as much as so many that are read: its products are small.
DRAWN_COST = 3.0
#: A message that is answered from the log costs as much as so many tokens that are read: it, and the beginnings of six
#: replies, in small pieces.
ANSWERED_COST = 140
#: Measuring in training may usually take this share of the steps' time.
MEASURING_SHARE = 0.2


@dataclass(frozen=True)
class Ahead:
    """What a build has to do besides the steps that its plan is made for."""

    #: held-out tokens that there are to measure on in training
    held_out: int = 0
    #: held-out tokens that the evaluation reads with each model
    scored: int = 0
    #: tokens that the evaluation generates, at most
    drawn: int = 0
    #: messages that are answered from the log, to find out what can be answered
    answered: int = 0
    #: share of a step's time that a forward pass takes; of an adapter's, `make_plan` works it out
    forward: float = FORWARD
    #: held-out tokens of a measurement; None: as many as go with the steps (`measured_tokens`)
    measured: int | None = None
    #: measuring in training may take this share of the steps' time
    measuring_share: float = MEASURING_SHARE


def forward_of_adapter(config: ModelConfig, counted: float) -> float:
    """Return the share of an adapter's step that a forward pass takes, with the head at every token.

    Gradients of frozen weights are left out, so that going back costs what going forward does; and a step has the head
    at counted tokens alone, which of a large vocabulary is most of the work.

    Args:
        config: of the base.
        counted: share of a step's tokens that the loss counts.
    """
    blocks, head = config.n_params(embeddings=False), config.vocab_size * config.n_embd
    return (blocks + head) / (2 * (blocks + max(0.1, counted) * head))


def drawing_back_seconds(ahead: Ahead, token_seconds: float) -> float:
    """Return what it takes to find out how much of an adapter is kept (`mynah.train.phases.draw_back`)."""
    return 2 * ahead.forward * token_seconds * min(ahead.held_out, ahead.measured or 0)


def evaluation_seconds(ahead: Ahead, models: int, token_seconds: float) -> float:
    """Return what evaluation and report take.

    Args:
        ahead: what there is to read and to generate.
        models: how many networks are measured.
        token_seconds: of a step, for each of its tokens.
    """
    tokens = models * ahead.scored + DRAWN_COST * ahead.drawn + ANSWERED_COST * ahead.answered
    return REPORT_SECONDS + ahead.forward * token_seconds * tokens


def measuring_seconds(
    steps: int, every: int, tokens_a_step: int, ahead: Ahead, token_seconds: float
) -> float:
    """Return what the held-out measurements of a phase take, the one before its first step too."""
    tokens = min(ahead.held_out, measured_tokens(min(every, steps) * tokens_a_step, ahead.measured))
    return (steps // every + 1) * ahead.forward * token_seconds * tokens


def steps_between(steps: int, tokens_a_step: int, ahead: Ahead, token_seconds: float) -> int:
    """Return after how many steps a phase measures: twenty times, or less often where that takes too long.

    Fewer measurements look at more text each; where none takes little enough, that which takes least is returned.
    """
    tried = [max(5, steps // 20)]
    while tried[-1] < steps:
        tried.append(min(steps, 2 * tried[-1]))

    def taken(every: int) -> float:
        return measuring_seconds(steps, every, tokens_a_step, ahead, token_seconds)

    allowed = ahead.measuring_share * steps * tokens_a_step * token_seconds
    return next((every for every in tried if taken(every) <= allowed), min(tried, key=taken))
