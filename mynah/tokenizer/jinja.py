"""A chat template in Jinja, as it comes with a tokenizer of Hugging Face's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
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
            backend: the tokenizer that it came with; it stays as it is.
            source: the template.

        Raises:
            DataError: if it is not Jinja.
        """
        from jinja2 import TemplateError

        added = backend.get_added_tokens_decoder()
        self._added = [added[number] for number in sorted(added)]
        self.backend = _sharing_model(backend, self._added)  # the template writes control tokens as text
        self.source = source
        self.special = {token.content: number for number, token in added.items() if token.special}
        #: finds control tokens
        self._control = re.compile(
            "|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) or "(?!)"
        )
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
        if not any(self._control.search(message.content) for message in messages):
            return messages, {}
        written = [token for token in self.special if any(token in message.content for message in messages)]
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
        # Control tokens of the template become characters that occur nowhere, and these the control tokens of another
        # tokenizer: to it the names of ours are words, and a text is still one text, with the spaces that it begins by.
        free = (c for c in map(chr, range(0xF0000, 0x10FFFE)) if c not in text and c not in spelled)
        stand_ins: dict[str, str] = {}
        parts: list[str] = []
        spans: list[tuple[int, int]] = []  # of each character
        begin = 0
        for found in [*self._control.finditer(text), None]:
            for i in range(begin, found.start() if found else len(text)):
                parts.append(spelled.get(text[i], text[i]))
                spans += [(i, i + 1)] * len(parts[-1])
            if found:
                if found[0] not in stand_ins:
                    stand_ins[found[0]] = next(free)
                parts.append(stand_ins[found[0]])
                spans.append(found.span())
                begin = found.end()
        added = []
        for token in self._added:
            if not token.special:
                added.append(token)
            elif token.content in stand_ins:
                added.append(_renamed(token, stand_ins[token.content]))
        backend = _sharing_model(self.backend, added)
        control = {backend.token_to_id(c): self.special[token] for token, c in stand_ins.items()}
        encoded = backend.encode("".join(parts), add_special_tokens=False)
        return (
            [control.get(i, i) for i in encoded.ids],
            [(spans[i][0], spans[j - 1][1]) if i < j else (0, 0) for i, j in encoded.offsets],
        )


def _sharing_model(
    backend: tokenizers.Tokenizer, added: Sequence[tokenizers.AddedToken]
) -> tokenizers.Tokenizer:
    """Return a tokenizer that cuts and merges as another does, and finds other tokens in text before.

    The vocabulary and its merges, 150 MB of Gemma's, are in memory once.
    """
    from tokenizers import Tokenizer as Backend

    made = Backend(backend.model)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if (value := getattr(backend, part)) is not None:
            setattr(made, part, value)
    # In the order given, which numbers those that are not in the vocabulary; all of a kind at once, since after each
    # call the search for them is built anew.
    for special, tokens in groupby(added, lambda token: bool(token.special)):
        (made.add_special_tokens if special else made.add_tokens)(list(tokens))
    return made


def _renamed(token: tokenizers.AddedToken, content: str) -> tokenizers.AddedToken:
    from tokenizers import AddedToken

    return AddedToken(
        content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=False,
        special=True,
    )


def _around(span: tuple[int, int], turns: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the turn that a token stands in, all of it."""
    return next((turn for turn in turns if turn[0] <= span[0] and span[1] <= turn[1]), None)


def _common(whole: str, beginning: str) -> int:
    """Return how far two texts are the same."""
    length = min(len(whole), len(beginning))
    return next((i for i in range(length) if whole[i] != beginning[i]), length)
