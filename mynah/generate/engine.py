"""The engine: token ids in, token ids out, with cached keys and values. It knows nothing of text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mynah.errors import ConfigError
from mynah.generate.sampling import sample
from mynah.generate.settings import SamplingConfig
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer


class KVCache:
    """Keys and values of all layers, in memory taken once: 2 x L x (B, G, S, D)."""

    def __init__(self, config: ModelConfig, rows: int, size: int, like: Tensor) -> None:
        """Make room for `size` tokens in each of `rows` rows, on the device and in the dtype of `like`."""
        shape = (config.n_layer, 2, rows, config.kv_heads, size, config.head_size)
        self.store = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.filled = [0] * config.n_layer

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, G, T, D) keys and values; return all so far, (B, G, S, D)."""
        begin = self.filled[layer]
        end = self.filled[layer] = begin + key.shape[2]
        self.store[layer, 0, :, :, begin:end] = key
        self.store[layer, 1, :, :, begin:end] = value
        return self.store[layer, 0, :, :, :end], self.store[layer, 1, :, :, :end]


@torch.no_grad()
def decode(
    model: Transformer, prompts: Tensor, config: SamplingConfig, forbid: Collection[int] = ()
) -> Iterator[Tensor]:
    """Yield the next token of each row, again and again, up to the limit or the end of the context.

    Args:
        prompts: (B, T) int64, rows of one length.
        forbid: ids that are never drawn.

    Yields:
        (B,) int64.

    Raises:
        ConfigError: if the prompts are empty or leave no room in the context.
    """
    B, T = prompts.shape
    context = model.config.context_length
    if not 0 < T < context:
        raise ConfigError(f"the prompt has {T} tokens, expected 1 to {context - 1} (context {context})")
    model.eval()
    prior = model.prior if model.config.prior else None
    weight = model.embed.weight
    generator = torch.Generator(device=weight.device)
    generator.seed() if config.seed is None else generator.manual_seed(config.seed)
    banned = torch.tensor(sorted(forbid), dtype=torch.int64, device=weight.device)
    room = min(config.max_tokens, context - T)
    cache = KVCache(model.config, B, T + room, weight)
    tokens, previous = prompts.to(weight.device), None
    start = 0
    known = (
        np.hstack([prior.contexts(row)[:, -1:] for row in prompts.cpu().numpy()])
        if prior is not None
        else None
    )
    for _ in range(room):
        hidden = model(tokens, cache=cache, start=start, previous=previous)  # (B, T, C)
        start += tokens.shape[1]
        given = None
        if prior is not None and known is not None:
            given = torch.from_numpy(prior.rows(known)).to(weight.device)
        logits = model.logits(hidden[:, -1], given).float()  # (B, V)
        logits[:, banned] = float("-inf")
        drawn = sample(logits, config, generator)
        yield drawn
        if prior is not None and known is not None:
            known = prior.advance(known, drawn.cpu().numpy())
        previous, tokens = tokens[:, -1:], drawn[:, None]


def generate(
    model: Transformer,
    prompt: list[int],
    config: SamplingConfig,
    *,
    stop: Collection[int] = (),
    forbid: Collection[int] = (),
) -> Iterator[int]:
    """Yield the tokens that follow a prompt, one by one, until a stop token or the end of the context.

    The stop token that was drawn is not yielded.

    Raises:
        ConfigError: as `decode`.
    """
    for drawn in decode(model, torch.tensor([prompt]), config, forbid):
        token = int(drawn)
        if token in stop:
            return
        yield token


def generate_all(
    model: Transformer,
    prompts: Sequence[list[int]],
    config: SamplingConfig,
    *,
    stop: Collection[int] = (),
    forbid: Collection[int] = (),
) -> list[list[int]]:
    """Return what follows each of many prompts; prompts of one length are decoded side by side.

    Raises:
        ConfigError: as `decode`.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, prompt in enumerate(prompts):
        by_length[len(prompt)].append(i)
    results: list[list[int]] = [[] for _ in prompts]
    for members in by_length.values():
        running = dict(enumerate(members))  # row -> prompt, until it stops
        rows = torch.tensor([prompts[i] for i in members])
        for drawn in decode(model, rows, config, forbid):
            for row, token in enumerate(drawn.tolist()):
                if row in running and token in stop:
                    del running[row]
                elif row in running:
                    results[running[row]].append(token)
            if not running:
                break
    return results
