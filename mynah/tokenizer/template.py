"""Chat templates: how a conversation becomes tokens, which of them count in training, and where a reply ends.

Training, chat, evaluation and serving all ask one `ChatTemplate`. Mynah's own (`ControlTemplate`) is

    <|endoftext|> <|user|> text <|end|> <|assistant|> text <|end|> ...

Every record begins with `<|endoftext|>`; a turn is its role, its text, and `<|end|>`. There are no line ends or spaces
between them, so nothing has to be learned about layout. A tokenizer that came with a template in Jinja uses that
(`tokenizer/jinja.py`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mynah.data.records import Message
from mynah.errors import ConfigError

BOS = "<|endoftext|>"
END = "<|end|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
SYSTEM = "<|system|>"
CONTROL_TOKENS = (BOS, END, USER, ASSISTANT, SYSTEM)

#: What a token is: part of the layout, text that others say, or what the assistant says (what ends its turn too).
LAYOUT, HEARD, SAID = 0, 1, 2


@dataclass(frozen=True)
class Rendered:
    """A text as tokens, and what each of them is."""

    ids: list[int]
    #: LAYOUT, HEARD or SAID, one for each id
    parts: list[int]


@dataclass(frozen=True)
class Fitted:
    """A history that fits into a context, ready for a reply."""

    ids: list[int]
    #: messages that had to be left out, the oldest
    dropped: int


def room_for_prompt(context_length: int, reply_tokens: int) -> int:
    """Return how many tokens of a context a prompt may take: a reply gets what it may need, up to half."""
    return max(1, context_length - min(reply_tokens, context_length // 2))


class ChatTemplate(ABC):
    """How a conversation becomes tokens."""

    #: ids that end a reply
    stop_ids: frozenset[int]
    #: ids that a reply never holds
    forbidden_ids: frozenset[int]

    @abstractmethod
    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return a whole conversation, for training.

        Raises:
            DataError: if this template cannot say it.
        """

    @abstractmethod
    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a history's ids, ready for the assistant's next turn.

        Raises:
            DataError: if this template cannot say it.
        """

    def accepted(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return a conversation as this template can say it.

        Raises:
            DataError: if it cannot.
        """
        return messages

    def fit(
        self, messages: Sequence[Message], context_length: int, reply_tokens: int, *, cut: bool = False
    ) -> Fitted:
        """Return as much of a history as fits into a context beside a reply.

        System messages in front stay; of the turns the oldest go first, and what is kept begins with a user's turn. A
        newest turn that is too long for that may take the reply's place too, all but one token.

        Args:
            messages: oldest first, the last one the user's.
            context_length: tokens that the model sees.
            reply_tokens: longest reply.
            cut: let a newest turn that is longer than the context lose its beginning; system messages that leave it
                no room at all go first.

        Raises:
            ConfigError: if it is longer than the context, and must not be cut.
        """
        head = 0
        while head < len(messages) - 1 and messages[head].role == "system":
            head += 1
        begins = [i for i in range(head, len(messages)) if messages[i].role == "user"] or [head]
        room = room_for_prompt(context_length, reply_tokens)
        # The longest that fits: fewer messages never take more tokens.
        low, high, found = 0, len(begins) - 1, None
        while low <= high:
            middle = (low + high) // 2
            ids = self.prompt([*messages[:head], *messages[begins[middle] :]])
            if len(ids) <= (room if begins[middle] < len(messages) - 1 else context_length - 1):
                found, high = Fitted(ids, begins[middle] - head), middle - 1
            else:
                low = middle + 1
        if found is not None:
            return found
        system, newest = messages[:head], messages[-1]
        if not cut:
            n = len(self.prompt([*system, newest]))
            beside = ", the system message included" if system else ""
            raise ConfigError(
                f"this message takes {n} tokens{beside}, the model's context holds {context_length}; send a shorter "
                "one"
            )
        if len(self.prompt([*system, Message(newest.role, "")])) >= room:
            system = []  # rather than all of what was said
        return Fitted(self._cut(system, newest, room), len(messages) - 1 - len(system))

    def _cut(self, system: Sequence[Message], newest: Message, room: int) -> list[int]:
        """Return the prompt of the longest end of a message that fits beside others."""

        def prompt(begin: int) -> list[int]:
            return self.prompt([*system, Message(newest.role, newest.content[begin:])])

        begin, end = 0, len(newest.content)
        while begin < end:
            middle = (begin + end) // 2
            if len(prompt(middle)) <= room:
                end = middle
            else:
                begin = middle + 1
        return prompt(begin)[-room:]


