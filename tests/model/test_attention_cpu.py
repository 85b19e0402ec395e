"""Attention under autocast on a CPU, and heads in groups: the same as of whole numbers, one head at a time."""

from __future__ import annotations

import pytest
import torch

from mynah.model.attention import LONG_ON_CPU, record_mask
from mynah.model.presets import preset
from mynah.model.weights import new_model


@pytest.mark.parametrize("length", [LONG_ON_CPU // 4, LONG_ON_CPU])
@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_any_length_are_the_same_in_half_precision(length: int, packed: bool) -> None:
    model = new_model(preset("gpt2", 64, n_layer=1, n_embd=32, n_head=4, context_length=length), 0)
    tokens = torch.randint(0, 64, (2, length), generator=torch.Generator().manual_seed(0))
    segments = (torch.arange(length) // 100).expand(2, -1) if packed else None
    exact = model(tokens, segments)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(tokens, segments)
    assert (mixed.float() - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("window", [0, 8])
@pytest.mark.parametrize("packed", [False, True])
def test_a_group_of_heads_is_one_head_of_keys_repeated(window: int, packed: bool) -> None:
    shapes = {"n_layer": 1, "n_embd": 32, "n_head": 4, "context_length": 32}
    grouped = new_model(preset("tinyllama-1.1b", 64, n_kv_head=2, **shapes), 0)  # type: ignore[arg-type]
    attention = grouped.blocks[0].attention
    attention.window = window
    q, k, v = (torch.randn(2, heads, 32, 8, requires_grad=True) for heads in (4, 2, 2))
    segments = (torch.arange(32) // 20).expand(2, -1)
    mask = record_mask(segments, window, torch.float32) if packed else None
    together = attention._mix(q, k, v, mask)
    one_by_one = []
    for head in range(4):
        own = slice(head, head + 1), slice(head // 2, head // 2 + 1)
        one_by_one.append(attention._mix(q[:, own[0]], k[:, own[1]], v[:, own[1]], mask))
    expected = torch.cat(one_by_one, dim=1)
    torch.testing.assert_close(together, expected)
    upstream = torch.randn_like(together)
    for got, wanted in zip(
        torch.autograd.grad(together, (q, k, v), upstream),
        torch.autograd.grad(expected, (q, k, v), upstream),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)
