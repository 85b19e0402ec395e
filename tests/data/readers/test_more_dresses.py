"""Desks, journals, copied chats and classes by number: what each becomes, by its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import Collected, collect
from mynah.data.quoted import own_words
from mynah.data.records import Conversation, Labelled
from mynah.data.sources import CollectConfig

SAID = ("Are you coming today?", "Yes, at ten.", "Good, bring bread.", "I will do that.")


def read(path: Path, content: Any, **config: Any) -> Collected:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return collect([path], CollectConfig(**config))


def turns(found: Collected) -> list[tuple[str, str]]:
    """Return role and words of each turn of the first conversation."""
    first = next(record for record in found.records if isinstance(record, Conversation))
    return [(message.role, message.content) for message in first.messages]


ASKED = [("user", "Do you open on Sunday?"), ("assistant", "Yes, from ten to four.")]


def zendesk_chat() -> dict[str, Any]:
    history = [
        {"type": "chat.memberjoin", "name": "Visitor 1", "timestamp": "2024-03-01T10:00:00Z"},
        {"type": "chat.msg", "name": "Visitor 1", "msg": ASKED[0][1], "sender_type": "Visitor"},
        {"type": "chat.msg", "name": "Bea", "msg": ASKED[1][1], "sender_type": "Agent"},
    ]
    return {
        "chats": [{"id": "1", "visitor": {"name": "Visitor 1"}, "agent_names": ["Bea"], "history": history}]
    }


def livechat() -> dict[str, Any]:
    events = [
        {"type": "message", "text": ASKED[0][1], "author_id": "c1"},
        {"type": "system_message", "text": "Bea joined the chat"},
        {"type": "message", "text": ASKED[1][1], "author_id": "bea@example.com"},
    ]
    users = [{"id": "c1", "type": "customer"}, {"id": "bea@example.com", "type": "agent"}]
    return {"chats": [{"id": "P", "users": users, "thread": {"id": "T", "events": events}}]}


def chatwoot() -> dict[str, Any]:
    messages = [
        {
            "content": ASKED[0][1],
            "message_type": 0,
            "private": False,
            "sender": {"name": "Joe", "type": "contact"},
        },
        {
            "content": "A regular.",
            "message_type": 1,
            "private": True,
            "sender": {"name": "Bea", "type": "user"},
        },
        {"content": "Assigned to Bea", "message_type": 2, "private": False},
        {
            "content": ASKED[1][1],
            "message_type": 1,
            "private": False,
            "sender": {"name": "Bea", "type": "user"},
        },
    ]
    return {"data": {"payload": [{"id": 5, "messages": messages}]}}


@pytest.mark.parametrize("desk", [zendesk_chat, livechat, chatwoot])
def test_chats_of_a_desk(tmp_path: Path, desk: Any) -> None:
    found = read(tmp_path / "a.json", desk())
    assert turns(found) == ASKED
    assert found.sources[0].system == 1
    assert found.sources[0].notes == (desk is chatwoot)


def teams(number: int, who: str | None, text: str, **more: Any) -> dict[str, Any]:
    sender = {"user": {"displayName": who}} if who else None
    time = f"2024-03-01T10:0{number}:00Z"
    body = {"contentType": "html", "content": text}
    return {"id": str(number), "createdDateTime": time, "from": sender, "body": body, **more}


def test_messages_of_teams_newest_first(tmp_path: Path) -> None:
    quote = "<blockquote itemtype='http://schema.skype.com/Reply'><p>When?</p></blockquote>"
    messages = [
        teams(4, None, "<systemEventMessage/>", messageType="systemEventMessage"),
        teams(3, None, "<p>Build 12 passed</p>") | {"from": {"application": {"displayName": "ci"}}},
        teams(2, "Bob Fox", f"{quote}<p>At <b>nine</b>.</p>"),
        teams(1, "Ann Lee", "<div><p>When?</p></div>"),
    ]
    found = read(tmp_path / "a.json", {"@odata.context": "x", "value": messages})
    assert turns(found) == [("user", "When?"), ("assistant", "At nine.")]
    assert (found.sources[0].system, found.sources[0].others) == (1, 1)


def test_replies_to_a_post_of_a_teams_channel_are_a_conversation(tmp_path: Path) -> None:
    messages = [
        teams(1, "Ann Lee", "Where is the key?"),
        teams(2, "Cem", "Lunch?"),
        teams(3, "Bob Fox", "In the drawer.", replyToId="1"),
        teams(4, "Dee", "At noon.", replyToId="2"),
    ]
    found = read(tmp_path / "a.json", {"value": messages})
    assert [record.texts for record in found.records] == [
        ("Where is the key?", "In the drawer."),
        ("Lunch?", "At noon."),
    ]


SLACK = [
    {"type": "message", "user": "U1", "text": "is the build green?", "ts": "1709287205.0"},
    {"type": "message", "bot_id": "B1", "username": "ci", "text": "Passed", "ts": "1709287206.0"},
    {"type": "message", "user": "U2", "text": "yes it is", "ts": "1709287207.0"},
]  # fmt: skip


def test_a_bot_of_slack_is_left_out_unless_it_is_the_assistant(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", SLACK)
    assert turns(found) == [("user", "is the build green?"), ("assistant", "yes it is")]
    assert found.sources[0].others == 1
    told = read(tmp_path / "a.json", SLACK, columns={"assistant": ["ci"]})
    assert turns(told)[:2] == [("user", "is the build green?"), ("assistant", "Passed")]


JOURNAL = """2024-03-02 09:00:00 - Bea Long (Additional comments)
Please switch it off and on.

