"""Whole conversations in JSON: OpenAI's and ShareGPT's layouts, and those of published dialogue corpora.

A conversation is an object with one list of turns. What a turn's text and speaker are called differs from
corpus to corpus, so they are found by the usual names (`vocabulary.NAMES`), not by a table of corpora.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mynah.data.chats.exchanges import split_exchange
from mynah.data.readers.json_trees import Unfolded
from mynah.data.records import Conversation, Message, Preference, Record, Rejected, Role, merge_turns
from mynah.data.tables.column_contents import normal_name
from mynah.data.vocabulary import ASSISTANT_WORDS, USER_WORDS

#: Where a conversation keeps its turns, most telling first.
_TURNS = (
    "messages conversations conversation turns utterances dialogue dialog dialogues log dial history chat "
    "chatmessages content exchanges"
).split()
_TEXT = "content value text utterance message transcript sentence sent msg body utt 内容 文本".split()
_SPEAKER = "role from speaker author agent sender user name who party agentid speakerid 角色 发送者".split()
#: What a program says to a program is no turn of a person's.
_TOOLS = frozenset(
    "tool tools function observation functioncall functionresponse toolcall toolresponse toolresult toolresults api "
    "ipython environment".split()
)
_SYSTEM = frozenset(("system", "developer"))


def turns_of(value: Any) -> list[Any] | None:
    """Return the list of turns in an object or list that is a conversation, else None."""
    if isinstance(value, list):
        return value if len(value) > 1 and all(isinstance(turn, str) for turn in value) else None
    if not isinstance(value, dict):
        return None
    lists = {normal_name(key): item for key, item in value.items() if isinstance(item, list) and item}
    talk = any(normal_name(key).startswith(("dialog", "conversation")) for key in value)
    for name in _TURNS:
        # A list of strings called `content` is a poem's lines as likely as somebody's words.
        bare = talk or name not in ("content", "log", "history")
        # And a list of marked-up pieces is a document's, unless they say who speaks.
        shown = [turn for turn in lists.get(name, ())[:20] if isinstance(turn, dict)]
        said = bare or any(_speaker(turn) or "type" not in turn for turn in shown)
        if (turns := lists.get(name)) and said and _all_turns(turns, bare):
            return turns
    return None


def is_conversation(value: Any) -> bool:
    """Whether a value is a conversation, be it one without a single turn."""
    if turns_of(value) is not None:
        return True
    return isinstance(value, dict) and any(
        isinstance(value.get(key), list) for key in ("messages", "conversations", "conversation")
    )


def _all_turns(turns: Sequence[Any], bare: bool) -> bool:
    shown = turns[:20]
    if all(isinstance(turn, str) for turn in shown):
        return bare and len(turns) > 1
    if all(map(_is_spoken_pair, shown)):
        return len(turns) > 1
    return all(isinstance(turn, dict) for turn in shown) and any(
        _text(turn) is not None or _both_sides(turn) for turn in shown
    )


def _is_spoken_pair(turn: Any) -> bool:
    """Whether a turn is [number of the speaker, text]."""
    return isinstance(turn, list) and len(turn) == 2 and isinstance(turn[0], int) and isinstance(turn[1], str)


def left_out(value: Any) -> Iterator[tuple[str, int]]:
    """Yield reason and characters of each message of a conversation or preference that is no turn of it."""
    programs = [0] * (value.programs if isinstance(value, Unfolded) else 0)
    if isinstance(value, Unfolded):
        yield from itertools.repeat(("a branch that was not taken", 0), value.untaken)
    for turn in (*(turns_of(value) or ()), *_compared(value)):
        if isinstance(turn, dict) and not _both_sides(turn) and _is_programs(turn):
            programs.append(len(_text(turn) or ""))
    for characters in programs:
        yield "what a program was told or answered", characters


def _compared(value: Any) -> Iterator[Any]:
    """Yield the turns of two answers that are compared, those that both begin with once."""
    answers = [value.get(key) for key in ("chosen", "rejected")] if isinstance(value, dict) else []
    better, worse = [answer if isinstance(answer, list) else [] for answer in answers] or [[], []]
    yield from better
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(better, worse, strict=False))
    yield from worse[sum(1 for _ in same) :]


def _is_programs(turn: Mapping[str, Any]) -> bool:
    """Whether a turn is a program's answer, or calls one and says nothing."""
    if normal_name(_speaker(turn)) in _TOOLS:
        return True
    return _text(turn) is None and bool(turn.get("tool_calls") or turn.get("function_call"))


def to_record(name: str, number: int, value: Any, assistant: Sequence[str] = ()) -> Record | Rejected:
    """Read a conversation; one with a better and a worse reply is a preference.

    Args:
        name: of the file, for the place.
        number: line or number of the value.
        value: of which `is_conversation` holds.
        assistant: names of the speakers who are the assistant, where the layout has no roles.
    """
    place = f"{name}:{number}"
    spoken: list[tuple[str, str]] = []  # speaker, text
    for index, turn in enumerate(turns_of(value) or []):
        if isinstance(turn, str):
            spoken.append((("user", "assistant")[index % 2], turn))
            continue
        if _is_spoken_pair(turn):
            spoken.append((f"speaker {turn[0]}", turn[1]))
            continue
        if not isinstance(turn, dict):
            return Rejected(name, number, "a turn is not an object")
        if both := _both_sides(turn):
            spoken += both
            continue
        if _is_programs(turn):
            continue
        speaker, text = _speaker(turn), _text(turn)
        if text is None:
            return Rejected(name, number, "a turn has no text")
        if not text.strip():
            return Rejected(name, number, "a turn is empty")
        spoken.append((speaker or ("user", "assistant")[index % 2], text))
    roles = _roles([speaker for speaker, _ in spoken], assistant)
    if roles is None:
        return Rejected(name, number, "a turn has an unknown role")
    messages = [
        Message(role, text, "" if speaker.lower() in _ROLE_WORDS else speaker)
        for role, (speaker, text) in zip(roles, spoken, strict=True)
    ]
    if isinstance(value, dict) and isinstance(system := value.get("system"), str) and system.strip():
        messages.insert(0, Message("system", system))
    if not messages:
        return Rejected(name, number, "no turns")
    if isinstance(value, dict) and (replies := _preference(value)):
        return Preference(merge_turns(messages), *replies, place)
    return Conversation(merge_turns(messages), place)


