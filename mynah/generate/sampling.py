"""From logits to the next token of one row.

V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mynah.errors import GenerationError
from mynah.generate.copies import Runs
from mynah.generate.settings import SamplingConfig

#: Nearer to zero than this, division by the temperature would overflow.
_COLDEST = 1e-4


class Constraint(Protocol):
    """What says, token by token, which may come next."""

    def apply(self, logits: Tensor) -> Tensor:
        """Return (V,) logits in which tokens that may not come are -inf."""

    def accept(self, token: int) -> None:
        """Take note of the token that was drawn."""


@dataclass(frozen=True)
class Drawn:
    """A token, and how likely the model found it."""

    token: int
    #: natural log-probability under the model as it is, before temperature and the rest; None if not asked for
    log_prob: float | None = None
    #: the likeliest tokens with theirs, likeliest first
    likeliest: tuple[tuple[int, float], ...] = ()


class Sampler:
    """Draws the tokens of one row, with a generator of its own."""

    def __init__(
        self,
        config: SamplingConfig,
        forbid: Collection[int] = (),
        *,
        device: torch.device = torch.device("cpu"),
        likeliest: int | None = None,
        copies: Runs | None = None,
        bias: Mapping[int, float] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        """Prepare to draw.

        Args:
            config: how to draw.
            forbid: ids that are never drawn.
            device: where the logits are.
            likeliest: give log-probabilities, and those of so many of the likeliest tokens; None: give none.
            copies: no token is drawn that would copy a run of them, unless nothing else is left.
            bias: is added to the logits of these tokens.
            constraint: says which tokens may come.
        """
        self.config, self.likeliest, self.copies, self.constraint = config, likeliest, copies, constraint
        self._bias: tuple[Tensor, Tensor] | None = None
        if bias:
            ids, values = zip(*sorted(bias.items()), strict=True)
            self._bias = torch.tensor(ids, device=device), torch.tensor(values, device=device)
        self._drawn = Counter[int]()
        self.generator = torch.Generator(device=device)
        self.generator.seed() if config.seed is None else self.generator.manual_seed(config.seed)
        self._forbidden = torch.tensor(sorted(forbid), dtype=torch.int64, device=device)

    @torch.inference_mode()
    def draw(self, logits: Tensor, seen: Sequence[int] = ()) -> Drawn:
        """Draw one token.

        Args:
            logits: (V,) float32; not changed.
            seen: ids of the row so far, for the repetition penalty and what would be copied.

        Raises:
            GenerationError: if no token can be drawn, as a logit is not a number or all tokens are forbidden.
        """
        allowed = logits.index_fill(0, self._forbidden, float("-inf")) if len(self._forbidden) else logits
        if self.copies is not None and len(copied := self.copies.copies(seen)):
            others = allowed.index_fill(0, torch.from_numpy(copied).to(allowed.device), float("-inf"))
            if bool(torch.isfinite(others.max())):
                allowed = others
        if self._bias is not None:
            allowed = allowed.index_add(0, *self._bias)
        if self.constraint is not None:
            allowed = self.constraint.apply(allowed)
        best = allowed.max()
        if not torch.isfinite(best):  # the maximum of what holds a NaN is NaN
            raise GenerationError(
                f"the model's largest logit is {float(best)}: no token can be drawn; its weights are damaged, or its "
                "training went wrong"
            )
        token = int(self._choose(self._penalised(allowed, seen)))
        self._drawn[token] += 1
        if self.constraint is not None:
            self.constraint.accept(token)
        if self.likeliest is None:
            return Drawn(token)
        log_probs = logits.log_softmax(dim=-1)
        values, ids = log_probs.topk(min(self.likeliest, len(log_probs)))
        ranked = tuple(zip(ids.tolist(), values.tolist(), strict=True))
        return Drawn(token, float(log_probs[token]), ranked)

    def _penalised(self, logits: Tensor, seen: Sequence[int]) -> Tensor:
        """Make tokens of the row less likely (Keskar et al. 2019, section 4.1)."""
        penalty, config = self.config.repetition_penalty, self.config
        if self._drawn and (config.presence_penalty or config.frequency_penalty):
            ids = torch.tensor(list(self._drawn), device=logits.device)
            counts = torch.tensor(list(self._drawn.values()), dtype=logits.dtype, device=logits.device)
            logits = logits.index_add(0, ids, -config.presence_penalty - config.frequency_penalty * counts)
        if penalty == 1 or not seen:
            return logits
        ids = torch.tensor(sorted(set(seen)), device=logits.device)
        of_seen = logits[ids]
        return logits.index_copy(0, ids, torch.where(of_seen > 0, of_seen / penalty, of_seen * penalty))

    def _choose(self, logits: Tensor) -> Tensor:
        config = self.config
        if config.temperature < _COLDEST or config.top_k == 1:
            return logits.argmax()
        logits = logits / config.temperature
        if 0 < config.top_k < len(logits):
            logits = logits.masked_fill(~largest(logits, config.top_k), float("-inf"))
        if config.top_p < 1:
            # Nucleus sampling (Holtzman et al. 2020): keep a token while the mass before it is below top_p.
            ranked, order = logits.sort(descending=True)
            mass = ranked.softmax(dim=-1)
            outside = mass.cumsum(dim=-1) - mass >= config.top_p
            logits = logits.masked_fill(torch.empty_like(outside).scatter_(0, order, outside), float("-inf"))
        probs = logits.softmax(dim=-1)
        if config.min_p:
            probs = probs.masked_fill(probs < config.min_p * probs.max(), 0)  # Nguyen et al. 2024
        return torch.multinomial(probs, 1, generator=self.generator)[0]


def largest(logits: Tensor, k: int) -> Tensor:
    """Return (V,) bool, True for the k largest; of equal ones, those with the lowest ids."""
    least = logits.topk(k).values[-1]
    above, equal = logits > least, logits == least
    return above | (equal & (equal.cumsum(0) <= k - above.sum()))
