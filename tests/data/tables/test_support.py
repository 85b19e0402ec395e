"""Tables of support desks: what somebody is beside who they are, and what only colleagues saw."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mynah.data.collect.collector import Collector
from mynah.data.records import Conversation, Rejected
from mynah.data.sources import CollectConfig
from mynah.errors import ConfigError

#: ticket, name, what they are, whether customers see it, words; an agent speaks first in the second ticket
ROWS = [
    ("7", "Ann", "customer", "true", "my lamp is broken"),
    ("7", "Desk", "bot", "true", "what is its number?"),
    ("7", "Bo", "agent", "false", "she had this in May, be nice"),
    ("7", "Bo", "agent", "true", "we send a new one"),
    ("8", "Cy", "agent", "true", "we could not reach you, when are you home?"),
    ("8", "Dee", "end-user", "true", "at six"),
    ("8", "Cy", "agent", "true", "see you at six then"),
]


def write(path: Path, names: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def read(path: Path, *assistant: str) -> tuple[list[list[tuple[str, str]]], Collector, list[str]]:
    collector = Collector([path], CollectConfig.model_validate({"columns": {"assistant": assistant}}))
    items = list(collector.items())
    talks = [[(m.role, m.content) for m in i.messages] for i in items if isinstance(i, Conversation)]
    return talks, collector, [item.reason for item in items if isinstance(item, Rejected)]


WANTED = [
    [
        ("user", "my lamp is broken"),
        ("assistant", "what is its number?"),
        ("assistant", "we send a new one"),
    ],
    [
        ("assistant", "we could not reach you, when are you home?"),
        ("user", "at six"),
        ("assistant", "see you at six then"),
    ],
]


@pytest.mark.parametrize("role", ["sender_type", "author_type", "user_type", "Sender Role", "from_type"])
@pytest.mark.parametrize("name", ["author", "sender_name", "from"])
def test_what_somebody_is_decides_and_notes_are_left_out(tmp_path: Path, role: str, name: str) -> None:
    path = write(tmp_path / "t.csv", ("ticket_id", name, role, "public", "body"), ROWS)
    talks, collector, left = read(path)
    assert talks == WANTED
    assert left == ["an internal note"]
    (source,) = collector.sources
    assert source.notes == 1
    assert "1 internal notes" in source.describe()
    assert f"assistant where {role} is agent, bot" in source.layout


@pytest.mark.parametrize(
    ("column", "shown", "note"),
    [
        ("is_private", "0", "1"),
        ("private", "false", "true"),
        ("internal", "no", "yes"),
        ("visibility", "public", "internal"),
        ("comment_type", "reply", "note"),
        ("type", "comment", "private note"),
        ("visibility", "", "private"),
    ],
)
def test_ways_to_say_that_a_message_is_internal(tmp_path: Path, column: str, shown: str, note: str) -> None:
    rows = [(t, n, r, shown if p == "true" else note, w) for t, n, r, p, w in ROWS]
    if not shown:
        rows = [(*row[:3], row[3] or "external", row[4]) for row in rows]
    path = write(tmp_path / "t.csv", ("ticket_id", "author", "author_type", column, "body"), rows)
    talks, _, left = read(path)
    assert (talks, left) == (WANTED, ["an internal note"])


def test_chinese_names_of_columns_and_roles(tmp_path: Path) -> None:
    words = {"customer": "用户", "end-user": "用户", "agent": "客服", "bot": "机器人"}
    rows = [(t, n, words[r], w) for t, n, r, p, w in ROWS if p == "true"]
    path = write(tmp_path / "t.csv", ("会话id", "发送人", "发送人类型", "内容"), rows)
    assert read(path)[0] == WANTED


def test_only_the_bot_or_only_one_agent_is_the_assistant(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ("ticket_id", "author", "author_type", "public", "body"), ROWS)
    talks, collector, _ = read(path, "bot")
    assert [text for talk in talks for role, text in talk if role == "assistant"] == ["what is its number?"]
    assert "assistant where author_type is bot" in collector.sources[0].layout
    talks, _, _ = read(path, "Cy")
    assert [role for role, _ in talks[1]] == ["assistant", "user", "assistant"]
    with pytest.raises(ConfigError, match="nobody: speaks nowhere"):
        read(path, "nobody")


def test_a_class_called_type_or_role_is_no_role(tmp_path: Path) -> None:
    rows = [(f"text number {n} of some length", ("spam", "ham")[n % 2]) for n in range(20)]
    path = write(tmp_path / "t.csv", ("text", "user_type"), rows)
    assert read(path)[0] == []


ASKED = [
    "My lamp arrived broken and I want a new one",
    "The parcel never came although it says delivered",
    "Where can I find the invoice for my order",
]
SAID = [
    "We send you a new one tomorrow.",
    "The carrier looks for it and writes.",
    "It is in your account under Orders.",
]


@pytest.mark.parametrize(
    ("columns", "question", "answer"),
    [
        ("Ticket ID,Subject,Description,Status,Latest comment", "Description", "Latest comment"),
        ("Ticket ID,Customer Name,Subject,Description,Agent Response", "Description", "Agent Response"),
        ("id,Issue,Resolution,Agent", "Issue", "Resolution"),
        ("Betreff,Beschreibung,Antwort", "Beschreibung", "Antwort"),
        ("Frage,Antwort,Datum", "Frage", "Antwort"),
        ("Asunto,Descripción,Respuesta", "Descripción", "Respuesta"),
        ("Pregunta,Respuesta", "Pregunta", "Respuesta"),
        ("Question,Réponse", "Question", "Réponse"),
        ("Assunto,Descrição,Resposta", "Descrição", "Resposta"),
        ("工单号,问题描述,处理结果", "问题描述", "处理结果"),
    ],
)
def test_one_row_a_ticket(tmp_path: Path, columns: str, question: str, answer: str) -> None:
    names = tuple(columns.split(","))
    texts = {question: ASKED, answer: SAID}
    rows = [tuple(texts.get(name, ["x1", "x2", "x1"])[n] for name in names) for n in range(3)]
    talks, _, _ = read(write(tmp_path / "t.csv", names, rows))
    for asked, said, talk in zip(ASKED, SAID, talks, strict=True):
        assert talk[0][1].endswith(asked)
        assert talk[1:] == [("assistant", said)]


def test_messages_with_german_names(tmp_path: Path) -> None:
    rows = [(t, "Kunde" if r in ("customer", "end-user") else "Mitarbeiter", w) for t, n, r, p, w in ROWS]
    path = write(tmp_path / "t.csv", ("Ticketnummer", "Absender", "Nachricht"), rows)
    assert [role for role, _ in read(path)[0][1]] == ["assistant", "user", "assistant"]


def test_where_every_message_is_internal_the_column_says_nothing(tmp_path: Path) -> None:
    rows = [(t, n, r, "false", w) for t, n, r, _, w in ROWS]
    talks, _, left = read(
        write(tmp_path / "t.csv", ("ticket_id", "author", "author_type", "public", "body"), rows)
    )
    assert left == []
    assert sum(map(len, talks)) == 6  # two of an agent in a row are one turn


def test_a_writer_is_no_speaker(tmp_path: Path) -> None:
    rows = [(("Ana", "Rui")[n % 2], f"um texto longo, o de número {n} entre muitos") for n in range(20)]
    for name in ("autor", "auteur", "author"):
        items = list(Collector([write(tmp_path / "t.csv", (name, "texto"), rows)], CollectConfig()).items())
        assert len(items) == 20
        assert not any(isinstance(item, Conversation) for item in items)
