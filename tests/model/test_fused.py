from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mynah.model import fused
from mynah.model.positions import rotary_tables

COS, SIN = (table.double() for table in rotary_tables(torch.arange(6), 8, 10_000.0))
WEIGHT = torch.linspace(0.5, 2, 8, dtype=torch.float64)
#: name -> ours, and the plain form
PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "rms_norm": (lambda x: fused.rms_norm(x, None, 1e-5), lambda x: F.rms_norm(x, (8,), None, 1e-5)),
    "rms_norm with weight": (
        lambda x: fused.rms_norm(x, WEIGHT, 1e-5),
        lambda x: F.rms_norm(x, (8,), WEIGHT, 1e-5),
    ),
    "squared_relu": (fused.squared_relu, lambda x: F.relu(x).square()),
    "rotate": (
        lambda x: fused.rotate(x, COS, SIN),
        lambda x: torch.cat((x[..., :4] * COS - x[..., 4:] * SIN, x[..., 4:] * COS + x[..., :4] * SIN), -1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("strided", [False, True])
def test_values_and_gradients_are_those_of_the_plain_form(name: str, strided: bool) -> None:
    ours, plain = PAIRS[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=generator)
    if strided:  # as queries are: a slice of a wider tensor, heads and tokens exchanged
        x = torch.randn(2, 6, 3, 20, dtype=torch.float64, generator=generator)[..., 4:12].transpose(1, 2)
    x.requires_grad_()
    torch.testing.assert_close(ours(x), plain(x))
    weight = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=generator)
    grads = [torch.autograd.grad((f(x) * weight).sum(), x)[0] for f in (ours, plain)]
    torch.testing.assert_close(grads[0], grads[1])
    assert torch.autograd.gradcheck(ours, x)


def test_zeros_have_no_infinite_gradient() -> None:
    x = torch.zeros(1, 8, requires_grad=True)
    fused.rms_norm(x, None, 1e-5).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