2024-03-01 16:00:00 - Bea Long (Work notes)
queue stuck on host p3

2024-03-01 15:00:00 - Joe Doe (Additional comments)
It still does not print.

"""


@pytest.mark.parametrize("caller", ["", "Joe Doe"])
def test_a_journal_in_a_cell_is_a_conversation(tmp_path: Path, caller: str) -> None:
    head = "number,short_description,comments_and_work_notes" + (",caller_id" if caller else "")
    rows = [f'INC{n},Printer {n} is dead,"{JOURNAL}"' + (f",{caller}" if caller else "") for n in range(4)]
    found = read(tmp_path / "a.csv", "\n".join([head, *rows]))
    said = [("Printer 0 is dead"), "It still does not print."]
    asked = [("user", "\n".join(said))] if caller else [("user", text) for text in said]
    assert turns(found) == [*asked, ("assistant", "Please switch it off and on.")]
    (source,) = found.sources
    assert source.notes == 4
    assert abs(source.unnamed) < 0.02 * source.characters
    assert not source.describe_warnings()


def lines(head: str, names: str = "Ann Lee|Bob") -> str:
    who = names.split("|")
    return "\n".join(
        head.format(time=f"9:{30 + n}", day=14 + n // 4, who=who[n % 2], said=SAID[n % 4]) for n in range(12)
    )


@pytest.mark.parametrize(
    ("head", "conversations"),
    [
        ("[{time} AM, 3/{day}/2024] {who}: {said}", 3),
        ("[{time}, {day}.3.2024] {who}: {said}", 3),
        ("[{time}, 2024/3/{day}] {who}: {said}", 3),
        ("[{day}/3, {time} AM] {who}: {said}", 1),  # the year is not known, so neither is the silence between
        ("{who}:\n{said}\n", 1),
    ],
)
def test_what_was_copied_out_of_a_chat(tmp_path: Path, head: str, conversations: int) -> None:
    found = read(tmp_path / "a.txt", lines(head))
    assert len(found.records) == conversations
    assert turns(found)[:4] == list(zip(("user", "assistant") * 2, SAID, strict=True))


def test_line_on_a_computer_without_its_title(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.txt", "2024.01.02 Tuesday\n" + lines("{time} {who} {said}", names="Ann Lee|Bob Fox")
    )
    (record,) = found.records
    assert isinstance(record, Conversation)
    assert {message.name for message in record.messages} == {"Ann Lee", "Bob Fox"}
    assert record.texts[:4] == SAID


@pytest.mark.parametrize("mark", [";", " ; ", "@", "|||"])
def test_a_class_behind_a_mark(tmp_path: Path, mark: str) -> None:
    texts = [(f"this is text number {n}; it is short", ("joy", "anger", "fear")[n % 3]) for n in range(12)]
    found = read(tmp_path / "a.txt", "\n".join(f"{text}{mark}{label}" for text, label in texts))
    made = [(r.text, r.label) for r in found.records if isinstance(r, Labelled)]
    assert made == texts


def test_prose_with_semicolons_is_prose(tmp_path: Path) -> None:
    text = "\n".join(f"He came at {n} o'clock; she left at {n + 1}; nobody saw them." for n in range(20))
    found = read(tmp_path / "a.txt", text)
    assert not any(isinstance(record, Labelled) for record in found.records)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "World\nSports\nSci/Tech\n"),
        ("labels.json", '["World", "Sports", "Sci/Tech"]'),
        ("label_names.json", '{"0": "World", "1": "Sports", "2": "Sci/Tech"}'),
    ],
)
def test_classes_by_number_get_the_names_listed_beside_them(
    tmp_path: Path, first: int, name: str, content: str
) -> None:
    rows = [f'"{n % 3 + first}","Title {n}","The story {n} tells of what happened there."' for n in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = collect([tmp_path], CollectConfig())
    labels = [record.label for record in found.records if isinstance(record, Labelled)]
    assert labels[:3] == ["World", "Sports", "Sci/Tech"]
    assert len(labels) == 12


def test_names_that_do_not_go_with_the_numbers_are_not_used(tmp_path: Path) -> None:
    rows = [f'"{n % 3 + 4}","Title {n}","The story {n} tells of what happened there."' for n in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "classes.txt").write_text("World\nSports\nSci/Tech\n", encoding="utf-8")
    found = collect([tmp_path], CollectConfig())
    assert {record.label for record in found.records if isinstance(record, Labelled)} == {"4", "5", "6"}
    assert any("do not go with these" in line for s in found.sources for line in s.describe_warnings())


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("It works now.\n\nBest regards,\nAnn Lee\nHill Road 3\nT +44 20 7946 0000", "It works now."),
        (
            "Please change the bulb.\n\nMit freundlichen Grüßen\n\nBea Long\nKundendienst",
            "Please change the bulb.",
        ),
        ("好的，已处理。\n祝好\n王芳", "好的，已处理。"),
        ("Thank you and best regards to your mother.\nShe was kind.", None),
        ("Best regards,\nAnn", None),  # nothing else was said
        ("Hello.\nRegards\nI have one more question: where is the key?", None),
    ],
)
def test_a_closing_and_the_name_under_it_are_cut_off(text: str, own: str | None) -> None:
    assert own_words(text) == (text if own is None else own)


def test_mail_in_pairs_keeps_its_closing(tmp_path: Path) -> None:
    letter = "Dear Ann,\n\nI will come on Monday.\n\nBest regards,\nBob"
    rows = [{"instruction": f"Write a letter number {n}.", "output": letter} for n in range(6)]
    assert turns(read(tmp_path / "a.json", rows))[1] == ("assistant", letter)