@dataclass(frozen=True)
class SpecialIds:
    """Ids that every tokenizer has."""

    #: begins every text
    bos: int
    #: ends a text or a reply
    end: int


@dataclass(frozen=True)
class ControlIds(SpecialIds):
    """Ids of Mynah's own control tokens."""

    user: int
    assistant: int
    system: int


class Encoder(Protocol):
    """What a template asks of a tokenizer."""

    @property
    def longest_token(self) -> int:
        """UTF-8 bytes of the longest text that one token stands for, at least."""

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of texts, never a control token."""


class ControlTemplate(ChatTemplate):
    """Mynah's own: control tokens that no text can become, and nothing between them."""

    def __init__(self, tokenizer: Encoder, control: ControlIds) -> None:
        self.tokenizer, self.control = tokenizer, control
        self.stop_ids = frozenset((control.end,))
        self.forbidden_ids = frozenset((control.bos, control.user, control.assistant, control.system))
        self._roles = {"user": control.user, "assistant": control.assistant, "system": control.system}

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return a whole conversation, for training; every conversation can be said."""
        return self.lay_out(messages, self.tokenizer.encode_batch([m.content for m in messages]))

    def lay_out(self, messages: Sequence[Message], encoded: Sequence[Sequence[int]]) -> Rendered:
        """Return the same of messages whose texts have been encoded."""
        ids, parts = [self.control.bos], [LAYOUT]
        for message, text in zip(messages, encoded, strict=True):
            ids += [self._roles[message.role], *text, self.control.end]
            said = message.role == "assistant"
            parts += [LAYOUT, *[SAID if said else HEARD] * len(text), SAID if said else LAYOUT]
        return Rendered(ids, parts)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a history's ids, ready for the assistant's next turn."""
        return [*self.render(messages).ids, self.control.assistant]

    def fit(
        self, messages: Sequence[Message], context_length: int, reply_tokens: int, *, cut: bool = False
    ) -> Fitted:
        """Return as much of a history as fits; turns that cannot fit are not looked at, however many there are."""
        # No token stands for more bytes than the longest one, so a few of the newest turns fill the context.
        most = self.tokenizer.longest_token * context_length
        begin, size = len(messages), 0
        while begin > 0 and size <= most:
            begin -= 1
            size += len(messages[begin].content.encode()) + self.tokenizer.longest_token
        head: list[Message] = []
        while len(head) < begin and messages[len(head)].role == "system":
            head.append(messages[len(head)])
        # Not a system message from the middle: it would be taken for one in front.
        while len(head) < begin < len(messages) - 1 and messages[begin].role != "user":
            begin += 1
        fitted = super().fit([*head, *messages[begin:]], context_length, reply_tokens, cut=cut)
        return Fitted(fitted.ids, fitted.dropped + begin - len(head))


def in_turns(messages: Sequence[Message]) -> list[Message]:
    """Return a conversation whose turns alternate: what one role says in a row is joined, and a user begins.

    What the assistant says before anybody has asked is left out; system messages in front stay.
    """
    made: list[Message] = []
    for message in messages:
        if message.role == "assistant" and all(m.role == "system" for m in made):
            continue
        if made and made[-1].role == message.role:
            made[-1] = Message(message.role, f"{made[-1].content}\n{message.content}")
        else:
            made.append(Message(message.role, message.content))
    return made


def jinja_template(special_tokens: Sequence[str]) -> str:
    """Return Mynah's template in Jinja, for `transformers`; `special_tokens` are those of the tokenizer.

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
