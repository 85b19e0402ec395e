"""Log-probabilities of tokens as the interface has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mynah.generate.sampling import Drawn
from mynah.tokenizer.tokenizer import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@lru_cache(1)
def _bytes_of_letters() -> dict[str, int]:
    """Return which byte each letter of byte-level vocabularies stands for (Radford et al. 2019)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + n): byte for n, byte in enumerate(hidden)}


def bytes_of(tokenizer: Tokenizer, token: int) -> list[int]:
    """Return the bytes of a token; of one that is a part of a character they are not a text."""
    text = str(tokenizer.backend.decode([token], skip_special_tokens=False))
    if "\ufffd" in text:
        name, letters = tokenizer.backend.id_to_token(token) or "", _bytes_of_letters()
        if match := _BYTE.fullmatch(name):
            return [int(match[1], 16)]
        if name and all(letter in letters for letter in name):
            return [letters[letter] for letter in name]
    return list(text.encode("utf-8"))


def entry(tokenizer: Tokenizer, token: int, log_prob: float) -> dict[str, Any]:
    """Return one token with its text, bytes and log-probability."""
    text = bytes_of(tokenizer, token)
    # The interface asks for numbers; what cannot come at all is as good as never.
    return {
        "token": bytes(text).decode("utf-8", "replace"),
        "logprob": max(log_prob, -9999.0),
        "bytes": text,
    }


def of_chat(tokenizer: Tokenizer, tokens: Sequence[Drawn]) -> dict[str, Any]:
    """Return them as a chat's choice has them."""
    return {
        "content": [
            {
                **entry(tokenizer, drawn.token, drawn.log_prob or 0.0),
                "top_logprobs": [entry(tokenizer, token, value) for token, value in drawn.likeliest],
            }
            for drawn in tokens
        ],
        "refusal": None,
    }


def of_text(tokenizer: Tokenizer, tokens: Sequence[Drawn], offset: int) -> dict[str, Any]:
    """Return them as a completion's choice has them; `offset`: characters before the first token."""
    said = [entry(tokenizer, drawn.token, drawn.log_prob or 0.0) for drawn in tokens]
    offsets = [offset]
    for one in said:
        offsets.append(offsets[-1] + len(one["token"]))
    return {
        "tokens": [one["token"] for one in said],
        "token_logprobs": [one["logprob"] for one in said],
        "top_logprobs": [
            {
                alternative["token"]: alternative["logprob"]
                for alternative in (entry(tokenizer, token, value) for token, value in drawn.likeliest)
            }
            for drawn in tokens
        ],
        "text_offset": offsets[:-1],
    }
