"""Entropy pruning: leave out the n-grams without which a model says almost the same (Stolcke 1998).

Without an n-gram hw the model falls back to p'(w | h) = bow'(h) p(w | h'). The relative entropy between the model
before and after (Stolcke 1998, equation 6) is

    D = -p(h) ( p(w | h) [ log p(w | h') + log bow'(h) - log p(w | h) ]  +  [ log bow'(h) - log bow(h) ] (1 - sum
    p(v | h)) )

with the sum over all v that follow h in the model. An n-gram goes where exp(D) - 1, the relative rise in
perplexity, is below a threshold, unless a longer one that stays begins with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mynah.errors import ConfigError
from mynah.ngram.backoff import BackoffModel
from mynah.ngram.kernels import LN10, Ids
from mynah.ngram.packed import PackedInts
from mynah.ngram.table import Logs, Table

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
#: N-grams that are looked at at a time.
_AT_ONCE = 1 << 18
#: Less probability than this is rounding.
_LEAST = 1e-6


def prune(model: BackoffModel, threshold: float, opening: float) -> BackoffModel:
    """Return a model without n-grams of little weight; back-off weights are found anew.

    Args:
        model: proper probabilities with back-off weights.
        threshold: relative rise in perplexity below which an n-gram goes.
        opening: log10 of the share of tokens that begin a sentence: stands for p(h) where h is the beginning alone.

    Raises:
        ConfigError: if the threshold is negative, or the model does not back off.
    """
    if not threshold >= 0:
        raise ConfigError(f"threshold {threshold:g}: expected 0 or more, for example 1e-8")
    if model.uniform or any(not np.isfinite(t.backoffs.range(0, len(t))).all() for t in model.tables[:-1]):
        raise ConfigError(
            "this model has contexts that do not back off; prune one of Kneser-Ney or Witten-Bell"
        )
    #: of each order, which n-grams stay
    kept: list[Bools] = [np.ones(len(table), np.bool_) for table in model.tables]
    for order in range(model.order, 1, -1):
        stay = kept[order - 1]
        for start, stop, context in _pieces(model, order):
            stay[start:stop] = _loss(model, order, start, stop, context, opening) >= threshold
        if order < model.order:  # what a longer one begins with is its context
            children = model.tables[order].offsets.range(0, len(stay) + 1)
            stay |= np.diff(np.concatenate([[0], np.cumsum(kept[order])])[children]) > 0
    tables: list[Table] = []
    for order, table in enumerate(model.tables, start=1):
        tables.append(_filtered(table, kept[order - 1], kept[order - 2] if order > 1 else None))
        if order > 1:
            lower = BackoffModel(tuple(tables), model.bos)
            below = tables[order - 2]
            weights = Logs(_weights(lower, order))
            tables[order - 2] = Table(below.tokens, below.log_probs, weights, below.offsets)
    return BackoffModel(tuple(tables), model.bos)


def _pieces(model: BackoffModel, order: int) -> list[tuple[int, int, npt.NDArray[np.int64]]]:
    """Return (start, stop, local number of each one's context) of pieces of an order that cut no context."""
    offsets = model.tables[order - 1].offsets
    ends = offsets.range(0, len(offsets))
    pieces, first = [], 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + _AT_ONCE, side="right")) - 1)
        start, stop = int(ends[first]), int(ends[last])
        if stop > start:
            sizes = np.diff(ends[first : last + 1])
            sizes = sizes[sizes > 0]
            pieces.append((start, stop, np.repeat(np.arange(len(sizes)), sizes)))
        first = last
    return pieces


