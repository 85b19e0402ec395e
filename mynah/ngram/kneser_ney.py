"""Interpolated modified Kneser-Ney over token ids (Chen & Goodman 1998, section 3; Heafield et al. 2013).

    p(w | h) = max(c(hw) - D(c(hw)), 0) / c(h.)  +  gamma(h) * p(w | h')

where h' is the context without its oldest token, c are raw counts at the highest order and adjusted counts
(in how many distinct contexts an n-gram was seen) below it, D is one of three discounts an order, and
gamma(h) is the mass that discounting freed. The recursion ends in the uniform distribution.

Everything is sorted integer arrays: an n-gram's id is its place among the sorted keys
`id of its first n-1 tokens * vocab_size + last token`. No dictionaries, so a million tokens take a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mynah import artifacts
from mynah.config import Config
from mynah.errors import ArtifactError, ConfigError, DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MAX_ORDER = 8


class NGramConfig(Config):
    """Which n-gram baselines a build estimates."""

    max_order: int = Field(5, ge=1, le=MAX_ORDER, description="orders 1 to this are all measured")


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order, sorted by key.

    M n-grams, P contexts (the n-grams of the order below, or one for unigrams).
    """

    #: (M,) sorted: context id * vocab_size + last token
    keys: Ints
    #: (M,) discounted probability, not yet interpolated: max(c - D, 0) / c(h.)
    own: Floats
    #: (P,) mass left for the lower order, 1 where the context was never seen
    gamma: Floats


