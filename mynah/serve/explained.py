"""Why this word: what a network, and an n-gram model of the same text, would have said in place of each token."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch

from mynah.data.records import Message
from mynah.generate.state import CHUNK, DecodingState
from mynah.model.transformer import Transformer
from mynah.ngram.prior import NGramPrior
from mynah.serve.log_probs import entry
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens of a reply that are told, at most.
LONGEST = 400
#: Tokens of a reply whose alternatives are looked at at once.
PIECE = 64


def explained(
    model: Transformer,
    tokenizer: Tokenizer,
    history: Sequence[Message],
    text: str,
    top: int,
    ngram: NGramPrior | None = None,
) -> Generator[None, None, list[dict[str, Any]]]:
    """Return the tokens of a reply, how likely each was, and what else might have stood there; yield between pieces.

    Args:
        model: in evaluation mode.
        tokenizer: and its template.
        history: oldest first, the last one the user's; of one that is too long the end is read.
        text: what was replied, by whomever.
        top: alternatives of each token.
        ngram: of the same tokenizer; None: there is none.
    """
    said = tokenizer.encode(text)[: min(LONGEST, model.config.context_length // 2)]
    if not said:
        return []
    prompt = tokenizer.template.fit(history, model.config.context_length - len(said), 1, cut=True).ids
    ids = [*prompt, *said]
    state = DecodingState(model)
    logits = [state.add([prompt[:CHUNK]])]  # after the last token, (1, V)
    for begin in range(CHUNK, len(prompt), CHUNK):
        yield
        logits = [state.append([prompt[begin : begin + CHUNK]])]
    for begin in range(0, len(said) - 1, PIECE):
        yield
        logits += state.read([said[begin : min(begin + PIECE, len(said) - 1)]])
    log_probs = torch.cat(logits).log_softmax(dim=-1)  # (T, V)
    others = _after(ngram, ids, len(prompt)) if ngram is not None else None
    found = []
    for at, token in enumerate(said):
        found.append(_told(tokenizer, log_probs[at], token, top))
        if others is not None:
            found[-1]["ngram"] = _told(tokenizer, others[at].float(), token, top)
    return found


def _after(prior: Any, ids: Sequence[int], begin: int) -> torch.Tensor:
    """Return what an n-gram model says after each token before those that were said, (T, V)."""
    return torch.from_numpy(prior.log_probs(prior.contexts(np.array(ids))[:, begin - 1 : -1]))


def _told(tokenizer: Tokenizer, log_probs: torch.Tensor, token: int, top: int) -> dict[str, Any]:
    values, ids = log_probs.topk(min(top, len(log_probs)))
    return {
        **entry(tokenizer, token, float(log_probs[token])),
        "top_logprobs": [
            entry(tokenizer, other, value) for other, value in zip(ids.tolist(), values.tolist(), strict=True)
        ],
    }
