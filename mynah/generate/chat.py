"""A conversation with a model: history, the context's limit, streamed text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mynah.data.records import Message
from mynah.errors import ConfigError
from mynah.generate.engine import generate
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.dataset import render
from mynah.tokenizer.tokenizer import Tokenizer


def stream_text(tokenizer: Tokenizer, ids: Iterable[int], prompt: Sequence[int] = ()) -> Iterator[str]:
    """Turn ids into pieces of text as they come; a character cut between two tokens waits for its rest.

    Where the ids continue a prompt's text, give its ids: some tokenizers drop a space at a text's beginning.
    """
    seen = list(prompt)
    told = tokenizer.decode(seen)
    for token in ids:
        seen.append(token)
        text = tokenizer.decode(seen)
        if not text.endswith("\ufffd") and len(text) > len(told):
            yield text[len(told) :]
            told = text
    text = tokenizer.decode(seen)
    if len(text) > len(told):
        yield text[len(told) :]


def continue_text(
    model: Transformer, tokenizer: Tokenizer, prompt: str, config: SamplingConfig
) -> Iterator[str]:
    """Yield the text that follows a prompt; a prompt beyond the context loses its beginning."""
    ids = [tokenizer.control.bos, *tokenizer.encode(prompt)]
    room = max(1, model.config.context_length - min(config.max_tokens, 32))
    if len(ids) > room:
        ids = [ids[0], *ids[len(ids) - room + 1 :]] if room > 1 else ids[-1:]
    control = tokenizer.control
    banned = (control.user, control.assistant, control.system)
    stop = (control.bos, control.end)
    yield from stream_text(tokenizer, generate(model, ids, config, stop=stop, forbid=banned), ids)


@dataclass
class ChatSession:
    """A conversation that remembers its turns and drops the oldest when the context is full."""

    model: Transformer
    tokenizer: Tokenizer
    config: SamplingConfig
    history: list[Message] = field(default_factory=list)
    #: turns that no longer fit when the last reply was made
    dropped: int = 0

    def reset(self) -> None:
        """Forget all turns."""
        self.history.clear()
        self.dropped = 0

    def reply(self, text: str) -> Iterator[str]:
        """Yield the reply to a user's text in pieces, and remember both.

        The reply never runs past the context: the oldest turns are dropped first, and then the
        reply is cut.

        Raises:
            ConfigError: if the text alone is longer than the context.
        """
        self.history.append(Message("user", text))
        prompt = self._prompt()
        control = self.tokenizer.control
        banned = (control.bos, control.user, control.assistant, control.system)
        said = ""
        try:
            ids = generate(self.model, prompt, self.config, stop=(control.end,), forbid=banned)
            for piece in stream_text(self.tokenizer, ids):
                said += piece
                yield piece
        finally:  # also when the listener walks away in the middle
            self.history.append(Message("assistant", said))

    def _prompt(self) -> list[int]:
        """Return the ids of as much history as fits beside a reply, newest turns first."""
        context = self.model.config.context_length
        room = context - min(self.config.max_tokens, context // 2)
        for first in range(len(self.history)):
            if self.history[first].role == "assistant":
                continue  # what is kept begins with a user's turn
            ids = render(self.history[first:], self.tokenizer)
            if len(ids) <= room or (first == len(self.history) - 1 and len(ids) < context):
                self.dropped = first
                return ids
        text = self.history.pop()
        n = len(self.tokenizer.encode(text.content))
        raise ConfigError(
            f"this message has {n} tokens, the model's context holds {context}; send a shorter one"
        )