@dataclass(frozen=True)
class NGramModel:
    """An n-gram model over ids 0 to vocab_size - 1.

    Every id but `bos` has a probability in every context; `bos` begins records and is never predicted.
    """

    order: int
    vocab_size: int
    bos: int
    orders: tuple[_Order, ...]
    #: (order, 3) the discounts D1, D2, D3+ of each order
    discounts: Floats

    @classmethod
    def estimate(cls, tokens: Ints, starts: Ints, order: int, vocab_size: int, bos: int) -> NGramModel:
        """Estimate a model from records laid end to end.

        Args:
            tokens: (N,) ids; each record's first token is its beginning-of-text token, which is context
                and never predicted.
            starts: (R + 1,) where each record begins; the last entry is N.
            order: 1 to 8.
            vocab_size: number of ids, `bos` included.
            bos: the id that begins records.

        Raises:
            ConfigError: if `order` is out of range.
            DataError: if no token is left to predict, or n-grams of this order need more than 63 bits.
        """
        if not 1 <= order <= MAX_ORDER:
            raise ConfigError(f"n-gram order {order}: expected 1 to {MAX_ORDER}")
        if len(tokens) - (len(starts) - 1) < 1:
            raise DataError("no tokens to count")
        counter = _Counter(np.asarray(tokens, np.int64), starts, order, vocab_size)
        levels, discounts = [], np.zeros((order, 3))
        for n in range(1, order + 1):
            level, discounts[n - 1] = counter.estimate(n)
            levels.append(level)
        return cls(order, vocab_size, bos, tuple(levels), discounts)

    def _context_ids(self, tokens: Ints, starts: Ints) -> list[Ints]:
        """Return for each n the id of the n-gram that ends at each position, -1 if not in the model.

        ids[n][t] is (N,); ids[0] is all zero: the empty context.
        """
        ids = [np.zeros(len(tokens), np.int64)]
        for n in range(1, self.order):
            previous = _shift(ids[-1], starts) if n > 1 else ids[0]
            ids.append(_look_up(self.orders[n - 1].keys, previous, tokens, self.vocab_size))
        return ids

    def log_probs(self, tokens: Ints, starts: Ints) -> Floats:
        """Return the natural log-probability of each token given those before it in its record.

        Args:
            tokens, starts: as in `estimate`.

        Returns:
            (N,) float64; 0 at each record's first token, which is given and not predicted.
        """
        tokens = np.asarray(tokens, np.int64)
        contexts = self._context_ids(tokens, starts)
        probability = np.full(len(tokens), 1.0 / (self.vocab_size - 1))
        for n, level in enumerate(self.orders, start=1):
            context = _shift(contexts[n - 1], starts) if n > 1 else contexts[0]
            found = _look_up(level.keys, context, tokens, self.vocab_size)
            own = _at(level.own, found, 0.0)
            gamma = _at(level.gamma, context, 1.0)
            probability = own + gamma * probability
        result: Floats = np.log(probability)
        result[starts[:-1][starts[:-1] < len(tokens)]] = 0.0
        return result

    def distribution(self, context: list[int]) -> Floats:
        """Return p(. | context) over the whole vocabulary, (vocab_size,) float64.

        `context` begins with the beginning-of-text token if it reaches back that far.
        """
        kept = np.array(context[-(self.order - 1) :] if self.order > 1 else [], np.int64)
        probability = np.full(self.vocab_size, 1.0 / (self.vocab_size - 1))
        probability[self.bos] = 0.0
        for n, level in enumerate(self.orders, start=1):
            if n - 1 > len(kept):
                break
            row = self._context_id(kept[len(kept) - (n - 1) :])
            if row < 0:
                break
            probability = probability * level.gamma[row]
            low, high = np.searchsorted(level.keys, [row * self.vocab_size, (row + 1) * self.vocab_size])
            probability[level.keys[low:high] - row * self.vocab_size] += level.own[low:high]
        return probability

    def _context_id(self, tokens: Ints) -> int:
        row = 0
        for n, token in enumerate(tokens):
            keys = self.orders[n].keys
            key = row * self.vocab_size + int(token)
            place = int(np.searchsorted(keys, key))
            if place == len(keys) or keys[place] != key:
                return -1
            row = place
        return row

    def top_tokens(self, tokens: Ints, starts: Ints) -> Ints:
        """Return the most likely token at each position given those before it in its record, (N,) int64.

        Positions are grouped by their longest known context, so each distinct context is expanded once.
        """
        tokens = np.asarray(tokens, np.int64)
        begin = np.repeat(starts[:-1], np.diff(starts))
        best = np.zeros(len(tokens), np.int64)
        cache: dict[tuple[int, ...], int] = {}
        for t in range(len(tokens)):
            context = tuple(tokens[max(begin[t], t - self.order + 1) : t].tolist())
            if context not in cache:
                cache[context] = int(np.argmax(self.distribution(list(context))))
            best[t] = cache[context]
        return best

    def save(self, path: Path) -> None:
        """Write the model as one safetensors file.

        Raises:
            ArtifactError: if it cannot be written.
        """
        from safetensors.numpy import save

        # The three numbers are a tensor too: the metadata of safetensors comes in no fixed order, and equal
        # models are to be equal files.
        shape = np.array([self.order, self.vocab_size, self.bos], np.int64)
        arrays: dict[str, npt.NDArray[Any]] = {"shape": shape, "discounts": self.discounts}
        for n, level in enumerate(self.orders, start=1):
            arrays |= {f"keys.{n}": level.keys, f"own.{n}": level.own, f"gamma.{n}": level.gamma}
        artifacts.write_bytes(path, save(arrays))

    @classmethod
    def load(cls, path: Path) -> NGramModel:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            arrays = load_file(path)
            order, vocab_size, bos = (int(number) for number in arrays["shape"])
            levels = tuple(
                _Order(arrays[f"keys.{n}"], arrays[f"own.{n}"], arrays[f"gamma.{n}"])
                for n in range(1, order + 1)
            )
            return cls(order, vocab_size, bos, levels, arrays["discounts"])
        except FileNotFoundError:
            raise ArtifactError(f"{path}: missing") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None


