"""The nearest examples, in words and in what they taught."""

from __future__ import annotations

import pytest
import torch
from networks import PARTS, small

from mynah.explain.examples import nearest_in_gradient, nearest_in_words


def test_words() -> None:
    texts = ["where is my parcel", "how do I return a lamp", "什么时候发货", "where is my lamp"]
    assert [n for n, _ in nearest_in_words(texts, "where is the parcel?", 2)] == [0, 3]
    assert nearest_in_words(texts, "何时发货", 1)[0][0] == 2
    assert nearest_in_words([], "x", 3) == []
    assert nearest_in_words(texts, "  ", 3) == []


@pytest.mark.parametrize("number", [0, 3])
def test_gradients_say_what_a_step_of_learning_does(number: int) -> None:
    model = small(**PARTS[number])
    asked = ([3, 7, 1, 9, 4], 2)
    examples = [asked, ([3, 7, 1, 9, 4], 3), ([30, 31, 32, 33], 1), ([5, 6, 1, 9, 4], 2)]
    shares: list[float] = []
    found = nearest_in_gradient(model, asked, examples, shares.append)
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert all(-1.0001 <= value <= 1.0001 for value in found)
    assert shares[-1] == 1
    assert all(parameter.grad is None for parameter in model.parameters())

    def loss() -> float:
        ids = torch.tensor([asked[0]])
        targets = ids[:, 1:].clone()
        targets[:, : asked[1] - 1] = -100
        with torch.no_grad():
            return float(model.loss(model(ids[:, :-1]), targets))

    # A small step down an example's gradient lowers the loss where the cosine is above 0, and raises it below.
    before = loss()
    for (tokens, begin), cosine in zip(examples[1:], found[1:], strict=True):
        ids = torch.tensor([tokens])
        targets = ids[:, 1:].clone()
        targets[:, : begin - 1] = -100
        block = model.blocks[-1]
        weights = [p for p in block.parameters() if p.ndim == 2]
        gradients = torch.autograd.grad(model.loss(model(ids[:, :-1]), targets), weights)
        length = sum(float(g.square().sum()) for g in gradients) ** 0.5
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(1e-3 * gradient / length)
        moved = loss() - before
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.add_(1e-3 * gradient / length)
        if abs(cosine) > 0.02:
            assert (moved < 0) == (cosine > 0)
