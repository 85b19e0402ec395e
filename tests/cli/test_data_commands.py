"""`mynah collect`, `clean` and `data ...` as a user runs them."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
from conftest import write_chats
from test_cli import mynah, refused

from mynah import artifacts
from mynah.artifacts import read_manifest
from mynah.data.records import Conversation, Message
from mynah.data.store import read_records
from mynah.data.summary.compare import difference
from mynah.pipeline.perplexity import RunPerplexity
from mynah.tokenizer.preview import preview

PERSONAL = "question,answer\nWhere is it?,Write to ann@mail.org or call 13812345678.\nWhen?,Ask John Smith.\n"


@pytest.fixture
def collected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "faq.csv").write_text(PERSONAL + "one field\n", encoding="utf-8")
    code, out, err = mynah("collect", tmp_path / "faq.csv", "-o", tmp_path / "faq", capsys=capsys)
    assert (code, err) == (0, "")
    assert "2 conversations, 1 rows rejected" in out
    return tmp_path / "faq"


def test_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"question {n},answer {n}\n" for n in "abcdefghijklmnopqrst")
    (tmp_path / "faq.csv").write_text(f"question,answer\n{rows}", encoding="utf-8")
    mynah("collect", tmp_path / "faq.csv", "-o", tmp_path / "faq", capsys=capsys)
    out = tmp_path / "parts"
    code, told, _ = mynah(
        "split", tmp_path / "faq", "-o", out, "--held-out", 0.25, "--set", "split.alike=false", capsys=capsys
    )
    assert code == 0
    train, held_out = ({r.place for r in read_records(out / name)} for name in ("train", "held_out"))
    assert len(train | held_out) == 20
    assert held_out
    assert not train & held_out
    assert f"{len(held_out)} " in told
    assert mynah("data", "show", out, "--dropped", capsys=capsys)[:2] == (0, "")
    assert "split by time" in refused(
        "split", tmp_path / "faq", "-o", tmp_path / "x", "--by", "time", capsys=capsys
    )
    assert (
        "already done"
        in mynah(
            "split",
            tmp_path / "faq",
            "-o",
            out,
            "--held-out",
            0.25,
            "--set",
            "split.alike=false",
            capsys=capsys,
        )[1]
    )


def test_collect_clean_show_diff_report(
    tmp_path: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = mynah("clean", collected, "-o", tmp_path / "tagged", "--personal", "tag", capsys=capsys)
    assert code == 0
    assert "changed  3 personal data" in out or "changed  2 personal data" in out
    code, out, _ = mynah("data", "show", tmp_path / "tagged", "-n", 1, capsys=capsys)
    assert json.loads(out)["messages"][1]["content"] == "Write to [EMAIL] or call [PHONE]."
    code, out, _ = mynah("data", "show", collected, "--dropped", capsys=capsys)
    assert out == "faq.csv:4\tdropped\tread: 1 fields found, 2 expected\n"
    code, out, _ = mynah("data", "diff", collected, tmp_path / "tagged", capsys=capsys)
    assert "2 changed" in out
    assert "+assistant: Ask [NAME]." in out
    code, out, _ = mynah("data", "report", tmp_path / "tagged", capsys=capsys)
    assert code == 0
    page = (tmp_path / "tagged-report" / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "tagged-report" / "report.json").read_text(encoding="utf-8"))
    assert summary["kinds"] == {"conversation": 2}
    assert summary["personal"] == {}
    assert summary["account"]["clean"]["changed"]["personal data"]["reasons"] == {
        "email": 1,
        "name": 1,
        "phone": 1,
    }
    assert summary["account"]["collect"]["dropped"]["read"]["examples"] == ["faq.csv:4"]
    assert "<svg" in page
    assert "lang=zh>数据报告" in page
    assert "ann@mail.org" in page  # before and after stand side by side, for their owner's eyes


def test_what_is_done_is_not_done_again(
    tmp_path: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("clean", collected, "-o", tmp_path / "out")
    mynah(*arguments, capsys=capsys)
    before = read_manifest(tmp_path / "out")
    _, out, _ = mynah(*arguments, capsys=capsys)
    assert "already done" in out
    mynah(*arguments, "--lowercase", capsys=capsys)
    assert read_manifest(tmp_path / "out").output != before.output


def test_a_folder_of_another_stage_is_not_overwritten(
    collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "was made by mynah collect" in refused("clean", collected, "-o", collected, capsys=capsys)
    assert list(read_records(collected))


def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--count must be 1 or more" in refused("data", "show", collected, "--count", -1, capsys=capsys)
    assert "no such folder" in refused("clean", tmp_path / "none", "-o", tmp_path / "x", capsys=capsys)
    assert "is a file" in refused("data", "report", tmp_path / "faq.csv", capsys=capsys)
    error = refused("clean", collected, "-o", tmp_path / "x", "--language", "klingon", capsys=capsys)
    assert "no such code" in error
    assert mynah("data", "show", collected, "--place", "nowhere", capsys=capsys)[1:] == ("", "")


def test_a_difference_is_shown_where_it_is() -> None:
    one = Conversation((Message("user", "x " * 300 + "here is it", "Ann"),), "f:1")
    other = Conversation((Message("user", "x " * 300 + "there is it", "Ann"),), "f:1")
    lines = difference(one, other)
    assert [line[0] for line in lines] == ["-", "+"]
    assert "here is it" in lines[0]
    assert "there is it" in lines[1]
    assert max(map(len, lines)) < 170
    renamed = Conversation((Message("user", "same", "Bo"),), "f:1")
    assert difference(Conversation((Message("user", "same", "Ann"),), "f:1"), renamed) == [
        "-Ann: same",
        "+Bo: same",
    ]


def test_two_cleans_into_one_folder(
    tmp_path: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with artifacts.locked(tmp_path, ".out.lock"):
        error = refused("clean", collected, "-o", tmp_path / "out", capsys=capsys)
    assert "another process is at work here" in error
    assert "--out" in error
    (tmp_path / ".out.lock").unlink()
    mynah("clean", collected, "-o", tmp_path / "out", capsys=capsys)
    assert not list(tmp_path.glob(".*"))


def test_the_model_of_a_run_judges_what_is_surprising(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = pickle.loads(pickle.dumps(RunPerplexity(tiny_run)))
    plain, odd = "where is my parcel 3", "qzx vkj wqp zzk xjq"
    assert 1 < judge(plain) < judge(odd)
    (tmp_path / "log.csv").write_text(
        "question,answer\n" + f"{plain},it is here\n" * 2 + f"{odd},{odd}\n", encoding="utf-8"
    )
    mynah("collect", tmp_path / "log.csv", "-o", tmp_path / "log", capsys=capsys)
    limit = (judge(f"{plain}\nit is here") + judge(f"{odd}\n{odd}")) / 2
    arguments = ("--judge", tiny_run, "--max-perplexity", limit)
    _, out, _ = mynah("clean", tmp_path / "log", "-o", tmp_path / "out", *arguments, capsys=capsys)
    assert "dropped  1 perplexity, 1 duplicates" in out or "dropped  1 duplicates, 1 perplexity" in out
    assert "perplexity" in read_manifest(tmp_path / "out").inputs
    mynah("clean", tmp_path / "log", "-o", tmp_path / "warned", *arguments,
          "--set", "clean.quality.perplexity=warn", capsys=capsys)  # fmt: skip
    assert read_manifest(tmp_path / "warned").counts["warned"] == {"perplexity": 1}
    wrong = ("clean", tmp_path / "log", "-o", tmp_path / "no", "--max-perplexity", 5)
    assert "needs a model" in refused(*wrong, capsys=capsys)
    assert "missing" in refused(*wrong, "--judge", tmp_path, capsys=capsys)


def test_me_and_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "chats"
    folder.mkdir()
    lines = "".join(f"01/02/2024, 10:0{i} - {('Ann', 'Bo')[i % 2]}: line {i}\n" for i in range(6))
    (folder / "a.txt").write_text(lines, encoding="utf-8")
    (folder / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, out, _ = mynah("collect", folder, "--me", "Ann", "-o", tmp_path / "out", capsys=capsys)
    assert code == 0
    assert "passed over: b.png: is a PNG picture" in out
    (record,) = read_records(tmp_path / "out")
    assert isinstance(record, Conversation)
    assert {m.name: m.role for m in record.messages} == {"Ann": "assistant", "Bo": "user"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "-o", "out"], "no input given"),
        (["collect", "none.csv", "-o", "out"], "none.csv: no such file"),
        (["collect", "chats.csv", "-o", "chats-folder"], "is not empty and was not made by mynah"),
        (
            ["collect", "chats.csv", "-o", "out", "--form", "tabel"],
            "no such form; expected one of: table, json",
        ),
        (["clean", "chats.csv", "-o", "out"], "is a file; read it first: mynah collect"),
        (["clean", "none", "-o", "out"], "none: no such folder"),
        (["data", "report", "chats-folder"], "no records in it"),
        (["data", "show", "none"], "none: no such folder"),
    ],
)
def test_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_chats(tmp_path / "chats.csv", 5)
    (tmp_path / "chats-folder").mkdir()
    (tmp_path / "chats-folder" / "notes.txt").write_text("mine", encoding="utf-8")
    assert message in refused(*arguments, capsys=capsys)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_an_unknown_kind_of_personal_data(
    tmp_path: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'mail' is no kind of personal data" in refused(
        "clean", collected, "-o", tmp_path / "out", "--drop", "mail", capsys=capsys
    )


def test_tokens_show_what_counts_and_what_is_cut_off(tiny_run: Path) -> None:
    record = next(iter(read_records(tiny_run / "clean")))
    shown = preview(record, tiny_run, context_length=18)
    head, tokens = shown.split("\n", 1)
    assert head.startswith("chats.csv:2: ")
    parts = tokens.split("|<|")
    assert tokens.startswith("<|endoftext|>|<|user|>|")
    assert "*" in tokens
    assert "!" in tokens
    assert parts
    total = int(head.split(": ")[1].split()[0])
    # Pieces overlap by half, as they do in training: replies beyond the first context count too.
    assert head.endswith(f"in {1 + len(range(18, total, 9))} pieces of at most 18")
    assert 0 < int(head.split(", ")[1].split()[0]) == tokens.count("*")


def test_why_a_folder_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    out = tmp_path / "out"
    assert refused("data", "show", out, capsys=capsys) == f"mynah: {out}: no such folder\n"
    told = refused("collect", tmp_path / "f.csv", "-o", out, capsys=capsys)
    again = refused("data", "show", out, capsys=capsys)
    assert again.startswith(f"mynah: {out}: no such folder; mynah collect into it failed (20")
    assert again.endswith(told.removeprefix("mynah: "))
    (tmp_path / "f.csv").write_text("question,answer\nwhere?,there\n", encoding="utf-8")
    mynah("collect", tmp_path / "f.csv", "-o", out, capsys=capsys)
    shutil.rmtree(out)
    assert "failed" not in refused("data", "show", out, capsys=capsys)
