"""A chat template in Jinja, as it comes with a tokenizer of Hugging Face's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mynah.data.records import Message
from mynah.errors import DataError
from mynah.tokenizer.sandbox import bounded, environment
from mynah.tokenizer.template import HEARD, LAYOUT, SAID, ChatTemplate, Rendered, in_turns

if TYPE_CHECKING:
    import tokenizers


@dataclass(frozen=True)
class TemplateSource:
    """A template as files have it."""

    #: in Jinja
    text: str
    #: what it may ask for: "bos_token", "eos_token", ...
    tokens: dict[str, str]
    #: ids that end a reply
    stops: tuple[int, ...]


class JinjaTemplate(ChatTemplate):
    """A foreign template, rendered to a string as `transformers` does and then encoded with its control tokens.

    Which part of the string the assistant says is found by rendering growing beginnings of the conversation, not by
    looking for words in it.
    """

    def __init__(self, backend: tokenizers.Tokenizer, source: TemplateSource) -> None:
        """Compile a template.

        Args:
            backend: the tokenizer that it came with; a copy of it is used.
            source: the template.

        Raises:
            DataError: if it is not Jinja.
        """
        from jinja2 import TemplateError
        from tokenizers import Tokenizer as Backend

        self.backend = Backend.from_str(backend.to_str())
        self.backend.encode_special_tokens = False  # the template writes control tokens as text
        self.backend.post_processor = None
        self.source = source
        added = self.backend.get_added_tokens_decoder()
        self.special = {token.content: number for number, token in added.items() if token.special}
        #: finds control tokens, and the tokenizer that spells them out
        self._control = re.compile("|".join(map(re.escape, sorted(self.special, key=len, reverse=True))))
        self._spelling = Backend.from_str(self.backend.to_str())
        self._spelling.encode_special_tokens = True
        self.stop_ids = frozenset(source.stops)
        self.forbidden_ids = frozenset(self.special.values()) - self.stop_ids
        try:
            self._template = environment().from_string(source.text)
        except (TemplateError, RecursionError) as error:
            raise DataError(f"chat template: line {getattr(error, 'lineno', '?')}: not valid Jinja") from None

    def text(self, messages: Sequence[Message], *, prompt: bool) -> str:
        """Return a conversation as the template writes it.

        Raises:
            DataError: if the template refuses it.
        """
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in messages]
        given = {"messages": turns, "tools": None, "documents": None, "add_generation_prompt": prompt}
        size = sum(len(message.content) for message in messages)
        try:
            with bounded(size):
                return self._template.render(**given, **self.source.tokens)
        except TemplateError as error:
            raise DataError(f"the model's chat template refuses this conversation: {error.message}") from None
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(
                f"the model's chat template fails on this conversation: {type(error).__name__}"
            ) from None

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return a whole conversation, for training."""
        messages, spelled = self._without_control_tokens(messages)
        whole = self.text(messages, prompt=False)
        said: list[tuple[int, int]] = []
        heard: list[tuple[int, int]] = []
        done = 0
        for count, message in enumerate(messages, 1):
            begin = done
            if message.role == "assistant":
                begin = _common(whole, self.text(messages[: count - 1], prompt=True))
            done = _common(whole, self.text(messages[:count], prompt=False))
            (said if message.role == "assistant" else heard).append((begin, done))
        ids, spans = self._encode(whole, spelled)
        control = set(self.special.values())
        ended = set[tuple[int, int]]()

        def part(token: int, span: tuple[int, int]) -> int:
            if turn := _around(span, said):
                if turn in ended:  # a line end after the token that ends it, say
                    return LAYOUT
                if token in self.stop_ids:
                    ended.add(turn)
                return SAID
            return HEARD if _around(span, heard) and token not in control else LAYOUT

        return Rendered(ids, [part(token, span) for token, span in zip(ids, spans, strict=True)])

    def accepted(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return a conversation as this template can say it: many want turns that alternate, a user's first.

        Raises:
            DataError: if it cannot, whichever way.
        """
        return self._accepted(messages, prompt=False)

    def _accepted(self, messages: Sequence[Message], *, prompt: bool) -> Sequence[Message]:
        try:
            self.text(messages, prompt=prompt)
        except DataError:
            messages = in_turns(messages)
            self.text(messages, prompt=prompt)
        return messages

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return a history's ids, ready for the assistant's next turn."""
        messages = self._accepted(messages, prompt=True)
        messages, spelled = self._without_control_tokens(messages)
        return self._encode(self.text(messages, prompt=True), spelled)[0]

    def _without_control_tokens(
        self, messages: Sequence[Message]
    ) -> tuple[Sequence[Message], dict[str, str]]:
        """Put a character that occurs nowhere for each control token that people wrote; return which for which.

        They would forge turns; with these in their place the template writes the same, and they are spelled out when
        it is encoded.
        """
        written = [token for token in self.special if any(token in message.content for message in messages)]
        if not written:
            return messages, {}
        taken = set[str]().union(*(message.content for message in messages))
        free = (c for c in map(chr, range(0xF0000, 0x10FFFE)) if c not in taken)  # private use
        stand_ins = dict(zip(sorted(written, key=len, reverse=True), free, strict=False))
        changed = []
        for message in messages:
            content = message.content
            for token, stand_in in stand_ins.items():  # the longest first: one may hold another
                content = content.replace(token, stand_in)
            changed.append(Message(message.role, content))
        return changed, {stand_in: token for token, stand_in in stand_ins.items()}

    def _encode(self, text: str, spelled: dict[str, str]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids and where each stands in a text, characters in `spelled` read as the texts they stand for."""
        if not spelled:
            encoded = self.backend.encode(text, add_special_tokens=False)
            return list(encoded.ids), list(encoded.offsets)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        begin = 0
        for found in [*self._control.finditer(text), None]:
            piece = text[begin : found.start() if found else len(text)]
            origin = [begin + i for i, c in enumerate(piece) for _ in spelled.get(c, c)]
            encoded = self._spelling.encode(
                "".join(spelled.get(c, c) for c in piece), add_special_tokens=False
            )
            ids += encoded.ids
            spans += [(origin[i], origin[j - 1] + 1) if i < j else (begin, begin) for i, j in encoded.offsets]
            if found:
                ids.append(self.special[found[0]])
                spans.append(found.span())
                begin = found.end()
        return ids, spans


def _around(span: tuple[int, int], turns: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the turn that a token stands in, all of it."""
    return next((turn for turn in turns if turn[0] <= span[0] and span[1] <= turn[1]), None)


def _common(whole: str, beginning: str) -> int:
    """Return how far two texts are the same."""
    length = min(len(whole), len(beginning))
    return next((i for i in range(length) if whole[i] != beginning[i]), length)
