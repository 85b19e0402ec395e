"""Guesses of what comes next, which the network reads in one pass and keeps as far as it would have said the same.

The tokens are drawn from the network's own logits, one after another and by the row's own generator, so what comes out
is what would have come without guesses (Leviathan et al. 2023, "Fast Inference from Transformers via Speculative
Decoding", where drafts are sampled; here a draft is one sequence, and it is kept while the draws agree with it).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from mynah.generate.sampling import Drawn, Sampler
from mynah.model.prior import Prior

#: Tokens that one pass reads, of all rows together: from about there on it takes as long as they are many.
PASS = 16
#: Tokens by whose earlier place it is guessed how a text goes on: the longer run first.
_RUNS = (4, 2)
#: An n-gram model needs to see no more of a text than its order; it guesses on while the whole is this likely.
_SEEN, _SURE = 16, 0.3
#: Passes after which a row whose guesses fail tries again, at most.
_LONGEST_PAUSE = 32


class Drafter(Protocol):
    """What guesses; of one row, whose tokens only grow."""

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return up to `most` tokens that may follow; none where there is nothing to guess by."""


class Repeats:
    """Guesses that a text goes on as it did where its last tokens stood before, in itself or in texts beside it.

    Saxena 2023, "Prompt Lookup Decoding".

    Args:
        beside: texts that it may be going to repeat.
    """

    def __init__(self, beside: Sequence[Sequence[int]] = ()) -> None:
        self._places: dict[tuple[int, ...], tuple[Sequence[int], int]] = {}
        self._beside, self._own = beside, list[int]()

    def _note(self, text: Sequence[int], first: int, last: int) -> None:
        for end in range(max(first, 1), last):
            for length in _RUNS:
                if end >= length:
                    self._places[tuple(text[end - length : end])] = text, end

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return what followed the last tokens where they stood before."""
        for text in self._beside:  # noted when it is first asked
            self._note(text, 0, len(text))
        self._beside = ()
        # Of its own last tokens only what stands before the end: nothing has followed the end yet.
        known = len(self._own)
        self._own += tokens[known:]
        self._note(self._own, known, len(self._own))
        for length in _RUNS:
            if place := self._places.get(tuple(self._own[-length:])):
                text, end = place
                return list(text[end : end + most])
        return []


class Counted:
    """Guesses what an n-gram model finds likeliest, as long as it is sure of the whole.

    Args:
        prior: the model, over the network's tokens.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return the likeliest tokens one after another."""
        after = self.prior.contexts(np.array(tokens[-_SEEN:]))[:, -1:]
        found, sure = list[int](), 1.0
        while len(found) < most:
            log_probs = self.prior.log_probs(after)[0]
            best = int(log_probs.argmax())
            sure *= float(np.exp(log_probs[best]))
            if sure < _SURE:
                break
            found.append(best)
            after = self.prior.advance(after, np.array([best]))
        return found


class Speculation:
    """The guesses of one row, and how well they have fared: the better they do, the longer they get.

    Args:
        drafters: asked in turn, until one guesses.
    """

    def __init__(self, drafters: Sequence[Drafter]) -> None:
        self.drafters = drafters
        self.drafted = self.accepted = 0
        self._length, self._pause, self._next_pause = 4, 0, 1

    def draft(self, tokens: Sequence[int], most: int) -> list[int]:
        """Return a guess of at most so many tokens."""
        if self._pause:
            self._pause -= 1
            return []
        most = min(most, self._length)
        if most < 1:
            return []
        return next((found for one in self.drafters if (found := one.draft(tokens, most))), [])

    def fared(self, drafted: int, accepted: int) -> None:
        """Take note of how much of a guess was right."""
        if not drafted:
            return
        self.drafted += drafted
        self.accepted += accepted
        if accepted:
            self._next_pause = 1
            self._length = min(2 * self._length, PASS) if accepted == drafted else max(2, accepted + 1)
        else:
            self._length, self._pause = 2, self._next_pause
            self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)


@dataclass(frozen=True)
class Agreed:
    """What was drawn after a pass over a token and a guess behind it."""

    drawn: list[Drawn]
    #: of the guess, tokens that were drawn, too
    accepted: int
    #: a stop token was drawn behind them
    stopped: bool = False
    #: no token could be drawn behind them
    error: Exception | None = None


def draw_along(
    sampler: Sampler,
    logits: Tensor,
    tokens: Sequence[int],
    draft: Sequence[int],
    stop: Collection[int],
    left: int,
) -> Agreed:
    """Draw as long as a guess is met, and one token more.

    Args:
        sampler: the row's.
        logits: (T + 1, V) before the guess and after each of its T tokens.
        tokens: the row's, the guess at their end.
        draft: the guess.
        stop: ids that end the row.
        left: tokens that may come.

    Returns:
        What was drawn; what went wrong behind it is told, and not raised.
    """
    drawn, before = list[Drawn](), len(tokens) - len(draft)
    for at in range(len(draft) + 1):
        try:
            found = sampler.draw(logits[at], tokens[: before + at] if draft else tokens)
        except Exception as error:  # a damaged model, a grammar that fails: what came before it stands
            return Agreed(drawn, at, error=error)
        if found.token in stop:
            return Agreed(drawn, at, stopped=True)
        drawn.append(found)
        if len(drawn) == left or at == len(draft) or found.token != draft[at]:
            return Agreed(drawn, at)
    raise AssertionError("unreachable")
