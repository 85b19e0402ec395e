"""Readers beyond CSV and JSON: archives, workbooks, databases, XML, IRC, Slack, Discord, texts that belong together."""

from __future__ import annotations

import gzip
import json
import lzma
import sqlite3
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from benchmark_modules import benchmark

from mynah.data.collect.collector import Collected, Collector, collect
from mynah.data.layout import Columns
from mynah.data.readers.chat_json import slack_text
from mynah.data.readers.inputs import BOMB_BYTES, find_inputs
from mynah.data.records import Conversation, Document, Labelled, Message, Pair, Preference
from mynah.data.sources import Ask, CollectConfig
from mynah.errors import ConfigError, DataError

CSV = "question,answer\nWhere is it?,On its way.\nWhen?,Today.\n"
WANTED = [("Where is it?", "On its way."), ("When?", "Today.")]


def read(path: Path, **config: object) -> Collected:
    return collect([path], CollectConfig(**config))  # type: ignore[arg-type]


def turns(result: Collected) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)]


def pairs(result: Collected) -> list[tuple[str, ...]]:
    return [r.texts for r in result.records]


# Compression and archives


@pytest.mark.parametrize("kind", ["gz", "xz", "zip"])
def test_compressed_input_reads_as_plain(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"chats.csv.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(CSV.encode()))
    elif kind == "xz":
        path.write_bytes(lzma.compress(CSV.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/chats.csv", CSV)
    assert pairs(read(path)) == WANTED


def test_zstd_and_two_layers(tmp_path: Path) -> None:
    import pyarrow

    with pyarrow.CompressedOutputStream(str(tmp_path / "c.csv.zst"), "zstd") as out:
        out.write(CSV.encode())
    (tmp_path / "twice.csv.gz").write_bytes(gzip.compress(gzip.compress(CSV.encode())))
    assert pairs(read(tmp_path / "c.csv.zst")) == pairs(read(tmp_path / "twice.csv.gz")) == WANTED


def test_a_cut_archive_keeps_what_came_before_and_says_so(tmp_path: Path) -> None:
    rows = "question,answer\n" + "".join(f"question number {i},answer {i * i}\n" for i in range(20_000))
    data = gzip.compress(rows.encode())
    (tmp_path / "cut.csv.gz").write_bytes(data[: len(data) // 2])
    result = read(tmp_path / "cut.csv.gz")
    assert 5_000 < len(result.records) < 15_000
    assert "cut short" in result.rejected[-1].reason


def test_a_bomb_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bomb.txt.gz").write_bytes(gzip.compress(b"0" * (BOMB_BYTES + (1 << 20))))
    with pytest.raises(DataError, match=r"bomb\.txt\.gz: grows to more than"):
        read(tmp_path / "bomb.txt.gz")


def test_names_in_an_archive_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.csv", CSV)
        archive.writestr("LICENSE", "words")
        archive.writestr("inner.zip", b"PK\x03\x04" + b"x" * 50)
    collector = Collector([path], CollectConfig())
    assert [type(r) for r in collector.items()] == [Conversation, Conversation]
    assert collector.sources[0].file == "evil.zip/../../outside.csv"
    assert not (tmp_path.parent / "outside.csv").exists()


def test_a_folder_is_read_whole_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "data" / "b.csv").write_text("question,answer\nWho?,Me.\n", encoding="utf-8")
    (tmp_path / "data" / "README.md").write_text("About this data", encoding="utf-8")
    (tmp_path / "data" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "data" / "b.csv")
    collector = Collector([tmp_path / "data"], CollectConfig())
    assert len(list(collector.items())) == 3
    assert {name for name, _ in collector.left_out} == {"README.md", "picture.png", "link.csv"}


# Workbooks, databases, columns


def test_a_workbook(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["question", "answer"])
    for row in (*WANTED, ("How many?", 3)):
        book.active.append(list(row))
    book.create_sheet("empty")
    book.save(tmp_path / "faq.xlsx")
    assert pairs(read(tmp_path / "faq.xlsx")) == [*WANTED, ("How many?", "3")]


def test_a_pdf_whose_end_is_missing_is_said(tmp_path: Path) -> None:
    (name, data), *_ = benchmark("fuzz_samples").pdf()
    for content, said in ((data, 0), (data[: data.rindex(b"startxref")], 1)):
        (tmp_path / name).write_bytes(content)
        found = read(tmp_path / name)
        assert found.records
        assert (
            len([item for item in found.rejected if "the end of this PDF is missing" in item.reason]) == said
        )


def test_rows_of_a_sheet_are_named_as_the_sheet_numbers_them(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for number, row in ((1, ("question", "answer")), (3, WANTED[0]), (6, WANTED[1])):
        for column, value in enumerate(row, start=1):
            book.active.cell(number, column, value)
    book.save(tmp_path / "gaps.xlsx")
    assert [r.place for r in read(tmp_path / "gaps.xlsx").records] == ["gaps.xlsx:3", "gaps.xlsx:6"]


def test_a_chat_beyond_what_is_threaded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in parts: all of it, the same person the assistant in each, and it is said."""
    monkeypatch.setattr("mynah.data.tables.to_records.MOST", 8)
    told = [
        {"conversation": f"c{n // 4}", "author": "Shop" if n % 2 else f"guest {n // 4}", "text": f"word {n}"}
        for n in range(20)
    ]
    # In the last part a guest speaks more often than the shop.
    told[16:] = [
        {"conversation": f"c{n}", "author": "Shop" if n == 17 else "guest 9", "text": "x"}
        for n in range(16, 20)
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, told)))
    found = read(tmp_path / "chat.jsonl")
    messages = [m for r in found.records if isinstance(r, Conversation) for m in r.messages]
    assert len(messages) == 20
    assert {m.name for m in messages if m.role == "assistant"} == {"Shop"}
    layout = found.sources[0].layout
    assert layout.count("assistant = Shop") == 1
    assert "in parts of 8 messages" in layout
    with pytest.raises(ConfigError, match="--me Nobody: speaks nowhere"):
        read(tmp_path / "chat.jsonl", columns=Columns(assistant=("Nobody",)))
    # Who is given need not speak in each part.
    heard = read(tmp_path / "chat.jsonl", columns=Columns(assistant=("guest 0",))).records[0]
    assert isinstance(heard, Conversation)
    assert [m.role for m in heard.messages] == ["assistant", "user"] * 2
    # A part that is just full is all there is.
    (tmp_path / "whole.jsonl").write_text("\n".join(map(json.dumps, [*told[:8], {**told[8], "text": ""}])))
    assert "in parts" not in read(tmp_path / "whole.jsonl").sources[0].layout


def test_sqlite_one_table_several_and_a_select(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE faq (question TEXT, answer TEXT)")
        database.executemany("INSERT INTO faq VALUES (?, ?)", WANTED)
        database.execute("CREATE TABLE numbers (a INT, b INT)")
    assert pairs(read(path)) == WANTED
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (id INT, text TEXT)")
        database.execute("INSERT INTO notes VALUES (1, 'a note that is long enough')")
    with pytest.raises(DataError, match="several tables"):
        read(path)
    assert pairs(read(path, query="SELECT question, answer FROM faq WHERE answer = 'Today.'")) == WANTED[1:]
    with pytest.raises(ConfigError, match=r"--query: no such table: fqa; tables: faq, notes, numbers"):
        read(path, query="SELECT * FROM fqa")


def test_a_database_url_hides_its_password(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE faq (question TEXT, answer TEXT)")
        database.executemany("INSERT INTO faq VALUES (?, ?)", WANTED)
    url = f"sqlite:///{path}"
    assert pairs(collect([url], CollectConfig(query="SELECT * FROM faq"))) == WANTED
    with pytest.raises(ConfigError) as caught:
        collect(["postgresql://ann:hunter2@127.0.0.1:1/x"], CollectConfig(query="SELECT 1"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columnar_files(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"question": [q for q, _ in WANTED], "answer": [a for _, a in WANTED]})
    path = tmp_path / f"f.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write(table)
    assert pairs(read(path)) == WANTED


def test_parquet_of_conversations(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    pq.write_table(pa.table({"messages": [talk, talk[:1]]}), tmp_path / "f.parquet")
    assert turns(read(tmp_path / "f.parquet")) == [[("user", "a"), ("assistant", "b")], [("user", "a")]]


# XML


def test_an_sms_backup(tmp_path: Path) -> None:
    rows = [
        ("+491", "1", 0, "Lunch?"),
        ("+491", "2", 60, "Yes"),
        ("+492", "1", 70, "Hi"),
        ("+491", "3", 80, "draft"),
    ]
    body = "".join(
        f'<sms address="{a}" type="{t}" date="{1_700_000_000_000 + 1000 * s}" body="{b}" contact_name="Ann"/>'
        for a, t, s, b in rows
    )
    mms = (
        '<mms address="+491" msg_box="2" date="1700000090000" contact_name="Ann"><parts>'
        '<part ct="image/png"/><part ct="text/plain" text="Look"/></parts></mms>'
    )
    path = tmp_path / "sms.xml"
    path.write_text(f'<?xml version="1.0"?><smses count="5">{body}{mms}</smses>', encoding="utf-8")
    result = read(path)
    assert turns(result) == [
        [("user", "Lunch?"), ("assistant", "Yes\nLook")],
        [("user", "Hi")],
    ]
    assert (result.sources[0].system, result.sources[0].media) == (1, 0)


def test_xml_of_any_records_and_one_cut_short(tmp_path: Path) -> None:
    rows = "".join(
        f"<row><text>line number {i} of the file</text><author>Ann</author></row>" for i in range(20)
    )
    path = tmp_path / "f.xml"
    path.write_text(f"<?xml version='1.0'?><data>{rows}</data>", encoding="utf-8")
    assert len(read(path).records) == 20
    path.write_text(f"<?xml version='1.0'?><data>{rows}<row><te", encoding="utf-8")
    cut = read(path)
    assert len(cut.records) == 20
    assert "not well-formed" in cut.rejected[0].reason


def test_xml_entities_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    path = tmp_path / "f.xml"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        "<d><r><text>one &x; and more words</text></r><r><text>two and more words</text></r></d>",
        encoding="utf-8",
    )
    assert "hunter2" not in repr(read(path).records)


# Chats


def test_irc_is_untangled_by_the_nick_that_is_spoken_to(tmp_path: Path) -> None:
    path = tmp_path / "irc.log"
    path.write_text(
        "[09:00] <ann> how do I mount a disk?\n=== zed [~zed@host] has joined #x\n[09:01] <cat> which editor is best?\n"
        "[09:02] <bob> ann: with mount\n[09:03] <dan> cat, use ed\n[09:04] <ann> bob: thanks\n",
        encoding="utf-8",
    )
    result = read(path)
    assert turns(result) == [
        [("user", "how do I mount a disk?"), ("assistant", "with mount"), ("user", "thanks")],
        [("user", "which editor is best?"), ("assistant", "use ed")],
    ]
    assert result.sources[0].system == 1


@pytest.mark.parametrize(
    "line",
    [
        "09:02 <@bob> hello there",
        "2020-01-31 09:19:00\tbob\thello there",
        "[2020-01-31T09:19:00Z] <bob> hello there",
    ],
)
def test_other_irc_clients(tmp_path: Path, line: str) -> None:
    (tmp_path / "irc.log").write_text(f"{line}\n" * 3, encoding="utf-8")
    result = read(tmp_path / "irc.log")
    assert result.sources[0].form == "an IRC log"
    assert turns(result)[0] == [("user", "hello there\nhello there\nhello there")]


def test_a_reply_annotation_decides(tmp_path: Path) -> None:
    (tmp_path / "x.raw.txt").write_text(
        "[09:00] <ann> one\n[09:01] <bob> two\n[09:02] <cat> three\n[09:03] <dan> four\n", encoding="utf-8"
    )
    (tmp_path / "x.annotation.txt").write_text("0 0 -\n1 1 -\n0 2 -\n1 3 -\n", encoding="utf-8")
    assert turns(read(tmp_path)) == [
        [("user", "one"), ("assistant", "three")],
        [("user", "two"), ("assistant", "four")],
    ]


def test_discord_threads_of_replies(tmp_path: Path) -> None:
    def said(
        number: int, who: str, text: str, to: int | None = None, kind: str = "Default"
    ) -> dict[str, object]:
        reference = {"reference": {"messageId": str(to)}} if to else {}
        stamp = f"2024-05-01T10:{number:02}:00+00:00"
        return {"id": str(number), "type": kind, "timestamp": stamp, "content": text,
                "author": {"id": who, "name": who}, **reference}  # fmt: skip

    export = {"guild": {"name": "g"}, "channel": {"name": "c"}, "messages": [
        said(1, "ann", "which lamp?"), said(2, "bob", "who broke it?"),
        said(3, "cat", "the red one", to=1, kind="Reply"),
        said(4, "dan", "", kind="GuildMemberJoin"), said(5, "ann", "thanks", to=3, kind="Reply"),
    ]}  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(export), encoding="utf-8")
    result = read(tmp_path / "c.json")
    assert sorted([m.content for m in r.messages] for r in result.records if isinstance(r, Conversation)) == [
        ["which lamp?", "the red one", "thanks"],
        ["who broke it?"],
    ]
    assert result.sources[0].system == 1


def test_slack_names_links_and_threads(tmp_path: Path) -> None:
    assert slack_text("<@U1> see <https://a.org|this> &amp; <#C1|general> <!here>", {"U1": "ann"}) == (
        "@ann see this (https://a.org) & #general @here"
    )
    (tmp_path / "general").mkdir()
    (tmp_path / "users.json").write_text(
        json.dumps([{"id": "U1", "name": "ann"}, {"id": "U2", "name": "bob"}])
    )
    (tmp_path / "channels.json").write_text("[]")
    day = [
        {
            "type": "message",
            "user": "U1",
            "text": "question",
            "ts": "1700000000.1",
            "thread_ts": "1700000000.1",
        },
        {"type": "message", "user": "U2", "text": "by the way", "ts": "1700000001.1"},
        {
            "type": "message",
            "user": "U2",
            "text": "answer",
            "ts": "1700000002.1",
            "thread_ts": "1700000000.1",
        },
        {"type": "message", "subtype": "channel_join", "user": "U2", "text": "joined", "ts": "1700000003.1"},
    ]
    (tmp_path / "general" / "2023-11-14.json").write_text(json.dumps(day))
    result = read(tmp_path)
    assert [
        [(m.name, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)
    ] == [
        [("ann", "question"), ("bob", "answer")],
        [("bob", "by the way")],
    ]
    assert (result.sources[0].file, result.sources[0].system) == ("general", 1)


def test_wechat_pictures_are_left_out_and_counted(shared: Path) -> None:
    result = read(shared / "chat_exports" / "wechat_csv" / "test_0_730.csv")
    assert (result.sources[0].media, result.sources[0].system) == (28, 2)


@pytest.mark.parametrize(
    "value",
    [
        {"dialogue_id": 1, "turns": [{"speaker": "USER", "utterance": "a"}, {"speaker": "SYSTEM", "utterance": "b"}]},
        {"7": {"messages": [{"content": "a", "role": "usr"}, {"content": "b", "role": "sys"}]},
         "8": {"messages": [{"content": "a", "role": "usr"}, {"content": "b", "role": "sys"}]}},
        {"dialogue": [{"transcript": "a", "system_transcript": ""}, {"transcript": "", "system_transcript": "b"}]},
        {"conversation_id": 3, "utterances": [{"speaker": "a_1", "text": "a"}, {"speaker": "a_2", "text": "b"}]},
        {"dialog": ["a", "b"]},
        {"dial": [{"usr": {"transcript": "a"}, "sys": {"sent": "b"}}]},
        {"log": [{"text": "a", "metadata": {}}, {"text": "b", "metadata": {"x": 1}}]},
    ],
)  # fmt: skip
def test_layouts_of_dialogue_corpora(tmp_path: Path, value: object) -> None:
    (tmp_path / "f.json").write_text(json.dumps(value), encoding="utf-8")
    found = turns(read(tmp_path / "f.json"))
    assert found[0] == [("user", "a"), ("assistant", "b")]


def test_turns_are_joined_within_a_time_only_if_asked(tmp_path: Path) -> None:
    rows = "time,speaker,text\n2024-01-01T10:00,user,a\n2024-01-01T10:01,user,b\n2024-01-01T12:00,user,c\n"
    (tmp_path / "f.csv").write_text(rows + "2024-01-01T12:01,agent,d\n", encoding="utf-8")
    assert turns(read(tmp_path / "f.csv"))[0] == [("user", "a\nb\nc"), ("assistant", "d")]
    apart = turns(read(tmp_path / "f.csv", merge_minutes=30))[0]
    assert apart == [("user", "a\nb"), ("user", "c"), ("assistant", "d")]


def test_who_the_assistant_is_can_be_asked(tmp_path: Path) -> None:
    rows = "time,sender,text\n2024-01-01T10:00,Ann,hi\n2024-01-01T10:01,Bo,hello\n"
    (tmp_path / "f.csv").write_text(rows, encoding="utf-8")
    asked: list[tuple[str, int]] = []

    def answer(source: str, speakers: Counter[str]) -> str:
        asked.append((source, len(speakers)))
        return "Ann"

    result = collect([tmp_path / "f.csv"], CollectConfig(), ask=Ask(answer, lambda *_: 0))
    assert turns(result) == [[("assistant", "hi"), ("user", "hello")]]
    assert asked == [("f.csv", 2)]


# Classes, translations, questions about passages


def test_classes_from_folders_lists_and_indices(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        (tmp_path / "films" / label).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "films" / label / f"{number}.txt").write_text(
                f"{label} film {number}\n\nwords", encoding="utf-8"
            )
    result = read(tmp_path / "films")
    assert [r.label for r in result.records if isinstance(r, Labelled)] == ["neg"] * 10 + ["pos"] * 10
    assert all(isinstance(r, Document) for r in read(tmp_path / "films", folder_labels=False).records)
    (tmp_path / "f.json").write_text(
        json.dumps({"train": [["hello", "greet"], ["bye", "leave"]]}), encoding="utf-8"
    )
    assert read(tmp_path / "f.json").records == [
        Labelled("hello", "greet", "f.json:1"),
        Labelled("bye", "leave", "f.json:2"),
    ]
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "class.txt").write_text("sport\nmoney\n", encoding="utf-8")
    (tmp_path / "news" / "dev.txt").write_text("a goal\t0\na bank\t1\nodd\t7\n", encoding="utf-8")
    with pytest.raises(DataError):  # 7 is no class, so the file is no list of classes and nothing else either
        read(tmp_path / "news" / "nothing")
    (tmp_path / "news" / "dev.txt").write_text("a goal\t0\na bank\t1\n", encoding="utf-8")
    assert [(r.text, r.label) for r in read(tmp_path / "news").records if isinstance(r, Labelled)] == [
        ("a goal", "sport"),
        ("a bank", "money"),
    ]


def test_translations_by_name_by_line_and_by_language(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "train.de").write_text("Hallo Welt\nGuten Tag\n\n", encoding="utf-8")
    (tmp_path / "p" / "train.en").write_text("Hello world\nGood day\nfarewell\n", encoding="utf-8")
    result = read(tmp_path / "p")
    assert result.records == [
        Pair("Hello world", "Hallo Welt", "train.en:1"),
        Pair("Good day", "Guten Tag", "train.en:2"),
    ]
    assert [(r.line, r.reason) for r in result.rejected] == [(3, "one side is empty")]
    (tmp_path / "p" / "train.de").write_text("Hallo Welt\n", encoding="utf-8")
    assert all(
        isinstance(r, Document) for r in read(tmp_path / "p").records
    )  # of other length: no translation
    sentences = [
        ("The dog sleeps in the house today.", "狗今天在屋里睡觉。"),
        ("We are going to school tomorrow.", "我们明天去上学。"),
    ]
    (tmp_path / "f.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in sentences), encoding="utf-8")
    assert [r.texts for r in read(tmp_path / "f.tsv").records] == sentences
    rows = "english,chinese\n" + "".join(f"{a},{b}\n" for a, b in sentences)
    (tmp_path / "f.csv").write_text(rows, encoding="utf-8")
    assert all(isinstance(r, Pair) for r in read(tmp_path / "f.csv").records)


def test_questions_about_passages(tmp_path: Path) -> None:
    qas = [{"question": "Who?", "answers": [{"text": "Ann"}]}, {"question": "Where?", "answers": []}]
    value = {"data": [{"paragraphs": [{"context": "Ann is here.", "id": "P1", "qas": qas}]}]}
    (tmp_path / "f.json").write_text(json.dumps(value), encoding="utf-8")
    assert read(tmp_path / "f.json").records == [
        Document("Ann is here.", "f.json:P1"),
        Conversation((Message("user", "Ann is here.\n\nWho?"), Message("assistant", "Ann")), "f.json:P1/1"),
    ]


def test_a_json_array_is_read_element_by_element(tmp_path: Path) -> None:
    rows = ",".join(json.dumps({"question": f"q{i} " + "x" * 5000, "answer": f"a{i}"}) for i in range(1000))
    path = tmp_path / "f.json"
    path.write_text(f"[{rows}]", encoding="utf-8")
    assert len(read(path).records) == 1000
    path.write_text(f"[{rows}, {{broken", encoding="utf-8")
    cut = read(path)
    assert (len(cut.records), [r.line for r in cut.rejected]) == (1000, [1001])


def test_one_endless_line_is_read_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("word " * 8_000_000, encoding="utf-8")
    (given,) = find_inputs([tmp_path / "long.txt"]).inputs
    pieces = [len(line) for line in given.lines("utf-8")]
    assert sum(pieces) == 40_000_000
    assert max(pieces) <= 16 << 20


# Conversations and classes as lines of text


def test_a_transcript_is_cut_at_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text(
        "Customer: Where is it?\nAgent: On its way,\nand soon there.\n\nCustomer: Thanks\nAgent: Welcome\n\n"
        "Customer: Hello: you?\nAgent: Yes\n",
        encoding="utf-8",
    )
    result = read(path)
    assert turns(result) == [
        [("user", "Where is it?"), ("assistant", "On its way,\nand soon there.")],
        [("user", "Thanks"), ("assistant", "Welcome")],
        [("user", "Hello: you?"), ("assistant", "Yes")],
    ]


def test_a_transcript_with_times_is_cut_at_silences(tmp_path: Path) -> None:
    rows = [
        f"2024-01-{day:02} 10:0{i}:00 [{('Ann', 'Bo')[i % 2]}]: line {i}" for day in (1, 2) for i in range(4)
    ]
    (tmp_path / "log.txt").write_text("\n".join(rows), encoding="utf-8")
    result = read(tmp_path / "log.txt", columns={"assistant": ("Bo",)})
    assert [len(r.messages) for r in result.records if isinstance(r, Conversation)] == [4, 4]


def test_prose_and_settings_are_no_transcript(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "name: x\nvalue: 3\ncolour: red\nsize: big\nweight: 7\nplace: here\n", encoding="utf-8"
    )
    assert isinstance(read(tmp_path / "a.txt").records[0], Document)


@pytest.mark.parametrize(
    "text",
    ["Hi . __eou__ Hello . __eou__\n" * 3, "E\nM Hi .\nM Hello .\n" * 3],
)
def test_turns_between_marks(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.txt").write_text(text, encoding="utf-8")
    assert turns(read(tmp_path / "f.txt")) == [[("user", "Hi ."), ("assistant", "Hello .")]] * 3


def test_other_layouts_of_classes(tmp_path: Path) -> None:
    (tmp_path / "ft.txt").write_text(
        "".join(f"__label__{'ab'[i % 2]} text {i}\n" for i in range(9)), encoding="utf-8"
    )
    assert [r.label for r in read(tmp_path / "ft.txt").records if isinstance(r, Labelled)] == list(
        "ababababa"
    )
    rows = "".join(
        f'"{i % 3 + 1}","Title of story {i}","What happened in it, story {i}."\n' for i in range(30)
    )
    (tmp_path / "news.csv").write_text(rows, encoding="utf-8")
    assert read(tmp_path / "news.csv").records[0] == Labelled(
        "Title of story 0\nWhat happened in it, story 0.", "1", "news.csv:1"
    )
    rows = "sentence1,sentence2,label\n" + "".join(
        f"It rains {i} times,It is wet {i},entails\n" for i in range(9)
    )
    (tmp_path / "nli.csv").write_text(rows, encoding="utf-8")
    assert read(tmp_path / "nli.csv").records[0] == Labelled(
        "It rains 0 times\nIt is wet 0", "entails", "nli.csv:2"
    )
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots" / "seq.in").write_text("to boston\nto leeds\n", encoding="utf-8")
    (tmp_path / "slots" / "label").write_text("flight\nfare\n", encoding="utf-8")
    (tmp_path / "slots" / "seq.out").write_text("O B\nO B\n", encoding="utf-8")
    assert [(r.text, r.label) for r in read(tmp_path / "slots").records if isinstance(r, Labelled)] == [
        ("to boston", "flight"),
        ("to leeds", "fare"),
    ]


def test_other_layouts_of_translations(tmp_path: Path) -> None:
    values = [
        {"translation": {"en": f"Good morning to you {i}", "de": f"Guten Morgen an dich {i}"}}
        for i in range(5)
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, values)), encoding="utf-8")
    assert read(tmp_path / "f.jsonl").records[0].texts == ("Good morning to you 0", "Guten Morgen an dich 0")
    units = "<tu><tuv xml:lang='en-GB'><seg>Good <b>morning</b></seg></tuv>"
    units += "<tuv xml:lang='de'><seg>Guten Morgen</seg></tuv></tu>"
    (tmp_path / "f.tmx").write_text(
        f"<?xml version='1.0'?><tmx><body>{units * 3}</body></tmx>", encoding="utf-8"
    )
    assert [r.texts for r in read(tmp_path / "f.tmx").records] == [("Good morning", "Guten Morgen")] * 3
    (tmp_path / "flores").mkdir()
    (tmp_path / "flores" / "eng.dev").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "flores" / "deu.dev").write_text("eins\nzwei\n", encoding="utf-8")
    assert [r.texts for r in read(tmp_path / "flores").records] == [("one", "eins"), ("two", "zwei")]
    rows = "".join(f"{i}\tThe dog number {i} sleeps.\t{i + 50}\t第{i}只狗在睡觉。\n" for i in range(9))
    (tmp_path / "links.tsv").write_text(rows, encoding="utf-8")
    assert read(tmp_path / "links.tsv").records[0].texts == ("The dog number 0 sleeps.", "第0只狗在睡觉。")


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "hi", "chosen": "yes", "rejected": "no"},
        {"chosen": "\n\nHuman: hi\n\nAssistant: yes", "rejected": "\n\nHuman: hi\n\nAssistant: no"},
        {"chosen": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
         "rejected": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "no"}]},
    ],
)  # fmt: skip
def test_other_layouts_of_preferences(tmp_path: Path, value: object) -> None:
    (tmp_path / "f.jsonl").write_text(f"{json.dumps(value)}\n" * 2, encoding="utf-8")
    assert read(tmp_path / "f.jsonl").records[0] == Preference(
        (Message("user", "hi"),), "yes", "no", "f.jsonl:1"
    )


def test_telegram_as_html(tmp_path: Path) -> None:
    def said(who: str, text: str, minute: int) -> str:
        name = f'<div class="from_name">{who}</div>' if who else ""
        words = f'<div class="text">{text}</div>' if text else ""
        return (
            f'<div class="message default clearfix"><div class="body"><div class="pull_right date details" '
            f'title="01.02.2023 10:{minute:02}:00 UTC+01:00">10:{minute:02}</div>{name}{words}</div></div>'
        )

    body = (
        said("Ann", "hello<br>there", 0)
        + said("", "again", 1)
        + said("Bo", "yes &amp; no", 2)
        + said("Bo", "", 3)
    )
    service = '<div class="message service"><div class="body details">1 February 2023</div></div>'
    page = (
        f'<html><body><div class="page_wrap"><div class="history">{service}{body}</div></div></body></html>'
    )
    (tmp_path / "messages.html").write_text(f"<!DOCTYPE html>{page}", encoding="utf-8")
    result = read(tmp_path / "messages.html", columns={"assistant": ("Bo",)})
    assert turns(result) == [[("user", "hello\nthere\nagain"), ("assistant", "yes & no")]]
    (record,) = result.records
    assert isinstance(record, Conversation)
    assert record.messages[0].time == "2023-02-01T10:00:00+01:00"
    assert (result.sources[0].rows, result.sources[0].system, result.sources[0].media) == (5, 1, 1)


# Found by a second reading


def test_chats_that_lie_interleaved_are_told_apart(tmp_path: Path) -> None:
    rows = [
        f"{('red', 'blue')[i % 2]},2024-01-01T10:{i:02},{('Ann', 'Bo')[i // 2 % 2]},line {i}"
        for i in range(20)
    ]
    (tmp_path / "f.csv").write_text("room,time,sender,text\n" + "\n".join(rows), encoding="utf-8")
    result = read(tmp_path / "f.csv", columns={"assistant": ("Bo",)})
    assert [len(r.messages) for r in result.records if isinstance(r, Conversation)] == [10, 10]


def test_a_message_in_arabic_is_no_picture(tmp_path: Path) -> None:
    lines = "".join(f"01/02/2024, 10:0{i} - Ann: \u200fمرحبا {i}\n" for i in range(4))
    (tmp_path / "chat.txt").write_text(
        lines + "01/02/2024, 10:05 - Ann: \u200eimage omitted\n", encoding="utf-8"
    )
    result = read(tmp_path / "chat.txt")
    assert result.sources[0].media == 1
    assert "مرحبا 3" in turns(result)[0][0][1]
    assert [(r.line, r.bad) for r in result.rejected] == [(5, False)]


def test_a_sqlite_file_is_opened_by_its_whole_name(tmp_path: Path) -> None:
    path = tmp_path / "chat#1?.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE faq (question TEXT, answer TEXT)")
        database.executemany("INSERT INTO faq VALUES (?, ?)", WANTED)
    assert pairs(read(path)) == WANTED
    assert [p.name for p in tmp_path.iterdir()] == ["chat#1?.db"]


@pytest.mark.parametrize(
    "answers", [{"text": ["Bonn"], "answer_start": [3]}, "Bonn", ["Bonn"], [{"text": "Bonn"}]]
)
def test_answers_of_any_layout(tmp_path: Path, answers: object) -> None:
    value = {
        "context": "Ann is in Bonn.",
        "qas": [{"question": "Where?", "answers": answers}, {"question": "Why?"}],
    }
    (tmp_path / "f.jsonl").write_text(f"{json.dumps(value)}\n" * 2, encoding="utf-8")
    result = read(tmp_path / "f.jsonl")
    assert [r.messages[1].content for r in result.records if isinstance(r, Conversation)] == ["Bonn", "Bonn"]
    assert len({r.place for r in result.records}) == 4
    assert len(result.rejected) == 2


def test_chats_that_are_named_like_languages_are_no_translation(tmp_path: Path) -> None:
    for name in ("chat_it.txt", "chat_hr.txt"):
        lines = "".join(f"01/02/2024, 10:0{i} - {('Ann', 'Bo')[i % 2]}: line {i}\n" for i in range(4))
        (tmp_path / name).write_text(lines, encoding="utf-8")
    assert all(isinstance(r, Conversation) for r in read(tmp_path).records)


def test_a_bad_line_among_messages_is_named(tmp_path: Path) -> None:
    day = [
        {"type": "message", "user": f"U{i % 2}", "text": f"hi {i}", "ts": f"{1_700_000_000 + i}.1"}
        for i in range(6)
    ]
    (tmp_path / "day.jsonl").write_text("\n".join([*map(json.dumps, day), "{broken"]), encoding="utf-8")
    assert [(r.line, r.reason) for r in read(tmp_path / "day.jsonl").rejected] == [(7, "not JSON")]