def _loss(
    model: BackoffModel, order: int, start: int, stop: int, context: npt.NDArray[np.int64], opening: float
) -> Floats:
    """Return by how much the perplexity rises, relative to what it is, without each of the n-grams."""
    rows = model.ngrams(order, start, stop)
    p = np.exp(LN10 * model.tables[order - 1].log_probs.range(start, stop).astype(np.float64))
    lower = np.exp(LN10 * _last(model, rows[:, 1:]))
    left = (1 - np.bincount(context, p))[context]
    left_lower = (1 - np.bincount(context, lower))[context]
    first = np.flatnonzero(np.concatenate([[True], context[1:] != context[:-1]]))
    shares = np.exp(LN10 * _joint(model, rows[first, :-1], opening))[context]
    with np.errstate(divide="ignore", invalid="ignore"):
        before = np.log(left / left_lower)
        after = np.log((left + p) / (left_lower + lower))
        change = p * (np.log(lower) + after - np.log(p)) + (after - before) * left
    # Where nothing is left for other tokens the weight was never used, and says nothing.
    change[~np.isfinite(change)] = -np.inf
    rise: Floats = np.expm1(-shares * change)
    return rise


def _last(model: BackoffModel, rows: Ids) -> Floats:
    """Return log10 p(last token | those before it) of each row, (M,)."""
    length = rows.shape[1]
    tokens = np.ascontiguousarray(rows[:, -1])
    contexts = [_find(model, rows[:, length - n : -1]) for n in range(2, length + 1)]
    longer = [model.find(n, context, tokens, len(rows)) for n, context in enumerate(contexts, start=2)]
    total = np.zeros(len(rows))
    model.settle([tokens, *longer], contexts, total, np.zeros(len(rows), np.uint8), len(rows))
    return total


def _find(model: BackoffModel, rows: Ids) -> Ids:
    """Return the id of each row, or `NONE`."""
    ids = np.ascontiguousarray(rows[:, 0])
    for n in range(2, rows.shape[1] + 1):
        ids = model.find(n, ids, np.ascontiguousarray(rows[:, n - 1]), len(rows))
    return ids


def _joint(model: BackoffModel, rows: Ids, opening: float) -> Floats:
    """Return log10 p(row), (M,): the product of what each token has after those before it."""
    total = model.tables[0].log_probs.at(np.ascontiguousarray(rows[:, 0])).astype(np.float64)
    total[rows[:, 0] == model.bos] = opening
    for n in range(2, rows.shape[1] + 1):
        total += _last(model, rows[:, :n])
    return total


def _filtered(table: Table, kept: Bools, kept_below: Bools | None) -> Table:
    """Return a table with the n-grams that stay, of the contexts that stay."""
    indices = np.flatnonzero(kept)
    before = np.concatenate([[0], np.cumsum(kept)])
    begins = before[table.offsets.range(0, len(table.offsets))]
    if kept_below is not None:
        begins = np.append(begins[:-1][kept_below], begins[-1])
    tokens = table.tokens.at(indices)
    return Table(
        PackedInts.pack(tokens, (1 << table.tokens.bits) - 1),
        Logs(table.log_probs.at(indices)),
        Logs(table.backoffs.at(indices) if len(table.backoffs) else np.empty(0, np.float32)),
        PackedInts.pack(begins, len(indices)),
    )


def _weights(model: BackoffModel, order: int) -> npt.NDArray[np.float32]:
    """Return log10 of the back-off weights of an order's contexts: what they leave, over what is left below them."""
    below = model.tables[order - 2].backoffs
    result = below.range(0, len(below)).copy()
    offsets = model.tables[order - 1].offsets
    used = np.flatnonzero(np.diff(offsets.range(0, len(offsets))) > 0)
    result[np.diff(offsets.range(0, len(offsets))) == 0] = 0.0
    done = 0
    for start, stop, context in _pieces(model, order):
        p = np.exp(LN10 * model.tables[order - 1].log_probs.range(start, stop).astype(np.float64))
        lower = np.exp(LN10 * _last(model, model.ngrams(order, start, stop)[:, 1:]))
        left, left_lower = 1 - np.bincount(context, p), 1 - np.bincount(context, lower)
        # What float32 leaves of nothing is no weight: where all tokens are listed the old one stays, and is not asked.
        sound = np.flatnonzero((left > _LEAST) & (left_lower > _LEAST))
        result[used[done + sound]] = np.log10(left[sound] / left_lower[sound])
        done += len(left)
    return result
