"""Which tokens of a text a network's next word hangs on: by gradients, by leaving each out, by another text's states.

T tokens, L layers, C width of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mynah.errors import ConfigError
from mynah.explain.trace import blocks_of, check_plain, hooked, logits_of
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer

#: Steps of the first path, at most, and how far the sum may be from the difference.
STEPS, MOST_STEPS, COMPLETE = 16, 512, 0.01
#: Rows that are computed at once.
_ROWS = 32


@dataclass(frozen=True)
class Integrated:
    """Attributions of a logit to the tokens before it."""

    #: (T,) which sum to `difference`, but for `missing` of it
    tokens: tuple[float, ...]
    #: logit of the text less that of the baseline
    difference: float
    #: share of the difference by which the sum is off
    missing: float
    steps: int


def integrated_gradients(
    model: Transformer, tokens: Sequence[int], target: int, baseline: Sequence[int]
) -> Integrated:
    """Attribute the logit of a token after a text to the text's tokens (Sundararajan et al. 2017).

    The path goes in a straight line from what the tables of tokens hold for another text to what they hold for this
    one; steps are doubled until the attributions sum to the difference of the logits within 1 % (completeness,
    section 3).

    Args:
        model: in evaluation mode, its weights as they were trained.
        tokens: (T,) the text.
        target: the token whose logit it is.
        baseline: (T,) a text that says nothing in particular.

    Raises:
        ConfigError: if the text is empty or too long.
    """
    check_plain(model, tokens)
    assert len(baseline) == len(tokens)
    if model.dtype != torch.float32:  # gradients in few digits do not sum to anything
        raise ConfigError("gradients are taken in float32; open the model so: dtype=torch.float32")
    steps = STEPS
    while True:
        found = _along_path(model, tokens, target, baseline, steps)
        if found.missing <= COMPLETE or steps >= MOST_STEPS:
            return found
        steps *= 2


def _along_path(
    model: Transformer, tokens: Sequence[int], target: int, baseline: Sequence[int], steps: int
) -> Integrated:
    tables = [table for table in (model.embed, model.value_embed, model.bigram_embed) if table is not None]
    places, weights = np.polynomial.legendre.leggauss(steps)
    shares = torch.tensor((places + 1) / 2, dtype=torch.float32, device=model.device)
    total = torch.zeros(len(tokens))
    both = torch.tensor([0.0, 1.0], device=model.device)
    with torch.no_grad():
        ends = _logit(model, tokens, baseline, target, both, tables, []).tolist()
    for begin in range(0, steps, _ROWS):
        share = shares[begin : begin + _ROWS]
        inputs: list[tuple[Tensor, Tensor]] = []
        with torch.enable_grad():
            logit = _logit(model, tokens, baseline, target, share, tables, inputs)
            gradients = torch.autograd.grad(logit.sum(), [given for given, _ in inputs])
        weight = torch.tensor(weights[begin : begin + _ROWS] / 2, dtype=torch.float32, device=model.device)
        for gradient, (_, way) in zip(gradients, inputs, strict=True):
            total += (gradient * way * weight[:, None, None]).sum(dim=(0, 2)).cpu()
    difference = ends[1] - ends[0]
    missing = abs(float(total.sum()) - difference) / max(1e-6, abs(difference))
    return Integrated(tuple(total.tolist()), difference, missing, steps)


def _logit(
    model: Transformer,
    tokens: Sequence[int],
    baseline: Sequence[int],
    target: int,
    shares: Tensor,
    tables: Sequence[nn.Embedding],
    inputs: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """Return (N,) logits where what tables hold for the tokens is so far on its way from what they hold for others.

    Args:
        model: the network.
        tokens: (T,).
        baseline: (T,), where the way begins.
        target: whose logit.
        shares: (N,) 0: the baseline, 1: the tokens.
        tables: whose rows stand for tokens.
        inputs: gets, of each table, the (N, T, C) rows, which ask for a gradient, and the way (T, C) to them.
    """

    def on_the_way(_: nn.Module, __: Any, rows: Tensor) -> Tensor:
        begin, end = rows[0].detach(), rows[-1].detach()
        given = (begin + shares[:, None, None] * (end - begin)).requires_grad_()
        inputs.append((given, end - begin))
        return given

    # The tables are asked for the baseline first and for the tokens last; what stands between is as many rows.
    rows = torch.tensor([list(baseline), *([list(tokens)] * (len(shares) - 1))], device=model.device)
    if len(rows) == 1:
        rows = torch.tensor([list(baseline), list(tokens)], device=model.device)
        shares = shares.repeat(2)
    with hooked(*(table.register_forward_hook(on_the_way) for table in tables)):
        hidden = model(rows)[:, -1:]
    return torch.stack([_one_logit(model, hidden[n : n + 1], tokens, target) for n in range(len(shares))])


def _one_logit(model: Transformer, hidden: Tensor, tokens: Sequence[int], target: int) -> Tensor:
    if model.gate is not None and model.prior is not None:
        known = model.prior.contexts(np.array(tokens))[:, -1:]
        given = torch.from_numpy(model.prior.log_probs(known)).to(hidden.device)
        return model.logits(hidden[0], given)[0, target]
    logit = hidden[0, 0] @ model.head.weight[target]
    cap = model.config.logit_softcap
    return cap * torch.tanh(logit / cap) if cap else logit


@torch.no_grad()
def leave_one_out(
    model: Transformer, tokens: Sequence[int], said: Sequence[int], spans: Sequence[tuple[int, int]]
) -> list[float]:
    """Return by how much less likely what was said becomes when a part of what stands before it is left out, nats.

    Args:
        model: in evaluation mode.
        tokens: what stands before.
        said: what followed.
        spans: parts of `tokens`, first and one past the last; never all of it.

    Raises:
        ConfigError: if both together do not fit the context.
    """
    check_plain(model, [*tokens, *said])
    rows = [list(tokens), *([*tokens[:begin], *tokens[end:]] for begin, end in spans)]
    scores: list[float] = []
    for first in range(0, len(rows), _ROWS):
        some = rows[first : first + _ROWS]
        state = DecodingState(model)
        logits = state.add(some)
        scores += [float(log_probs.sum()) for log_probs, _ in state.score(logits, [list(said)] * len(some))]
    return [scores[0] - score for score in scores[1:]]


@torch.no_grad()
def patch(
    model: Transformer, clean: Sequence[int], other: Sequence[int], wanted: int, instead: int
) -> tuple[Tensor, float, float]:
    """Put the stream of one text into a pass over another, one place at a time (Meng et al. 2022, "causal tracing").

    Args:
        model: in evaluation mode.
        clean: (T,) the text whose states are put in.
        other: (T,) the text that is read.
        wanted: the token that the first is to bring.
        instead: the token that the second brings.

    Returns:
        (L + 1, T) how much of the way from the second's difference of logits, wanted less instead, to that of the
        first the state of one place before or after a block brings, and both differences, first and second.

    Raises:
        ConfigError: if they are not of one length, or too long.
    """
    check_plain(model, clean)
    check_as_long(clean, other)
    T, blocks, held = len(clean), blocks_of(model), list[Tensor]()
    points = [model.at_embedding, *(block.at_stream for block in blocks)]
    with hooked(*(point.register_forward_hook(lambda _, __, x: held.append(x)) for point in points)):
        hidden = model(torch.tensor([list(clean)], device=model.device))
    best = _difference(model, hidden, clean, wanted, instead)
    worst = _difference(
        model, model(torch.tensor([list(other)], device=model.device)), other, wanted, instead
    )
    found = torch.zeros(len(points), T)
    for layer, (point, stream) in enumerate(zip(points, held, strict=True)):
        for begin in range(0, T, _ROWS):
            places = range(begin, min(begin + _ROWS, T))

            def put(
                _: nn.Module, __: Any, x: Tensor, stream: Tensor = stream, places: range = places
            ) -> Tensor:
                x = x.clone()
                for row, place in enumerate(places):
                    x[row, place] = stream[0, place]
                return x

            with hooked(point.register_forward_hook(put)):
                rows = torch.tensor([list(other)] * len(places), device=model.device)
                hidden = model(rows)
            for row, place in enumerate(places):
                found[layer, place] = _difference(model, hidden[row : row + 1], other, wanted, instead)
    way = best - worst
    return (found - worst) / (way if abs(way) > 1e-6 else 1.0), best, worst


def check_as_long(clean: Sequence[int], other: Sequence[int]) -> None:
    """Raise ConfigError if two texts cannot be compared place by place."""
    if len(clean) != len(other):
        raise ConfigError(
            f"the texts have {len(clean)} and {len(other)} tokens; expected as many: exchange a word for one of as many"
        )


def _difference(
    model: Transformer, hidden: Tensor, tokens: Sequence[int], wanted: int, instead: int
) -> float:
    logits = logits_of(model, hidden, tokens)[-1]
    return float(logits[wanted] - logits[instead])
