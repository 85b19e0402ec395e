"""Markers of turns that vocabularies are known to have, each with the template of a model that came without one.

Such a model was never taught to talk; but its control tokens for turns are the better ones to teach it by.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Markers:
    """Control tokens that stand around turns."""

    #: all of them
    tokens: tuple[str, ...]
    #: that which ends a turn
    end: str
    #: in Jinja
    template: str


def _template(begin: str, end: str, assistant: str = "assistant") -> str:
    """Return turns as all three write them: `begin` with the role in place of {}, text, `end`."""
    roles = f"{{'system': 'system', 'user': 'user', 'assistant': '{assistant}'}}[message['role']]"
    head = begin.replace("{}", "{{ " + roles + " }}")
    return (
        "{% for message in messages %}" + head + "{{ message['content'] }}" + end + "{% endfor %}"
        "{% if add_generation_prompt %}" + begin.replace("{}", assistant) + "{% endif %}"
    )


KNOWN = (
    Markers(
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
        _template("<|im_start|>{}{{ '\\n' }}", "<|im_end|>{{ '\\n' }}"),
    ),
    Markers(
        ("<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>",
        _template("<start_of_turn>{}{{ '\\n' }}", "<end_of_turn>{{ '\\n' }}", "model"),
    ),
    Markers(
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        _template("<|start_header_id|>{}<|end_header_id|>{{ '\\n\\n' }}", "<|eot_id|>"),
    ),
)


def markers_among(control: Container[str]) -> Markers | None:
    """Return the markers whose tokens are all among a vocabulary's control tokens, None if there are none."""
    return next((known for known in KNOWN if all(token in control for token in known.tokens)), None)
