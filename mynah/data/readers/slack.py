"""A Slack export: a folder (or archive) with `users.json` and a folder a channel with a file a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mynah.data.readers.chat_json import read_messages
from mynah.data.readers.inputs import Input
from mynah.data.readers.json_scanner import LARGEST_VALUE
from mynah.data.readers.json_values import sound
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading

#: Files at the top of an export that are no messages.
_TOP = frozenset(
    "users.json org_users.json channels.json groups.json dms.json mpims.json integration_logs.json canvases.json "
    "file_conversations.json lists.json huddle_transcripts.json".split()
)


def find_exports(inputs: list[Input]) -> dict[str, list[Input]]:
    """Return the folder of each export -> all of its files."""
    roots = {
        name[: -len("users.json")]
        for name in (given.name for given in inputs)
        if name.endswith("users.json") and PurePosixPath(name).name == "users.json"
    }
    named = {given.name for given in inputs}
    roots = {
        r for r in roots if any(r + top in named for top in ("channels.json", "dms.json", "groups.json"))
    }
    return {
        root: [given for given in inputs if given.name.startswith(root) and given.suffix == ".json"]
        for root in sorted(roots)
    }


def read_channel(days: list[Input], users: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the conversations of one channel: its days in order, threads apart, cut at silences."""
    people = {}
    for user in _load(users) or []:
        if isinstance(user, dict) and user.get("id"):
            profile = user.get("profile") if isinstance(user.get("profile"), dict) else {}
            people[str(user["id"])] = str(
                (profile or {}).get("display_name") or user.get("real_name") or user.get("name") or user["id"]
            )

    def messages() -> Iterator[Any]:  # a day at a time: a channel may be ten years old
        for day in sorted(days, key=lambda given: given.name):
            value = _load(day)
            yield from (
                value
                if isinstance(value, list)
                else [Rejected(day.name, 0, "not JSON, or no list of messages")]
            )

    yield from read_messages(messages, reading.source.file, reading, people)


def is_day(given: Input, root: str) -> bool:
    """Whether a file of an export holds messages."""
    return given.name[len(root) :] not in _TOP and "/" in given.name[len(root) :]


def _load(given: Input) -> Any:
    try:
        with given.text("utf-8-sig") as file:
            return sound(json.loads(file.read(LARGEST_VALUE)))
    except (ValueError, RecursionError):
        return None
