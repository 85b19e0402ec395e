"""Exports of chat apps: WhatsApp and Signal as text, Telegram, Messenger and Instagram as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mynah.data.collect.collector import CollectConfig, collect
from mynah.data.layout import Columns
from mynah.data.readers.chat_json import ChatJson, chats_of, is_chat_json, repair
from mynah.data.readers.chat_text import ChatText, is_chat_text
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Rejected
from mynah.data.sources import Row
from mynah.data.tables.to_records import APP, MEDIA
from mynah.errors import ConfigError

LINES = {
    "ios": "\ufeff[31.12.23, 21:05:07] {name}: {text}",
    "ios am": "\u200e[12/31/23, 9:05:07\u202fPM] {name}: {text}",
    "android": "31/12/2023, 21:05 - {name}: {text}",
    "android am": "31/12/2023, 9:05 p.\u00a0m. - {name}: {text}",
    "signal": "[2023-12-31, 21:05] {name}: {text}",
    "chinese": "2023年12月31日 晚上9:05 - {name}: {text}",
    "chinese slashes": "[2023/12/31 下午9:05:07] {name}: {text}",
}


def chat(tmp_path: Path, text: str) -> ChatText:
    path = tmp_path / "chat.txt"
    path.write_text(text, encoding="utf-8", newline="")
    given = Input(path.name, path)
    assert is_chat_text(given, "utf-8")
    return ChatText(given, "utf-8")


def rows_of(made: ChatText | ChatJson) -> list[Row]:
    return [row for row in made.message_rows() if isinstance(row, Row)]


def left_out(made: ChatText | ChatJson) -> tuple[int, int]:
    """Return how many messages of the app, and how many without words."""
    reasons = [row.reason for row in made.message_rows() if isinstance(row, Rejected)]
    return reasons.count(APP), reasons.count(MEDIA)


@pytest.mark.parametrize("form", LINES)
def test_every_header(tmp_path: Path, form: str) -> None:
    first = LINES[form].format(name="Ann Lee 🤓", text="Are you there: yes?\r\nA second line")
    made = chat(tmp_path, first + "\r\n" + LINES[form].format(name="王五", text="在的") + "\n")
    rows = rows_of(made)
    assert [(r.cells["speaker"], r.cells["text"]) for r in rows] == [
        ("Ann Lee 🤓", "Are you there: yes?\nA second line"),
        ("王五", "在的"),
    ]
    assert {r.cells["time"][:16] for r in rows} == {"2023-12-31T21:05"}


def test_what_is_no_message_is_counted(tmp_path: Path) -> None:
    head = "01/02/2024, 10:00 - "
    words = (
        "Messages and calls are end-to-end encrypted.", "Ann: <Media omitted>", "Ann: hi", "Bob: null",
        "Bob: IMG-20240201.jpg (file attached)", "Ann: \u200eimage omitted", "Bob: This message was deleted",
        "Bob: <grin>", "Ann: better <This message was edited>", "Bob: 消息已撤回",
    )  # fmt: skip
    made = chat(tmp_path, "".join(f"{head}{word}\n" for word in words))
    assert [r.cells["text"] for r in rows_of(made)] == ["hi", "<grin>", "better"]
    assert left_out(made) == (1, 6)


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        (("01/02/24", "01/03/24", "02/01/24"), "mdy"),  # the other way round, time would run backwards
        (("01/02/24", "02/02/24", "01/03/24"), "dmy"),
        (("24/02/01", "24/02/28", "24/03/01"), "ymd"),
    ],
)
def test_the_order_of_a_date_is_the_one_in_which_time_runs(
    tmp_path: Path, dates: tuple[str, ...], order: str
) -> None:
    made = chat(tmp_path, "".join(f"{date}, 10:00 - Ann: line\n" for date in dates))
    list(made.message_rows())
    assert made.order == order


def test_a_date_that_is_none_leaves_the_time_empty(tmp_path: Path) -> None:
    made = chat(tmp_path, "99/99/2024, 10:00 - Ann: one\n01/02/2024, 77:00 - Ann: two\n")
    assert [r.cells["time"] for r in rows_of(made)] == ["", ""]


def test_prose_is_no_chat(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("12/05/1920, 10:00 - He wrote: come.\n" + "And so it went.\n" * 40, encoding="utf-8")
    assert not is_chat_text(Input(path.name, path), "utf-8")


def test_silence_cuts_and_me_is_the_assistant(tmp_path: Path) -> None:
    rows = ("10:00 - Ann: Lunch?", "10:01 - Me: Yes", "23:00 - Ann: Awake?", "23:05 - Me: No")
    made = chat(tmp_path, "".join(f"01/02/2024, {row}\n" for row in rows))
    result = collect([made.given.path], CollectConfig(columns=Columns(assistant=("me",))))
    turns = [[(m.role, m.content) for m in c.messages] for c in result.records if isinstance(c, Conversation)]
    assert turns == [[("user", "Lunch?"), ("assistant", "Yes")], [("user", "Awake?"), ("assistant", "No")]]
    with pytest.raises(ConfigError, match="speaks nowhere; speakers: Ann, Me"):
        collect([made.given.path], CollectConfig(columns=Columns(assistant=("Zoe",))))


def test_telegram(tmp_path: Path) -> None:
    def said(name: str | None, text: object, second: int, **more: object) -> dict[str, object]:
        return {"type": "message", "date_unixtime": str(second), "from": name, "from_id": "user7",
                "text": text, **more}  # fmt: skip

    rich = ["See ", {"type": "link", "text": "https://example.org"}, "!"]
    first = {"name": "Ann", "messages": [
        {"type": "service", "date_unixtime": "1", "actor": "Ann", "action": "phone_call", "text": ""},
        said("Ann", rich, 1_700_000_000), said("Me", "I did", 1_700_000_060), said("Ann", "", 1_700_000_070),
    ]}  # fmt: skip
    second = {"name": None, "messages": [
        said(None, "Who is it?", 1_700_000_080), said("Me", "Me", 1_700_000_090),
    ]}  # fmt: skip
    export = {"about": "...", "chats": {"about": "...", "list": [first, second]}}
    assert is_chat_json(export)
    made = ChatJson(list(chats_of(export)), "result.json")
    assert [r.cells["text"] for r in rows_of(made)] == [
        "See https://example.org!",
        "I did",
        "Who is it?",
        "Me",
    ]
    assert left_out(made) == (1, 1)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(export), encoding="utf-8")
    result = collect([path], CollectConfig(columns=Columns(assistant=("Me",))))
    # Ten seconds lie between the two chats, and still they are two conversations.
    assert [[m.role for m in c.messages] for c in result.records if isinstance(c, Conversation)] == [
        ["user", "assistant"],
        ["user", "assistant"],
    ]


def test_messenger_and_instagram_are_repaired_and_put_in_order(tmp_path: Path) -> None:
    broken = "Grüße 😀".encode().decode("latin-1")
    export = {"participants": [], "messages": [
        {"sender_name": "Zo\u00c3\u00ab", "timestamp_ms": 1579294140000, "content": broken},
        {"sender_name": "Ann", "timestamp_ms": 1579294130000, "content": "café"},
        {"sender_name": "Ann", "timestamp_ms": 1579294120000, "photos": []},
    ]}  # fmt: skip
    path = tmp_path / "message_1.json"
    path.write_text(json.dumps(export), encoding="utf-8")
    result = collect([path], CollectConfig(columns=Columns(assistant=("Zoë",))))
    (made,) = result.records
    assert isinstance(made, Conversation)
    assert [(m.role, m.content) for m in made.messages] == [("user", "café"), ("assistant", "Grüße 😀")]
    assert result.sources[0].media == 1
    assert repair("naïve") == "naïve"


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": "none"}, {"chats": {"list": 3}}, {"chats": {"list": [None, {"messages": [1]}]}}, [],
    ],
)  # fmt: skip
def test_other_json_is_no_app(value: object) -> None:
    assert not is_chat_json(value)


def test_real_exports(shared: Path) -> None:
    """Each export stands beside what its parser's authors expect of it."""
    folder = shared / "chat_exports" / "chat-miner"
    checked = 0
    for target in sorted(folder.glob("*/target.json")):
        wanted = {
            (row["author"], " ".join(row["message"].split()))
            for row in json.loads(target.read_text(encoding="utf-8"))
        }
        for path in sorted(target.parent.glob("test_*")):
            if path.suffix == ".txt":
                given = Input(path.name, path)
                assert is_chat_text(given, "utf-8"), path
                rows = rows_of(ChatText(given, "utf-8"))
            else:
                value = json.loads(path.read_text(encoding="utf-8"))
                rows = rows_of(ChatJson(list(chats_of(value)), path.name))
            found = {(r.cells["speaker"], " ".join(r.cells["text"].split())) for r in rows}
            assert found == wanted, path
            checked += 1
    assert checked >= 9
    for path in folder.glob("whatsapp/test_*"):
        times = sorted(r.cells["time"][:16] for r in rows_of(ChatText(Input(path.name, path), "utf-8")))
        assert (times[0], times[-1]) == ("2019-01-01T11:25", "2021-12-30T22:01"), path
