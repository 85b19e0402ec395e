"""Bits per byte, perplexity and next-token accuracy: scores of a model on held-out records.

Bits per byte does not depend on the tokenizer: it is the length of the model's code for the text, every
control token paid for, over the bytes of the text alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from mynah.model.loss import rows_at_once
from mynah.model.transformer import Transformer
from mynah.ngram.dense import most_likely
from mynah.ngram.model import NGramModel
from mynah.tokenizer.dataset import TokenSet

#: A network reads this many tokens in one pass, or one window.
TOKENS_AT_ONCE = 4096


@dataclass(frozen=True)
class Score:
    """What a model reaches on a set of records."""

    tokens: int
    bytes: int
    #: mean loss, nats per token
    loss: float
    #: bits per byte of UTF-8 text
    bpb: float
    perplexity: float
    #: share of tokens that were the most likely one
    accuracy: float

    def to_json(self) -> dict[str, float | int]:
        """Return the fields as a dict."""
        return asdict(self)


#: Among how many of the likeliest tokens one is looked for.
LIKELIEST = 5


@dataclass(frozen=True)
class TokenScores:
    """How likely each token was, (N,) each, records end to end."""

    log_probs: npt.NDArray[np.float64]
    #: whether it was the most likely one
    hits: npt.NDArray[np.bool_]
    #: whether it was among the `LIKELIEST`; None: that was not looked at
    among: npt.NDArray[np.bool_] | None = None


def summarise(scores: TokenScores, data: TokenSet, *, replies_only: bool = False) -> Score | None:
    """Average over all predicted tokens, or over those that the assistant says.

    The first token of a record is given, not predicted. Returns None if nothing is left to count.
    """
    counted = data.reply.copy() if replies_only else np.ones(len(data.tokens), np.bool_)
    counted[data.starts[:-1]] = False
    tokens = int(counted.sum())
    n_bytes = int(data.n_bytes[:, int(replies_only)].sum())
    if tokens == 0 or n_bytes == 0:
        return None
    nats = -float(scores.log_probs[counted].sum())
    return Score(
        tokens=tokens,
        bytes=n_bytes,
        loss=nats / tokens,
        bpb=nats / math.log(2) / n_bytes,
        perplexity=math.exp(min(700.0, nats / tokens)),
        accuracy=float(scores.hits[counted].mean()),
    )


def drawn_records(data: TokenSet, max_tokens: int) -> TokenSet:
    """Return records that together hold at most `max_tokens` tokens (at least one record), in the order of `data`.

    They are drawn by what they hold and not by where they stand, so that every source has its share.
    """
    if len(data.tokens) <= max_tokens:
        return data
    return data.select(drawn_numbers(data, max_tokens))


def drawn_numbers(data: TokenSet, max_tokens: int) -> npt.NDArray[np.intp]:
    """Return the numbers, sorted, of the records that `drawn_records` returns."""
    lengths = np.diff(data.starts)
    order = np.argsort(draw_order(data), kind="stable")
    chosen = order[np.cumsum(lengths[order]) <= max_tokens]
    return np.sort(chosen if len(chosen) else order[:1])


def draw_order(data: TokenSet) -> npt.NDArray[np.float64]:
    """Return a number from 0 to 1 for each record, (R,), that looks random and is the same for the same tokens."""
    hashed = (hashlib.blake2b(data.record(r).tobytes(), digest_size=8).digest() for r in range(len(data)))
    return np.array([int.from_bytes(digest, "big") / 2**64 for digest in hashed])


def score_ngram(model: NGramModel, data: TokenSet, *, with_hits: bool = True) -> TokenScores:
    """Score records with an n-gram model; hits cost far more than log-probabilities and can be left out."""
    hits = np.zeros(len(data.tokens), np.bool_)
    if with_hits:
        hits[1:] = most_likely(model.tables, data.tokens)[:-1] == data.tokens[1:]
        hits[data.starts[:-1]] = False
    return TokenScores(model.score_ids(data.tokens).log_probs, hits)


@torch.inference_mode()
def score_network(model: Transformer, data: TokenSet, context_length: int) -> TokenScores:
    """Score records with a network in evaluation mode; each is read from its beginning.

    A record longer than the context is read in windows that overlap by half, so that every token but those of
    the first window has at least half a context before it. Memory does not grow with the vocabulary.
    """
    device = model.device
    log_probs = np.zeros(len(data.tokens))
    hits, among = np.zeros((2, len(data.tokens)), np.bool_)
    prior = model.prior if model.gate is not None else None
    known = prior.contexts(data.tokens) if prior is not None else None
    at_once = rows_at_once(model.config.vocab_size, "cpu")
    for group in _alike(_windows(data, context_length)):
        T = max(end - begin for begin, end, _ in group) - 1
        tokens = np.zeros((len(group), T), np.int64)
        for b, (begin, end, _) in enumerate(group):
            tokens[b, : end - begin - 1] = data.tokens[begin : end - 1]
        hidden = model(torch.from_numpy(tokens).to(device)).flatten(0, 1)  # (B T, C)
        # Causal: what stands right of a row's own tokens is padding and changes nothing before it.
        scored = np.concatenate([np.arange(first, end) for _, end, first in group])
        apart = [b * T - begin - 1 for b, (begin, _, _) in enumerate(group)]
        places = scored + np.repeat(apart, [end - first for _, end, first in group])
        # Rows of different records together: a piece of few reads a large head as slowly as one of many.
        for some in range(0, len(scored), at_once):
            own, of = scored[some : some + at_once], places[some : some + at_once]
            given = None
            if prior is not None and known is not None:
                given = torch.from_numpy(prior.log_probs(known[:, own - 1])).to(device)
            logits = model.logits(hidden[torch.from_numpy(of).to(device)], given).float()  # (n, V)
            wanted = torch.from_numpy(data.tokens[own].astype(np.int64)).to(device)
            likely = logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(dim=-1)
            log_probs[own] = likely.cpu().double().numpy()
            found = (logits.topk(min(LIKELIEST, logits.shape[1])).indices == wanted[:, None]).cpu().numpy()
            hits[own], among[own] = found[:, 0], found.any(axis=1)
    return TokenScores(log_probs, hits, among)


def _alike(windows: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield windows in groups of about one length, which need little padding, and of so many tokens at most."""
    windows = sorted(windows, key=lambda window: window[1] - window[0])
    while windows:
        count = max(1, TOKENS_AT_ONCE // max(1, windows[-1][1] - windows[-1][0]))
        yield windows[-count:]
        del windows[-count:]


def _windows(data: TokenSet, context_length: int) -> list[tuple[int, int, int]]:
    """Return (begin, end, first scored) of each window; it feeds tokens begin..end-2, scores first..end-1."""
    windows = []
    for r in range(len(data)):
        start, stop = int(data.starts[r]), int(data.starts[r + 1])
        begin, first = start, start + 1
        while first < stop:
            end = min(begin + context_length + 1, stop)
            windows.append((begin, end, first))
            first = end
            begin = max(start, end - 1 - context_length // 2)
    return windows
