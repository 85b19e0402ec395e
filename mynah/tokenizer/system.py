"""What a base is told in front of each conversation: its own default words, others, or none.

A default system text is read again with every conversation: SmolLM2's takes 16 tokens of a shop's exchange of 55. It is
written into the template itself, so that training, chat, evaluation, and whoever reads an exported model say the same.
"""

from __future__ import annotations

import json
from dataclasses import replace

from mynah.data.records import Message
from mynah.errors import ConfigError, DataError
from mynah.tokenizer.tokenizer import Tokenizer

#: Asks for the base's own.
OWN = "default"
_TURN = Message("user", "?")


def shortest_system(tokenizer: Tokenizer) -> str | None:
    """Return the system text that costs least: an empty one, or None where the template writes no more by itself."""
    own = len(tokenizer.template.prompt([_TURN]))
    try:
        empty = len(tokenizer.template.prompt([Message("system", ""), _TURN]))
    except DataError:  # a template without system turns
        return None
    return "" if empty < own else None


def with_system(tokenizer: Tokenizer, text: str) -> Tokenizer:
    """Return a base's tokenizer whose template puts a text before conversations without a system text of their own.

    Raises:
        ConfigError: if its template has no system turns, or the text holds a control token.
    """
    foreign = tokenizer.foreign
    if foreign is None or foreign.template is None:
        raise ConfigError(
            "a system text (--system) needs a base that was taught to talk by a template of its own"
        )
    try:
        tokenizer.template.prompt([Message("system", text), _TURN])
    except DataError as error:
        raise ConfigError(f"--system: {error}") from None
    if held := next((token for token in tokenizer.special_tokens() if token in text), None):
        raise ConfigError(f"--system: {held} is a control token of the base; leave it out")
    told = json.dumps([{"role": "system", "content": text}], ensure_ascii=False)
    # In front of the template, so that nothing of it has to be understood.
    first = (
        "{%- if not messages or messages[0]['role'] != 'system' -%}"
        f"{{%- set messages = {told} + messages -%}}"
        "{%- endif %}\n"
    )
    return Tokenizer(tokenizer.backend, foreign=replace(foreign, template=first + foreign.template))
