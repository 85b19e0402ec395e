"""Turn messages into conversations: thread them, order them, give them roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from mynah.data.chats.messages import Indices, Messages
from mynah.data.chats.roles import Roles, find_roles
from mynah.data.records import Conversation, Message, merge_turns
from mynah.data.sources import Ask

#: How far a clock is set back in autumn, in microseconds, and at most what share of steps in time such a one is.
SET_BACK, SELDOM = 3_660_000_000, 0.01
#: Without thread or conversation ids, no conversation grows beyond this many messages.
LONGEST = 40


@dataclass(frozen=True)
class Threads:
    """Messages in the order of their conversations."""

    #: (N,) the numbers of messages, conversation by conversation
    order: Indices
    #: (G + 1,) where each conversation begins in `order`
    starts: Indices

    @property
    def group_of(self) -> Indices:
        """(N,) the number of the conversation at each position of `order`."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def build_conversations(
    messages: Messages,
    file: str,
    gap: timedelta,
    merge: timedelta | None = None,
    ask: Ask | None = None,
    strict: bool = True,
    before: Sequence[str] = (),
) -> tuple[Iterator[Conversation], Roles]:
    """Group and order the messages of a table and give each a role; return the conversations, and how roles were given.

    Threads follow the conversation column if there is one, else the reply links (a reply whose parent
    is not in the file starts a thread), else silences longer than `gap`; what names a thread of its own
    (Slack) stands apart from the rest of its chat. Within a thread messages are in order of time where every
    time can be read, else of reply depth and file order; a file that is in order but for a clock that was set back
    stays so. Neighbouring messages of one role become one turn if they come within `merge`; between two replies
    after the first of which something was left out, a new conversation begins.

    Args:
        messages: in file order.
        file: for places.
        gap: the silence that begins a new conversation.
        merge: see above; None: always.
        ask: who the assistant is, where nothing in the file says so.
        strict: whether an assistant that was given must speak here.
        before: who was the assistant in an earlier part of the same source.

    Raises:
        ConfigError: as `find_roles`.
    """
    layout = messages.layout
    if layout.conversation:
        threads = _by_key(np.frombuffer(messages.conversations, dtype=np.int64))
    elif layout.reply_to and layout.message_id:
        threads = _by_reply(messages)
    else:
        threads = _by_silence(messages, gap)
    threads = _in_order(threads, messages)
    roles = find_roles(messages, threads.order, threads.starts, file, ask, strict, before)

    def conversations() -> Iterator[Conversation]:
        names = messages.speakers.texts
        codes = messages.speakers.codes
        for begin, end in zip(threads.starts[:-1].tolist(), threads.starts[1:].tolist(), strict=True):
            group = threads.order[begin:end].tolist()
            turns, first, before = list[Message](), group[0], group[0]
            for index in group:
                turn = Message(
                    roles.role(index, group[0]),
                    messages.words_of(index),
                    names[codes[index]] if names else "",
                    messages.time_of(index),
                    messages.lines[index],
                )
                # A picture stood between two replies: the second is to that, not more of the first.
                left_out = messages.left_out[index] != messages.left_out[before]
                if turns and left_out and turns[-1].role == turn.role == "assistant":
                    yield Conversation(merge_turns(turns, within=merge), f"{file}:{messages.lines[first]}")
                    turns, first = [], index
                turns.append(turn)
                before = index
            yield Conversation(merge_turns(turns, within=merge), f"{file}:{messages.lines[first]}")

    return conversations(), roles


