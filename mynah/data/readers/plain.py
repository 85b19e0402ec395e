"""Plain text, chatterbot's YAML and the Cornell layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mynah.data.records import Conversation, Document, Message, Rejected, Role, merge_turns
from mynah.errors import DataError

#: Running text is cut at blank lines into pieces of about this many characters, so that a part of one
#: book can be held out.
PIECE_CHARACTERS = 2000
CORNELL = "+++$+++"


def read_text(path: Path, encoding: str) -> Iterator[Document]:
    """Yield pieces of a text, cut at blank lines (or at line ends where there are none)."""
    piece: list[str] = []
    size = 0
    start = 1
    with path.open(encoding=encoding, errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not piece:
                start = number
            piece.append(line)
            size += len(line)
            boundary = not line.strip() or size > 2 * PIECE_CHARACTERS
            if size >= PIECE_CHARACTERS and boundary:
                yield Document("".join(piece), f"{path.name}:{start}")
                piece, size = [], 0
    if "".join(piece).strip():
        yield Document("".join(piece), f"{path.name}:{start}")


def read_chatterbot(path: Path, encoding: str) -> Iterator[Conversation | Rejected]:
    """Yield the conversations of a chatterbot corpus file: lists of turns, user and bot in turn.

    Raises:
        DataError: if the file is not YAML or has no `conversations`.
    """
    import yaml

    try:
        # BaseLoader keeps every scalar as the text it is: Yes, 12:30 and 2024-01-01 are things people say.
        text = path.read_text(encoding=encoding, errors="replace")
        value = yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise DataError(f"{path}{place}: not valid YAML") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not valid YAML") from None
    turns = value.get("conversations") if isinstance(value, dict) else None
    if not isinstance(turns, list):
        raise DataError(f"{path}: YAML without a list `conversations` (chatterbot's layout)")
    roles: tuple[Role, Role] = ("user", "assistant")
    for number, exchange in enumerate(turns, start=1):
        if not isinstance(exchange, list) or len(exchange) < 2:
            yield Rejected(path.name, number, "a conversation is not a list of two or more turns")
        elif any(not isinstance(turn, str) or not turn.strip() for turn in exchange):
            yield Rejected(path.name, number, "a turn is empty or not text")
        else:
            messages = [Message(roles[i % 2], turn) for i, turn in enumerate(exchange)]
            yield Conversation(merge_turns(messages), f"{path.name}#{number}")


def is_cornell(path: Path, encoding: str) -> bool:
    """Whether the first line is in the `a +++$+++ b` layout of the Cornell movie dialogues."""
    with path.open(encoding=encoding, errors="replace") as file:
        return CORNELL in file.readline()


def is_cornell_lines(path: Path, encoding: str) -> bool:
    """Tell the file of lines from the file of conversations, whose last field is a list of line ids."""
    with path.open(encoding=encoding, errors="replace") as file:
        return re.search(r"\[.*\]\s*$", file.readline()) is None


def read_cornell(lines: Path, conversations: Path, encoding: str) -> Iterator[Conversation | Rejected]:
    """Yield conversations from the two files of a Cornell-style corpus.

    The first to speak is the user, everybody else the assistant.
    """
    said: dict[str, tuple[str, str]] = {}
    with lines.open(encoding=encoding, errors="replace") as file:
        for number, line in enumerate(file, start=1):
            fields = [field.strip() for field in line.rstrip("\n").split(CORNELL)]
            if len(fields) < 3:
                yield Rejected(lines.name, number, f"{len(fields)} fields found, 3 expected")
                continue
            said[fields[0]] = (fields[1], fields[-1])
    with conversations.open(encoding=encoding, errors="replace") as file:
        for number, line in enumerate(file, start=1):
            listed = re.search(r"\[(.*)\]\s*$", line)
            ids = [part.strip(" '\"") for part in listed.group(1).split(",")] if listed else []
            known = [said[i] for i in ids if i in said]
            if len(known) < 2:
                yield Rejected(conversations.name, number, "fewer than two known lines")
                continue
            first = known[0][0]
            messages = [Message("user" if who == first else "assistant", t) for who, t in known]
            yield Conversation(merge_turns(messages), f"{conversations.name}:{number}")


def looks_like_json(path: Path, encoding: str) -> bool:
    """Whether the file begins as JSON or as JSON lines does."""
    with path.open(encoding=encoding, errors="replace") as file:
        start = file.read(1 << 16).lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        return re.match(r"\[\s*[\[{\"\]]", start) is not None
    if not start.startswith("{"):
        return False
    try:
        json.loads(start.partition("\n")[0])
    except (ValueError, RecursionError):
        return re.match(r'\{\s*(".*"\s*:|\})', start) is not None
    return True
