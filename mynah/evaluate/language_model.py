"""Bits per byte, perplexity and next-token accuracy: scores of a model on held-out records.

Bits per byte does not depend on the tokenizer: it is the length of the model's code for the text, every
control token paid for, over the bytes of the text alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from mynah.model.transformer import Transformer
from mynah.ngram.dense import most_likely
from mynah.ngram.model import NGramModel
from mynah.tokenizer.dataset import TokenSet


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


@dataclass(frozen=True)
class TokenScores:
    """Each token's log-probability and whether it was the most likely one; both (N,), records end to end."""

    log_probs: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]


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


def score_ngram(model: NGramModel, data: TokenSet, *, with_hits: bool = True) -> TokenScores:
    """Score records with an n-gram model; hits cost far more than log-probabilities and can be left out."""
    hits = np.zeros(len(data.tokens), np.bool_)
    if with_hits:
        hits[1:] = most_likely(model.tables, data.tokens)[:-1] == data.tokens[1:]
        hits[data.starts[:-1]] = False
    return TokenScores(model.score_ids(data.tokens).log_probs, hits)


@torch.no_grad()
def score_network(
    model: Transformer, data: TokenSet, context_length: int, batch_size: int = 16
) -> TokenScores:
    """Score records with a network; each is read from its beginning.

    A record longer than the context is read in windows that overlap by half, so that every token but those of
    the first window has at least half a context before it.
    """
    model.eval()
    device = next(model.parameters()).device
    log_probs = np.zeros(len(data.tokens))
    hits = np.zeros(len(data.tokens), np.bool_)
    known = model.prior.contexts(data.tokens) if model.prior is not None and model.config.prior else None
    windows = _windows(data, context_length)
    windows.sort(key=lambda w: w[1] - w[0])  # alike lengths together: little padding
    for i in range(0, len(windows), batch_size):
        group = windows[i : i + batch_size]
        T = max(end - begin for begin, end, _ in group) - 1
        tokens = np.zeros((len(group), T), np.int64)
        targets = np.zeros((len(group), T), np.int64)
        for b, (begin, end, _) in enumerate(group):
            cut = data.tokens[begin:end].astype(np.int64)
            tokens[b, : len(cut) - 1], targets[b, : len(cut) - 1] = cut[:-1], cut[1:]
        hidden = model(torch.from_numpy(tokens).to(device))
        for b, (begin, end, first) in enumerate(group):
            # Causal: what stands right of a row's own tokens is padding and changes nothing before it.
            own = slice(first - begin - 1, end - begin - 1)
            given = None
            if known is not None and model.prior is not None:
                given = torch.from_numpy(model.prior.rows(known[:, first - 1 : end - 1])).to(device)
            logits = model.logits(hidden[b, own], given).float()  # (end - first, V)
            wanted = torch.from_numpy(targets[b, own]).to(device)
            scored = torch.log_softmax(logits, dim=-1).gather(1, wanted[:, None])[:, 0]
            log_probs[first:end] = scored.cpu().double().numpy()
            hits[first:end] = (logits.argmax(dim=-1) == wanted).cpu().numpy()
    return TokenScores(log_probs, hits)


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
