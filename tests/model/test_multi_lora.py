"""Several adapters in one pass compute what each computes alone."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
import torch
from networks import ADAPTERS, PARTS, shaken, small, with_adapter
from torch import Tensor

from mynah.model.lora import LoRAConfig, add_adapter, merge_in_place
from mynah.model.multi_lora import adapters_of_rows, over_one_base, share_weights
from mynah.model.packed import pack
from mynah.model.quantized import quantize_map
from mynah.model.transformer import Transformer

TOKENS = torch.randint(0, 50, (5, 12), generator=torch.Generator().manual_seed(3))


def some(**parts: Any) -> list[Transformer]:
    """Return models of three adapters and one without, and share what they have in common."""
    models = [with_adapter(seed, shape, **parts) for seed, shape in enumerate(ADAPTERS)] + [small(**parts)]
    share_weights(models)
    return models


def logits(model: Transformer, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.logits(model(tokens))


@pytest.mark.parametrize("parts", PARTS)
def test_each_row_goes_through_its_own_adapter(parts: dict[str, Any]) -> None:
    rows = [0, 3, 2, 1, 0]
    alone = [logits(with_adapter(seed, shape, **parts), TOKENS) for seed, shape in enumerate(ADAPTERS)]
    alone.append(logits(small(**parts), TOKENS))
    assert all((one - alone[3]).abs().max() > 0.01 for one in alone[:3])
    models = some(**parts)
    [multi] = over_one_base(models)
    assert multi.members == (0, 1, 2, 3)
    with adapters_of_rows(rows):
        together = logits(multi.model, TOKENS)
    for row, adapter in enumerate(rows):
        torch.testing.assert_close(together[row], alone[adapter][row], rtol=1e-4, atol=1e-4)
    for adapter in range(4):  # all rows of one, and each alone as before
        with adapters_of_rows([adapter] * 5):
            torch.testing.assert_close(logits(multi.model, TOKENS), alone[adapter], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits(models[adapter], TOKENS), alone[adapter], rtol=1e-4, atol=1e-4)


def test_equal_weights_are_held_once_and_others_stay_apart() -> None:
    one, same, other = small(), small(), shaken(small())
    tokens = torch.tensor([[5, 6, 7]])
    before = [model(tokens) for model in (one, same, other)]
    with torch.no_grad():
        same.norm.weight.add_(0.5)  # as an adapter's part would be
    changed = same(tokens)
    saved = share_weights([one, same, other])
    assert saved > 0.9 * sum(p.numel() * p.element_size() for p in one.parameters())
    assert same.embed.weight.data_ptr() == one.embed.weight.data_ptr()
    assert same.norm.weight.data_ptr() != one.norm.weight.data_ptr()
    assert other.blocks[0].mlp is not None
    torch.testing.assert_close(one(tokens), before[0])
    torch.testing.assert_close(same(tokens), changed)
    torch.testing.assert_close(other(tokens), before[2])
    assert share_weights([one, same, other]) == 0


def test_weights_are_held_once() -> None:
    models = some()
    [multi] = over_one_base(models)
    networks = [*models, multi.model]
    held = {p.data_ptr(): p.numel() for network in networks for p in network.parameters()}
    assert sum(held.values()) == sum(p.numel() for p in small().parameters())


def test_weights_that_are_laid_out_are_multiplied_with_adapters_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mynah.model.packed.packing_pays", lambda: True)
    models = [model.bfloat16() for model in some()]
    share_weights(models)
    [multi] = over_one_base(models)
    with adapters_of_rows([0, 3, 2, 1, 0]):
        before = logits(multi.model, TOKENS)
        assert pack(multi.model)
        torch.testing.assert_close(logits(multi.model, TOKENS), before, rtol=0.05, atol=0.05)


def test_what_is_not_over_one_base_stays_apart() -> None:
    other = merge_in_place(with_adapter(9, ADAPTERS[0]))  # weights of its own
    fewer_bits = with_adapter(1, ADAPTERS[0])
    quantized = small()
    for name in [f"blocks.{n}.mlp.up" for n in range(3)]:
        quantize_map(quantized, name, 8)
    add_adapter(quantized, LoRAConfig(), 0)
    models = [other, fewer_bits, quantized]
    share_weights(models)
    assert over_one_base(models) == []
    assert over_one_base([small(), small()]) == []  # nothing is gained


def test_rows_of_another_thread_are_its_own() -> None:
    [multi] = over_one_base(some())
    found = []
    with adapters_of_rows([2] * 5):
        thread = Thread(target=lambda: found.append(logits(multi.model, TOKENS)))
        thread.start()
        thread.join()
        own = logits(multi.model, TOKENS)
    with adapters_of_rows([0] * 5):
        torch.testing.assert_close(found[0], logits(multi.model, TOKENS))
    assert (found[0] - own).abs().max() > 0.01


def test_a_multi_says_who_it_stands_for() -> None:
    models = [merge_in_place(with_adapter(9, ADAPTERS[0])), *some()]
    share_weights(models)
    found = over_one_base(models)
    assert [multi.members for multi in found] == [(1, 2, 3, 4)]
