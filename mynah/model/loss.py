"""Cross-entropy over a large vocabulary, piece by piece, so that the logits of all tokens never stand in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Logits are made for at most this many (tokens x vocabulary) numbers at once: on a CPU what its cache holds, on a
#: GPU what keeps it busy.
AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 27}
#: But for no fewer tokens: each piece reads the whole head twice, which of a large vocabulary (SmolLM2's 49,152) takes
#: longer than the multiplications of a few rows (docs/log.md).
LEAST_ROWS = 128

#: From (M, C) hidden states, (M,) targets and (M,) positions to their summed loss, a scalar.
PieceLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def rows_at_once(vocab_size: int, device: str) -> int:
    """Return for how many tokens logits are made at once, on a device of that type."""
    return max(LEAST_ROWS, AT_ONCE.get(device, AT_ONCE["cpu"]) // vocab_size)


def loss_in_pieces(
    piece: PieceLoss,
    hidden: Tensor,
    targets: Tensor,
    positions: Tensor,
    vocab_size: int,
    parameters: list[Tensor],
) -> Tensor:
    """Return the sum of `piece` over all rows, a scalar; each piece's gradient is made as soon as its loss is.

    Nothing of a piece is kept but its gradients, and nothing is computed twice, as it would be by checkpointing: the
    loss is the last thing computed, so what comes back to it is one number, which its gradients are multiplied by.

    Args:
        piece: the summed loss of some rows; uses no trainable tensor besides `parameters`.
        hidden: (N, C).
        targets: (N,) int64.
        positions: (N,) int64, given to `piece` along with the rows.
        vocab_size: logits a row.
        parameters: of the head.
    """
    rows = rows_at_once(vocab_size, hidden.device.type)
    if len(hidden) <= rows:
        return piece(hidden, targets, positions)
    pieces = list(zip(*(torch.split(x, rows) for x in (hidden, targets, positions)), strict=True))
    if not torch.is_grad_enabled():
        return torch.stack([piece(*part) for part in pieces]).sum()
    total: Tensor = _InPieces.apply(piece, pieces, hidden, *parameters)  # type: ignore[no-untyped-call]
    return total


class _InPieces(torch.autograd.Function):
    """The sum of the losses of pieces, whose gradients are at hand before they are asked for."""

    @staticmethod
    def forward(
        ctx: Any,
        piece: PieceLoss,
        pieces: list[tuple[Tensor, Tensor, Tensor]],
        hidden: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        to_hidden = torch.empty_like(hidden)
        trained = [p for p in parameters if p.requires_grad]
        to_parameters = [torch.zeros_like(p) for p in trained]
        done = 0
        for rows, targets, positions in pieces:
            with torch.enable_grad():
                own = rows.detach().requires_grad_()
                loss = piece(own, targets, positions)
                made = torch.autograd.grad(loss, [own, *trained])
            total += loss.detach()
            to_hidden[done : done + len(rows)] = made[0]
            done += len(rows)
            if trained:
                torch._foreach_add_(to_parameters, made[1:])
        ctx.save_for_backward(to_hidden, *to_parameters)
        ctx.trained = [p.requires_grad for p in parameters]
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        to_hidden, *to_parameters = ctx.saved_tensors
        scaled = iter(torch._foreach_mul(to_parameters, float(grad)) if to_parameters else ())
        back = [next(scaled) if wanted else None for wanted in ctx.trained]
        return None, None, to_hidden.mul_(grad.to(to_hidden.dtype)), *back
