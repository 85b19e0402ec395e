"""Who of those that speak is the assistant: as told, by direction, by role words, else by presence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mynah.data.chats.messages import Indices, Messages, Names
from mynah.data.records import Role
from mynah.data.sources import Ask
from mynah.data.vocabulary import ASSISTANT_WORDS, NO, ROLE_ASSISTANTS, ROLE_USERS, USER_WORDS, YES
from mynah.errors import ConfigError

#: Gives a message its role, by its number and that of the first message of its conversation.
RoleOf = Callable[[int, int], Role]


class Roles(NamedTuple):
    """The roles in a source: who is the assistant, and how that was found."""

    role: RoleOf
    #: how it was found, in words for the user
    told: str
    #: the names, where it is names that tell
    assistant: tuple[str, ...] = ()
    #: whether an assistant that was given speaks here
    heard: bool = True


def find_roles(
    messages: Messages,
    order: Indices,
    starts: Indices,
    file: str,
    ask: Ask | None,
    strict: bool = True,
    before: Sequence[str] = (),
) -> Roles:
    """Decide who is the assistant.

    Args:
        messages: all of them.
        order: (N,) their numbers, conversation by conversation.
        starts: (G + 1,) where each conversation begins in `order`.
        file: for errors.
        ask: who the assistant is, where nothing says so.
        strict: whether an assistant that was given must speak here; else one is chosen, and it is said.
        before: who was the assistant in an earlier part of the same source; is so again who speaks here, too.

    Raises:
        ConfigError: if the assistant that was given speaks nowhere.
    """
    layout, missing = messages.layout, ""
    given = layout.assistant
    spoken = _spoken(messages.speakers)
    if ask is not None and not given and layout.speaker and not layout.direction:
        given = _asked(spoken, file, ask)
    if given and (layout.speaker or layout.direction):
        names = frozenset(map(_fold, given))
        if names & set(map(_fold, spoken)):
            told = f"assistant = {', '.join(given)}"
            return Roles(_by_value(messages.speakers, frozenset(), names), told, tuple(given))
        what = set(map(_fold, messages.directions.texts)) & names
        if what:  # which of those that answer: "bot", say
            told = f"assistant where {layout.direction} is {', '.join(sorted(what))}"
            return Roles(_by_value(messages.directions, frozenset(), names), told)
        most = ", ".join(name for name, _ in spoken.most_common(8))
        if strict:
            raise ConfigError(f"{file}: --me {', '.join(given)}: speaks nowhere; speakers: {most}")
        missing = f"none of --me {', '.join(given)} speaks here; "
    if layout.speaker and not layout.direction and set(map(_fold, before)) & set(map(_fold, spoken)):
        names = frozenset(map(_fold, before))
        role = _by_value(messages.speakers, frozenset(), names)
        told = f"{missing}assistant = {', '.join(before)}" if missing else ""  # else it has been told
        return Roles(role, told, tuple(before), heard=not missing)
    found = _chosen(messages, order, starts, spoken)
    return found._replace(told=missing + found.told, heard=not missing)


def _chosen(messages: Messages, order: Indices, starts: Indices, spoken: Counter[str]) -> Roles:
    layout = messages.layout
    if layout.direction and (found := _by_direction(messages.directions, layout.direction)):
        return found
    if not layout.speaker:
        return Roles(lambda index, first: "user", "one speaker")
    folded: Counter[str] = Counter()
    for name, count in spoken.items():
        folded[_fold(name)] += count
    if "system" in folded and not any(name in ASSISTANT_WORDS for name in folded) and len(folded) > 1:
        # Task dialogues call the one who answers the system.
        return Roles(_by_value(messages.speakers, USER_WORDS, frozenset({"system"})), "assistant = system")
    if sum(n for name, n in folded.items() if name in USER_WORDS | ASSISTANT_WORDS) > 0.8 * folded.total():
        shown = ", ".join(sorted(name for name in folded if name in ASSISTANT_WORDS))
        return Roles(_by_value(messages.speakers, USER_WORDS, ASSISTANT_WORDS), f"assistant = {shown}")
    return _by_presence(messages.speakers, order, starts)


def _fold(value: str) -> str:
    return value.strip().lower()


def _spoken(names: Names) -> Counter[str]:
    """Return how often each name speaks, in the order in which they come."""
    counts = np.bincount(np.frombuffer(names.codes, dtype=np.int32), minlength=len(names.numbers))
    return Counter(dict(zip(names.texts, counts.tolist(), strict=True)))


def _asked(spoken: Counter[str], file: str, ask: Ask) -> tuple[str, ...]:
    """Ask who the assistant is, unless role words settle it."""
    if len(spoken) < 2 or any(_fold(name) in USER_WORDS | ASSISTANT_WORDS for name in spoken):
        return ()
    answer = ask.speaker(file, spoken)
    return (answer,) if answer else ()


def _by_value(column: Names, user: frozenset[str], assistant: frozenset[str]) -> RoleOf:
    """Give roles by what stands in a column; a value that means none is a user's beside a named assistant, else whoever
    opens a conversation is the user."""
    folded = list(map(_fold, column.texts))
    roles: list[Role | None] = []
    for value in folded:
        if value in assistant:
            roles.append("assistant")
        elif value in user:
            roles.append("user")
        elif value == "system":
            roles.append("system")
        else:
            roles.append("user" if assistant else None)
    codes = column.codes

    def role(index: int, first: int) -> Role:
        known = roles[codes[index]]
        return known or ("user" if folded[codes[index]] == folded[codes[first]] else "assistant")

    return role


def _by_direction(column: Names, name: str) -> Roles | None:
    """Give roles by a column that says who sent a message, if its values are known ones."""
    plain = name.lower().replace("_", "")
    sent = "issender" in plain or "out" in name.lower() or "fromme" in plain
    user, assistant = (NO if sent else YES) | ROLE_USERS, (YES if sent else NO) | ROLE_ASSISTANTS
    values = set(map(_fold, column.texts))
    if not values & (user | assistant):
        return None
    shown = ", ".join(sorted(values & assistant)) or "nobody"
    return Roles(_by_value(column, user, assistant), f"assistant where {name} is {shown}")


def _by_presence(speakers: Names, order: Indices, starts: Indices) -> Roles:
    """One name in most conversations is the assistant (support staff, or the owner of the phone)."""
    number_of: dict[str, int] = {}
    fold = np.array(
        [number_of.setdefault(_fold(name), len(number_of)) for name in speakers.texts], dtype=np.int64
    )
    codes = fold[np.frombuffer(speakers.codes, dtype=np.int32)][order]
    groups = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    pairs = np.unique(groups * len(number_of) + codes)
    who, where = pairs % len(number_of), pairs // len(number_of)
    present = np.bincount(who, minlength=len(number_of))
    answers = np.bincount(who[who != codes[starts[:-1]][where]], minlength=len(number_of))
    spoken = np.bincount(codes, minlength=len(number_of))
    found = _most_present(number_of, present.tolist(), answers.tolist(), spoken.tolist())
    share = present[number_of[found]] / (len(starts) - 1)
    if share < 0.6 or len(number_of) < 2:
        return Roles(_by_value(speakers, frozenset(), frozenset()), "who opens a conversation is the user")
    shown = speakers.texts[speakers.codes[order[np.flatnonzero(codes == number_of[found])[0]]]]
    return Roles(
        _by_value(speakers, frozenset(), frozenset({found})),
        f"assistant = {shown} (in {share:.0%} of conversations; --assistant NAME chooses another)",
        (shown,),
    )


def _most_present(
    numbers: Mapping[str, int], present: list[int], answers: list[int], spoken: list[int]
) -> str:
    """Return who takes part in most conversations, of several who answers in most, of those who says most."""
    return max(numbers, key=lambda name: (*(n[numbers[name]] for n in (present, answers, spoken)), name))
