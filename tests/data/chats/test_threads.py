"""Threads of messages against what they promise, on generated tables."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from mynah.data.chats import messages as stored
from mynah.data.chats.messages import Messages
from mynah.data.chats.threads import LONGEST, build_conversations
from mynah.data.layout import Layout
from mynah.data.records import Conversation
from mynah.data.sources import Row

GAP = timedelta(hours=6)


def told(rows: list[dict[str, str]], **columns: str) -> list[Conversation]:
    layout = Layout("messages", text="text", speaker="who", **columns)  # type: ignore[arg-type]
    messages = Messages(layout)
    for number, row in enumerate(rows):
        messages.add(Row(number, {"text": str(number), "who": str(number), **row}))
    return list(build_conversations(messages, "f", GAP)[0])


def numbers(conversations: list[Conversation]) -> list[list[int]]:
    return [[int(text) for turn in c.messages for text in turn.content.split("\n")] for c in conversations]


links = st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 14), max_size=2)), max_size=14)


@given(links)
@example([(2, [0]), (0, [1]), (1, [0])])  # what hangs on two that answer each other
def test_trees_of_replies(given: list[tuple[int, list[int]]]) -> None:
    """A conversation is what hangs together by first known parents, each parent before its children."""
    rows = [{"id": f"m{own}", "to": " ".join(f"m{p}" for p in parents)} for own, parents in given]
    if not rows:
        return
    means = {own: number for number, (own, _) in enumerate(given)}
    parent = [next((means[p] for p in parents if p in means and p != own), None) for own, parents in given]
    together = list(range(len(given)))
    for _ in given:
        for number, above in enumerate(parent):
            # Children hang on an id; where two messages have it, on the one that is met first.
            same = [n for n, (own, _) in enumerate(given) if above is not None and own == given[above][0]]
            if len(same) == 1:
                together[number] = together[same[0]] = min(together[number], together[same[0]])
    found = numbers(told(rows, message_id="id", reply_to="to"))
    assert sorted(n for group in found for n in group) == list(range(len(given)))
    if len(means) == len(given):  # no id twice
        assert {frozenset(group) for group in found} == {
            frozenset(n for n in range(len(given)) if together[n] == root) for root in set(together)
        }
        place = {n: (g, i) for g, group in enumerate(found) for i, n in enumerate(group)}
        for number, above in enumerate(parent):
            chain = {number}
            while above is not None and above not in chain:
                chain.add(above)
                above = parent[above]
            first = parent[number]
            if above is None and first is not None:  # in no cycle
                assert place[first] < place[number]


@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.integers(0, 9), st.sampled_from(["", "", "a", "b"])), max_size=120
    )
)
def test_silences_and_threads(given: list[tuple[str, int, str]]) -> None:
    """Chats are cut where they are silent and nowhere else, or at their longest; threads stand apart."""
    hours, rows = 0, []
    for chat, pause, thread in given:
        hours += pause
        rows.append({"chat": chat, "time": str(1_600_000_000 + hours * 3600), "thread": thread})
    if not rows:
        return
    found = numbers(told(rows, time="time", chat="chat", thread="thread"))
    assert sorted(n for group in found for n in group) == list(range(len(rows)))
    assert [group[0] for group in found] == sorted(group[0] for group in found)
    names = [row["thread"] for row in rows]
    named = {name for name in names if name and names.count(name) > 1}
    for group in found:
        if names[group[0]] in named:
            assert group == [n for n, name in enumerate(names) if name == names[group[0]]]
            continue
        assert len({given[n][0] for n in group}) == 1
        assert len(group) <= LONGEST
        times = [int(rows[n]["time"]) for n in group]
        assert all(b - a <= GAP.total_seconds() for a, b in pairwise(times))
    flow = [group for group in found if names[group[0]] not in named]
    for chat in "xy":
        cut = [group for group in flow if given[group[0]][0] == chat]
        for before, after in pairwise(cut):
            apart = int(rows[after[0]]["time"]) - int(rows[before[-1]]["time"])
            assert apart > GAP.total_seconds() or len(before) == LONGEST


def test_words_come_back_from_the_disk(tmp_path: Path) -> None:
    texts = [f"message {n} \u4f60\u597d \ud800" * (n % 5) + "x" for n in range(500)]
    before, stored.IN_MEMORY = stored.IN_MEMORY, 1000
    try:
        messages = Messages(Layout("messages", text="text"))
        for number, text in enumerate(texts):
            messages.add(Row(number, {"text": text}))
        assert [messages.words_of(n) for n in reversed(range(500))] == texts[::-1]
    finally:
        stored.IN_MEMORY = before


def test_times_keep_their_zone() -> None:
    times = ["2024-03-01T10:00:00.123456+08:00", "1709258400", "soon"]
    rows = [{"time": time, "who": who} for time, who in zip(times, ("a", "b", "a"), strict=True)]
    (conversation,) = told(rows, time="time")
    assert [m.time for m in conversation.messages] == [times[0], "2024-03-01T02:00:00+00:00", ""]
    (conversation,) = told(rows[1:2], time="time")
    assert conversation.messages[0].time == "2024-03-01T02:00:00+00:00"


def test_people_in_a_row_keep_their_own_turns() -> None:
    rows = [{"who": who} for who in ("ann", "bob", "bob", "cid", "ann")]
    (conversation,) = told(rows)
    shown = [(m.role, m.name, m.content) for m in conversation.messages]
    assert shown == [
        ("user", "ann", "0"),
        ("assistant", "bob", "1\n2"),
        ("user", "cid", "3"),
        ("user", "ann", "4"),
    ]


def test_times_beyond_the_calendar_are_no_times() -> None:
    rows = [{"time": "0001-01-01T00:00:00+08:00"}, {"time": "9999-12-31T23:59:59-05:00", "who": "other"}]
    (conversation,) = told(rows, time="time")
    assert [m.time for m in conversation.messages] == ["", ""]


def test_time_runs_forward_where_every_date_exists_either_way() -> None:
    """The first twelve days of two months: read the other way round, the second month begins before the first ends."""
    for form in ("{month}/{day}/2023 10:00", "{day}/{month}/2023 10:00"):
        rows = [
            {"time": form.format(month=month, day=day), "who": "Ann"}
            for month in (11, 12)
            for day in range(1, 13)
        ]
        times = [m.time[:10] for c in told(rows, time="time") for m in c.messages]
        assert times == [f"2023-{month}-{day:02}" for month in (11, 12) for day in range(1, 13)]
