"""JSON and JSON lines: whole conversations (OpenAI, ShareGPT, preferences) or flat records."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah.data.records import Conversation, Message, Rejected, Role, merge_turns
from mynah.errors import DataError

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "agent": "assistant",
}


def read_objects(path: Path, encoding: str) -> Iterator[tuple[int, Any] | Rejected]:
    """Yield (line or record number, object) of a JSON array, a single object, or JSON lines.

    Raises:
        DataError: if not even the first line is JSON.
    """
    if not _is_lines(path, encoding):
        yield from _array(path, encoding)
        return
    with path.open(encoding=encoding, errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip("\ufeff \t\r\n"):
                continue
            try:
                yield number, sound(json.loads(line.lstrip("\ufeff")))
            except (ValueError, RecursionError):
                yield Rejected(path.name, number, "not JSON")


def _is_lines(path: Path, encoding: str) -> bool:
    """Whether most of the first lines are JSON each by itself, and there is more than one."""
    with path.open(encoding=encoding, errors="replace") as file:
        lines = list(itertools.islice((x for x in file if x.strip("\ufeff \t\r\n")), 20))
    good = 0
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            good += isinstance(json.loads(line.lstrip("\ufeff")), dict | list)
    return len(lines) > 1 and 2 * good > len(lines)


def sound(value: Any) -> Any:
    """Replace lone surrogates, which JSON can spell and UTF-8 cannot, in all text of a value."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [sound(item) for item in value]
    if isinstance(value, dict):
        return {sound(key): sound(item) for key, item in value.items()}
    return value


def _array(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    try:
        value = sound(json.loads(path.read_text(encoding=encoding, errors="replace").lstrip("\ufeff")))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise DataError(f"{path}: JSON nested too deeply, or with a number too long") from None
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        # {"data": [...]} wraps the records; a conversation's own list of messages does not.
        wraps = len(lists) == 1 and not conversation_keys(value)
        value = lists[0] if wraps else [value]
    yield from enumerate(value, start=1)


def conversation_keys(value: Any) -> bool:
    """Whether an object is a whole conversation."""
    return isinstance(value, dict) and any(
        isinstance(value.get(key), list) for key in ("messages", "conversations", "conversation")
    )


def to_conversation(path: Path, number: int, value: dict[str, Any]) -> Conversation | Rejected:
    """Read OpenAI `messages` or ShareGPT `conversations`; of a preference, the chosen reply is taken."""
    listed = (value.get(key) for key in ("messages", "conversations", "conversation"))
    turns = list(next((item for item in listed if isinstance(item, list)), []))
    if isinstance(value.get("chosen"), dict):
        turns.append(value["chosen"])
    messages: list[Message] = []
    if isinstance(value.get("system"), str) and value["system"].strip():
        messages.append(Message("system", value["system"]))
    for turn in turns:
        if not isinstance(turn, dict):
            return Rejected(path.name, number, "a turn is not an object")
        name = str(turn.get("role") or turn.get("from") or "").lower()
        text = turn.get("content", turn.get("value"))
        if isinstance(text, list):  # OpenAI's content parts
            text = "\n".join(str(p.get("text") or "") for p in text if isinstance(p, dict))
        if name in ("tool", "function", "observation", "function_call"):
            continue
        if not isinstance(text, str) and (turn.get("tool_calls") or turn.get("function_call")):
            continue  # the assistant called a tool and said nothing
        if name not in _ROLES:
            return Rejected(path.name, number, "a turn has an unknown role")
        if not isinstance(text, str):
            return Rejected(path.name, number, "a turn has no text")
        messages.append(Message(_ROLES[name], text))
    if not messages:
        return Rejected(path.name, number, "no turns")
    return Conversation(merge_turns(messages), f"{path.name}:{number}")


def flat_cells(value: Any) -> dict[str, str] | None:
    """Return a flat record's scalar fields as text, as a table's row would have them; None if not flat."""
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        return None
    cells = {}
    for key, item in value.items():
        if isinstance(item, str):
            cells[str(key)] = item
        elif isinstance(item, bool | int | float):
            cells[str(key)] = str(item)
        elif item is None:
            cells[str(key)] = ""
    return cells or None