_ROLE_WORDS = USER_WORDS | ASSISTANT_WORDS | _SYSTEM


def _roles(speakers: Sequence[str], assistant: Sequence[str]) -> list[Role] | None:
    """Return the roles of speakers, or None if some are called by a role and others are not."""
    folded = [speaker.strip().lower() for speaker in speakers]
    if assistant:
        named = {name.strip().lower() for name in assistant}
        if named & set(folded):
            return ["assistant" if name in named else "user" for name in folded]
    known = [name in _ROLE_WORDS for name in folded]
    if not any(known):
        return ["user" if name == folded[0] else "assistant" for name in folded]
    if not all(known):
        return None
    # Task dialogues call the one who answers the system; beside an assistant it is who gives instructions.
    answers = not any(name in ASSISTANT_WORDS for name in folded) and folded[0] not in _SYSTEM
    roles: list[Role] = []
    for name in folded:
        if name in _SYSTEM:
            roles.append("assistant" if answers else "system")
        else:
            roles.append("assistant" if name in ASSISTANT_WORDS else "user")
    return roles


def _speaker(turn: Mapping[str, Any]) -> str:
    by_name = {normal_name(key): item for key, item in turn.items()}
    for name in _SPEAKER:
        item = by_name.get(name)
        if isinstance(item, dict):
            item = next((item[k] for k in ("role", "name", "nickname", "id") if item.get(k)), None)
        if isinstance(item, str | int) and str(item).strip():
            return str(item)
    return ""


def _text(turn: Mapping[str, Any]) -> str | None:
    by_name = {normal_name(key): item for key, item in turn.items()}
    for name in _TEXT:
        item = by_name.get(name)
        if isinstance(item, str):
            return item
        if isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
            # OpenAI's content parts
            return "\n".join(str(part.get("text") or "") for part in item)
    return None


def _both_sides(turn: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what both said where one object holds a question and its reply, in that order."""
    said: dict[str, str] = {}
    for key, item in turn.items():
        text = _text(item) if isinstance(item, dict) else item
        name = key.lower().removesuffix("_transcript")
        if not isinstance(text, str):
            continue
        if name in USER_WORDS or key == "transcript":
            said.setdefault("user", text)
        elif name in ASSISTANT_WORDS or name in _SYSTEM:
            said.setdefault("assistant", text)
    if len(said) < 2:
        return []
    # WOZ writes the system's last words beside what the user answers to them.
    order = ("assistant", "user") if "system_transcript" in turn else ("user", "assistant")
    return [(role, said[role]) for role in order if said[role].strip()]


def _preference(value: Mapping[str, Any]) -> tuple[str, str] | None:
    replies = []
    for key in ("chosen", "rejected"):
        item = value.get(key)
        text = _text(item) if isinstance(item, dict) else item
        if not isinstance(text, str):
            return None
        replies.append(text)
    return replies[0], replies[1]


def is_preference(value: Any) -> bool:
    """Whether a value holds two whole answers to compare: texts or lists of turns, beside a prompt or with it."""
    if not isinstance(value, dict):
        return False
    answers = [value.get(key) for key in ("chosen", "rejected")]
    if turns_of(value) is not None and not all(isinstance(answer, list) for answer in answers):
        return False  # whole turns beside two replies
    return all(isinstance(answer, str | list) and answer for answer in answers)


def to_preference(name: str, number: int, value: Any) -> Record | Rejected:
    """Read a preference whose replies are texts or lists of turns; what both begin with is the prompt."""
    if not is_preference(value):
        return Rejected(name, number, "no chosen and rejected reply")
    place = f"{name}:{number}"
    better, worse = (_answer(value[key]) for key in ("chosen", "rejected"))
    if better is None or worse is None:
        return Rejected(name, number, "a reply without text")
    asked = next((value[k] for k in ("prompt", "question", "instruction", "input") if value.get(k)), None)
    told = value.get("system")
    system = (Message("system", told),) if isinstance(told, str) and told.strip() else ()
    prompt = better[:-1]
    if not prompt and isinstance(asked, list):
        before = to_record("", 0, {"messages": asked})
        prompt = before.messages if isinstance(before, Conversation) else ()
    elif not prompt and isinstance(asked, str):
        prompt = (*system, Message("user", asked))
    if not prompt:
        return Rejected(name, number, "replies without a prompt")
    return Preference(prompt, better[-1].content, worse[-1].content, place)


def _answer(value: Any) -> tuple[Message, ...] | None:
    """Return the turns of an answer, the reply last; None if there is none."""
    if isinstance(value, str):
        return split_exchange(value) or ((Message("assistant", value),) if value.strip() else None)
    record = to_record("", 0, {"messages": value})
    return record.messages if isinstance(record, Conversation) and record.messages else None
