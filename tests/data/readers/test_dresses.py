"""Conversations, classes and translations in the dresses that other programs give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import Collected, collect
from mynah.data.records import Conversation, Document, Labelled, Pair, Preference
from mynah.data.sources import CollectConfig
from mynah.errors import ConfigError, DataError


def read(path: Path, text: object = None, **settings: Any) -> Collected:
    if text is not None:
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return collect([path], CollectConfig.model_validate(settings))


def said(result: Collected) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)]


Q, A, B = "Where is my lamp?", "On its way.", "Thank you!"
TALK = [("user", Q), ("assistant", A), ("user", B)]


# Tickets

ZENDESK = {
    "tickets": [
        {
            "id": 1, "subject": "Lamp", "description": Q, "requester_id": 7, "status": "solved",
            "comments": [
                {"author_id": 7, "body": Q, "public": True},
                {"author_id": 9, "body": "ask the store", "public": False},
                {"author_id": 9, "body": f"<p>{A}</p>", "public": True},
                {"author_id": 7, "body": f"{B}\n\nOn Mon, Jan 1, 2024 at 12:00 Bo wrote:\n> {A}", "public": True},
            ],
        }
    ],
    "users": [{"id": 7, "role": "end-user"}, {"id": 9, "role": "agent"}],
}  # fmt: skip
FRESHDESK = [
    {
        "id": 1, "subject": "Lamp", "description": f"<div>{Q}</div>", "description_text": Q, "status": 4,
        "conversations": [
            {"body_text": "a good customer", "incoming": False, "private": True, "user_id": 8},
            {"body_text": A, "incoming": False, "private": False, "user_id": 8},
            {"body_text": B, "incoming": True, "private": False, "user_id": 5},
        ],
    }
]  # fmt: skip
INTERCOM = {
    "conversations": [
        {
            "id": "1", "source": {"subject": "Lamp", "body": f"<p>{Q}</p>", "author": {"type": "user"}},
            "conversation_parts": {
                "conversation_parts": [
                    {"part_type": "note", "body": "<p>hm</p>", "author": {"type": "admin"}},
                    {"part_type": "assignment", "body": None, "author": {"type": "admin"}},
                    {"part_type": "comment", "body": f"<p>{A}</p>", "author": {"type": "bot"}},
                    {"part_type": "comment", "body": f"<p>{B}</p>", "author": {"type": "user"}},
                ]
            },
        }
    ]
}  # fmt: skip
HELP_SCOUT = {
    "conversations": [
        {
            "id": 4, "subject": "Lamp", "status": "closed",
            "_embedded": {
                "threads": [
                    {"type": "customer", "body": B, "createdBy": {"type": "customer"}, "createdAt": "2024-01-04"},
                    {"type": "message", "body": A, "createdBy": {"type": "user"}, "createdAt": "2024-01-03"},
                    {"type": "note", "body": "ask", "createdBy": {"type": "user"}, "createdAt": "2024-01-02"},
                    {"type": "customer", "body": Q, "createdBy": {"type": "customer"}, "createdAt": "2024-01-01"},
                ]
            },
        }
    ]
}  # fmt: skip
OSTICKET = [
    {
        "ticket": {
            "subject": "Lamp",
            "thread": {
                "entries": [
                    {"type": "M", "poster": "Ann", "body": Q},
                    {"type": "N", "poster": "Bo", "body": "ask"},
                    {"type": "R", "poster": "Bo", "body": A},
                    {"type": "M", "poster": "Ann", "body": B},
                ]
            },
        }
    }
]


@pytest.mark.parametrize("desk", [ZENDESK, FRESHDESK, INTERCOM, HELP_SCOUT, OSTICKET])
def test_tickets_of_a_desk(tmp_path: Path, desk: object) -> None:
    result = read(tmp_path / "f.json", desk)
    assert said(result) == [[("user", f"Lamp\n{Q}"), *TALK[1:]]]
    assert result.sources[0].notes == 1


# Conversations


def test_turns_with_calls_and_system_texts(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": Q}, {"from": "function_call", "value": "{}"}, {"from": "observation", "value": "3"},
        {"from": "gpt", "value": A},
    ]  # fmt: skip
    result = read(tmp_path / "f.json", [{"conversations": turns, "system": "Be brief.", "tools": "[]"}])
    assert said(result) == [[("system", "Be brief."), *TALK[:2]]]
    assert [r.reason for r in result.rejected] == ["what a program was told or answered"] * 2
    alpaca = [
        {"system": "Be brief.", "instruction": Q, "input": "", "output": A},
        {"system": "", "instruction": "Say", "input": "yes", "output": "yes"},
    ]
    assert said(read(tmp_path / "f.json", alpaca)) == [
        [("system", "Be brief."), *TALK[:2]],
        [("user", "Say\nyes"), ("assistant", "yes")],
    ]


def test_preferences_as_outputs(tmp_path: Path) -> None:
    value = {
        "input": {"messages": [{"role": "user", "content": Q}]},
        "preferred_output": [{"role": "assistant", "content": A}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    (record,) = read(tmp_path / "f.jsonl", json.dumps(value) + "\n").records
    assert isinstance(record, Preference)
    assert record.texts == (Q, A, "No.")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.md", f"# Talk\n\n**User:** {Q}\n\n**Bot:** {A}\n\nIt is late.\n\n**User**: {B}\n\n**Bot**: Yes.\n"),
        ("g.md", f"## User:\n{Q}\n\n## Assistant:\n{A}\n\nIt is late.\n\n## User:\n{B}\n\n## Assistant:\nYes.\n"),
    ],
)  # fmt: skip
def test_transcripts_in_markdown(tmp_path: Path, name: str, text: str) -> None:
    assert said(read(tmp_path / name, text)) == [
        [TALK[0], ("assistant", f"{A}\n\nIt is late."), TALK[2], ("assistant", "Yes.")]
    ]


def captions(lines: list[str], form: str = ",") -> str:
    return "".join(
        f"{i}\n00:00:{i:02}{form}000 --> 00:00:{i:02}{form}900\n{line}\n\n" for i, line in enumerate(lines, 1)
    )


def test_captions_that_name_who_speaks(tmp_path: Path) -> None:
    lines = [f"Ann: {Q}", f"Bo: {A}", "Bo: Soon.", f"Ann: {B}", "Bo: Bye."]
    result = read(tmp_path / "f.vtt", "WEBVTT\n\n" + captions(lines, "."), columns={"assistant": ["Bo"]})
    assert said(result) == [[TALK[0], ("assistant", f"{A} Soon."), TALK[2], ("assistant", "Bye.")]]
    voices = ["<v Ann>Hello</v>", "<v Bo>Hi</v>", "<v Ann>How are you?</v>", "<v Bo>Fine</v>"]
    assert len(said(read(tmp_path / "g.vtt", "WEBVTT\n\n" + captions(voices, ".")))[0]) == 4
    plain = read(tmp_path / "h.srt", captions(["It was night.", "Nobody spoke.", "Then: a bird."]))
    assert isinstance(plain.records[0], Document)


DAY = "2024-01-01 10:02"


@pytest.mark.parametrize(
    "text",
    [
        f"10:02:33\t From  Ann : {Q}\n10:02:40\t From  Bo  to  Ann(Privately) : {A}\n10:03:00\t From  Ann : {B}\n",
        f'{DAY}:33 From Ann to Everyone:\r\n\t{Q}\r\n{DAY}:40 From Bo to Everyone:\r\n\tReplying to "x"\r\n\n\t{A}\r\n'
        f'{DAY}:50 From Bo to Everyone:\r\n\tReacted to "x" with 👍\r\n{DAY}:59 From Ann to Everyone:\r\n\t{B}\r\n',
    ],
)  # fmt: skip
def test_chats_of_meetings(tmp_path: Path, text: str) -> None:
    assert said(read(tmp_path / "f.txt", text)) == [TALK]


def test_messages_of_feishu(tmp_path: Path) -> None:
    def message(number: int, who: str, kind: str, content: object) -> dict[str, object]:
        return {
            "message_id": f"om_{number}", "msg_type": kind, "create_time": f"170410{number}000000", "chat_id": "oc",
            "sender": {"id": who}, "body": {"content": json.dumps(content)},
            "mentions": [{"key": "@_user_1", "name": "Bo"}],
        }  # fmt: skip

    items = [
        message(3, "a", "text", {"text": B}),
        message(1, "a", "text", {"text": f"@_user_1 {Q}"}),
        message(2, "b", "post", {"zh_cn": {"title": "", "content": [[{"tag": "text", "text": A}]]}}),
        message(4, "b", "image", {}),
    ]
    result = read(tmp_path / "f.json", {"code": 0, "data": {"items": items}})
    assert said(result) == [[("user", f"@Bo {Q}"), *TALK[1:]]]
    assert result.sources[0].media == 1
    copied = (
        f"张三 2024年1月5日 下午2:02\n{Q}\n李四 2024年1月5日 下午2:03\n{A}\n张三 2024年1月5日 下午2:05\n{B}\n"
    )
    assert said(read(tmp_path / "f.txt", copied)) == [TALK]


def test_pages_of_wechat(tmp_path: Path) -> None:
    def element(number: int, side: str, name: str, words: str) -> str:
        return (
            f'<div class="msg chat {side}" msgid="{number}"><div class="nt-box"><span class="dspname {side}">{name}'
            f'</span> 2024-01-01 10:00:0{number}</div><div class="content-box"><span class="dont-break-out">'
            f"{words}</span></div></div>"
        )

    notice = '<div class="msg chat-notice" msgid="9"><span class="dont-break-out">x</span></div>'
    page = f"<!DOCTYPE html><html><body>{element(1, 'left', 'Ann', Q)}{element(2, 'right', 'me', A)}{notice}"
    assert said(read(tmp_path / "f.html", f"{page}{element(3, 'left', 'Ann', B)}</body></html>")) == [TALK]

    def listed(number: int, kind: int, sent: int, words: str) -> str:
        return f"{{ type:{kind}, text: '{words}',is_send:{sent},timestamp:170410000{number},displayname:'A{sent}'}},"

    script = f"const chatMessages = [{listed(0, 0, 0, 'today')}{listed(1, 1, 0, Q)}{listed(2, 1, 1, A)}"
    script += f"{listed(3, 3, 1, 'x.jpg')}{listed(4, 1, 0, B)}];"
    result = read(tmp_path / "g.html", f"<!DOCTYPE html><html><body><script>{script}</script></body></html>")
    assert said(result) == [TALK]
    assert (result.sources[0].system, result.sources[0].media) == (1, 1)


def test_mail_of_a_folder_is_threaded(tmp_path: Path) -> None:
    head = "From: {0} <{0}@x.org>\nTo: b@x.org\nDate: Mon, 01 Jan 2024 10:0{1}:00 +0000\nMessage-ID: <{1}@x>\n{2}\n{3}"
    quoted = f"{A}\n\n发件人： Ann\n发送时间： 2024年1月1日\n收件人： Bo\n主题： Lamp\n\n{Q}"
    outlook = f"{B}\n\n-----Original Message-----\nFrom: Bo\nSent: today\n\n{A}"
    (tmp_path / "m").mkdir()
    for number, (who, text) in enumerate([("Ann", Q), ("Bo", quoted), ("Ann", outlook)], 1):
        answers = f"In-Reply-To: <{number - 1}@x>\n" if number > 1 else ""
        mail = head.format(who, number, answers, text)
        (tmp_path / "m" / f"{number}.eml").write_text(mail, encoding="utf-8")
    assert said(read(tmp_path / "m")) == [TALK]
    for path in (tmp_path / "m").iterdir():  # without the headers that thread, by what it is about
        text = path.read_text(encoding="utf-8").replace("In-Reply-To", "X-Old")
        subject = "Subject: Lamp" if path.name == "1.eml" else "Subject: RE: Lamp"
        path.write_text(f"{subject}\n{text}", encoding="utf-8")
    assert said(read(tmp_path / "m")) == [TALK]


# Questions with options

LABELLED = [{"text": "here", "label": "1"}, {"text": "there", "label": "2"}]


@pytest.mark.parametrize(
    "value",
    [
        {"query": Q, "choices": ["here", "there"], "gold": 1},
        {"ctx": Q, "endings": ["here", "there"], "label": "1"},
        {"goal": Q, "sol1": "here", "sol2": "there", "label": 1},
        {"question": {"stem": Q, "choices": LABELLED}, "answerKey": "2"},
        {"question": Q, "choices": {"text": ["here", "there"], "label": ["A", "B"]}, "answerKey": "B"},
        {"question": Q, "options": {"A": "here", "B": "there"}, "answer_idx": "B"},
        {"question": Q, "A": "here", "B": "there", "answer": "B"},
        {"sentence": Q, "option1": "here", "option2": "there", "answer": "2"},
    ],
)  # fmt: skip
def test_questions_with_options(tmp_path: Path, value: object) -> None:
    assert said(read(tmp_path / "f.json", [value])) == [
        [("user", f"{Q}\nA. here\nB. there"), ("assistant", "B. there")]
    ]


def test_questions_with_options_about_a_text(tmp_path: Path) -> None:
    race = {
        "article": "A text.",
        "questions": [Q, "Why?"],
        "options": [["x", "y"], ["p", "q"]],
        "answers": ["B", "A"],
    }
    assert said(read(tmp_path / "f.json", [race])) == [
        [
            ("user", f"A text.\n{Q}\nA. x\nB. y"), ("assistant", "B. y"),
            ("user", "Why?\nA. p\nB. q"), ("assistant", "A. p"),
        ]
    ]  # fmt: skip
    rows = "".join(f"What is bird {i}?,one,two,three,four,{'ABCD'[i % 4]}\n" for i in range(8))
    first = said(read(tmp_path / "f.csv", rows))[0]
    assert first == [("user", "What is bird 0?\nA. one\nB. two\nC. three\nD. four"), ("assistant", "A. one")]
    assert said(read(tmp_path / "g.json", [{"context": "The bird", "continuation": " talks."}] * 2))[0] == [
        ("user", "The bird"),
        ("assistant", "talks."),
    ]


# Classes, translations, texts


def test_classes_in_json(tmp_path: Path) -> None:
    def labels(*values: object) -> list[str]:
        rows = [{"text": f"some text {i}", "labels": value} for i, value in enumerate(values)]
        return [r.label for r in read(tmp_path / "f.json", rows).records if isinstance(r, Labelled)]

    assert labels(["joy"], ["joy", "fear"], ["fear"], ["joy"]) == ["joy", "joy, fear", "fear", "joy"]
    cats = [{"text": f"some text {i}", "cats": {"POS": float(i % 2), "NEG": 1.0 - i % 2}} for i in range(4)]
    found = read(tmp_path / "g.json", cats).records
    assert [r.label for r in found if isinstance(r, Labelled)] == ["NEG", "POS", "NEG", "POS"]


def test_files_named_for_classes(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        (tmp_path / f"films.{label}").write_text(f"a {label} film\nanother one\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("pos\nneg\n", encoding="utf-8")
    result = read(tmp_path)
    assert [(r.text, r.label) for r in result.records if isinstance(r, Labelled)] == [
        ("a neg film", "neg"), ("another one", "neg"), ("a pos film", "pos"), ("another one", "pos"),
    ]  # fmt: skip


LINES = [f"the bird {'talks ' * (i % 7)}in house {i}" for i in range(40)]


def test_translations_in_several_languages(tmp_path: Path) -> None:
    for code in ("de", "en", "fr"):
        (tmp_path / f"t.{code}").write_text("".join(f"{code} {line}\n" for line in LINES), encoding="utf-8")
    result = read(tmp_path)
    assert [source.file for source in result.sources] == ["t.en + t.de", "t.en + t.fr"]
    assert len(result.records) == 2 * len(LINES)
    asked = read(tmp_path, languages=["fr", "de"]).records
    assert asked[0] == Pair(f"fr {LINES[0]}", f"de {LINES[0]}", "t.fr:1")
    assert len(asked) == len(LINES)
    with pytest.raises(ConfigError, match="files named for languages are in en, de, fr"):
        read(tmp_path, languages=["de", "it"])


def test_where_translations_part(tmp_path: Path) -> None:
    (tmp_path / "t.en").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    missing = [line for i, line in enumerate(LINES) if i != 20]
    (tmp_path / "t.de").write_text("".join(f"{line}\n" for line in missing), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"has 40 lines and t\.de 39; they part at about line (?:19|20|21|22),"
    ):
        read(tmp_path)


def test_captions_in_two_languages(tmp_path: Path) -> None:
    (tmp_path / "x.en.srt").write_text(captions(["Hello", "Who is there?", "A bird"]), encoding="utf-8")
    (tmp_path / "x.zh.srt").write_text(captions(["你好", "谁在那里？"]), encoding="utf-8")
    result = read(tmp_path)
    assert [record.texts for record in result.records] == [("Hello", "你好"), ("Who is there?", "谁在那里？")]
    assert len(result.rejected) == 1


def test_units_of_xliff_and_sentences_of_treebanks(tmp_path: Path) -> None:
    unit = '<trans-unit id="{0}"><source>Open <g id="1">file</g> {0}</source>{1}</trans-unit>'
    units = unit.format(1, "<target>Datei 1 öffnen</target>") + unit.format(2, "")
    xliff = f'<?xml version="1.0"?><xliff version="1.2"><file source-language="en"><body>{units}</body></file></xliff>'
    result = read(tmp_path / "f.xlf", xliff)
    assert [r.texts for r in result.records] == [("Open file 1", "Datei 1 öffnen")]
    assert [r.reason for r in result.rejected] == ["not translated"]
    words = [("1-2", "Im", "SpaceAfter=No"), ("1", "In", "_"), ("2", "dem", "_"), ("3", "!", "_")]
    tree = "".join(f"{n}\t{w}\t{'_' * 1}" + "\t_" * 6 + f"\t{m}\n" for n, w, m in words)
    assert read(tmp_path / "f.conllu", f"# sent_id = 1\n{tree}\n# text = Da ist er.\n{tree}\n").records[
        0
    ].texts == ("Im!\nDa ist er.\n",)


def test_tagged_words_are_sentences(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- -X- O\n\nAnn NNP B-NP B-PER\nlives VBZ B-VP O\nin IN B-PP O\nGraz NNP B-NP B-LOC\n"
    result = read(tmp_path / "f.txt", text + ". . O O\n\nBo NNP B-NP B-PER\ntalks VBZ B-VP O\n")
    assert result.records[0].texts == ("Ann lives in Graz .\nBo talks\n",)
    chinese = "我 O\n在 O\n北 B-LOC\n京 I-LOC\n住 O\n\n你 O\n呢 O\n"
    assert read(tmp_path / "g.txt", chinese).records[0].texts == ("我在北京住\n你呢\n",)


def test_dates_of_chats_in_arabic_and_korean(tmp_path: Path) -> None:
    arabic = (
        "‏٤/‏٣/٢٠٢٤، ٩:١٢\xa0ص - أحمد: هل أنتم مفتوحون اليوم؟\n‏٤/‏٣/٢٠٢٤، ٩:١٣\xa0ص - المتجر: نعم حتى السادسة\n"
    )
    found = read(tmp_path / "f.txt", arabic * 2)
    assert isinstance(found.records[0], Conversation)
    assert found.records[0].messages[0].time.startswith("2024-03-04T09:12")
    korean = "24. 3. 4. 오전 9:12 - 철수: 오늘 영업하나요?\n24. 3. 4. 오후 1:13 - 가게: 네, 6시까지요\n"
    found = read(tmp_path / "g.txt", korean * 2)
    assert isinstance(found.records[0], Conversation)
    assert found.records[0].messages[0].time.startswith("2024-03-04T09:12")


def test_xml_without_a_declaration_and_feeds(tmp_path: Path) -> None:
    posts = "".join(f'<Post class="c{i % 2}">hello there <b>bird</b> {i}</Post>' for i in range(4))
    result = read(tmp_path / "f.xml", f"<Session><Posts>{posts}</Posts></Session>")
    first = result.records[0]
    assert isinstance(first, Labelled)
    assert (first.text, first.label) == ("hello there bird 0", "c0")
    words = "&lt;p&gt;The bird &lt;b&gt;talks&lt;/b&gt;.&lt;/p&gt;"
    item = f"<item><title>News</title><description>{words}</description></item>"
    feed = read(
        tmp_path / "g.xml", f'<rss version="2.0"><channel><title>x</title>{item}{item}</channel></rss>'
    )
    assert feed.records[0].texts == ("News\n\nThe bird talks.",)


def test_yaml_of_records_and_of_rasa(tmp_path: Path) -> None:
    assert (
        said(read(tmp_path / "f.yml", f"- question: {Q}\n  answer: {A}\n- question: x y\n  answer: z\n"))[0]
        == TALK[:2]
    )
    with pytest.raises(DataError, match="YAML without texts"):
        read(tmp_path / "g.yml", "version: '3.1'\nstories:\n- story: x\n  steps:\n  - intent: greet\n")


def test_books_of_project_gutenberg(tmp_path: Path) -> None:
    notice = "The Project Gutenberg Etext of Birds\n\nPlease read.\n"
    licence = (
        "\n\nEnd of the Project Gutenberg EBook of Birds\n\nTHE FULL PROJECT GUTENBERG LICENSE\nPLEASE READ\n"
    )
    body = "CHAPTER I\n\nThe bird talks.\n" * 20
    for start in (
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*",
        "*** START OF THE PROJECT GUTENBERG EBOOK BIRDS ***",
    ):
        text = f"{notice}\n{start}\n\n\nProduced by Ann and\nher friends\n\n{body}{licence}"
        kept = "".join(t for r in read(tmp_path / "f.txt", text).records for t in r.texts)
        assert kept.strip() == body.strip()


def test_a_broken_line_beside_judged_replies_is_listed(tmp_path: Path) -> None:
    rows = [{"prompt": Q, "completion": A, "label": good} for good in (True, False, True)]
    first, *others = map(json.dumps, rows)
    path = tmp_path / "judged.jsonl"
    path.write_text("\n".join([first, "{broken", *others]), encoding="utf-8")
    result = collect([path], CollectConfig())
    assert [r.place for r in result.records] == ["judged.jsonl:1", "judged.jsonl:4"]
    assert [(r.line, r.reason) for r in result.rejected] == [
        (2, "not JSON"), (3, "judged bad by who made the set")
    ]  # fmt: skip
