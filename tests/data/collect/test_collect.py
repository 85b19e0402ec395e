from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from mynah.data.collect.collector import CollectConfig, Collected, collect
from mynah.data.records import Conversation, Document, Message, Preference
from mynah.errors import ConfigError, DataError


def read(path: Path, text: str, **config: object) -> Collected:
    path.write_text(text, encoding="utf-8", newline="")
    return collect([path], CollectConfig(**config))  # type: ignore[arg-type]


def turns(result: Collected) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in r.messages] for r in result.records if isinstance(r, Conversation)]


def test_messages_by_conversation_and_speaker(tmp_path: Path) -> None:
    rows = "conversation_id,speaker,text\n1,customer,a\n2,customer,x\n1,agent,b\n1,agent,c\n2,agent,y\n"
    assert turns(read(tmp_path / "f.csv", rows)) == [
        [("user", "a"), ("assistant", "b\nc")],
        [("user", "x"), ("assistant", "y")],
    ]


def test_named_assistant(tmp_path: Path) -> None:
    rows = "chat_id,sender,message\n1,Ann,hi\n1,Bo,hello\n2,Bo,news?\n2,Ann,none\n"
    columns = {"assistant": ("Ann",)}
    assert turns(read(tmp_path / "f.csv", rows, columns=columns))[0] == [
        ("assistant", "hi"),
        ("user", "hello"),
    ]


def test_threads_from_reply_links_in_any_order(tmp_path: Path) -> None:
    # 4 answers 3 answers 1; 9 stands alone and names a parent that is not in the file; 5 and 6 are a cycle.
    rows = (
        "id,author,inbound,text,in_reply_to\n4,shop,False,sent,3\n3,u,True,when?,1.0\n1,shop,False,ordered,\n"
        "9,shop,False,hello,77\n5,u,True,x,6\n6,shop,False,y,5\n"
    )
    assert turns(read(tmp_path / "f.csv", rows)) == [
        [("assistant", "ordered"), ("user", "when?"), ("assistant", "sent")],
        [("assistant", "hello")],
        [("user", "x"), ("assistant", "y")],
    ]


def test_time_orders_a_thread(tmp_path: Path) -> None:
    rows = "chat_id,role,time,text\n1,assistant,2024-01-01T10:05,b\n1,user,2024-01-01T10:00,a\n"
    assert turns(read(tmp_path / "f.csv", rows)) == [[("user", "a"), ("assistant", "b")]]


def test_silence_cuts_a_log_without_ids(tmp_path: Path) -> None:
    rows = "sender,date,text\n" + "".join(
        f"{who},2024-01-0{day} 10:0{minute},t{day}{minute}\n"
        for day in (1, 2)
        for minute, who in enumerate(("Bo", "me"))
    )
    result = read(tmp_path / "f.csv", rows, columns={"assistant": ("me",)})
    assert turns(result) == [[("user", f"t{d}0"), ("assistant", f"t{d}1")] for d in (1, 2)]


