"""Weights in int8, for decoding: a quarter of what float32 takes is read for each token, half of bfloat16.

Each row of a matrix has a scale and 8 bits a number. With few rows of inputs, as in decoding, PyTorch's own product
makes numbers of them in registers; with many, as in reading a prompt, it is quicker to make them in memory first.

N rows, C columns, M rows of inputs.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mynah.model.roles import mark, marks_of

#: Columns come in blocks of so many: of others PyTorch's product reads beyond the end.
BLOCK = 32
#: Rows of inputs that are tried.
TRIED = (1, 2, 4, 8, 16, 32)


class Int8Matrix(nn.Module):
    """A matrix in int8, one scale a row. Nothing of it is trained, and nothing is in a model's `state_dict`."""

    codes: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Take (N, C), C a multiple of 32, of any floating dtype, which becomes that of `rows`."""
        super().__init__()
        self.shape, self.dtype = weight.shape, weight.dtype
        wide = weight.detach().float()
        scales = (wide.abs().amax(dim=1) / 127).bfloat16()  # as the product takes them
        divisor = torch.where(scales == 0, 1.0, scales.float())
        codes = (wide / divisor[:, None]).round_().clamp_(-127, 127).to(torch.int8)
        self.register_buffer("codes", codes, persistent=False)  # (N, C) int8
        self.register_buffer("scales", scales, persistent=False)  # (N,) bfloat16

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.codes.device

    def rows(self, ids: Tensor) -> Tensor:
        """Return rows, (...) int64 to (..., C), in its dtype."""
        return (self.codes[ids] * self.scales[ids][..., None].float()).to(self.dtype)

    def dense(self) -> Tensor:
        """Return (N, C) float32."""
        return self.codes * self.scales.float()[:, None]

    def product(self, x: Tensor, few: int) -> Tensor:
        """Return (M, C) times the matrix, (M, N), in x's dtype; of at most `few` rows by PyTorch's own product."""
        # Inputs and results are rounded alike in both: what a row gets does not hang on how many there are.
        rounded = x.bfloat16()
        if x.device.type == "cpu" and len(x) <= few:
            return _as_it_is(rounded, self).to(x.dtype)
        return _made_first(rounded.to(x.dtype), self).bfloat16().to(x.dtype)


class Int8Linear(nn.Linear):
    """A linear map whose weight is in int8; it is not trained."""

    def __init__(self, linear: nn.Linear, matrix: Int8Matrix) -> None:
        """Take over a map's bias and roles, and its weight as a matrix."""
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias, self.matrix = None, linear.bias, matrix  # type: ignore[assignment]
        mark(self, **marks_of(linear))
        self.train(False)

    def forward(self, input: Tensor) -> Tensor:
        """(..., C) to (..., N)."""
        y = self.matrix.product(input.reshape(-1, input.shape[-1]), few_rows())
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y.view(*input.shape[:-1], -1)


class Int8Embedding(nn.Module):
    """A table whose rows are those of a matrix in int8."""

    def __init__(self, matrix: Int8Matrix) -> None:
        super().__init__()
        self.matrix = matrix
        self.train(False)

    def forward(self, ids: Tensor) -> Tensor:
        """(...) int64 to (..., C)."""
        return self.matrix.rows(ids)


def _as_it_is(x: Tensor, matrix: Int8Matrix) -> Tensor:
    y: Tensor = torch._weight_int8pack_mm(x, matrix.codes, matrix.scales)
    return y


def _made_first(x: Tensor, matrix: Int8Matrix) -> Tensor:
    return F.linear(x, matrix.codes.to(x.dtype)) * matrix.scales.to(x.dtype)


@lru_cache(maxsize=1)
@torch.inference_mode()
def few_rows() -> int:
    """Return up to how many rows of inputs PyTorch's own product is the quicker one here, by trying; 0: never."""
    N, C, many = 1024, 1024, 24  # together more than most caches hold, as a model's weights are
    matrices, few = [Int8Matrix(torch.ones(N, C, dtype=torch.bfloat16)) for _ in range(many)], 0
    for rows in TRIED:
        x, taken = torch.ones(rows, C, dtype=torch.bfloat16), [float("inf")] * 2
        for _ in range(3):  # in turn, so that what else the machine does hits both
            for number, way in enumerate((_as_it_is, _made_first)):
                begun = time.perf_counter()
                for matrix in matrices:
                    way(x, matrix)
                taken[number] = min(taken[number], time.perf_counter() - begun)
        if taken[0] > taken[1]:
            break
        few = rows
    return few
