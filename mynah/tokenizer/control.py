"""Control tokens of somebody else's vocabulary: no merge makes them of what people write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers


def without_forged(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Return a tokenizer none of whose merges makes a control token, or goes on from one; the same where none does.

    Vocabularies of SentencePiece's list no merges. Whoever rebuilds them from the tokens alone gets those of `<s>` too
    if `<s` is a word, and then a person who types it ends the text.
    """
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}

    def is_token(text: str) -> bool:
        return backend.token_to_id(text) is not None

    # Merges are read out of the tokenizer's JSON, two seconds for a large vocabulary; most have nothing to look for.
    if not any(is_token(name[:n]) and is_token(name[n:]) for name in special for n in range(1, len(name))):
        return backend
    read = json.loads(backend.to_str())
    merges = read["model"].get("merges", [])
    kept = [pair for pair in merges if special.isdisjoint((*pair, "".join(pair)))]
    if len(kept) == len(merges):
        return backend
    read["model"]["merges"] = kept
    return type(backend).from_str(json.dumps(read))
