"""Show a record as a model would be trained on it: its tokens, which of them count, where the context ends."""

from __future__ import annotations

from pathlib import Path

from mynah import artifacts
from mynah.data.records import Record
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.template import SAID
from mynah.tokenizer.tokenizer import Tokenizer

#: ANSI colours: trained on, only read, cut off.
_SAID, _HEARD, _CUT, _OFF = "\x1b[32m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


def preview(record: Record, folder: Path, context_length: int, color: bool = False) -> str:
    """Return a record's tokens as text, one after the other between bars, and a line of counts.

    Without colour a token that fine-tuning counts is marked by `*`, one beyond the context by `!`.

    Args:
        record: any record.
        folder: a run or Hugging Face directory with a tokenizer.
        context_length: tokens that a model sees at once.
        color: use ANSI colours.

    Raises:
        ArtifactError: if there is no tokenizer in the folder.
    """
    tokenizer = Tokenizer.open(folder)
    encoded = encode_records([record], tokenizer)
    shown = []
    for position, (token, part) in enumerate(
        zip(encoded.tokens.tolist(), encoded.part.tolist(), strict=True)
    ):
        text = tokenizer.show(token)
        beyond, counts = position >= context_length, part == SAID
        if color:
            shown.append(f"{_CUT if beyond else _SAID if counts else _HEARD}{text}{_OFF}")
        else:
            shown.append(f"{'!' if beyond else '*' if counts else ''}{text}")
    total, replies = len(encoded.tokens), int((encoded.part[:context_length] == SAID).sum())
    cut = max(0, total - context_length)
    return (
        f"{record.place}: {total} tokens, {replies} of them count in fine-tuning, {cut} are beyond a context of "
        f"{context_length}\n{'|'.join(shown)}"
    )


def planned_context(run: Path) -> int | None:
    """Return the context that a run was planned with, or None if it has no plan yet."""
    path = run / "plan" / "plan.json"
    return int(artifacts.read_json(path)["pretrain"]["context_length"]) if path.is_file() else None
