"""The chat template: how a conversation becomes tokens.

    <|endoftext|> <|user|> text <|end|> <|assistant|> text <|end|> ...

Every record begins with `<|endoftext|>`; a turn is its role, its text, and `<|end|>`. There are no line ends
or spaces between them, so nothing has to be learned about layout.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

BOS = "<|endoftext|>"
END = "<|end|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SYSTEM = "<|system|>"
CONTROL_TOKENS = (BOS, END, USER, ASSISTANT, SYSTEM)


def jinja_template(special_tokens: Sequence[str]) -> str:
    """Return the template in Jinja, for `transformers`; `special_tokens` are those of the tokenizer.

    `transformers` renders to a string first and then reads control tokens out of it, so a text that
    holds one could forge a turn. The template refuses such a text; Mynah itself encodes it as plain text.
    """
    return (
        "{{ bos_token }}"
        "{% for message in messages %}"
        "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
        "{{ raise_exception('unknown role') }}{% endif %}"
        "{% for token in " + json.dumps(list(special_tokens)) + " %}"
        "{% if token in message['content'] %}"
        "{{ raise_exception('a message holds a control token') }}{% endif %}{% endfor %}"
        "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
