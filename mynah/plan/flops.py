"""Floating-point operations of training, by formula."""

from __future__ import annotations

from mynah.model.config import ModelConfig


def training_flops_per_token(config: ModelConfig, context_length: int) -> float:
    """Return the FLOPs of a forward and backward pass, per token (Kaplan et al. 2020, section 2.1).

    Six for each parameter that multiplies every token (matrices and head, not the looked-up tables), and
    12 L H D times the mean number of keys a query sees.
    """
    looked_up = config.n_params() - config.n_params(embeddings=False)
    multiplied = config.n_params() - looked_up + config.vocab_size * config.n_embd
    seen = 0.0
    for layer in range(config.n_layer):
        window = config.window(layer)
        seen += min(window, context_length / 2) if window else context_length / 2
    return 6.0 * multiplied + 12.0 * config.n_head * config.head_dim * seen
