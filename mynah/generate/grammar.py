"""Texts that keep to a JSON schema or a regular expression: of each token it is known whether it may come.

The grammars are llguidance's; a schema becomes one when it is asked for, not when the service begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mynah.errors import ConfigError, GenerationError
from mynah.generate.sampling import Constraint
from mynah.tokenizer.tokenizer import Tokenizer

#: Characters of a schema and of a pattern at most: what is larger takes long to compile.
MOST_SCHEMA, MOST_PATTERN = 65_536, 4096
#: llguidance's own limits, lower than it sets them: whoever asks must not hold up the others.
LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 50_000,
    "step_max_items": 10_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
}


class Grammars:
    """Makes constraints for the texts of one tokenizer.

    Args:
        tokenizer: its stop tokens end a text.
        vocab_size: V of the model, which may be larger than the tokenizer's.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        from llguidance import LLTokenizer

        self.vocab_size = vocab_size
        stop = sorted(tokenizer.template.stop_ids)
        self._tokenizer = LLTokenizer(tokenizer.backend.to_str(), n_vocab=vocab_size, eos_token=stop)

    def schema(self, schema: dict[str, Any]) -> Callable[[], Constraint]:
        """Return what makes constraints to JSON of a schema.

        Raises:
            ConfigError: if the schema cannot be kept to.
        """
        from llguidance import LLMatcher

        try:
            text = json.dumps(schema)
            if len(text) > MOST_SCHEMA:
                raise ValueError(f"it has {len(text)} characters, expected at most {MOST_SCHEMA}")
            grammar = LLMatcher.grammar_from_json_schema(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the JSON schema cannot be kept to: {_line(error)}") from None
        return self._checked(grammar, "the JSON schema")

    def regex(self, pattern: str) -> Callable[[], Constraint]:
        """Return what makes constraints to texts that match a pattern as a whole.

        Raises:
            ConfigError: if it is not a regular expression, as Rust has them.
        """
        from llguidance import LLMatcher

        if len(pattern) > MOST_PATTERN:
            raise ConfigError(
                f"the regular expression has {len(pattern)} characters, expected at most {MOST_PATTERN}"
            )
        return self._checked(LLMatcher.grammar_from_regex(pattern), "the regular expression")

    def _checked(self, grammar: str, what: str) -> Callable[[], Constraint]:
        from llguidance import LLMatcher, LLParserLimits

        # Compiled once, and copied for each text.
        matcher = LLMatcher(self._tokenizer, grammar, limits=LLParserLimits(**LIMITS))
        if error := matcher.get_error():
            raise ConfigError(f"{what} cannot be kept to: {_line(error)}")
        return lambda: _Kept(matcher.deep_copy(), self.vocab_size)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200]


class _Kept:
    """A text that keeps to a grammar so far."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        from llguidance.torch import allocate_token_bitmask

        self._matcher = matcher
        self._mask = allocate_token_bitmask(1, vocab_size)  # (1, V / 32) int32

    def apply(self, logits: Tensor) -> Tensor:
        """Return (V,) logits in which tokens that may not come are -inf.

        Raises:
            GenerationError: if that takes more than it may.
        """
        from llguidance.torch import fill_next_token_bitmask

        fill_next_token_bitmask(self._matcher, self._mask, 0)
        if self._matcher.is_error():
            raise GenerationError("the schema or pattern asks for more than may be looked at in one step")
        bits = (self._mask[0, :, None] >> torch.arange(32, dtype=torch.int32)) & 1  # (V / 32, 32)
        allowed = bits.reshape(-1)[: len(logits)].bool().to(logits.device)
        return logits.masked_fill(~allowed, float("-inf"))

    def accept(self, token: int) -> None:
        """Take note of the token that was drawn."""
        self._matcher.consume_token(token)
