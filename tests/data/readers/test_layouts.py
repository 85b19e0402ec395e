"""Layouts of public data sets and of apps' exports, each in a few rows as they are published."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from mynah.data.collect.collector import collect
from mynah.data.layout import Columns
from mynah.data.records import Conversation, Document, Labelled, Pair, Record
from mynah.data.sources import CollectConfig
from mynah.errors import ConfigError, DataError

ENGLISH = ["where is my parcel", "the shop opens at nine", "please cancel it", "what a good book", "it rained all day"]  # fmt: skip
CHINESE = ["今天天气真不错", "请问怎么修改密码", "我的订单还没有到", "这家酒店服务很好", "我们准备去海边玩"]


def sentences(words: list[str], count: int) -> list[str]:
    rng = random.Random(0)
    return [f"{rng.choice(words)} {number}." for number in range(count)]


EN, ZH = sentences(ENGLISH, 400), sentences(CHINESE, 400)


def read(tmp_path: Path, files: dict[str, Any], assistant: tuple[str, ...] = ()) -> list[Record]:
    for name, content in files.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            path.write_text(text, encoding="utf-8")
    paths = [tmp_path / name for name in files]
    return collect(paths, CollectConfig(columns=Columns(assistant=assistant))).records


def turns(record: Record) -> list[tuple[str, str]]:
    assert isinstance(record, Conversation)
    return [(message.role, message.content) for message in record.messages]


def lines(values: list[str]) -> str:
    return "".join(f"{value}\n" for value in values)


# Chats

QQ = "消息记录（此消息记录为文本格式，不支持重新导入）\n\n" + "=" * 64 + "\n消息对象:小明\n" + "=" * 64 + "\n\n" + "".join(
    f"2021-01-01 10:{i:02}:00 {'小明(12345)' if i % 2 == 0 else '我'}\n{ZH[i]}\n\n" for i in range(10)
) + "2021-01-01 10:30:00 小明(12345)\n[图片]\n\n2021-01-01 10:31:00 系统消息(10000)\n小明撤回了一条消息\n"  # fmt: skip
DISCORD = "=" * 62 + "\nGuild: Birds\nChannel: general\n" + "=" * 62 + "\n\n" + "".join(
    f"[01-Jan-21 10:{i:02} AM] {'小明' if i % 2 == 0 else '我'}\n{ZH[i]}\n\n" for i in range(10)
) + "[01-Jan-21 10:30 AM] 小明\n\n{Attachments}\nhttps://example.org/a.png\n\n[01-Jan-21 10:31 AM] 小明\nJoined the server.\n"  # fmt: skip
IMESSAGE = "".join(
    f"Jan 01, 2021 10:{i:02}:00 AM\n{'小明' if i % 2 == 0 else '我'}\n{ZH[i]}\n\n" for i in range(10)
)
LINE = "[LINE] 與小明的聊天記錄\n儲存日期：2021/01/02 10:00\n\n2021/01/01（五）\n" + "".join(
    f"上午10:{i:02}\t{'小明' if i % 2 == 0 else '我'}\t{ZH[i]}\n" for i in range(10)
) + "上午10:30\t小明\t[貼圖]\n上午10:31\t小明已收回訊息\n"  # fmt: skip
KAKAO = "Ann 님과 카카오톡 대화\n저장한 날짜 : 2021-01-02 10:00:00\n\n--------------- 2021년 1월 1일 금요일 ---------------\n" + "".join(
    f"[{'小明' if i % 2 == 0 else '我'}] [오전 10:{i:02}] {ZH[i]}\n" for i in range(10)
) + "[小明] [오전 10:30] 사진\n"  # fmt: skip
KAKAO_ENGLISH = "--------------- Friday, January 1, 2021 ---------------\n" + "".join(
    f"[{'小明' if i % 2 == 0 else '我'}] [10:{i:02} AM] {ZH[i]}\n" for i in range(10)
)
KAKAO_PHONE = "2021년 1월 1일 오전 10:00\n" + "".join(
    f"2021년 1월 1일 오전 10:{i:02}, {'小明' if i % 2 == 0 else '我'} : {ZH[i]}\n" for i in range(10)
)
KAKAO_TABLE = "Date,User,Message\n" + "".join(
    f'2021-01-01 10:{i:02}:00,"{"小明" if i % 2 == 0 else "我"}","{ZH[i]}"\n' for i in range(10)
)
SKYPE = {"userId": "8:me", "conversations": [{"id": "8:ming", "displayName": "小明", "MessageList": [
    {"id": "x", "displayName": "小明", "originalarrivaltime": "2021-01-01T10:30:00Z", "messagetype": "ThreadActivity/AddMember",
     "content": "<x/>", "from": "8:ming"}, *({"id": str(i), "displayName": "小明" if i % 2 == 0 else None,
     "originalarrivaltime": f"2021-01-01T10:{i:02}:00Z", "messagetype": "RichText", "content": f"<b>{ZH[i]}</b>",
     "from": "8:ming" if i % 2 == 0 else "8:我"} for i in reversed(range(10)))]}]}  # fmt: skip
GOOGLE = {"messages": [{"creator": {"name": "小明" if i % 2 == 0 else "我", "email": "a@example.org"},
    "created_date": f"Friday, January 1, 2021 at 10:{i:02}:00\u202fAM UTC", "text": ZH[i]} for i in range(10)]}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [QQ, DISCORD, IMESSAGE, LINE, KAKAO, KAKAO_ENGLISH, KAKAO_PHONE, KAKAO_TABLE, SKYPE, GOOGLE],
    ids="qq discord imessage line kakao kakao-english kakao-phone kakao-table skype google".split(),
)
def test_chat_apps(tmp_path: Path, content: Any) -> None:
    name = "chat.csv" if content is KAKAO_TABLE else "chat.txt"
    (conversation,) = read(tmp_path, {name: content}, assistant=("我",))
    assert turns(conversation) == [(("user", "assistant")[i % 2], ZH[i]) for i in range(10)]
    assert isinstance(conversation, Conversation)
    assert [m.time[:16] for m in conversation.messages] == [f"2021-01-01T10:{i:02}" for i in range(10)]


def test_a_line_message_of_several_lines(tmp_path: Path) -> None:
    text = LINE + '上午10:40\t小明\t"first\nsecond ""quoted"" word"\n上午10:41\t我\tfine\n'
    (conversation,) = read(tmp_path, {"chat.txt": text}, assistant=("我",))
    assert turns(conversation)[-2:] == [("user", 'first\nsecond "quoted" word'), ("assistant", "fine")]


@pytest.mark.parametrize(
    "text",
    [
        "Mensagem apagada", "Questo messaggio è stato eliminato", "imagem ocultada", "afbeelding weggelaten",
        "Данное сообщение удалено", "このメッセージは削除されました", "Bu mesaj silindi", "圖片已略去", "此訊息已刪除",
    ],
)  # fmt: skip
def test_placeholders_of_other_languages(tmp_path: Path, text: str) -> None:
    head = "31/12/2023, 21:0"
    chat = f"{head}5 - Ann: hi\n{head}6 - Bob: {text}\n{head}7 - Bob: hello\n"
    (conversation,) = read(tmp_path, {"chat.txt": chat})
    assert [text for _, text in turns(conversation)] == ["hi", "hello"]


def test_what_the_app_says_is_no_message(tmp_path: Path) -> None:
    line = LINE + "上午10:42\t\t小明已收回訊息\n上午10:43\t我\t好\n"
    first, second = map(turns, read(tmp_path, {"line.txt": line}, assistant=("我",)))
    assert first[-1] == ("assistant", ZH[9])
    assert second == [("assistant", "好")]  # the sticker before it was left out
    kakao = (
        KAKAO_TABLE
        + '2021-01-01 10:20:00,"小明","Photo"\n2021-01-01 10:21:00,"小明","小明 joined this chatroom."\n'
    )
    assert len(turns(read(tmp_path, {"kakao.csv": kakao}, assistant=("我",))[0])) == 10
    discord = DISCORD + "[01-Jan-21 10:40 AM] 我 (pinned)\nlast\n"
    assert turns(read(tmp_path, {"d.txt": discord}, assistant=("我",))[-1]) == [("assistant", "last")]
    words = ["hi", "Ann reacted \u2764 to your message", "You sent an attachment.", "I sent a photo to you yesterday", "Bo missed your call."]  # fmt: skip
    messages = [{"sender_name": ("Bo", "Ann")[i % 2], "timestamp_ms": 1_700_000_000_000 + i, "content": word} for i, word in enumerate(words)]  # fmt: skip
    (chat,) = read(tmp_path, {"m.json": {"participants": [{"name": "Ann"}], "messages": messages}})
    assert [text for _, text in turns(chat)] == ["hi", "I sent a photo to you yesterday"]
    head = "31/12/2023, 21:0"
    calls = f"{head}5 - Ann: hi\n{head}6 - Bob: Missed voice call\n{head}7 - Bob: video call me later\n"
    assert [text for _, text in turns(read(tmp_path, {"w.txt": calls})[0])] == ["hi", "video call me later"]


def test_replies_and_reactions_of_imessage_are_no_words(tmp_path: Path) -> None:
    chat = IMESSAGE + (
        "Jan 01, 2021 10:20:00 AM\nMe\nlook at this\nattachments/12/IMG_1.jpeg\nTapbacks:\n    Loved by 小明\n"
        "    Jan 01, 2021 10:21:00 AM\n    小明\n    nice\n\n"
        "Jan 01, 2021 10:21:00 AM\n小明\nThis message responded to an earlier message.\nnice\n\n"
    )
    (conversation,) = read(tmp_path, {"i.txt": chat}, assistant=("Me",))
    assert turns(conversation)[-2:] == [("assistant", "look at this"), ("user", "nice")]


def test_me_need_not_speak_in_every_chat(tmp_path: Path) -> None:
    files = {
        name: "".join(f"31/12/2023, 21:0{i} - {who}: {EN[i]}\n" for i, who in enumerate(speakers))
        for name, speakers in (("a.txt", ("Ann", "Bob", "Ann")), ("b.txt", ("Cid", "Dan", "Cid")))
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    paths = [tmp_path / name for name in files]
    found = collect(paths, CollectConfig(columns=Columns(assistant=("Ann",))))
    assert [record.place for record in found.records] == ["a.txt:1", "b.txt:1"]
    assert "none of --me Ann speaks here; assistant = " in found.sources[1].layout
    with pytest.raises(ConfigError, match="--me Ann: speaks nowhere"):
        collect(paths[1:], CollectConfig(columns=Columns(assistant=("Ann",))))


def test_in_a_group_who_says_most_is_the_assistant(tmp_path: Path) -> None:
    who = ["Zoe", "Ann", "Bob", "Ann", "Cid", "Ann", "Dan"]
    text = "".join(f"31/12/2023, 21:0{i} - {name}: {EN[i]}\n" for i, name in enumerate(who))
    (tmp_path / "g.txt").write_text(text, encoding="utf-8")
    assert "assistant = Ann" in collect([tmp_path / "g.txt"], CollectConfig()).sources[0].layout


CHATGPT = [{"title": "t", "current_node": "c", "mapping": {
    "root": {"id": "root", "message": None, "parent": None},
    "a": {"message": {"author": {"role": "user"}, "content": {"content_type": "text", "parts": [EN[0]]}}, "parent": "root"},
    "b": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["another try"]}}, "parent": "a"},
    "c": {"message": {"author": {"role": "assistant"}, "content": {"parts": [EN[1]]}}, "parent": "a"}}}]  # fmt: skip
CLAUDE = [{"uuid": "x", "name": "n", "chat_messages": [{"text": EN[0], "sender": "human"}, {"text": EN[1], "sender": "assistant"}]}]  # fmt: skip
OASST = [{"message_tree_id": "1", "prompt": {"text": EN[0], "role": "prompter", "replies": [
    {"text": "worse", "role": "assistant", "rank": 1, "replies": []},
    {"text": EN[1], "role": "assistant", "rank": 0, "replies": []}]}}]  # fmt: skip
BLENDED = [{"personas": [["a"], ["b"]], "context": "x", "dialog": [[0, EN[0]], [1, EN[1]]]}]
NATURAL = [{"dialog_id": "0_1", "document_id": 0, "content": [EN[0], EN[1]]}]
PARLAI = f"1 your persona: i like tea\n2 your persona: i sing\n3 {EN[0]}\t{EN[1]}\t\tno|yes\n" + lines(
    [f"{1 + i % 2} {EN[2 * i]}\t{EN[2 * i + 1]}" for i in range(2, 10)]
)
DOUBAN = f"1\t{EN[0]}\t{EN[1]}\n" + lines(
    [f"{i % 2}\t" + "\t".join(EN[5 * i : 5 * i + 2 + i % 4]) for i in range(1, 20)]
)


@pytest.mark.parametrize(
    "content",
    [CHATGPT, CLAUDE, OASST, BLENDED, NATURAL, DOUBAN],
    ids="chatgpt claude oasst blended natural douban".split(),
)
def test_dialogues(tmp_path: Path, content: Any) -> None:
    assert turns(read(tmp_path, {"data": content})[0]) == [("user", EN[0]), ("assistant", EN[1])]


@pytest.mark.parametrize("content", [CHATGPT, OASST], ids=["chatgpt", "oasst"])
def test_branches_that_are_not_taken_are_in_the_account(tmp_path: Path, content: Any) -> None:
    (tmp_path / "tree.json").write_text(json.dumps(content), encoding="utf-8")
    (left,) = collect([tmp_path / "tree.json"], CollectConfig()).rejected
    assert (left.reason, left.line, left.bad) == ("a branch that was not taken", 1, False)


def test_what_programs_say_is_in_the_account(tmp_path: Path) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    told = [{"role": "user", "content": EN[0]}, called, {"role": "tool", "content": "42"}]
    chat = [{"messages": [*told, {"role": "assistant", "content": EN[1]}]}]
    (tmp_path / "tools.json").write_text(json.dumps(chat), encoding="utf-8")
    found = collect([tmp_path / "tools.json"], CollectConfig())
    assert turns(found.records[0]) == [("user", EN[0]), ("assistant", EN[1])]
    assert [item.reason for item in found.rejected] == ["what a program was told or answered"] * 2


def test_turns_are_counted_once_and_bad_rows_as_such(tmp_path: Path) -> None:
    tool, empty = {"role": "tool", "content": "42"}, {"role": "assistant", "content": None}
    asked, reply = {"role": "user", "content": EN[0]}, {"role": "assistant", "content": EN[1]}
    bad, good = {"messages": [asked, tool, tool, empty]}, {"messages": [asked, tool, reply]}

    def found(values: list[Any]) -> list[str]:
        (tmp_path / "x.json").write_text(json.dumps(values), encoding="utf-8")
        return [item.reason for item in collect([tmp_path / "x.json"], CollectConfig()).rejected]

    program = "what a program was told or answered"
    assert found([good, bad, good]) == [program, "a turn has no text", program]
    with pytest.raises(DataError, match="2 of 3 rows are bad"):
        found([bad, bad, good])
    assert (
        found(
            [{"chosen": [asked, tool, reply], "rejected": [asked, tool, tool, {**reply, "content": EN[2]}]}]
        )
        == [program] * 2
    )
    to_browser = {"author": {"role": "assistant"}, "recipient": "browser", "content": {"parts": ["search"]}}
    chatgpt = copy.deepcopy(CHATGPT)
    chatgpt[0]["mapping"] |= {"t": {"message": to_browser, "parent": "a"}}
    chatgpt[0]["mapping"]["c"]["parent"] = "t"
    assert found(chatgpt) == ["a branch that was not taken", program]


@pytest.mark.parametrize("replies", [5, "x", {"a": 1}, [5, None]])
def test_trees_of_odd_replies(tmp_path: Path, replies: Any) -> None:
    tree = copy.deepcopy(OASST)
    tree[0]["prompt"]["replies"][0]["replies"] = tree[0]["prompt"]["replies"][1]["replies"] = replies
    tree[0]["prompt"]["replies"][0]["rank"] = float("nan")
    assert turns(read(tmp_path, {"tree.json": tree})[0]) == [("user", EN[0]), ("assistant", EN[1])]


def test_content_tells_a_table_and_a_corpus_not_the_ending(tmp_path: Path) -> None:
    for delimiter in ",;|":
        rows = "".join(f"{EN[2 * i]}{delimiter}{EN[2 * i + 1]}\n" for i in range(10)).replace("'", "")
        (pair, *_) = read(tmp_path, {"faq.txt": f"question{delimiter}answer\n{rows}"})
        assert isinstance(pair, Conversation)
    prose = "A text, answer it, has commas, and lines.\nSo it has, question it, or do not, at all.\n" * 20
    assert isinstance(read(tmp_path, {"prose.txt": prose})[0], Document)
    corpus = f"categories:\n- shop\nconversations:\n- - {EN[0]}\n  - {EN[1]}\n"
    assert turns(read(tmp_path, {"corpus": corpus})[0]) == [("user", EN[0]), ("assistant", EN[1])]


def test_the_parts_of_a_set_in_one_json_object(tmp_path: Path) -> None:
    def rows_from(first: int) -> list[dict[str, str]]:
        return [{"question": EN[i], "answer": EN[i + 1]} for i in range(first, first + 8, 2)]

    records = read(tmp_path, {"set.json": {"version": 1, "train": rows_from(0), "test": rows_from(8)}})
    assert [turns(record)[0][1] for record in records] == EN[0:16:2]


def test_topics_of_google_chat_stand_apart(tmp_path: Path) -> None:
    said = [("Ann", "a", 0), ("Bob", "b", 1), ("Cid", "a", 2), ("Dan", "b", 3)]  # who, topic, number
    messages = [
        {"creator": {"name": who}, "created_date": f"Friday, May 5, 2023 at 6:2{i}:00 PM UTC", "text": EN[i],
         "topic_id": topic, "message_id": f"s/{topic}/{i}"} for who, topic, i in said
    ]  # fmt: skip
    one, other = read(tmp_path, {"messages.json": {"messages": messages}})
    assert [text for _, text in turns(one)] == [EN[0], EN[2]]
    assert [text for _, text in turns(other)] == [EN[1], EN[3]]


def test_what_skype_repeats_of_an_answered_message_is_left_out(tmp_path: Path) -> None:
    quote = f'<quote author="a"><legacyquote>[1] Ann: </legacyquote>{EN[0]}<legacyquote>&lt;&lt;&lt; </legacyquote></quote>'
    nested = f'<quote author="b">{quote} of old</quote>'
    edited = quote + '<e_m a="8:x" ts_ms="1" ts="1" t="61"></e_m>'
    said = [("8:ann", EN[0]), ("8:bob", quote + EN[1]), ("8:ann", edited), ("8:bob", nested + EN[3])]
    messages = [
        {"id": str(i), "messagetype": "RichText", "originalarrivaltime": f"2023-05-05T18:2{i}:00Z", "from": who,
         "content": text} for i, (who, text) in enumerate(said)
    ]  # fmt: skip
    export = {"userId": "8:ann", "conversations": [{"id": "8:bob", "MessageList": messages}]}
    (chat,) = read(tmp_path, {"skype.json": export})
    assert [text for _, text in turns(chat)][:2] == [EN[0], EN[1]]
    assert EN[0] in turns(chat)[2][1]  # forwarded, nothing added: kept
    assert turns(chat)[3][1] == EN[3]


def test_times_of_irc_where_the_day_is_known(tmp_path: Path) -> None:
    body = "9:59 <ann> anyone here who knows tin whistles\n10:01 <bob> ann: yes, what about them\n"
    changed = "--- Day changed Tue Jan 05 2021\n00:03 <ann> bob: how do you tune one\n"
    for name, text, times in (
        ("2020-12-25.txt", body, ["2020-12-25T09:59:00+00:00", "2020-12-25T10:01:00+00:00"]),
        ("log.txt", f"--- Log opened Mon Jan 04 09:58:00 2021\n{body}{changed}", [
            "2021-01-04T09:59:00+00:00", "2021-01-04T10:01:00+00:00", "2021-01-05T00:03:00+00:00"]),
        ("log.txt", f"--- Log opened Mon Jan 04 09:58:00 2021\n--- Day changed Di Jan 05 2021\n{body}", ["", ""]),
        ("x-20201225.log", "23:59 <ann> anyone here\n00:01 <bob> ann: yes\n23:58 <ann> bob: so long\n23:57 <bob> ann: bye\n", [
            "2020-12-25T23:59:00+00:00", "2020-12-26T00:01:00+00:00", "2020-12-26T23:58:00+00:00", "2020-12-26T23:58:00+00:00"]),
        ("none.txt", body, ["", ""]),
    ):  # fmt: skip
        (chat,) = read(tmp_path, {name: text})
        assert isinstance(chat, Conversation)
        assert [m.time for m in chat.messages] == times


def test_numbered_exchanges_with_personas(tmp_path: Path) -> None:
    records = read(tmp_path, {"train.txt": PARLAI})
    assert turns(records[0]) == [("system", "i like tea\ni sing"), ("user", EN[0]), ("assistant", EN[1])]
    assert len(records) == 5
    story = "1 Mary went to the garden.\n2 John went home.\n3 Where is Mary?\tgarden\t1\n" * 4
    assert turns(read(tmp_path, {"babi.txt": story})[0]) == [
        ("user", "Mary went to the garden.\nJohn went home.\nWhere is Mary?"),
        ("assistant", "garden"),
    ]


def test_marked_wrong_replies_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "douban.txt").write_text(DOUBAN, encoding="utf-8")
    found = collect([tmp_path / "douban.txt"], CollectConfig())
    assert len(found.records) + len(found.rejected) == 20
    assert {item.reason for item in found.rejected} == {"marked as a wrong reply"}


FORUM = '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n' + "".join(
    f'<row Id="{2 * i + 1}" PostTypeId="1" Title="{EN[i]}" Body="&lt;p&gt;why&lt;/p&gt;" OwnerUserId="{i}" />\n'
    f'<row Id="{2 * i + 2}" PostTypeId="2" ParentId="{2 * i + 1}" Body="&lt;p&gt;{EN[i + 50]}&lt;/p&gt;" OwnerUserId="{i + 90}" />\n'
    for i in range(20)
) + "</posts>\n"  # fmt: skip


def test_forums_and_threads_of_comments(tmp_path: Path) -> None:
    records = read(tmp_path, {"Posts.xml": FORUM})
    assert len(records) == 20
    assert turns(records[0]) == [("user", f"{EN[0]}\n\nwhy"), ("assistant", EN[50])]
    comments = [
        {"id": f"c{i}", "parent_id": f"t1_c{i - 1}" if i % 4 else f"t3_x{i}", "link_id": f"t3_x{i // 4 * 4}",
         "author": f"u{i % 3}", "body": EN[i], "created_utc": 1_500_000_000 + i} for i in range(40)
    ]  # fmt: skip
    assert len(read(tmp_path, {"reddit.jsonl": lines([json.dumps(c) for c in comments])})) == 10


def test_line_by_line(tmp_path: Path) -> None:
    posts = {"weibo_post.txt": lines(ZH[:30]), "weibo_response.txt": lines(ZH[30:60])}
    assert turns(read(tmp_path, posts)[0]) == [("user", ZH[0]), ("assistant", ZH[30])]
    labels = {"train_text.txt": lines(EN[:30]), "train_labels.txt": lines([str(i % 3) for i in range(30)])}
    assert read(tmp_path, labels)[1] == Labelled(EN[1], "1", "train_text.txt:2")
    sides = {"a-src.txt": lines(EN[:30]), "a-tgt.txt": lines(ZH[:30])}
    assert read(tmp_path, sides)[0] == Pair(EN[0], ZH[0], "a-src.txt:1")
    shared_task = {
        f"news-{part}.{code}.sgm": f'<{part}set setid="n">\n<doc docid="d">\n'
        + lines([f'<seg id="{i}">{words[i]} &amp; more</seg>' for i in range(20)])
        + f"</doc>\n</{part}set>\n"
        for part, code, words in (("src", "en", EN), ("ref", "zh", ZH))
    }
    records = read(tmp_path, shared_task)
    assert len(records) == 20
    assert records[0].texts == (f"{EN[0]} & more", f"{ZH[0]} & more")


# Classes

TWEETS = "".join(f'"{4 * (i % 2)}","14678{i}","Mon Apr 06 22:19:{i:02} PDT 2009","NO_QUERY","user{i}","{EN[i]}"\n' for i in range(40))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "first"),
    [
        ("train.label", lines([f"{('DESC:manner', 'HUM:ind')[i % 2]} {EN[i]}" for i in range(40)]), (EN[0], "DESC:manner")),
        ("toutiao.txt", lines([f"65{i}_!_{100 + i % 2}_!_news_{('tech', 'story')[i % 2]}_!_{ZH[i]}_!_词,语" for i in range(40)]),
         (ZH[0], "news_tech")),
        ("spam.csv", ("v1,v2,,,\n" + "".join(f"{('ham', 'spam')[i % 2]},{EN[i]} \xa3,,,\n" for i in range(40))).encode("latin-1"),
         (f"{EN[0]} £", "ham")),
        ("tweets.csv", TWEETS, (EN[0], "0")),
        ("news.csv", "Class Index,Title,Description\n" + lines([f"{1 + i % 4},{EN[i]},{EN[i + 50]}" for i in range(40)]),
         (f"{EN[0]}\n{EN[50]}", "1")),
        ("yelp.json", lines([json.dumps({"user_id": "u", "stars": 1.0 + i % 5, "text": EN[i], "date": "2018-01-01 10:00:00"})
         for i in range(40)]), (EN[0], "1.0")),
        ("mnli.jsonl", lines([json.dumps({"sentence1": EN[i], "sentence2": EN[i + 50], "gold_label": ("yes", "no")[i % 2]})
         for i in range(40)]), (f"{EN[0]}\n{EN[50]}", "yes")),
        ("fast.txt", lines([f"__label__{'ab'[i % 2]} __label__c {EN[i]}" for i in range(40)]), (EN[0], "a")),
    ],
)  # fmt: skip
def test_classes(tmp_path: Path, name: str, content: Any, first: tuple[str, str]) -> None:
    records = read(tmp_path, {name: content})
    assert len(records) == 40
    assert isinstance(records[0], Labelled)
    assert (records[0].text, records[0].label) == first


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", lines([f"{EN[i]} | {EN[i + 50]}" for i in range(40)])),
        ("medical.csv", "department,title,ask,answer\n" + lines([f"x,y,{EN[i]},{EN[i + 50]}" for i in range(40)])),
        ("baike.json", lines([json.dumps({"qid": i, "category": "健康", "title": EN[i], "answer": EN[i + 50]}) for i in range(40)])),
        ("tickets.csv", "Ticket,Subject,Resolution\n" + lines([f"{i},{EN[i]},{EN[i + 50]}" for i in range(40)])),
        ("hc3.jsonl", lines([json.dumps({"question": EN[i], "human_answers": ["x y"], "chatgpt_answers": [EN[i + 50]]}) for i in range(40)])),
    ],
)  # fmt: skip
def test_questions_and_answers(tmp_path: Path, name: str, content: str) -> None:
    records = read(tmp_path, {name: content})
    assert len(records) == 40
    assert turns(records[0]) == [("user", EN[0]), ("assistant", EN[50])]


# Documents


def test_subtitles_settings_notebooks_and_rtf(tmp_path: Path) -> None:
    def text(name: str, content: Any) -> str:
        records = read(tmp_path, {name: content})
        assert all(isinstance(record, Document) for record in records)
        return "".join(record.texts[0] for record in records)

    captions = "".join(
        f"{i}\n00:00:{i:02},000 --> 00:00:{i:02},900\n<i>{EN[i]}</i>\n\n" for i in range(1, 20)
    )
    assert text("film.srt", captions).split("\n\n")[:2] == EN[1:3]
    talk = "WEBVTT\n\n" + "".join(
        f"00:{i:02}.000 --> 00:{i:02}.900\n<v Ann>{EN[i]}\n\n" for i in range(1, 20)
    )
    assert text("talk.vtt", talk).startswith(f"Ann: {EN[1]}\n")
    page = f'---\ntitle: "Hello"\ntags: [a]\n---\n\n{EN[0]}\n'
    assert text("page.md", page).split() == ["#", "Hello", *EN[0].split()]
    assert text("rule.md", f"---\n\nNo settings: here is prose\n\n---\n\n{EN[0]}\n").startswith("---")
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", EN[0]]},
        {"cell_type": "code", "source": "x = 1"},
    ]
    assert text("work.ipynb", {"cells": cells, "nbformat": 4}) == f"# Title\n{EN[0]}\n\nx = 1\n\n"
    pytest.importorskip("striprtf", reason="needs the extra 'documents'")
    assert (
        text("letter.rtf", r"{\rtf1\ansi {\fonttbl{\f0 Times;}}\f0 Caf\'e9 one.\par Two.}")
        == "Café one.\nTwo."
    )


def test_gettext(tmp_path: Path) -> None:
    catalogue = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain\\n"\n\n' + "".join(
        f'#: a.c:{i}\nmsgid ""\n"{EN[i]}"\nmsgstr "{ZH[i]}"\n\n' for i in range(5)
    )
    catalogue += (
        '#, fuzzy\nmsgid "x"\nmsgstr "y"\n\nmsgid "%d bird"\nmsgid_plural "%d birds"\nmsgstr[0] "%d 只鸟"\n'
    )
    records = read(tmp_path, {"zh.po": catalogue})
    assert [record.texts for record in records] == [*zip(EN[:5], ZH[:5], strict=True), ("%d bird", "%d 只鸟")]


# What is none of these


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("how.md", "# Captions\n\n    00:00:01,000 --> 00:00:02,000\n    Hello\n\n" + "A paragraph of prose.\n\n" * 40),
        ("po.md", '# Headers\n\n```\nmsgid ""\nmsgstr ""\n```\n\n' + "A paragraph of prose.\n\n" * 40),
        ("diary.txt", lines([f"2023-12-{i:02} 10:00 - Went to the park.\nIt was nice." for i in range(10, 25)])),
        ("app.log", lines([f"2024-01-31 10:00:{i:02} - INFO: Started worker {i}" for i in range(10, 30)])),
        ("web.log", lines([f"[2024-01-31 10:00:{i:02}] module.sub: Started worker {i}" for i in range(10, 30)])),
        ("out.log", lines([f"2024-01-31 10:00:{i:02} ERROR: Stopped worker {i}" for i in range(10, 30)])),
        ("conf.ini", lines([f"name: x{i}\nhost: y{i}\nport: {i}" for i in range(6)])),
        ("changes.txt", lines([f"[2023-12-{i} 10:00] Version {i}\nFixed it {i}\n" for i in range(10, 22)])),
        ("articles.json", [{"title": "x", "author": {"name": "Ann"}, "timestamp": "2024", "content": EN[i]} for i in range(12)]),
    ],
)  # fmt: skip
def test_what_only_looks_like_an_export_is_text(tmp_path: Path, name: str, content: Any) -> None:
    records = read(tmp_path, {name: content})
    assert all(isinstance(record, Document) for record in records)
    kept = "".join(record.texts[0] for record in records)
    assert (content if isinstance(content, str) else EN[11]).split()[-1] in kept


def test_day_and_month_are_told_by_the_whole_column(tmp_path: Path) -> None:
    """The first 2,000 rows are of the 1st to the 10th of December, which could be the 12th of ten months."""
    for form, name in (("12/{}/2023 {:02}:{:02}:00", "us.csv"), ("{}/12/2023 {:02}:{:02}:00", "eu.csv")):
        rows = [f"{form.format(1 + i // 200, i % 200 // 10, i % 60)},{'Ann Bob'.split()[i % 2]},hi {i}" for i in range(3000)]  # fmt: skip
        (tmp_path / name).write_text("time,user,message\n" + lines(rows), encoding="utf-8")
        records = collect([tmp_path / name], CollectConfig()).records
        times = [m.time for r in records if isinstance(r, Conversation) for m in r.messages]
        assert {time[:7] for time in times} == {"2023-12"}
        assert times[0][:10] == "2023-12-01"


def test_hours_of_one_digit(tmp_path: Path) -> None:
    chat = "".join(f"2023-12-31 9:0{i}:07 {('Ann(1234567)', 'Bob')[i % 2]}\nTopic: birds {i}\nBefore: noon\n\n" for i in range(8))  # fmt: skip
    (conversation,) = read(tmp_path, {"q.txt": chat})
    assert turns(conversation)[0][1] == "Topic: birds 0\nBefore: noon"
    assert isinstance(conversation, Conversation)
    assert conversation.messages[1].time == "2023-12-31T09:01:07+00:00"


def test_other_layouts_of_instructions(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": EN[0]}]
    said = [{"role": "assistant", "content": EN[1]}]
    (preference,) = read(tmp_path, {"p.json": [{"prompt": asked, "chosen": said, "rejected": [{"role": "assistant", "content": "no"}]}]})  # fmt: skip
    assert preference.texts == (EN[0], EN[1], "no")
    assert turns(read(tmp_path, {"c.json": [{"prompt": asked, "completion": said}]})[0]) == [("user", EN[0]), ("assistant", EN[1])]  # fmt: skip
    told = [{"instruction": EN[2], "input": "", "output": EN[3], "system": "be nice", "history": [[EN[0], EN[1]]]}]  # fmt: skip
    assert turns(read(tmp_path, {"h.json": told})[0]) == [("system", "be nice"), ("user", EN[0]), ("assistant", EN[1]), ("user", EN[2]), ("assistant", EN[3])]  # fmt: skip
