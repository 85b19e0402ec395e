"""Chatterbot's YAML: lists of turns, user and bot in turn."""

from __future__ import annotations

from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Message, Record, Rejected, Role, merge_turns
from mynah.data.sources import Reading
from mynah.errors import DataError

#: YAML is read whole; no hand-written corpus is larger.
LARGEST = 64 << 20


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of a chatterbot corpus file.

    Raises:
        DataError: if the file is not YAML or has no `conversations`.
    """
    import yaml

    encoding = encoding_of(given, reading)
    reading.tell(form="YAML", layout="chatterbot conversations, user first")
    with given.text(encoding) as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise DataError(
            f"{given.name}: more than {LARGEST >> 20} MiB of YAML; expected JSON lines at this size"
        )
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # A base loader keeps every scalar as the text it is: Yes, 12:30 and 2024-01-01 are things people say.
        value = loader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{given.name}{place}: not valid YAML") from None
    except (ValueError, RecursionError):
        raise DataError(f"{given.name}: not valid YAML") from None
    turns = value.get("conversations") if isinstance(value, dict) else None
    if not isinstance(turns, list):
        raise DataError(f"{given.name}: YAML without a list `conversations` (chatterbot's layout)")
    roles: tuple[Role, Role] = ("user", "assistant")
    for number, exchange in enumerate(turns, start=1):
        if not isinstance(exchange, list) or len(exchange) < 2:
            yield Rejected(given.name, number, "a conversation is not a list of two or more turns")
        elif any(not isinstance(turn, str) or not turn.strip() for turn in exchange):
            yield Rejected(given.name, number, "a turn is empty or not text")
        else:
            messages = [Message(roles[i % 2], turn) for i, turn in enumerate(exchange)]
            yield Conversation(merge_turns(messages), f"{given.name}:{number}")
