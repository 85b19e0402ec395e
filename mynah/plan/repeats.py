"""How often replies of a log repeat, and what follows for how they are read."""

from __future__ import annotations

import numpy as np

from mynah.tokenizer.dataset import TokenSet

#: Replies repeat if at most this share of them is distinct.
DISTINCT_REPLIES = 0.5
#: An adapter's steps leave out the end, which no other begins like, of a reply that they have read whole so often that
#: this share of a pass's tokens went into such readings; once at least (docs/log.md).
KNOWN_SHARE = 0.08


def distinct_replies(data: TokenSet) -> float:
    """Return the share of replies that are no repeat of an earlier one, 0 to 1; 1 if there is none."""
    replies = _replies(data)
    return len(set(replies)) / len(replies) if replies else 1.0


def known_after(data: TokenSet, tokens: int) -> int:
    """Return after how many readings in a pass a reply is known to its end, for an adapter that reads so many tokens.

    Which reply is right is learned from questions, so that they are to be read and not, again and again, the ends of
    replies; but where replies are few or short, reading them whole costs little and their ends are sure.
    """
    whole = sum(map(len, set(_replies(data)))) // data.tokens.itemsize
    in_a_pass = min(tokens, len(data.tokens))
    return max(1, int(KNOWN_SHARE * in_a_pass / max(1, whole)))


def _replies(data: TokenSet) -> list[bytes]:
    """Return the tokens of every reply."""
    said = np.concatenate([[False], data.reply, [False]])
    edges = np.flatnonzero(said[1:] != said[:-1])
    return [data.tokens[begin:end].tobytes() for begin, end in zip(edges[::2], edges[1::2], strict=True)]
