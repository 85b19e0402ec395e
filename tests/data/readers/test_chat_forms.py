"""Forms of chats that other people's phones and programs write, and what an app writes in a person's place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mynah.data.chats.notices import Reactions, is_encryption_notice, is_poll
from mynah.data.collect.collector import Collector
from mynah.data.records import Conversation, Rejected
from mynah.data.sources import CollectConfig

Turns = list[tuple[str, str]]


def chats_of(folder: Path, name: str, content: Any, *me: str) -> tuple[list[Turns], list[str]]:
    """Return the conversations read from a file, and the reasons of what was left out."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    config = CollectConfig.model_validate({"columns": {"assistant": me}})
    items = list(Collector([folder / name], config).items())
    talks = [[(m.role, m.content) for m in i.messages] for i in items if isinstance(i, Conversation)]
    assert all(isinstance(i, Conversation | Rejected) for i in items)
    return talks, [item.reason for item in items if isinstance(item, Rejected)]


QUESTION, ANSWER = ("user", "wo bist du?"), ("assistant", "fast da: 12:30")
HEADS = {
    "dashes": ("24-12-23 18:00:01 Eva: ", "24-12-23 18:01:59 Tom: "),
    "iso-colon": ("2023-12-24, 6:00:01 PM: Eva: ", "2023-12-24, 6:01:59 PM: Tom: "),
    "no-blank": ("[2023/12/24 18:00:01] Eva:", "[2023/12/24 18:01:59] Tom:"),
    "arabic": ("٢٤/١٢/٢٠٢٣، ٦:٠٠ م - Eva: ", "٢٤/١٢/٢٠٢٣، ٦:٠١ م - Tom: "),
    "greek": ("24/12/23, 6:00 μ.μ. - Eva: ", "24/12/23, 6:01 μ.μ. - Tom: "),
    "spanish": ("24/12/23, 6:00 p. m. - Eva: ", "24/12/23, 6:01 p. m. - Tom: "),
}


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_heads_of_messages(tmp_path: Path, heads: tuple[str, str]) -> None:
    asks, says = heads
    chat = f"{asks}wo bist du?\n{says}fast da: 12:30\n"
    talks, left = chats_of(tmp_path, "chat.txt", chat, "Tom")
    assert (talks, left) == ([[QUESTION, ANSWER]], [])