def _ranks(keys: Indices) -> Indices:
    """Return (N,) int64: equal keys get equal numbers, in the order in which they first come."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _grouped(groups: Indices, order: Indices | None = None) -> Threads:
    """Return the threads of messages by (N,) group numbers; within a group in `order`, else in file order."""
    order = np.arange(len(groups)) if order is None else order
    order = order[np.argsort(groups[order], kind="stable")]
    begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return Threads(order, np.append(begins, len(order)))


def _by_key(keys: Indices) -> Threads:
    """Gather what has the same key; a message without one (0) belongs to no conversation but its own."""
    keys = np.where(keys == 0, -1 - np.arange(len(keys)), keys)
    return _grouped(_ranks(keys))


def _by_reply(messages: Messages) -> Threads:
    """Gather each tree of replies, a parent before its children; of several parents the first in the file counts."""
    count = len(messages)
    ids = np.frombuffer(messages.ids, dtype=np.int64)
    known, last = np.unique(ids[::-1], return_index=True)
    #: the message that an id means: the last one that has it
    means = count - 1 - last
    own = means[np.searchsorted(known, ids)]
    named = np.frombuffer(messages.parents, dtype=np.int64)
    starts = np.frombuffer(messages.parent_starts, dtype=np.int64)
    owner = np.repeat(np.arange(count), np.diff(starts))
    place = np.minimum(np.searchsorted(known, named), len(known) - 1)
    good = np.flatnonzero((known[place] == named) & (named != ids[owner]))
    answering, which = np.unique(owner[good], return_index=True)
    parent = np.full(count, -1)
    parent[answering] = means[place[good[which]]]
    # The children of each message, one message's after the other's.
    children = np.argsort(parent, kind="stable")
    begins = np.searchsorted(parent[children], np.arange(count + 1))
    walk, begin_of, own_of = children.data, begins.data, own.data
    order = np.empty(count, dtype=np.int64)
    reached = bytearray(count)
    thread_starts, filled = [], 0
    # A cycle of replies has no root: what no root reached hangs on one, and a message of it begins the thread.
    roots = np.flatnonzero(parent == -1)
    for first in (*roots.tolist(), *range(count)):
        if reached[first]:
            continue
        passed = set[int]()
        while parent[first] != -1 and first not in passed:
            passed.add(first)
            first = int(parent[first])
        thread_starts.append(filled)
        stack = [first]
        while stack:
            index = stack.pop()
            if not reached[index]:
                reached[index] = 1
                order[filled] = index
                filled += 1
                own_id = own_of[index]
                stack.extend(reversed(walk[begin_of[own_id] : begin_of[own_id + 1]]))
    return Threads(order, np.array([*thread_starts, count], dtype=np.int64))


def _by_silence(messages: Messages, gap: timedelta) -> Threads:
    """Cut a flow of messages at silences; the chats of a log may lie interleaved in it, and threads stand apart."""
    count = len(messages)
    layout = messages.layout
    threads = np.frombuffer(messages.threads, dtype=np.int64) if layout.thread else np.zeros(count, np.int64)
    _, inverse, sizes = np.unique(threads, return_inverse=True, return_counts=True)
    apart = (threads != 0) & (sizes[inverse] > 1)
    chats = np.frombuffer(messages.chats, dtype=np.int64) if layout.chat else np.zeros(count, np.int64)
    flow = np.flatnonzero(~apart)
    flow = flow[np.argsort(_ranks(chats[flow]), kind="stable")]
    chat = chats[flow]
    positions = np.arange(len(flow))
    new_chat = np.ones(len(flow), dtype=bool)
    new_chat[1:] = chat[1:] != chat[:-1]
    # The last known time before each message, in its chat.
    times, timed = messages.times[flow], messages.timed[flow]
    known = np.maximum.accumulate(np.where(timed, positions, -1)) if len(flow) else positions
    before = np.concatenate([[-1], known[:-1]]) if len(flow) else positions
    begin = np.maximum.accumulate(np.where(new_chat, positions, 0)) if len(flow) else positions
    has_before = timed & (before >= begin)
    silence = np.where(has_before, np.abs(times - times[before]), 0)
    cut = new_chat | (silence > gap // timedelta(microseconds=1))
    since = positions - (np.maximum.accumulate(np.where(cut, positions, 0)) if len(flow) else positions)
    cut |= since % LONGEST == 0
    # Every message gets the number of the first of its conversation, so that these are in file order.
    group = np.empty(count, dtype=np.int64)
    group[flow] = flow[np.flatnonzero(cut)[np.cumsum(cut) - 1]]
    threaded = np.flatnonzero(apart)
    if len(threaded):
        _, first, number = np.unique(threads[threaded], return_index=True, return_inverse=True)
        group[threaded] = threaded[first[number]]
    # Chats may not be in order of time, but each is in file order.
    return _grouped(group)


def _in_order(threads: Threads, messages: Messages) -> Threads:
    """Sort each thread by time if every time of it can be read; equal times stay as they are."""
    if not messages.layout.time:
        return threads
    groups = threads.group_of
    times = messages.times[threads.order]
    timed = messages.timed[threads.order]
    if _was_set_back(np.diff(times)[(np.diff(groups) == 0) & timed[1:] & timed[:-1]]):
        return threads
    whole = np.bincount(groups, weights=~timed, minlength=len(threads.starts) - 1) == 0
    keys = np.where(whole[groups], times, 0)
    return Threads(threads.order[np.lexsort((keys, groups))], threads.starts)


def _was_set_back(steps: Indices) -> bool:
    """Whether (N,) steps in time go forward but for hours that a clock was set back, which is no disorder."""
    back = steps < 0
    return bool(
        back.any()
        and back.sum() <= max(1, SELDOM * len(steps))
        and (steps > 0).sum() >= 3 * back.sum()
        and (steps[back] >= -SET_BACK).all()
    )
