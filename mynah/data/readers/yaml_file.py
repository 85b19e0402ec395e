"""YAML: chatterbot's lists of turns, Rasa's examples by intent, and records as JSON has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.json_file import read_stream
from mynah.data.readers.rasa import examples_of, read_examples
from mynah.data.records import Conversation, Message, Record, Rejected, Role, merge_turns
from mynah.data.sources import Reading
from mynah.errors import DataError

#: YAML is read whole; no hand-written corpus is larger.
LARGEST = 64 << 20


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of a YAML file.

    Raises:
        DataError: if the file is not YAML, or of no layout that is known.
    """
    encoding = encoding_of(given, reading)
    reading.tell(form="YAML")
    value = _load(given, encoding)
    if (examples := examples_of(value)) is not None:
        yield from read_examples(given.name, examples, reading)
    elif (
        isinstance(value, dict)
        and isinstance(turns := value.get("conversations"), list)
        and _are_turns(turns)
    ):
        reading.tell(layout="chatterbot conversations, user first")
        yield from _conversations(given.name, turns)
    elif isinstance(value, list | dict) and not _is_rasa(value):
        values = value if isinstance(value, list) else [value]
        yield from read_stream(given.name, lambda: iter(values), reading)
    else:
        raise DataError(
            f"{given.name}: YAML without texts; expected `conversations` (chatterbot), `nlu` (Rasa) or records with "
            "fields such as question and answer"
        )


def _load(given: Input, encoding: str) -> Any:
    import yaml

    with given.text(encoding) as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise DataError(
            f"{given.name}: more than {LARGEST >> 20} MiB of YAML; expected JSON lines at this size"
        )
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # A base loader keeps every scalar as the text it is: Yes, 12:30 and 2024-01-01 are things people say.
        return loader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{given.name}{place}: not valid YAML") from None
    except (ValueError, RecursionError):
        raise DataError(f"{given.name}: not valid YAML") from None


def _is_rasa(value: Any) -> bool:
    """Whether YAML is another of Rasa's files: what the assistant does, not what is said to it."""
    if not isinstance(value, dict):
        return False
    domain = {"intents", "responses", "actions", "slots", "entities", "forms"}
    return bool(value.keys() & {"stories", "rules", "pipeline", "policies"}) or len(value.keys() & domain) > 1


def _are_turns(turns: list[Any]) -> bool:
    return not turns or any(isinstance(turn, list) for turn in turns) or isinstance(turns[0], str)


def _conversations(name: str, turns: list[Any]) -> Iterator[Record | Rejected]:
    roles: tuple[Role, Role] = ("user", "assistant")
    for number, exchange in enumerate(turns, start=1):
        if not isinstance(exchange, list) or len(exchange) < 2:
            yield Rejected(name, number, "a conversation is not a list of two or more turns")
        elif any(not isinstance(turn, str) or not turn.strip() for turn in exchange):
            yield Rejected(name, number, "a turn is empty or not text")
        else:
            messages = [Message(roles[i % 2], turn) for i, turn in enumerate(exchange)]
            yield Conversation(merge_turns(messages), f"{name}:{number}")