@pytest.mark.parametrize(
    "text",
    [
        "2023-12-24 18:00:01 INFO: started\n2023-12-24 18:00:02 WARN: slow\n",
        "2023-12-24 18:00:01 worker-1: ready\n2023-12-24 18:00:02 worker-2: ready\n",
        "24-12-23 18:00:01 north: 3 mm\n25-12-23 18:00:01 south: 4 mm\n26-12-23 18:00:01 west: 1 mm\n",
    ],
)
def test_logs_and_measurements_are_no_chats(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.txt").write_text(text, encoding="utf-8")
    assert not any(isinstance(i, Conversation) for i in Collector([tmp_path], CollectConfig()).items())


def test_what_the_app_writes_in_a_persons_place(tmp_path: Path) -> None:
    chat = (
        "[24.12.23, 18:00:00] Trip: Rome: \u200eMessages to this group are now secured.\n"
        "[24.12.23, 18:00:01] Eva: Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt. Niemand kann mitlesen.\n"
        "[24.12.23, 18:00:02] Eva created group “Trip: Rome”\n"
        "[24.12.23, 18:00:03] Eva: wo bist du?\n"
        "[24.12.23, 18:00:04] Tom: foto vom zug.jpg (Datei angehängt)\nfast da: 12:30\n"
        "[24.12.23, 18:00:05] Eva: UMFRAGE:\nWann essen wir?\nOPTION: um sechs (2 Stimmen)\nOPTION: nie (0 Stimmen)\n"
    )
    talks, left = chats_of(tmp_path, "chat.txt", chat, "Tom")
    assert talks == [[QUESTION, ANSWER]]
    assert len(left) == 4


def test_replies_are_not_joined_across_a_picture(tmp_path: Path) -> None:
    said = (
        "Eva: wo bist du?",
        "Tom: fast da: 12:30",
        "Eva: <Medien ausgeschlossen>",
        "Tom: schön",
        "Eva: ja",
        "Eva: ok",
    )
    chat = "".join(f"24/12/23, 18:0{n} - {text}\n" for n, text in enumerate(said))
    talks, _ = chats_of(tmp_path, "chat.txt", chat, "Tom")
    assert talks == [[QUESTION, ANSWER], [("assistant", "schön"), ("user", "ja\nok")]]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_clock_that_is_set_back(tmp_path: Path, newest_first: bool) -> None:
    minutes = [110, 118, 61, 65, 115, 116]  # after midnight; the third is an hour later by the sun
    rows = [
        {
            "sender_name": ("Eva", "Tom")[n % 2],
            "timestamp_ms": 1_700_000_000_000 + 60_000 * m,
            "content": f"{n}",
        }
        for n, m in enumerate(minutes)
    ]
    if newest_first:  # then it cannot be told from disorder, and time decides
        talks, _ = chats_of(tmp_path, "m.json", {"messages": rows[::-1]}, "Tom")
        assert [text for _, text in talks[0]] == ["2", "3", "0\n4", "5\n1"]
        return
    talks, _ = chats_of(tmp_path, "m.json", {"messages": rows}, "Tom")
    assert [text for _, text in talks[0]] == ["0", "1", "2", "3", "4", "5"]


def test_telegram_leaves_out_what_others_wrote(tmp_path: Path) -> None:
    def message(who: str, text: Any, **more: str) -> dict[str, Any]:
        return {"type": "message", "date": "2023-12-24T18:00:00", "from": who, "text": text, **more}

    rich = message("Tom", None) | {"rich_message": {"blocks": [{"text": [{"text": "fast "}, "da: 12:30"]}]}}
    del rich["text"]
    rows = [
        message("Eva", "wo bist du?"),
        message("Tom", "Breaking news", forwarded_from="Paper"),
        rich,
        message("Tom", "42 km", via_bot="@routes"),
    ]
    talks, left = chats_of(tmp_path, "result.json", {"name": "Eva", "messages": rows}, "Tom")
    assert talks == [[QUESTION, ANSWER]]
    assert left == ["somebody else's words: forwarded, or by a bot"] * 2


def test_instagram_says_an_edited_message_twice(tmp_path: Path) -> None:
    said = [
        ("Eva", "wo bist du?"),
        ("Tom", "fast da: 12:3"),
        ("Tom", "fast da: 12:30 (edited)"),
        ("Eva", "Liked a message"),
        ("Eva", "This poll is no longer available."),
    ]
    rows = [
        {"sender_name": who, "timestamp_ms": 1_700_000_000_000 + n, "content": text}
        for n, (who, text) in enumerate(said)
    ]
    talks, left = chats_of(tmp_path, "message_1.json", {"messages": rows[::-1]}, "Tom")
    assert talks == [[QUESTION, ANSWER]]
    assert len(left) == 3


def test_messenger_with_encryption(tmp_path: Path) -> None:
    def message(who: str, text: str, kind: str = "text", unsent: bool = False) -> dict[str, Any]:
        return {
            "senderName": who,
            "text": text,
            "timestamp": 1_700_000_000_000,
            "type": kind,
            "isUnsent": unsent,
        }

    rows = [
        message("Eva", "wo bist du?"),
        message("Tom", "", "placeholder", unsent=True),
        message("Tom", "Tom sent a sticker", "placeholder"),
        message("Tom", "fast da: 12:30"),
    ]
    talks, left = chats_of(tmp_path, "Eva_1.json", {"threadName": "Eva_1", "messages": rows}, "Tom")
    assert talks == [[QUESTION, ANSWER]]
    assert len(left) == 2


def test_signal_by_sigtop(tmp_path: Path) -> None:
    chat = (
        "Conversation: Eva\n\n"
        "From: Eva\nType: incoming\nSent: Sun, 24 Dec 2023 18:00:00 +0100\n\nwo bist du?\n\n"
        "From: You\nType: outgoing\nSent: Sun, 24 Dec 2023 18:01:00 +0100\nReaction: ❤ from Eva\nQuote:\n\n"
        "> From: Eva\n>\n> wo bist du?\n\nfast da: 12:30\n\n"
        "From: Eva\nType: incoming\nSent: Sun, 24 Dec 2023 18:02:00 +0100\nAttachment: a.jpg (image/jpeg, 3 bytes)\n"
    )
    talks, left = chats_of(tmp_path, "Eva.txt", chat)
    assert talks == [[QUESTION, ANSWER]]
    assert left[-1] == "a picture, sound or deleted message"


def test_signal_as_markdown(tmp_path: Path) -> None:
    chat = (
        "[2023-12-24 18:00:00] Eva: wo bist du?  \n"
        "[2023-12-24 18:01:00] Me: \n> wo bist du?\n\nfast da: 12:30 (- Eva: ❤ -)  \n"
        "[2023-12-24 18:02:00] Eva: ![a.jpg](./media/a.jpg)  \n"
    )
    talks, _ = chats_of(tmp_path, "chat.md", chat, "Me")
    assert talks == [[QUESTION, ANSWER]]


def test_line_on_a_computer(tmp_path: Path) -> None:
    chat = (
        "[LINE] Chat history in Family\nSaved on: 2023/12/25 10:00\n\n2023.12.24 Sunday\n"
        "18:00 Aunt Eva wo bist du?\n18:01 Tom fast da: 12:30\n18:02 Aunt Eva Stickers\n18:03 Aunt Eva gut\n"
        "18:04 Tom unsent a message.\n18:05 Aunt Eva bis gleich\n"
    )
    talks, left = chats_of(tmp_path, "line.txt", chat, "Tom")
    assert talks == [[QUESTION, ANSWER, ("user", "gut\nbis gleich")]]
    assert len(left) == 3


@pytest.mark.parametrize("high", ["&#55357;", "&#xD83D;", "&#xd83d;"])
def test_an_emoji_in_two_halves(tmp_path: Path, high: str) -> None:
    said = [("1", "wo bist du?"), ("2", f"da {high}&#56842;"), ("1", "gut&#11;"), ("2", "allein &#56842;")]
    # What is read at once ends anywhere, also between two halves.
    for pad in range(40):
        rows = "".join(
            f'<sms address="+1" type="{t}" date="170000000000{n}" contact_name="Eva" body="{b}"/>'
            for n, (t, b) in enumerate(said)
        )
        xml = f'<?xml version="1.0"?><smses><!--{"x" * (32_700 + pad)}-->{rows}</smses>'
        talks, _ = chats_of(tmp_path, "sms.xml", xml)
        assert [text for _, text in talks[0]] == ["wo bist du?", "da 😊", "gut", "allein \ufffd"]


def test_reactions_that_come_as_texts() -> None:
    reactions = Reactions()
    said = [
        "In ten minutes",
        "Loved “In ten minutes”",
        "Loved the film",
        'Liked "Titanic"',
        'Liked "In ten minutes"',
    ]
    assert [reactions.take(text) for text in said] == [False, True, False, False, True]
    assert reactions.take("Reacted 😂 to “In ten…”")


@pytest.mark.parametrize(
    ("text", "notice", "poll"),
    [
        ("消息和通话进行端到端加密。", True, False),
        ("Les messages et les appels sont chiffrés de bout en bout. Personne ne peut les lire.", True, False),
        ("messages and calls are what I need", False, False),
        ("POLL:\nWhen?\nOPTION: Friday (1 vote)\nOPTION: never (0 votes)", False, True),
        ("Plan:\nbuy milk\nwalk: 3 km (maybe)", False, False),
    ],
)
def test_notices(text: str, notice: bool, poll: bool) -> None:
    assert (is_encryption_notice(text), is_poll(text)) == (notice, poll)
