"""Records from what a program has at hand: strings, lists of words, pairs, dicts, conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mynah.data.chats.exchanges import split_exchange
from mynah.data.preprocess import join_words
from mynah.data.readers.json_dialogues import to_record
from mynah.data.records import Conversation, Document, Message, Record, Rejected
from mynah.errors import DataError

Text = str | Sequence[str] | Mapping[str, Any] | Conversation


def to_records(texts: Iterable[Text]) -> list[Record]:
    """Read texts in any of the accepted forms.

    Raises:
        DataError: naming the place of the first that is none of them.
    """
    if isinstance(texts, str):
        texts = [texts]
    return [_to_record(value, number) for number, value in enumerate(texts)]


def _to_record(value: Text, number: int) -> Record:
    if isinstance(value, Conversation):
        return value
    if isinstance(value, str):
        turns = split_exchange(value)
        return Conversation(turns) if turns else Document(value)
    if isinstance(value, Mapping):
        made = to_record("texts", number, dict(value))
        if isinstance(made, Rejected):
            raise DataError(f"text {number}: {made.reason}")
        return made
    if isinstance(value, tuple) and len(value) == 2:
        return Conversation((Message("user", str(value[0])), Message("assistant", str(value[1]))))
    if isinstance(value, Sequence) and all(isinstance(word, str) for word in value):
        return Document(join_words(value))
    raise DataError(
        f"text {number}: found {type(value).__name__}, expected a string, a list of words, "
        "a pair (question, answer) or {'messages': [...]}"
    )
