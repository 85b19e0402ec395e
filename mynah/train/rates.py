"""Which optimizer a make of model is trained with, at which rates, on what rows."""

from __future__ import annotations

import math
from typing import Any

from mynah.model.config import ModelConfig
from mynah.train.config import TrainConfig
from mynah.train.ramp import ramp_of

#: Learning rate by width in Brown et al. 2020, table 2.1.
PAPER_RATES = {
    768: 6e-4, 1024: 3e-4, 1536: 2.5e-4, 2048: 2e-4, 2560: 1.6e-4, 4096: 1.2e-4, 5140: 1e-4, 12288: 0.6e-4,
}  # fmt: skip

#: Rows of so many tokens cost 2 or 3 % more with a mask that keeps records apart, and records are learned better so:
#: by 1 % on logs (docs/log.md). Attention over 1,024 takes a sixth longer under it, over 2,048 a third.
MASKED = 512

#: A text that the small default sees only so many times, with a table of token pairs or without, is learned best at
#: four times the rate; seen more often, it is learned by heart then. Halfway between what gained (1.0 and 2.9 passes)
#: and what lost (1.5 and 3.6; docs/log.md). With a head of its own, up to 192 wide: wider ones lost at 2.5 passes.
NEW_WITH_PAIRS, NEW_WITHOUT, NEW_FACTOR, NEW_WIDTH = 1.25, 3.25, 4.0, 192


#: An adapter's rate, falling to nothing, and how many times that its second matrices have (docs/log.md).
ADAPTER_RATE, ADAPTER_RATIO = 1e-3, 8.0


def passes_over(n_tokens: int, config: TrainConfig) -> float:
    """Return how many times a training goes over a text of so many tokens."""
    return ramp_of(config).before(config.steps) * config.context_length / max(1, n_tokens)


def rates(
    model: ModelConfig,
    from_base: bool,
    passes: float = math.inf,
    optimizer: str | None = None,
    context_length: int | None = None,
    adapter: bool = False,
) -> dict[str, Any]:
    """Return the settings that suit a make: those of the small default, or AdamW as in the paper for GPT shapes.

    Args:
        model: the shape to be trained.
        from_base: whether it is a trained one that goes on.
        passes: how many times it will see the text; by default, many.
        optimizer: the one asked for; None: what suits the make.
        context_length: tokens a row; None: as many as the model is made for.
        adapter: whether the base is frozen, and an adapter beside it trained.
    """
    if adapter:
        return {
            "optimizer": "adamw",
            "learning_rate": ADAPTER_RATE,
            "adapter_ratio": ADAPTER_RATIO,
            "schedule": "linear",
            "weight_decay": 0.0,
            # The loss of a step of a few replies jumps by chance; going back costs more than it saves.
            "spike": 0.0,
        }
    if from_base:
        return {"optimizer": "adamw", "learning_rate": 5e-4, "schedule": "cosine", "final": 0.1}
    if model.positions == "learned" or optimizer == "adamw":
        # Brown et al. 2020, appendix B: beta2 0.95, eps 1e-8, clipping 1, decay 0.1, cosine to 10 %.
        # Between the widths of its table 2.1 the rate is that of the next larger one; below, it goes on as 1 / width.
        wider = [width for width in PAPER_RATES if width >= max(768, model.n_embd)]
        rate = PAPER_RATES[min(wider, default=max(PAPER_RATES))]
        if model.n_embd < 768:
            rate = min(3e-3, rate * 768 / model.n_embd)
        return {"optimizer": "adamw", "learning_rate": rate, "schedule": "cosine", "final": 0.1}
    return {
        "optimizer": "muon",
        # By 1 / width the same factors gain and lose at 128, 192 and 256 wide (docs/log.md).
        "learning_rate": 1e-2 * 128 / model.n_embd * (NEW_FACTOR if _stays_new(model, passes) else 1.0),
        "matrix_learning_rate": 0.02,
        "matrix_every": 4,  # all at once takes a tenth longer and learns hardly more (docs/log.md)
        "document_mask": (context_length or model.context_length) <= MASKED,
    }


def _stays_new(model: ModelConfig, passes: float) -> bool:
    tried = model.n_embd <= NEW_WIDTH and not model.tie_embeddings and not model.prior
    return tried and passes <= (NEW_WITH_PAIRS if model.bigram_buckets else NEW_WITHOUT)
