"""Weights in int8: near what they were, one copy, and the same product whichever way it is computed."""

from __future__ import annotations

import pytest
import torch
from networks import PARTS, small

from mynah.generate.engine import Request, generate
from mynah.generate.settings import SamplingConfig
from mynah.model.int8 import TRIED, Int8Embedding, Int8Linear, Int8Matrix, few_rows
from mynah.model.replacing import OncePerWeight
from mynah.model.to_int8 import to_int8
from mynah.model.transformer import Transformer

WIDE = {"n_embd": 64, "n_head": 4, "n_kv_head": 2, "context_length": 64}


def logits_of(model: Transformer, tokens: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.logits(model(tokens)).float()


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize(("outputs", "inputs"), [(7, 32), (64, 96), (33, 576)])
def test_the_product_is_that_of_the_numbers_that_are_held(outputs: int, inputs: int, rows: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs)
    held, x = Int8Matrix(weight), torch.randn(rows, inputs)
    dense = held.dense()
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((dense - weight).abs() <= 0.6 * step + 0.005 * weight.abs()).all()  # the scale is rounded, too
    wanted = x @ dense.T
    for few in (0, 1000):  # the numbers made first, and PyTorch's own product
        torch.testing.assert_close(
            held.product(x, few), wanted, atol=0.02 * float(wanted.abs().max()), rtol=0
        )
        assert held.product(x.bfloat16(), few).dtype == torch.bfloat16


def test_rows_of_a_table_are_those_of_the_matrix() -> None:
    held = Int8Matrix(torch.randn(20, 32))
    ids = torch.tensor([[3, 0], [19, 3]])
    torch.testing.assert_close(held.rows(ids), held.dense()[ids])


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_a_model_says_nearly_what_it_said(number: int) -> None:
    model = small(**{**WIDE, **PARTS[number]})
    tokens = torch.randint(0, 50, (2, 30), generator=torch.Generator().manual_seed(1))
    before = logits_of(model, tokens)
    to_int8(model)
    after = logits_of(model, tokens)
    assert (after - before).abs().max() < 0.06 * before.abs().max()
    assert not torch.equal(after, before)
    request = Request([1, 2, 3], SamplingConfig(max_tokens=20, temperature=1, seed=1))
    assert len(list(generate(model, request))) == 20


def test_a_tied_head_and_its_table_are_one() -> None:
    model = small(**WIDE)
    to_int8(model)
    assert isinstance(model.embed, Int8Embedding)
    assert isinstance(model.head, Int8Linear)
    assert model.head.matrix is model.embed.matrix
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    apart = small(**WIDE, tie_embeddings=False)
    to_int8(apart)
    assert apart.head.matrix is not apart.embed.matrix
    assert not any(
        isinstance(module, torch.nn.Linear) and module.weight is not None for module in apart.blocks.modules()
    )


def test_what_is_no_whole_number_of_blocks_stays_as_it_is() -> None:
    model = small(n_embd=40, n_head=4, n_kv_head=2)
    before = logits_of(model, torch.tensor([[1, 2, 3]]))
    to_int8(model)
    assert isinstance(model.embed, torch.nn.Embedding)
    torch.testing.assert_close(
        logits_of(model, torch.tensor([[1, 2, 3]])), before, atol=0.06 * float(before.abs().max()), rtol=0
    )


def test_how_many_rows_are_multiplied_as_they_are_is_found_by_trying() -> None:
    assert few_rows() in (0, *TRIED)


def test_models_that_hold_the_same_weights_hold_the_same_ones_still() -> None:
    first, second = small(**WIDE), small(**WIDE)
    second.load_state_dict(first.state_dict(), assign=True)
    matrix_of = OncePerWeight(Int8Matrix, kept=True)
    to_int8(first, matrix_of)
    to_int8(second, matrix_of)
    for mine, theirs in zip(first.modules(), second.modules(), strict=True):
        if isinstance(mine, Int8Linear):
            assert mine.matrix is theirs.matrix
