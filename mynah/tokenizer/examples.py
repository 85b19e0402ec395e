"""From records to what a model is trained on: tokens, and which of them count, by the template of the tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mynah.data.records import (
    KINDS,
    Conversation,
    Document,
    Message,
    Preference,
    Record,
    as_conversation,
    kind_of,
)
from mynah.errors import DataError
from mynah.tokenizer.template import HEARD, LAYOUT, ControlTemplate, Rendered
from mynah.tokenizer.tokenizer import Tokenizer

#: Numbers of the kinds of records in token shards.
KIND_NUMBERS = {name: number for number, name in enumerate(KINDS.values())}
#: Records are encoded so many at once, or so many characters of them.
_RECORDS, _CHARACTERS = 4096, 1 << 20


@dataclass(frozen=True)
class Encoded:
    """Some records as arrays; N tokens in R records."""

    #: (N,) uint16 or uint32, records end to end
    tokens: npt.NDArray[np.unsignedinteger]
    #: (N,) uint8: LAYOUT, HEARD or SAID
    part: npt.NDArray[np.uint8]
    #: (R,) int64: tokens of each
    lengths: npt.NDArray[np.int64]
    #: (R, 2) int64: UTF-8 bytes of all text of the record, and of its assistant turns
    n_bytes: npt.NDArray[np.int64]
    #: (R,) uint8: one of `KIND_NUMBERS`
    kind: npt.NDArray[np.uint8]


def encode_in_batches(records: Iterable[Record], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Encode records, a bounded number at a time, each beginning with the tokenizer's beginning-of-text token.

    A label, a translation and a chosen reply are what an assistant says; the record keeps its kind. Conversations that
    the template of a base cannot say are left out.

    Raises:
        DataError: if it can say none of the first batch.
    """
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    for number, whole in enumerate(_batches(records)):
        batch, talks = _accepted(whole, tokenizer, needed=number == 0)
        rendered = _render(talks, tokenizer)
        lengths = np.array([len(r.ids) for r in rendered], np.int64)
        tokens, part = np.empty(lengths.sum(), dtype), np.empty(lengths.sum(), np.uint8)
        end = np.cumsum(lengths)
        for r, first, last in zip(rendered, end - lengths, end, strict=True):
            tokens[first:last], part[first:last] = r.ids, r.parts
        n_bytes = [(sum(len(t.encode()) for t in talk.texts), _bytes_said(talk)) for talk in talks]
        kind = np.array([KIND_NUMBERS[kind_of(record)] for record in batch], np.uint8)
        yield Encoded(tokens, part, lengths, np.array(n_bytes, np.int64).reshape(-1, 2), kind)


def encoded_records(records: Iterable[Record], tokenizer: Tokenizer) -> Iterator[Record]:
    """Return the records that `encode_in_batches` does not leave out, in order."""
    for batch in _batches(records):
        yield from _accepted(batch, tokenizer, needed=False)[0]


def rejected_conversations(records: Iterable[Record]) -> Iterator[Conversation]:
    """Return the prompt with the worse reply of every preference, in order."""
    for record in records:
        if isinstance(record, Preference):
            yield Conversation((*record.messages, Message("assistant", record.rejected)), record.place)


def _render(talks: Sequence[Conversation | Document], tokenizer: Tokenizer) -> list[Rendered]:
    """Return each record as tokens; Mynah's own template has all their texts encoded at once, on all cores."""
    template = tokenizer.template
    if not isinstance(template, ControlTemplate):
        texts = iter(tokenizer.encode_batch([t.text for t in talks if isinstance(t, Document)]))
        return [
            template.render(t.messages) if isinstance(t, Conversation) else _document(next(texts), tokenizer)
            for t in talks
        ]
    encoded = iter(tokenizer.encode_batch([text for talk in talks for text in talk.texts]))
    return [
        template.lay_out(talk.messages, [next(encoded) for _ in talk.messages])
        if isinstance(talk, Conversation)
        else _document(next(encoded), tokenizer)
        for talk in talks
    ]


def _accepted(
    batch: Sequence[Record], tokenizer: Tokenizer, *, needed: bool
) -> tuple[list[Record], list[Conversation | Document]]:
    """Return the records that the template can say, and how it says them."""
    kept, talks = [], []
    refused: DataError | None = None
    for record in batch:
        talk = as_conversation(record)
        try:
            if isinstance(talk, Conversation):
                talk = replace(talk, messages=tuple(tokenizer.template.accepted(talk.messages)))
        except DataError as error:
            refused = error
            continue
        kept.append(record)
        talks.append(talk)
    if refused is not None and needed and not kept:
        raise refused
    return kept, talks


def _document(ids: list[int], tokenizer: Tokenizer) -> Rendered:
    return Rendered([tokenizer.control.bos, *ids], [LAYOUT] + [HEARD] * len(ids))


def _bytes_said(talk: Conversation | Document) -> int:
    if isinstance(talk, Document):
        return 0
    return sum(len(m.content.encode()) for m in talk.messages if m.role == "assistant")


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(map(len, record.texts))
        if len(batch) == _RECORDS or size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
