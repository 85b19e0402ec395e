"""Whole distributions for many positions at once: what ranking, and the prior of a network, ask for.

    log p(w | h) = log p_n(hw) + sum of the back-off weights of the contexts longer than n - 1,

with n the longest order whose table has the n-gram. So a row is the unigrams' logarithms plus all weights, over
which what follows each context is written, from the shortest to the longest; nothing but the rows asked for is ever
dense.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mynah.ngram.backoff import BackoffModel
from mynah.ngram.kernels import LN10, NONE, Ids
from mynah.ngram.loops import loops
from mynah.ngram.table import Logs

Float32s = npt.NDArray[np.float32]


def contexts_of(model: BackoffModel, tokens: npt.ArrayLike) -> Ids:
    """Return for each position of a stream the contexts that lie before the next token.

    Args:
        tokens: (N,) ids; sentences laid end to end, each beginning with the model's `bos`.

    Returns:
        (order - 1, N) uint32: [n - 1, t] is the id of the n-gram that ends at t; `NONE` where the model has none.
    """
    ids = np.ascontiguousarray(tokens, np.uint32)
    result = np.empty((model.order - 1, len(ids)), np.uint32)
    for start, found in model.matches(ids):
        for n in range(1, model.order):
            result[n - 1, start : start + len(found[0])] = found[n - 1]
    return result


class Dense:
    """The distributions of a model as rows over the whole vocabulary.

    Args:
        model: one that backs off to shorter contexts.
        floor: least natural log-probability that is given; what the model rules out has it.
    """

    def __init__(self, model: BackoffModel, floor: float = -np.inf) -> None:
        assert not model.uniform
        self.model, self.floor = model, np.float32(floor)
        self.unigrams = _natural(model.tables[0].log_probs, slice(0, model.vocab_size))
        #: how many numbers were asked for so far: few at a time, as in decoding, come to many
        self.asked = 0

    def log_probs(self, contexts: Ids) -> Float32s:
        """Return natural log-probabilities of all tokens, (B, V) float32.

        Args:
            contexts: (order - 1, B), as `contexts_of` gives them.
        """
        model = self.model
        # What the contexts longer than each one pass on, from the longest, beyond which there is none.
        beyond = np.zeros((len(contexts) + 1, contexts.shape[1]), np.float32)
        for n in range(len(contexts) - 1, -1, -1):
            beyond[n] = beyond[n + 1]
            known = np.flatnonzero(contexts[n] != NONE)
            if len(known):
                beyond[n, known] += _natural(model.tables[n].backoffs, contexts[n, known])
        out: Float32s = self.unigrams + beyond[0][:, None]
        self.asked += out.size
        for n, row in enumerate(contexts):
            table = model.tables[n + 1]
            if len(table):
                loops(self.asked).scatter(row, table, beyond[n + 1], out)
        return np.maximum(out, self.floor, out=out)


def most_likely(model: BackoffModel, tokens: npt.ArrayLike) -> Ids:
    """Return the token that is most likely after each position, (N,) uint32; `tokens` as in `contexts_of`."""
    contexts = contexts_of(model, tokens)
    dense = Dense(model)
    distinct, which = np.unique(contexts, axis=1, return_inverse=True)
    best = np.empty(distinct.shape[1], np.uint32)
    at_once = max(1, (1 << 22) // model.vocab_size)
    for start in range(0, len(best), at_once):
        part = np.ascontiguousarray(distinct[:, start : start + at_once])
        best[start : start + at_once] = dense.log_probs(part).argmax(axis=1)
    return best[which.reshape(-1)]


def _natural(logs: Logs, indices: Ids | slice) -> Float32s:
    return logs.at(indices) * np.float32(LN10)
