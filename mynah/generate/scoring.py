"""How likely replies are under a network that has read the log: many candidates to one history, read once.

A history's keys and values are computed once and shared by all replies to it; of a long reply the beginning decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from mynah.data.records import Message
from mynah.errors import DataError
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens of a reply that are scored, and of a history that are read, at most.
SCORED_TOKENS, HISTORY_TOKENS = 16, 320
#: Tokens of replies that are read at once.
AT_ONCE = 1024


@dataclass(frozen=True)
class Likelihood:
    """How likely a reply is."""

    #: natural logarithm, summed over the tokens that were scored
    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """Of one token."""
        return self.total / max(1, self.tokens)


class Scorer:
    """A network that judges replies.

    Args:
        model: in evaluation mode.
        tokenizer: and its template.
        scored: tokens of a reply that are scored, its end among them, at most.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, scored: int = SCORED_TOKENS) -> None:
        self.model, self.tokenizer, self.scored = model, tokenizer, scored
        self._ids: dict[str, list[int]] = {}

    def score(
        self,
        histories: Sequence[Sequence[Message]],
        replies: Sequence[Sequence[str]],
        told: Callable[[float], None] | None = None,
    ) -> list[list[Likelihood]]:
        """Return how likely each reply to each history is.

        Args:
            histories: N, oldest message first, the last one the user's; one too long loses its oldest turns.
            replies: of each history, its candidates.
            told: is told what share is done, from 0 to 1.
        """
        prompts = [self._prompt(history) for history in histories]
        encoded = [[self._encode(reply) for reply in of] for of in replies]
        found: list[list[Likelihood]] = [[] for _ in histories]
        # Of about one length together, which needs little padding.
        order = sorted(
            range(len(histories)), key=lambda n: (len(prompts[n]), max(map(len, encoded[n]), default=0))
        )
        done, total = 0, sum(map(bool, encoded))
        for some in _batches([n for n in order if encoded[n]], encoded):
            self._read(some, prompts, encoded, found)
            done += len(some)
            if told is not None:
                told(done / total)
        return found

    def _read(
        self,
        some: Sequence[int],
        prompts: Sequence[list[int]],
        encoded: Sequence[Sequence[list[int]]],
        found: list[list[Likelihood]],
    ) -> None:
        state = DecodingState(self.model)
        logits = state.add([prompts[n] for n in some])
        rows = [row for row, n in enumerate(some) for _ in encoded[n]]
        state.keep(rows)
        flat = [ids for n in some for ids in encoded[n]]
        said = iter(state.score(logits[torch.tensor(rows, device=logits.device)], flat))
        for n in some:
            found[n] = [Likelihood(float(next(said)[0].sum()), len(ids)) for ids in encoded[n]]

    def _prompt(self, history: Sequence[Message]) -> list[int]:
        context = min(self.model.config.context_length - self.scored, HISTORY_TOKENS)
        return self.tokenizer.template.fit(history, max(2, context), 1, cut=True).ids

    def _encode(self, reply: str) -> list[int]:
        """Return the tokens of a reply and what ends it, of a long one its beginning."""
        if reply not in self._ids:
            template, asked = self.tokenizer.template, [Message("user", "?")]
            try:
                whole = template.render([*asked, Message("assistant", reply)]).ids
            except DataError:  # a foreign template that cannot say it: then nobody says it
                whole = []
            ids = whole[len(template.prompt(asked)) :]
            ends = [at for at, token in enumerate(ids) if token in template.stop_ids]
            ids = ids[: ends[0] + 1] if ends else ids
            self._ids[reply] = ids[: self.scored] or [*template.stop_ids][:1]
        return self._ids[reply]


def _batches(order: Sequence[int], encoded: Sequence[Sequence[list[int]]]) -> Iterator[list[int]]:
    """Yield histories, in order, whose replies together are at most `AT_ONCE` tokens, or one history."""
    some, size = list[int](), 0
    for n in order:
        tokens = sum(map(len, encoded[n]))
        if some and size + tokens > AT_ONCE:
            yield some
            some, size = [], 0
        some.append(n)
        size += tokens
    if some:
        yield some
