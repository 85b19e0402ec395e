"""Which optimizer a make of model is trained with, and at which rates."""

from __future__ import annotations

from typing import Any

from mynah.model.config import ModelConfig

#: Learning rate by width in Brown et al. 2020, table 2.1.
PAPER_RATES = {
    768: 6e-4, 1024: 3e-4, 1536: 2.5e-4, 2048: 2e-4, 2560: 1.6e-4, 4096: 1.2e-4, 5140: 1e-4, 12288: 0.6e-4,
}  # fmt: skip


def rates(model: ModelConfig, from_base: bool) -> dict[str, Any]:
    """Return optimizer settings: those of the small default, or AdamW as in the paper for GPT shapes."""
    if from_base:
        return {"optimizer": "adamw", "learning_rate": 5e-4, "schedule": "cosine", "final": 0.1}
    if model.positions == "learned":
        # Brown et al. 2020, appendix B: beta2 0.95, eps 1e-8, clipping 1, decay 0.1, cosine to 10 %.
        # Below the smallest width of its table 2.1 the rate goes on as 1 / width.
        rate = PAPER_RATES.get(model.n_embd, min(3e-3, 6e-4 * 768 / model.n_embd))
        return {"optimizer": "adamw", "learning_rate": rate, "schedule": "cosine", "final": 0.1}
    return {
        "optimizer": "muon",
        # Best at 1e-2 for a width of 128, at 5e-3 for 192; the fall is taken as 1 / width.
        "learning_rate": 1e-2 * 128 / model.n_embd,
        "matrix_learning_rate": 0.02,
        "matrix_every": 4,  # all at once takes a tenth longer and learns hardly more (docs/log.md)
    }
