"""Weights laid out for products: the same numbers, one copy for models that share them."""

from __future__ import annotations

import copy

import pytest
import torch
from networks import PARTS, small

from mynah.model import packed
from mynah.model.packed import PackedLinear, lay_out, pack, packing_pays
from mynah.model.replacing import OncePerWeight

pytestmark = pytest.mark.skipif(
    not packing_pays(), reason="products in bfloat16 gain nothing here from weights laid out"
)


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_a_model_says_what_it_said(number: int) -> None:
    model = small(**PARTS[number]).bfloat16()
    tokens = torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = model.logits(model(tokens)).float()
        assert pack(model)
        after = model.logits(model(tokens)).float()
    assert (after - before).abs().max() <= 0.03 * before.abs().max()
    assert any(isinstance(module, PackedLinear) for module in model.modules())


def test_models_that_hold_the_same_weights_hold_the_same_ones_still() -> None:
    first = small().bfloat16()
    second = copy.deepcopy(first)
    second.load_state_dict(first.state_dict(), assign=True)
    laid_out = OncePerWeight(lay_out, kept=True)
    pack(first, laid_out)
    pack(second, laid_out)
    for mine, theirs in zip(first.modules(), second.modules(), strict=True):
        if isinstance(mine, PackedLinear):
            assert isinstance(theirs, PackedLinear)
            assert mine.packed is theirs.packed


def test_other_numbers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    assert not pack(model)
    monkeypatch.setattr(packed, "packing_pays", lambda: False)
    assert not pack(small().bfloat16())
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
