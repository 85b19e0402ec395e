"""A text written along an outline: each of its points begins a part, and the model goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mynah.generate.chat import continue_text
from mynah.generate.copies import Runs
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: What ends a part: an empty line, or a heading that is not in the outline.
PART_ENDS = ("\n\n", "\n#")


def outlined(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str,
    points: Sequence[str],
    config: SamplingConfig,
    copies: Runs | None = None,
) -> Iterator[str]:
    """Yield the text that follows a prompt and has a part for each point, all parts before it read again.

    A point that begins with "#" is a heading in a line of its own, any other is how its part begins.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        prompt: what stands before the first point: a title, or nothing.
        points: in their order; blank ones are passed over.
        config: how each part is drawn; `max_tokens` are those of a part.
        copies: runs that are not copied.
    """
    config = config.model_copy(update={"stop": (*config.stop, *PART_ENDS)})
    text = prompt.rstrip()
    for point in filter(None, map(str.strip, points)):
        between = "\n\n" if text else ""
        after = "\n\n" if point.startswith("#") else ""
        text += f"{between}{point}{after}"
        yield f"{between}{point}{after}"
        for piece in continue_text(model, tokenizer, text, config, copies):
            text += piece
            yield piece
        text = text.rstrip()
