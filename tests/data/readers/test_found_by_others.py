"""What a reader from outside found misread: encodings, times, names of columns, templates, copies, questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mynah.data.chats.exchanges import split_exchange
from mynah.data.chats.times import parse_time
from mynah.data.collect.collector import Collected, collect
from mynah.data.records import Conversation, Document, Labelled, Pair
from mynah.data.sources import CollectConfig


def read(path: Path, content: str | bytes, **config: Any) -> Collected:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return collect([path], CollectConfig(**config))


def turns(found: Collected, number: int = 0) -> list[tuple[str, str]]:
    conversations = [record for record in found.records if isinstance(record, Conversation)]
    return [(message.role, message.content) for message in conversations[number].messages]


# Encodings


@pytest.mark.parametrize(
    "text", ["Protokoll\n\nHerr Mäder sagt, der Bär wäre da.\n", "Un café, s’il vous plaît.\n" * 3]
)
def test_a_few_accents_are_western(tmp_path: Path, text: str) -> None:
    found = read(tmp_path / "a.txt", text.encode("cp1252"))
    assert found.sources[0].encoding == "cp1252"
    assert found.records[0].texts[0].strip() == text.strip()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("shift_jis", "質問,回答\n届きません,確認いたします。\nいつですか,明日です。\n"),
        ("gb18030", "问题,答案\n怎么退款,在订单页申请退款\n在吗,在的亲\n"),
    ],
)
def test_east_asian_text_stays_so(tmp_path: Path, encoding: str, text: str) -> None:
    found = read(tmp_path / "a.csv", text.encode(encoding))
    assert found.sources[0].encoding == encoding
    assert len(turns(found)) == 2


# Times


@pytest.mark.parametrize(
    "written",
    [
        "2024-02-03 10:05:00 UTC", "Feb 3, 2024, 10:05 AM", "3 February 2024 at 10:05", "03. Februar 2024 10:05",
        "3 de febrero de 2024 10:05", "3 février 2024 à 10h05", "03/02/2024 à 10h05",
    ],
)  # fmt: skip
def test_times_as_people_write_them(written: str) -> None:
    time = parse_time(written)
    assert time is not None
    assert time.isoformat() == "2024-02-03T10:05:00+00:00"


@pytest.mark.parametrize("written", ["Maybe 3, 2024", "32 February 2024", "tomorrow", "", "Feb 2024"])
def test_what_is_no_time_is_none(written: str) -> None:
    assert parse_time(written) is None


def test_times_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    rows = ["conversation_id,sender_type,created_at,message"]
    rows += [
        f"{n // 2},{('user', 'agent')[n % 2]},sol {n} of the mission,what is said here {n}" for n in range(8)
    ]
    warned = read(tmp_path / "a.csv", "\n".join(rows)).sources[0].describe_warnings()
    assert any("none of the times in created_at can be read" in line for line in warned)


def test_an_export_with_the_newest_first_is_put_in_order(tmp_path: Path) -> None:
    rows = ["conversation_id,sender_type,created_at,message"]
    for n in range(6, 0, -1):
        rows.append(f'{n},agent,"Feb {n}, 2024, 10:05 AM",We have cancelled it {n}')
        rows.append(f'{n},user,"Feb {n}, 2024, 10:00 AM",Please cancel my plan {n}')
    found = read(tmp_path / "a.csv", "\n".join(rows))
    assert [role for role, _ in turns(found)] == ["user", "assistant"]


# Columns


@pytest.mark.parametrize(
    ("asked", "replied"),
    [
        ("user_message", "bot_message"),
        ("Customer Question", "Support Answer"),
        ("Pregunta frecuente", "Respuesta sugerida"),
        ("Question posée", "Réponse apportée"),
        ("Kundenfrage", "Antwort Support"),
        ("標準問", "推奨回答"),
        ("标准问", "参考答案"),
    ],
)
def test_longer_names_of_columns(tmp_path: Path, asked: str, replied: str) -> None:
    rows = [f"id,{asked},{replied},Interner Kommentar"]
    rows += [
        f"{n},Where is the parcel number {n}?,It is on its way to you {n}.,nothing {n}" for n in range(6)
    ]
    found = read(tmp_path / "a.csv", "\n".join(rows))
    assert turns(found) == [
        ("user", "Where is the parcel number 0?"),
        ("assistant", "It is on its way to you 0."),
    ]


def test_the_description_of_a_ticket_stands_before_the_last_reply(tmp_path: Path) -> None:
    rows = ["Ticket ID,Subject,Description,Status,Last agent reply"]
    rows += [
        f"{n},Parcel {n},It has not come since Monday {n}.,open,It is on its way to you now {n}."
        for n in range(6)
    ]
    said = turns(read(tmp_path / "a.csv", "\n".join(rows)))
    assert said[0] == ("user", "Parcel 0\nIt has not come since Monday 0.")


def test_a_parent_that_is_no_message_names_the_ticket(tmp_path: Path) -> None:
    rows = ["ParentId,Id,FromName,TextBody"]
    rows += [
        f"case{n // 2},m{n},{('Joe', 'Support')[n % 2]},This is what was said there {n}" for n in range(8)
    ]
    found = read(tmp_path / "a.csv", "\n".join(rows))
    assert len(found.records) == 4
    assert [role for role, _ in turns(found)] == ["user", "assistant"]


# Templates

ASKED, SAID = "Where is my parcel?", "It is on its way."


@pytest.mark.parametrize(
    "text",
    [
        f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n{SAID}<|im_end|>\n",
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{ASKED}<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{SAID}<|eot_id|>",
        f"<s>[INST] {ASKED} [/INST] {SAID} </s>",
        f"<bos><start_of_turn>user\n{ASKED}<end_of_turn>\n<start_of_turn>model\n{SAID}<end_of_turn>\n",
        f"<|user|>\n{ASKED}<|end|>\n<|assistant|>\n{SAID}<|end|>",
        f"### Human: {ASKED}### Assistant: {SAID}",
        f"### Instruction:\n{ASKED}\n\n### Response:\n{SAID}",
    ],
)
def test_what_a_chat_template_wrote_is_taken_apart(text: str) -> None:
    found = split_exchange(text)
    assert found is not None
    assert [(m.role, m.content) for m in found] == [("user", ASKED), ("assistant", SAID)]


def test_the_system_text_of_a_template_is_kept() -> None:
    found = split_exchange(
        f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{ASKED} [/INST] {SAID} </s><s>[INST] Thanks [/INST] Sure.</s>"
    )
    assert found is not None
    assert [m.role for m in found] == ["system", "user", "assistant", "user", "assistant"]
    assert found[0].content == "Be brief."


@pytest.mark.parametrize(
    "text",
    ["## Response: none came\nAnd so on.", "a < b and <s> is a tag", "<|im_start|>user\nonly one side"],
)
def test_what_no_template_wrote_stays_whole(text: str) -> None:
    assert split_exchange(text) is None


# Copies and pages


@pytest.mark.parametrize(
    "head",
    [
        "{who}, [{day:02}.02.2024 10:00]\n{said}\n", "{who} — Today at 10:00 AM\n{said}", "[10:00] {who}\n{said}\n",
        "[Yesterday 10:00 AM] {who}\n{said}", "{who}  0:1{day}  \n{said}\n", "{who}(2024-02-0{day} 10:00:00): {said}",
        "[Feb {day}, 2024 at 6:00 PM] {who}: {said}",
    ],
)  # fmt: skip
def test_copies_of_chats(tmp_path: Path, head: str) -> None:
    lines = [
        head.format(
            who=("Ann Lee", "Bob")[n % 2], day=1 + n // 2, said=("Are you coming?", "Yes, at ten.")[n % 2]
        )
        for n in range(8)
    ]
    found = read(tmp_path / "a.txt", "\n".join(lines))
    assert turns(found)[:2] == [("user", "Are you coming?"), ("assistant", "Yes, at ten.")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "Q{n}. How do I do number {n}?\nA{n}. Press button {n}.\n   It is red.\n\n"),
        ("a.txt", "{n}、问：怎么办第 {n} 件事？\n答：按第 {n} 个按钮。\n   是红的。\n\n"),
        ("a.md", "### How do I do number {n}?\n\nPress button {n}.\nIt is red.\n\n"),
        ("a.md", "**Q: How do I do number {n}?**\n\nA: Press button {n}.\nIt is red.\n\n"),
    ],
)
def test_pages_of_questions_and_answers(tmp_path: Path, name: str, content: str) -> None:
    found = read(tmp_path / name, "".join(content.format(n=n) for n in range(1, 6)))
    assert len(found.records) == 5
    (_, asked), (_, said) = turns(found)
    assert asked.endswith(("1?", "1 件事？"))
    assert "\n" in said
    assert not said.startswith(("A", "答"))


def test_prose_with_questions_in_it_is_prose(tmp_path: Path) -> None:
    text = "# A tale\n\n## Who came?\n\nNobody knew.\n\n## The house\n\nIt stood there.\n\n## The end\n\nThey went.\n"
    assert all(isinstance(record, Document) for record in read(tmp_path / "a.md", text).records)


def test_rules_between_turns_end_no_conversation(tmp_path: Path) -> None:
    text = "".join(
        f"## Human:\n\nWhat is {n}?\n\n---\n\n## Assistant:\n\nA number.\n\n---\n\n" for n in range(4)
    )
    (record,) = read(tmp_path / "a.md", text).records
    assert len(record.texts) == 8


# The rest


def test_a_log_of_a_program_is_no_chat(tmp_path: Path) -> None:
    lines = [
        f"2024-02-01 10:00:{n:02} {('INFO server', 'ERROR db')[n % 2]}: request {n} took a while"
        for n in range(20)
    ]
    assert not any(
        isinstance(record, Conversation) for record in read(tmp_path / "app.log", "\n".join(lines)).records
    )


def test_what_was_taken_back_is_not_taught(tmp_path: Path) -> None:
    rows = [
        {"id": f"a{n}", "parent_id": "t3_x", "author": f"u{n}", "body": f"What do you think of {n}?"}
        for n in range(6)
    ]
    rows += [
        {"id": f"b{n}", "parent_id": f"t1_a{n}", "author": "[deleted]", "body": "[removed]"} for n in range(3)
    ]
    rows += [
        {"id": f"c{n}", "parent_id": f"t1_a{n}", "author": "v", "body": "I like it well."} for n in range(6)
    ]
    found = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert not any("[removed]" in text for record in found.records for text in record.texts)
    assert found.sources[0].media == 3


def test_rows_that_nobody_agreed_on_are_of_no_class(tmp_path: Path) -> None:
    labels = ["neutral", "entailment", "-", "contradiction"] * 5
    rows = [
        {"sentence1": f"A man walks {n}.", "sentence2": "He sleeps.", "gold_label": of}
        for n, of in enumerate(labels)
    ]
    found = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert {r.label for r in found.records if isinstance(r, Labelled)} == {
        "neutral",
        "entailment",
        "contradiction",
    }


def test_units_that_wait_for_translation_are_no_pairs(tmp_path: Path) -> None:
    units = "".join(
        f"<trans-unit id='{n}'><source>Hello {n}</source><target state='{state}'>{target} {n}</target></trans-unit>"
        for n, (state, target) in enumerate([("translated", "Bonjour"), ("needs-translation", "Hello")] * 2)
    )
    page = f"<?xml version='1.0'?><xliff version='1.2'><file><body>{units}</body></file></xliff>"
    found = read(tmp_path / "a.xlf", page)
    assert [r.target for r in found.records if isinstance(r, Pair)] == ["Bonjour 0", "Bonjour 2"]


def test_who_speaks_is_told_by_the_words_of_a_column_whatever_it_is_called(tmp_path: Path) -> None:
    rows = ["对话ID,客服,消息来源,消息内容"]
    for n in range(4):
        rows += [
            f"{n},小美,系统,访客进入对话",
            f"{n},小美,访客,快递什么时候到 {n}",
            f"{n},小美,客服,预计明天送达 {n}",
        ]
    found = read(tmp_path / "a.csv", "\n".join(rows))
    assert turns(found) == [("user", "快递什么时候到 0"), ("assistant", "预计明天送达 0")]
    assert found.sources[0].system == 4


def test_of_several_right_answers_one_is_taught(tmp_path: Path) -> None:
    rows = [{"question": f"When was it, number {n}?", "answer": ["In 1972", "1972"]} for n in range(4)]
    assert turns(read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))[1] == ("assistant", "In 1972")


def test_sentences_with_a_score_of_likeness_are_no_conversation(tmp_path: Path) -> None:
    rows = [
        f"main\t{n:04}\t{n % 6}.{n % 10}00\tA man rides a horse number {n}.\tHe is on horse {n}."
        for n in range(10)
    ]
    found = read(tmp_path / "a.tsv", "\n".join(rows))
    assert all(isinstance(record, Labelled) for record in found.records)


def test_sentences_that_are_not_used_are_told(tmp_path: Path) -> None:
    rows = ["body,selftext,id"]
    rows += [f"This is what the one says number {n}.,And here the other says {n} too.,{n}" for n in range(10)]
    warned = read(tmp_path / "a.csv", "\n".join(rows)).sources[0].describe_warnings()
    assert any("selftext: sentences too, and not used" in line for line in warned)