class _Counter:
    """Counts of all orders of one token stream."""

    def __init__(self, tokens: Ints, starts: Ints, order: int, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.order = order
        first = np.zeros(len(tokens), np.bool_)
        first[starts[:-1]] = True
        # n-gram ids at the position of their last token; -1 where the n-gram would cross a record's start.
        self.ids: list[Ints] = [np.zeros(len(tokens), np.int64)]
        self.keys: list[Ints] = []
        self.raw: list[Ints] = []
        #: for each distinct n-gram, one position where it ends
        self.where: list[Ints] = []
        #: whether the n-gram begins with the first token of a record
        self.opening: list[npt.NDArray[np.bool_]] = []
        opens = first
        for n in range(1, order + 1):
            previous = _shift(self.ids[-1], starts) if n > 1 else self.ids[0]
            if n > 1:
                opens = np.concatenate([[False], opens[:-1]])
            positions = np.flatnonzero(previous >= 0)
            if (int(previous.max(initial=0)) + 1) * vocab_size >= 2**62:
                raise DataError(f"n-grams of order {n} over {vocab_size} ids do not fit 63 bits")
            keys = previous[positions] * vocab_size + tokens[positions]
            unique, index, inverse, counts = np.unique(
                keys, return_index=True, return_inverse=True, return_counts=True
            )
            ids = np.full(len(tokens), -1, np.int64)
            ids[positions] = inverse
            self.ids.append(ids)
            self.keys.append(unique)
            self.raw.append(counts.astype(np.int64))
            self.where.append(positions[index])
            self.opening.append(opens[positions[index]])

    def estimate(self, n: int) -> tuple[_Order, Floats]:
        """Return the n-grams of order n with their discounted probabilities, and the discounts."""
        counts = self._adjusted(n)
        if n == 1:  # the beginning of a record is context only: it is never predicted
            counts = np.where(self.opening[0], 0, counts)
        discounts = discounts_of(counts)
        discount = np.where(counts > 0, discounts[np.minimum(counts, 3) - 1], 0.0)
        contexts = self.keys[n - 1] // self.vocab_size
        n_contexts = len(self.keys[n - 2]) if n > 1 else 1
        total = np.bincount(contexts, counts, n_contexts)
        freed = np.bincount(contexts, discount, n_contexts)
        seen = total > 0
        gamma = np.where(seen, freed / np.where(seen, total, 1), 1.0)
        own = (counts - discount) / np.where(seen, total, 1)[contexts]
        return _Order(self.keys[n - 1], own, gamma), discounts

    def _adjusted(self, n: int) -> Ints:
        """Return raw counts at the highest order, below it the number of distinct one-token extensions
        to the left; what opens a record has no left neighbour and keeps its raw count."""
        raw = self.raw[n - 1]
        if n == self.order:
            return raw
        suffix = self.ids[n][self.where[n]]  # of each distinct (n+1)-gram, its last n tokens
        extensions = np.bincount(suffix, minlength=len(raw))
        return np.where(self.opening[n - 1], raw, extensions)


def discounts_of(counts: Ints) -> Floats:
    """Return the discounts D1, D2, D3+ from counts of counts (Chen & Goodman 1998, equation 26).

    Where the closed form is undefined or out of range (a few short records), the one discount of absolute
    discounting, n1 / (n1 + 2 n2), serves for all three; where that is undefined too, 0.5.

    Returns:
        (3,) float64, each between 0 and its count.
    """
    n1, n2, n3, n4 = (float((counts == k).sum()) for k in (1, 2, 3, 4))
    if n1 > 0 and n2 > 0 and n3 > 0:
        y = n1 / (n1 + 2 * n2)
        d = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if (d >= 0).all() and (d <= [1, 2, 3]).all():
            return d
    d1 = n1 / (n1 + 2 * n2) if n1 > 0 and n2 > 0 else 0.5
    return np.full(3, d1)


def _shift(values: Ints, starts: Ints) -> Ints:
    """Move values one position later; -1 at each record's first position: no context reaches across."""
    shifted = np.concatenate([[-1], values[:-1]])
    inside = starts[:-1]
    shifted[inside[inside < len(values)]] = -1
    return shifted


def _at(values: Floats, index: Ints, missing: float) -> Floats:
    """Return values[index], and `missing` where the index is -1; an order may hold no n-grams at all."""
    if len(values) == 0:
        return np.full(len(index), missing)
    return np.where(index >= 0, values[index], missing)


def _look_up(keys: Ints, contexts: Ints, tokens: Ints, vocab_size: int) -> Ints:
    """Return the place of each (context, token) among sorted keys, -1 where absent or context < 0."""
    if len(keys) == 0:
        return np.full(len(tokens), -1, np.int64)
    wanted = contexts * vocab_size + tokens
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((keys[place] == wanted) & (contexts >= 0), place, -1)
