"""An n-gram model over ids: what it gives for a token after others.

There is a table for each order, in the back-off form of ARPA files: an n-gram that is in the model has its
probability, already interpolated with the lower orders; a token that is not there after a context has the context's
back-off weight times its probability after the shorter one (Katz 1987; Heafield 2011, section 2).

    p(w | h) = p_n(hw)                 if hw is in the table
             = backoff(h) * p(w | h')  else, with backoff(h) = 1 where h is not there
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mynah.ngram.kernels import LN10, NONE, Ids
from mynah.ngram.loops import loops
from mynah.ngram.table import Table

Floats = npt.NDArray[np.float64]
#: Tokens that are scored at a time: many, so that one order after another has the processor's cache to itself.
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Scores:
    """What a model says of a stream of tokens; all (N,)."""

    #: float64: natural log-probability; 0 where a token begins a sentence
    log_probs: Floats
    #: uint8: the order of the longest n-gram that ends here and is in the model; 0 where a token begins a sentence
    orders: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class BackoffModel:
    """Tables over the ids 0 to vocab_size - 1, of which `bos` begins sentences and is never predicted."""

    tables: tuple[Table, ...]
    bos: int
    #: whether a context that does not have a token passes on to the uniform distribution, not to a shorter context
    #: (add-k)
    uniform: bool = False

    @property
    def order(self) -> int:
        """The longest n-gram."""
        return len(self.tables)

    @property
    def vocab_size(self) -> int:
        """Number of ids, `bos` included."""
        return len(self.tables[0])

    @property
    def counts(self) -> list[int]:
        """Number of n-grams of each order."""
        return [len(table) for table in self.tables]

    def find(self, order: int, contexts: Ids, tokens: Ids, work: int) -> Ids:
        """Return the ids of the n-grams of an order, (N,) uint32; `NONE` for what is not in the model.

        Args:
            order: 2 or more.
            contexts: (N,) uint32 ids of the order below, or `NONE`.
            tokens: (N,) uint32.
            work: how many will be asked for in all: decides which loops are used.
        """
        offsets, last = self.tables[order - 1].offsets, self.tables[order - 1].tokens
        found: Ids = loops(work).find_children(
            offsets.words, offsets.bits, last.words, last.bits, contexts, tokens
        )
        return found

    def matches(self, tokens: npt.ArrayLike) -> Iterator[tuple[int, list[Ids]]]:
        """Yield where a part of a stream begins, and for each order the ids of the n-grams that end in it.

        Args:
            tokens: (N,) ids; sentences laid end to end, each beginning with `bos`.

        Yields:
            The part's first position, and (order, part) uint32; `NONE` where an n-gram is not in the model, or
            would reach back beyond the beginning of its sentence.
        """
        ids = np.ascontiguousarray(tokens, np.uint32)
        before = [NONE] * self.order
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            begins = part == self.bos
            found = [part]
            for n in range(2, self.order + 1):
                contexts = _contexts(found[-1], before[n - 2], begins)
                found.append(self.find(n, contexts, part, len(ids)))
            yield start, found
            before = [each[-1] for each in found]

    def score(self, tokens: npt.ArrayLike) -> Scores:
        """Score sentences laid end to end, each beginning with `bos`.

        Args:
            tokens: (N,) ids below vocab_size.
        """
        ids = np.ascontiguousarray(tokens, np.uint32)
        result = Scores(np.zeros(len(ids)), np.zeros(len(ids), np.uint8))
        before = [NONE] * self.order
        for start, found in self.matches(ids):
            part = found[0]
            begins = part == self.bos
            total = result.log_probs[start : start + len(part)]
            orders = result.orders[start : start + len(part)]
            contexts = [_contexts(*each, begins) for each in zip(found[:-1], before, strict=False)]
            if self.uniform:
                far = [_reach(ids, start, len(part), n, self.bos) for n in range(1, self.order)]
                self._score_or_share(found, contexts, far, total, orders)
            else:
                self.settle(found, contexts, total, orders, len(ids))
            total *= LN10
            total[begins] = 0.0
            orders[begins] = 0
            before = [each[-1] for each in found]
        return result

    def settle(
        self,
        found: Sequence[Ids],
        contexts: Sequence[Ids],
        total: Floats,
        orders: npt.NDArray[np.uint8],
        work: int,
    ) -> None:
        """Write log10 of the probabilities of n-grams, and the longest of each that is in the model.

        Args:
            found: for each order from 1 on, (N,) ids of the n-grams.
            contexts: for each order from 2 on, (N,) ids of their contexts.
            total: (N,) zeros.
            orders: (N,) zeros.
            work: as in `find`.
        """
        chosen = loops(work)
        for n in range(len(found), 1, -1):
            logs = self.tables[n - 2].backoffs, self.tables[n - 1].log_probs
            chosen.settle(n, contexts[n - 2], found[n - 1], *logs, total, orders)
        nothing = np.full(len(total), NONE)
        chosen.settle(1, nothing, found[0], self.tables[0].backoffs, self.tables[0].log_probs, total, orders)

    def _score_or_share(
        self,
        found: Sequence[Ids],
        contexts: Sequence[Ids],
        far: Sequence[npt.NDArray[np.bool_]],
        total: Floats,
        orders: npt.NDArray[np.uint8],
    ) -> None:
        """Do as `settle` where the longest context that a position has passes on to the uniform distribution.

        Args:
            found, contexts, total, orders: as there.
            far: for each order from 2 on, (N,) whether so many tokens stand before a position.
        """
        total[:], orders[:] = self.tables[0].log_probs.at(found[0]), 1
        for n, reached in enumerate(far, start=2):
            total[reached] = -np.log10(self.vocab_size - 1)
            known = reached & (contexts[n - 2] != NONE)
            total[known] += self.tables[n - 2].backoffs.at(contexts[n - 2][known])
            hit = found[n - 1] != NONE
            total[hit], orders[hit] = self.tables[n - 1].log_probs.at(found[n - 1][hit]), n

    def ngrams(self, order: int, start: int, stop: int) -> Ids:
        """Return the n-grams of an order with the ids from `start` to `stop`, (stop - start, order) uint32."""
        table = self.tables[order - 1]
        last = table.tokens.range(start, stop).astype(np.uint32)[:, None]
        if order == 1 or start == stop:
            return np.tile(last, (1, order))
        # What follows one context lies together, so the contexts of a range are a range.
        low, high = self._context_of(order, start), self._context_of(order, stop - 1) + 1
        ends = table.offsets.range(low, high + 1).clip(start, stop)
        return np.hstack([np.repeat(self.ngrams(order - 1, low, high), np.diff(ends), axis=0), last])

    def _context_of(self, order: int, ngram: int) -> int:
        """Return the id of an n-gram's context, by bisection of the offsets."""
        offsets = self.tables[order - 1].offsets
        low, high = 0, len(offsets) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if offsets.one(middle) <= ngram:
                low = middle
            else:
                high = middle
        return low

    def contexts(self, tokens: Sequence[int]) -> list[int | None]:
        """Return the ids of the ends of a context, of one token, of two, ...; None for what is not in the model.

        Only the last `order` - 1 tokens count.
        """
        rows: list[int | None] = []
        for token in list(tokens)[max(0, len(tokens) - self.order + 1) :]:
            rows = self.advance(rows, token)
        return rows

    def advance(self, rows: Sequence[int | None], token: int) -> list[int | None]:
        """Return what `contexts` gives for a context with one more token, from what it gave without it."""
        longer = zip(self.tables[1:-1], rows, strict=False)
        after = [None if row is None else table.child(row, token) for table, row in longer]
        return [token, *after] if self.order > 1 else []

    @cached_property
    def _unigrams(self) -> Floats:
        probabilities = np.exp(LN10 * self.tables[0].log_probs.range(0, self.vocab_size).astype(np.float64))
        probabilities[self.bos] = 0.0
        return probabilities

    def distribution(self, context: Sequence[int]) -> Floats:
        """Return p(. | context) over the whole vocabulary, (vocab_size,) float64.

        Args:
            context: ids, the last one the nearest; begins with `bos` if it reaches back that far.
        """
        rows = list(enumerate(self.contexts(context), start=1))
        probabilities = self._unigrams.copy()
        if self.uniform and rows:
            probabilities = np.full(self.vocab_size, 1.0 / (self.vocab_size - 1))
            probabilities[self.bos] = 0.0
            rows = rows[-1:]  # the whole of the context, or nothing
        for order, row in rows:
            if row is None:
                continue
            table = self.tables[order]
            probabilities *= np.exp(LN10 * float(self.tables[order - 1].backoffs.range(row, row + 1)[0]))
            low, high = table.children(row)
            own = table.log_probs.range(low, high).astype(np.float64)
            probabilities[table.tokens.range(low, high)] = np.exp(LN10 * own)
        return probabilities


def _contexts(found: Ids, before: np.uint32, begins: npt.NDArray[np.bool_]) -> Ids:
    """Return for each position what ended just before it; `before` for the first, `NONE` where a sentence begins."""
    contexts = np.empty_like(found)
    contexts[0], contexts[1:] = before, found[:-1]
    contexts[begins] = NONE
    return contexts


def _reach(ids: Ids, start: int, length: int, n: int, bos: int) -> npt.NDArray[np.bool_]:
    """Whether n tokens of the same sentence, its beginning among them, stand before each position of a part."""
    enough = np.ones(length, np.bool_)
    enough[: max(0, n - start)] = False
    for back in range(n):
        shifted = np.arange(start - back, start - back + length)
        enough &= (shifted >= 0) & (ids[np.maximum(shifted, 0)] != bos)
    return enough
