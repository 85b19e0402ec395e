"""A conversation with a model: history, the context's limit, streamed text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mynah.data.records import Message
from mynah.generate.copies import Runs
from mynah.generate.drafts import Drafter, Repeats
from mynah.generate.engine import Request, generate
from mynah.generate.settings import SamplingConfig
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.tokenizer.template import room_for_prompt
from mynah.tokenizer.tokenizer import Tokenizer


class Until:
    """Shows text up to the first of the texts that end it; what may be the beginning of one waits.

    The first is the one that is whole first, and of two that end together the longer one.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self.stop, self.stopped, self._held = stop, False, ""

    def feed(self, piece: str) -> str:
        """Take a piece; return what can be shown now. After one that ended it nothing more is shown."""
        if self.stopped:
            return ""
        self._held += piece
        found = [(at + len(text), at) for text in self.stop if (at := self._held.find(text)) >= 0]
        if found:  # the one that is whole first, wherever the pieces were cut
            self.stopped = True
            return self._held[: min(found)[1]]
        held = self._held
        waits = max(
            (n for text in self.stop for n in range(1, len(text)) if held.endswith(text[:n])), default=0
        )
        shown, self._held = held[: len(held) - waits], held[len(held) - waits :]
        return shown

    def rest(self) -> str:
        """Return what still waits, once nothing more comes."""
        held, self._held = "" if self.stopped else self._held, ""
        return held


def until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """Yield pieces of text up to the first of the texts that end it, as `Until` shows them."""
    shown = Until(stop)
    for piece in pieces:
        if text := shown.feed(piece):
            yield text
        if shown.stopped:
            return
    if text := shown.rest():
        yield text


def _repeats() -> list[Drafter]:
    return [Repeats()]


def text_request(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    config: SamplingConfig,
    copies: Runs | None = None,
) -> Request:
    """Return how a text goes on; one beyond the context loses its beginning, but not what begins every text."""
    room = room_for_prompt(model.config.context_length, config.max_tokens)
    ids = tokenizer.begin(prompt)
    kept = len(ids) - len(tokenizer.encode(prompt))  # before the text itself
    if len(ids) > room:
        ids = [*ids[:kept], *ids[len(ids) - max(0, room - kept) :]][:room]
    stop = tokenizer.template.stop_ids | {tokenizer.control.bos}  # the next text begins: this one is over
    return Request(
        ids, config, stop, tokenizer.template.forbidden_ids - stop, copies=copies, drafters=_repeats
    )


def chat_request(
    model: Transformer,
    tokenizer: Tokenizer,
    history: Sequence[Message],
    config: SamplingConfig,
    *,
    cut: bool = False,
) -> tuple[Request, int]:
    """Return how a conversation goes on, and how many of its oldest messages had to be left out.

    Args:
        model: says how much it sees.
        tokenizer: and its template.
        history: oldest first, the last one the user's.
        config: how the reply is drawn.
        cut: let a last message that is longer than the context lose its beginning.

    Raises:
        ConfigError: if it is longer than that, and must not be cut.
    """
    template = tokenizer.template
    fitted = template.fit(history, model.config.context_length, config.max_tokens, cut=cut)
    request = Request(fitted.ids, config, template.stop_ids, template.forbidden_ids, drafters=_repeats)
    return request, fitted.dropped


def continue_text(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    config: SamplingConfig,
    copies: Runs | None = None,
) -> Iterator[str]:
    """Yield the text that follows a prompt; a prompt beyond the context loses its beginning.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        prompt: what the text begins with.
        config: how it is drawn.
        copies: runs that are not copied.
    """
    request = text_request(model, tokenizer, prompt, config, copies)
    ids = (drawn.token for drawn in generate(model, request))
    yield from until(tokenizer.stream(ids, request.prompt), config.stop)


@dataclass
class ChatSession:
    """A conversation that remembers its turns and drops the oldest when the context is full."""

    model: Transformer
    tokenizer: Tokenizer
    config: SamplingConfig
    history: list[Message] = field(default_factory=list)
    #: turns that no longer fit when the last reply was made
    dropped: int = 0
    #: what has been read so far: the next turn goes on from there
    _state: DecodingState | None = None

    def reset(self) -> None:
        """Forget all turns."""
        self.history.clear()
        self.dropped, self._state = 0, None

    def reply(self, text: str) -> Iterator[str]:
        """Yield the reply to a user's text in pieces, and remember both.

        The reply never runs past the context: the oldest turns are dropped first, and then the
        reply is cut.

        Raises:
            ConfigError: if the text alone is longer than the context.
            GenerationError: if the model's logits are not numbers.
        """
        asked = Message("user", text)
        request, self.dropped = chat_request(self.model, self.tokenizer, [*self.history, asked], self.config)
        self.history.append(asked)
        self._state = self._state or DecodingState(self.model)
        said = ""
        try:
            ids = (drawn.token for drawn in generate(self.model, request, self._state))
            for piece in until(self.tokenizer.stream(ids), self.config.stop):
                said += piece
                yield piece
        finally:  # also when the listener walks away in the middle
            self.history.append(Message("assistant", said))
