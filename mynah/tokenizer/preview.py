"""Show a record as a model would be trained on it: its tokens, which of them count, where the context ends."""

from __future__ import annotations

from pathlib import Path

from mynah import artifacts
from mynah.data.records import Record
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.template import SAID
from mynah.tokenizer.tokenizer import Tokenizer

#: ANSI colours: trained on, only read, the first of what the next piece adds.
_SAID, _HEARD, _CUT, _OFF = "\x1b[32m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


def preview(record: Record, folder: Path, context_length: int, color: bool = False) -> str:
    """Return a record's tokens as text, one after the other between bars, and a line of counts.

    What is longer than the context is learned in pieces that overlap by half: a reply counts wherever it stands.
    Without colour a token that fine-tuning counts is marked by `*`, and where a context ends stands `!`.

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
    shown, edges = [], _edges(len(encoded.tokens), context_length)
    for position, (token, part) in enumerate(
        zip(encoded.tokens.tolist(), encoded.part.tolist(), strict=True)
    ):
        text = tokenizer.show(token)
        counts, ends = part == SAID, position in edges
        mark = ("!" if ends else "") + ("*" if counts else "")
        shown.append(f"{_CUT if ends else _SAID if counts else _HEARD}{text}{_OFF}" if color else mark + text)
    total, replies = len(encoded.tokens), int((encoded.part == SAID).sum())
    pieces = 1 + len(edges)
    cut = (
        f"in {pieces} pieces of at most {context_length}"
        if pieces > 1
        else f"within a context of {context_length}"
    )
    return f"{record.place}: {total} tokens, {replies} of them count in fine-tuning, {cut}\n{'|'.join(shown)}"


def _edges(total: int, context_length: int) -> range:
    """Return the positions at which a context ends and tokens follow, as training cuts them."""
    return range(context_length, total, max(1, context_length // 2))


def planned_context(run: Path) -> int | None:
    """Return the context that a run was planned with, or None if it has no plan yet."""
    path = run / "plan" / "plan.json"
    if not path.is_file():
        return None
    plan = artifacts.read_json(path)
    return int((plan["tune"] or plan["pretrain"])["context_length"])
