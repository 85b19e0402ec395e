"""What the columns of a table are taken for, and how a wrong guess is corrected."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import CollectConfig, Collected, collect
from mynah.data.layout import Columns
from mynah.data.records import Conversation, Document
from mynah.errors import ConfigError

ENGLISH = ["where is my parcel", "the shop opens at nine", "please cancel it", "what a good book", "it rained all day"]  # fmt: skip
RANDOM = random.Random(0)
EN = [f"{RANDOM.choice(ENGLISH)} {number}." for number in range(400)]
LONG = [f"{EN[i]} {EN[i + 100]} and so on" for i in range(100)]


def read(path: Path, text: str, **config: object) -> Collected:
    path.write_text(text, encoding="utf-8", newline="")
    return collect([path], CollectConfig(**config))  # type: ignore[arg-type]


def turns(result: Collected) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)]


@pytest.mark.parametrize(
    ("header"),
    [
        "question,answer",
        "Prompt,Response",
        "input,output",
        "instruction,output",
        "user,assistant",
        "问,答",
        "问题,回答",
        "User Message,Agent Reply",
    ],
)
def test_pairs_under_usual_names(tmp_path: Path, header: str) -> None:
    result = read(tmp_path / "f.csv", f"{header}\nhi there,hello\nbye,see you\n")
    assert turns(result) == [
        [("user", "hi there"), ("assistant", "hello")],
        [("user", "bye"), ("assistant", "see you")],
    ]


def test_one_text_column_with_and_without_speakers(tmp_path: Path) -> None:
    result = read(tmp_path / "f.csv", 'text\n"Q: where is it? A: On its way."\njust one line here\n')
    assert turns(result) == [[("user", "where is it?"), ("assistant", "On its way.")]]
    assert [r.text for r in result.records if isinstance(r, Document)] == ["just one line here"]


def test_an_error_cuts_long_column_names_short(tmp_path: Path) -> None:
    path = tmp_path / "private.csv"
    path.write_text("my secret is that I never liked the cake she bakes,x\na,b\nc,d\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        collect([path], CollectConfig(header=True, columns=Columns(text="nope")))
    assert "cake" not in str(error.value)
    assert "--text-column nope" in str(error.value)


def test_what_a_row_is_can_be_said(tmp_path: Path) -> None:
    rows = "name,text\nAnn,good lamp\nBo,bad pot\n"
    result = read(tmp_path / "f.csv", rows, columns={"rows_are": "text"})
    assert [r.texts for r in result.records] == [("good lamp",), ("bad pot",)]
    result = read(tmp_path / "f.csv", "hello there,fine thanks\nbye now,see you\n", header=False,
                  columns={"question": "column1", "answer": "column2"})  # fmt: skip
    assert len(turns(result)) == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"question": "sender"}, "needs --answer-column"),
        ({"assistant": ("Cid",)}, "speaks nowhere; speakers: Ann, Bo"),
        ({"rows_are": "labelled"}, "labelled rows need --label-column"),
    ],
)
def test_flags_are_never_ignored(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / "f.csv", "chat_id,sender,message\n1,Ann,hi\n1,Bo,hello\n", columns=columns)


@pytest.mark.parametrize(
    ("name", "head", "row", "layout"),
    [
        ("a.csv", "target,id,date,flag,user,text", lambda i: f"{4 * (i % 2)},{i},2009-04-06,NO_QUERY,u{i},{EN[i]}", "text = text, label = target"),
        ("b.csv", "ticket_id,customer,agent,subject,body,resolution", lambda i: f"{i},Ann Lee,Bob Ray,{EN[i]},{LONG[i]},{LONG[i + 1]}", "question = subject + body, answer = resolution"),
        ("c.csv", "title,speaker,text,topic", lambda i: f"Talk {i},Ann {i},{LONG[i]},bird{i % 3}", "text = title + text, label = topic"),
        ("d.csv", "from,to,subject,body,date", lambda i: f"a{i}@x.org,b@x.org,{EN[i]},{LONG[i]},2024-01-01 10:{i:02}:00", "title = subject, text = body"),
        ("e.csv", "document,summary,id", lambda i: f"{LONG[i]},{EN[i]},{i}", "question = document, answer = summary"),
        ("f.csv", "context,question,answer_text,answer_start", lambda i: f"{LONG[i]},{EN[i]},{EN[i + 1]},5", "question = context + question, answer = answer_text"),
        ("g.csv", "question,A,B,C,D,answer", lambda i: f"{EN[i]},one,two,three,four,B", "question = question, options = A, B, C, D, answer = answer"),
        ("h.csv", "text,is_sarcastic", lambda i: f"{EN[i]},{i % 2}", "text = text, label = is_sarcastic"),
    ],
)  # fmt: skip
def test_columns_are_told_by_what_they_hold(
    tmp_path: Path, name: str, head: str, row: Any, layout: str
) -> None:
    (tmp_path / name).write_text(f"{head}\n" + "".join(f"{row(i)}\n" for i in range(40)), encoding="utf-8")
    assert layout in collect([tmp_path / name], CollectConfig()).sources[0].layout
