"""Turn rows that are one message each into conversations: thread them, order them, give them roles."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mynah.data.layout import Layout
from mynah.data.reading import AskSpeaker, Row
from mynah.data.records import Conversation, Message, Role, merge_turns
from mynah.data.vocabulary import ASSISTANT_WORDS, USER_WORDS
from mynah.errors import ConfigError

#: Without thread or conversation ids, no conversation grows beyond this many messages.
LONGEST = 40

_TIME_FORMATS = (
    "%a %b %d %H:%M:%S %z %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M",
    "%Y年%m月%d日 %H:%M",
)


@dataclass(frozen=True)
class Threaded:
    """The conversations, and how roles were given, in words for the user."""

    conversations: list[Conversation]
    roles: str


def build_conversations(
    rows: Iterable[Row],
    layout: Layout,
    file: str,
    gap: timedelta,
    merge: timedelta | None = None,
    ask: AskSpeaker | None = None,
) -> Threaded:
    """Group, order and cast the messages of a table.

    Threads follow the conversation column if there is one, else the reply links (a reply whose parent
    is not in the file starts a thread), else silences longer than `gap`; what names a thread of its own
    (Slack) stands apart from the rest of its chat. Within a thread messages are in order of time where every
    time can be read, else of reply depth and file order. Neighbouring messages of one role become one turn if
    they come within `merge`.

    Args:
        rows: messages, in file order.
        layout: what the columns are.
        file: for places.
        gap: the silence that begins a new conversation.
        merge: see above; None: always.
        ask: who the assistant is, where nothing in the file says so.
    """
    kept = [row for row in rows if layout.text and row.cells[layout.text].strip()]
    times: dict[int, datetime] = {}
    if layout.time:
        texts = [row.cells[layout.time] for row in kept]
        formats = formats_for(texts[:2000])
        read = [(row.line, parse_time(text, formats)) for row, text in zip(kept, texts, strict=True)]
        times = {line: time for line, time in read if time is not None}
    if layout.conversation:
        groups = _by_conversation(kept, layout.conversation)
    elif layout.reply_to and layout.message_id:
        groups = _by_reply(kept, layout.message_id, layout.reply_to)
    else:
        threads, flow = _apart(kept, layout.thread)
        groups = sorted(
            [*threads, *_by_silence(flow, times, gap, layout.chat)], key=lambda group: group[0].line
        )
    ordered = [_in_order(group, times) for group in groups]
    if ask is not None and not layout.assistant and layout.speaker and not layout.direction:
        layout = replace(layout, assistant=_asked(kept, layout.speaker, file, ask))
    cast, told = _cast(ordered, layout)
    conversations = []
    for group in ordered:
        messages = [
            Message(
                cast(row, group),
                row.cells[layout.text or ""],
                row.cells[layout.speaker].strip() if layout.speaker else "",
                times[row.line].isoformat() if row.line in times else "",
            )
            for row in group
        ]
        conversations.append(Conversation(merge_turns(messages, within=merge), f"{file}:{group[0].line}"))
    return Threaded(conversations, told)


def _asked(rows: Sequence[Row], speaker: str, file: str, ask: AskSpeaker) -> tuple[str, ...]:
    """Ask who the assistant is, unless role words settle it."""
    spoken = Counter(row.cells[speaker].strip() for row in rows)
    if len(spoken) < 2 or any(_fold(name) in USER_WORDS | ASSISTANT_WORDS for name in spoken):
        return ()
    answer = ask(file, spoken)
    return (answer,) if answer else ()


def _apart(rows: Sequence[Row], column: str | None) -> tuple[list[list[Row]], list[Row]]:
    """Take the threads that a column names out of the flow of a chat."""
    if column is None:
        return [], list(rows)
    sizes = Counter(row.cells[column] for row in rows)
    threads: dict[str, list[Row]] = defaultdict(list)
    flow = []
    for row in rows:
        name = row.cells[column]
        if name and sizes[name] > 1:
            threads[name].append(row)
        else:
            flow.append(row)
    return list(threads.values()), flow


def _by_conversation(rows: Sequence[Row], column: str) -> list[list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        # A row without an id belongs to no conversation but its own.
        groups[row.cells[column].strip() or f"\0{row.line}"].append(row)
    return list(groups.values())


def _by_reply(rows: Sequence[Row], id_column: str, reply_column: str) -> list[list[Row]]:
    """Gather each tree of replies; a row may name several parents, the first one in the file counts."""
    by_id = {_id(row.cells[id_column]): row for row in rows}
    children: dict[str, list[Row]] = defaultdict(list)
    roots = []
    for row in rows:
        own = _id(row.cells[id_column])
        named = [_id(part) for part in re.split(r"[,;\s]+", row.cells[reply_column]) if part]
        parent = next((p for p in named if p in by_id and p != own), None)
        if parent is None:
            roots.append(row)
        else:
            children[parent].append(row)
    groups, reached = [], set()
    # A cycle of replies has no root: what no root reached begins a thread of its own.
    for root in [*roots, *rows]:
        stack, group = [root], []
        while stack:
            row = stack.pop()
            if row.line not in reached:
                reached.add(row.line)
                group.append(row)
                stack.extend(reversed(children[_id(row.cells[id_column])]))
        if group:
            groups.append(group)
    return groups


def _id(text: str) -> str:
    """Fold an id: a spreadsheet may have turned 12 into 12.0."""
    return text.strip().removesuffix(".0")


def _by_silence(
    rows: Sequence[Row], times: Mapping[int, datetime], gap: timedelta, chat: str | None
) -> list[list[Row]]:
    """Cut a flow of messages at silences; the chats of a log may lie interleaved in it."""
    chats: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        chats[row.cells[chat] if chat is not None else ""].append(row)
    groups: list[list[Row]] = []
    for messages in chats.values():
        last: datetime | None = None
        groups.append([])
        for row in messages:
            now = times.get(row.line)
            silent = now is not None and last is not None and abs(now - last) > gap
            if groups[-1] and (silent or len(groups[-1]) >= LONGEST):
                groups.append([])
            groups[-1].append(row)
            last = now or last
    return groups


def _in_order(group: list[Row], times: Mapping[int, datetime]) -> list[Row]:
    """Sort by time if every time can be read; equal times stay in file order."""
    if any(row.line not in times for row in group):
        return group
    return sorted(group, key=lambda row: times[row.line])


def parse_time(text: str, formats: Sequence[str] = _TIME_FORMATS) -> datetime | None:
    """Read a time in ISO 8601, Unix seconds or milliseconds, or a common export format; else None."""
    text = text.strip()
    parsed: datetime | None = None
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{13}", text):
        seconds = float(text) / (1000 if len(text) == 13 else 1)
        return datetime.fromtimestamp(seconds, tz=UTC)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        for form in formats:
            try:
                parsed = datetime.strptime(text, form)
                break
            except ValueError:
                continue
    if parsed is not None and parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed


def formats_for(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the one export format that reads most of a column: 1/12 and 1/13 must mean the same order."""

    def readable(form: str) -> int:
        return sum(parse_time(text, (form,)) is not None for text in texts)

    return (max(_TIME_FORMATS, key=readable),)