def test_the_silence_that_cuts_can_be_told(tmp_path: Path) -> None:
    rows = ["time,speaker,text"]
    rows += [f"2024-05-01 1{hour}:00,{'AB'[hour % 2]},line {hour} of the log" for hour in range(4)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    assert len(collect([path], CollectConfig()).records) == 1
    assert len(collect([path], CollectConfig(gap_hours=0.5)).records) == 4


def test_json_layouts(tmp_path: Path) -> None:
    openai = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    sharegpt = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    wanted = [[("user", "a"), ("assistant", "b")]]
    for value in (openai, sharegpt):
        lines = json.dumps(value) + "\n" + json.dumps(value) + "\n"
        assert turns(read(tmp_path / "f.jsonl", lines)) == wanted * 2
        assert turns(read(tmp_path / "f.json", json.dumps([value], indent=1))) == wanted
        assert turns(read(tmp_path / "f.json", json.dumps({"data": [value]}))) == wanted


def test_preferences(tmp_path: Path) -> None:
    value = {
        "conversations": [{"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "z"},
    }
    result = read(tmp_path / "f.json", json.dumps([value]))
    assert result.records == [Preference((Message("user", "a"),), "b", "z", "f.json:1")]


def test_a_preference_that_prefers_nothing_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no" if n != 2 else " yes"} for n in range(5)]
    found = read(tmp_path / "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert len(found.records) == 4
    assert [(r.place, r.reason) for r in found.rejected] == [
        ("p.jsonl:3", "the better and the worse reply are the same")
    ]
    with pytest.raises(DataError, match="the better and the worse reply are the same"):
        read(tmp_path / "q.jsonl", json.dumps(rows[2]))


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add", "input": "1 2", "output": "3"},
        {"instruction": "Hi", "input": "", "output": "Ho"},
    ]
    assert turns(read(tmp_path / "f.json", json.dumps(rows))) == [
        [("user", "Add\n1 2"), ("assistant", "3")],
        [("user", "Hi"), ("assistant", "Ho")],
    ]


def test_plain_text_is_cut_at_blank_lines(tmp_path: Path) -> None:
    paragraph = "Some words, and more of them.\n" * 40 + "\n"
    result = read(tmp_path / "book.txt", paragraph * 5)
    texts = [r.text for r in result.records if isinstance(r, Document)]
    assert "".join(texts) == paragraph * 5
    assert len(texts) == 3


def test_chatterbot_yaml(tmp_path: Path) -> None:
    text = "categories:\n- x\nconversations:\n- - Hi\n  - Hello\n  - Bye\n- - lonely\n"
    result = read(tmp_path / "f.yml", text)
    assert turns(result) == [[("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]]
    assert result.rejected[0].line == 2


def test_cornell_needs_both_files(tmp_path: Path) -> None:
    lines, talks = tmp_path / "lines.txt", tmp_path / "talks.txt"
    lines.write_text("0 +++$+++ ann +++$+++ hi\n1 +++$+++ bo +++$+++ hello\n", encoding="utf-8")
    talks.write_text("0 +++$+++ ann +++$+++ bo +++$+++ [0, 1]\n", encoding="utf-8")
    result = collect([talks, lines], CollectConfig())
    assert turns(result) == [[("user", "hi"), ("assistant", "hello")]]
    with pytest.raises(DataError, match="two files"):
        collect([lines], CollectConfig())


# Bad input


def test_bad_rows_are_named_and_do_not_stop(tmp_path: Path) -> None:
    text = "question,answer\na,b\nonly one\nc,d\n,x\ne,\nf,g\nh,i\n"
    result = read(tmp_path / "f.csv", text)
    assert len(result.records) == 4
    assert [(r.line, r.reason) for r in result.rejected] == [
        (3, "1 fields found, 2 expected"),
        (5, "empty question"),
        (6, "empty answer"),
    ]


def test_more_than_half_bad_stops(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 of 4 rows are bad"):
        read(tmp_path / "f.csv", "question,answer\na,b\nx\ny\nz\n")


def test_quoted_line_breaks_and_a_huge_cell(tmp_path: Path) -> None:
    huge = "word " * 200_000
    result = read(tmp_path / "f.csv", f'question,answer\n"a\nb","c ""d"""\nq,"{huge}"\n')
    assert turns(result)[0] == [("user", "a\nb"), ("assistant", 'c "d"')]
    assert turns(result)[1][1][1] == huge.strip()


def test_a_quote_left_open_costs_its_own_row(tmp_path: Path) -> None:
    result = read(tmp_path / "f.csv", 'question,answer\na,b\nc,d\ne,"cut off in the mid')
    assert len(result.records) == 2
    assert result.rejected[0].line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,answer\n,\n,\n", "bad|no usable"),
        ("a,b,c\n1,2,3\n4,5,6\n", "columns: .*--text-column"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "f.csv", text)


def test_unknown_column_and_encoding(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--text-column words: no such column; columns: question, answer"):
        read(tmp_path / "f.csv", "question,answer\na,b\n", columns={"text": "words"})
    with pytest.raises(ConfigError, match="no such encoding"):
        read(tmp_path / "f.csv", "question,answer\na,b\n", encoding="utf-9")


def test_errors_and_rejections_never_quote_the_text(tmp_path: Path) -> None:
    secret = "my password is hunter2"
    result = read(tmp_path / "f.csv", f"question,answer\na,b\n{secret}\nc,d\n")
    assert "hunter2" not in repr(result.rejected)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "f.csv", f"question,answer\n{secret}\n{secret}\n")
    assert "hunter2" not in str(caught.value)


# Real files: what the detector says of them, by count


def test_twitter_roles(shared: Path) -> None:
    result = collect([shared / "chat_twitter_support_csv" / "twcs.csv"], CollectConfig())
    talks = [r for r in result.records if isinstance(r, Conversation)]
    assert sum(t.can_teach_replies for t in talks) > 0.9 * len(talks)
    assert {r.line for r in result.rejected} == {5001, 5002} or len(result.rejected) == 2


def test_an_open_quote_in_the_middle_costs_only_its_row(tmp_path: Path) -> None:
    rows = [f"q{i},a{i}\n" for i in range(50)]
    rows[10] = 'q10,"never closed\n'
    result = read(tmp_path / "f.csv", "question,answer\n" + "".join(rows))
    assert len(result.records) == 49
    assert [r.line for r in result.rejected] == [12]


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    assert turns(read(tmp_path / "f.csv", "\n\nquestion,answer\na,b\nc,d\n"))[0] == [
        ("user", "a"),
        ("assistant", "b"),
    ]


def test_json_lines_with_a_bad_or_a_huge_first_line(tmp_path: Path) -> None:
    good = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    result = read(tmp_path / "f.jsonl", '{"messages": [\n' + (good + "\n") * 3)
    assert len(result.records) == 3
    assert [r.line for r in result.rejected] == [1]
    huge = json.dumps({"question": "q", "answer": "word " * 50_000})
    assert len(read(tmp_path / "f.jsonl", huge + "\n" + huge + "\n").records) == 2


def test_odd_values_are_no_tracebacks(tmp_path: Path) -> None:
    talk = '{"messages": [{"role": "user", "content": "\\ud83d"}, {"role": "assistant", "content": "b"}]}\n'
    result = read(tmp_path / "f.jsonl", talk * 2)
    assert all("\ud83d" not in text for record in result.records for text in record.texts)
    tool = {"role": "assistant", "content": None, "tool_calls": [{}]}
    value = {"messages": [{"role": "user", "content": "a"}, tool, {"role": "assistant", "content": "b"}]}
    assert turns(read(tmp_path / "f.json", json.dumps([value]))) == [[("user", "a"), ("assistant", "b")]]
    for text in ('{"messages": 5, "conversations": [{"from": "human", "value": "a"}]}', "[" * 20_000):
        with contextlib.suppress(DataError):
            read(tmp_path / "f.json", text)
    yaml = "conversations:\n- - Yes\n  - 12:30\n- - 2024-99-99\n  - ''\n"
    assert turns(read(tmp_path / "f.yml", yaml)) == [[("user", "Yes"), ("assistant", "12:30")]]


def test_american_dates_are_read_as_one_column(tmp_path: Path) -> None:
    rows = "chat_id,role,date,text\n1,user,1/12/2024,a\n1,assistant,1/13/2024,b\n"
    assert turns(read(tmp_path / "f.csv", rows)) == [[("user", "a"), ("assistant", "b")]]


def test_rows_without_a_conversation_id_stay_apart(tmp_path: Path) -> None:
    rows = "chat_id,role,text\n,user,a\n,user,b\n1,user,c\n1,assistant,d\n"
    assert len(turns(read(tmp_path / "f.csv", rows))) == 3