class _Cast:
    """Gives each row its role."""

    def __init__(self, column: str | None, user: frozenset[str], assistant: frozenset[str]) -> None:
        self.column, self.user, self.assistant = column, user, assistant

    def __call__(self, row: Row, group: Sequence[Row]) -> Role:
        if self.column is None:
            return "user"
        value = _fold(row.cells[self.column])
        if value in self.assistant:
            return "assistant"
        if value in self.user:
            return "user"
        if value == "system":
            return "system"
        if self.assistant:  # a named assistant: everybody else is a user
            return "user"
        return "user" if value == _fold(group[0].cells[self.column]) else "assistant"


def _fold(value: str) -> str:
    return value.strip().lower()


def _cast(groups: Sequence[Sequence[Row]], layout: Layout) -> tuple[_Cast, str]:
    """Decide who is the assistant: as told, by direction, by role words, else by presence."""
    speaker, direction = layout.speaker, layout.direction
    if layout.assistant and speaker:
        names = frozenset(_fold(name) for name in layout.assistant)
        seen = Counter(row.cells[speaker].strip() for group in groups for row in group)
        if not names & {_fold(name) for name in seen}:
            most = ", ".join(name for name, _ in seen.most_common(8))
            raise ConfigError(f"--assistant {layout.assistant[0]}: speaks nowhere; speakers: {most}")
        return _Cast(speaker, frozenset(), names), f"assistant = {', '.join(layout.assistant)}"
    if direction:
        values = Counter(_fold(row.cells[direction]) for group in groups for row in group)
        sent = "issender" in direction.lower().replace("_", "") or "out" in direction.lower()
        sent = sent or "fromme" in direction.lower().replace("_", "")
        yes, no = (
            frozenset({"true", "1", "yes", "t", "y", "1.0"}),
            frozenset({"false", "0", "no", "f", "n", "0.0"}),
        )
        user = (no if sent else yes) | USER_WORDS
        assistant = (yes if sent else no) | ASSISTANT_WORDS
        if any(v in user or v in assistant for v in values):
            shown = ", ".join(sorted(v for v in values if v in assistant)) or "nobody"
            return _Cast(direction, user, assistant), f"assistant where {direction} is {shown}"
    if not speaker:
        return _Cast(None, frozenset(), frozenset()), "one speaker"
    spoken = Counter(_fold(row.cells[speaker]) for group in groups for row in group)
    if "system" in spoken and not any(name in ASSISTANT_WORDS for name in spoken) and len(spoken) > 1:
        # Task dialogues call the one who answers the system.
        return _Cast(speaker, USER_WORDS, frozenset({"system"})), "assistant = system"
    if sum(n for name, n in spoken.items() if name in USER_WORDS | ASSISTANT_WORDS) > 0.8 * spoken.total():
        found = sorted(name for name in spoken if name in ASSISTANT_WORDS)
        return _Cast(speaker, USER_WORDS, ASSISTANT_WORDS), f"assistant = {', '.join(found)}"
    return _by_presence(groups, speaker)


def _by_presence(groups: Sequence[Sequence[Row]], speaker: str) -> tuple[_Cast, str]:
    """One name in most threads is the assistant (support staff, or the owner of the phone)."""
    present: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for group in groups:
        names = [_fold(row.cells[speaker]) for row in group]
        present.update(set(names))
        answers.update(name for name in set(names) if name != names[0])
    if present:
        share = {name: present[name] / len(groups) for name in present}
        name = max(share, key=lambda n: (share[n], answers[n], n))
        if share[name] >= 0.6 and len(present) > 1:
            original = _original(groups, speaker, name)
            return (
                _Cast(speaker, frozenset(), frozenset({name})),
                f"assistant = {original} (in {share[name]:.0%} of conversations; "
                "--assistant NAME chooses another)",
            )
    return _Cast(speaker, frozenset(), frozenset()), "who opens a conversation is the user"


def _original(groups: Sequence[Sequence[Row]], speaker: str, folded: str) -> str:
    cells: Iterable[Mapping[str, str]] = (row.cells for group in groups for row in group)
    return next(c[speaker].strip() for c in cells if _fold(c[speaker]) == folded)
