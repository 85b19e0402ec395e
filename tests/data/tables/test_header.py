"""Whether a first row names columns, where a table begins, and what is told where nothing tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.collect.collector import collect
from mynah.data.records import Conversation, Labelled, Pair
from mynah.data.sources import Ask, CollectConfig
from mynah.data.tables.header import first_row_of_table, header_score

SAID = ["where is my parcel", "it left on Monday, I hear", "the lamp is broken", "can I pay by card here"]


@pytest.mark.parametrize(
    ("first", "rest", "header"),
    [
        (["Hi.", "你好。"], [["Run.", "你用跑的。"], ["Wait!", "等等！"]], False),
        (["Go.", "Geh."], [["Hi.", "Hallo!"], ["Run!", "Lauf!"], ["Wow!", "Donnerwetter!"]], False),
        (
            ["内容", "情感"],
            [["这个手机很好用", "1"], ["屏幕坏了，很失望", "0"], ["一般般吧，还行", "0"]],
            True,
        ),
        (["utterance_text", "intent_name"], [[text, f"class{i % 2}"] for i, text in enumerate(SAID)], True),
        (["book a room", "book"], [[text, ["book", "ask"][i % 2]] for i, text in enumerate(SAID)], False),
        (["customer", "hello"], [[["agent", "customer"][i % 2], text] for i, text in enumerate(SAID)], False),
        (["review", "stars"], [[text, str(i)] for i, text in enumerate(SAID)], True),
        (["1", "where is it"], [[str(i), text] for i, text in enumerate(SAID, 2)], False),
        (
            ["Q?", "one", "two", "B"],
            [["What is it?", "a bird", "a stone", "B"], ["Why?", "x", "y", "A"]],
            False,
        ),
    ],
)
def test_a_first_row_is_judged_by_what_stands_under_it(
    first: list[str], rest: list[list[str]], header: bool
) -> None:
    assert (header_score(first, rest) > 0) is header


def test_rows_above_a_table_and_its_merged_cells(tmp_path: Path) -> None:
    rows = [["Support 2024", "", ""], ["", "", ""], ["Frage", "Antwort", "Datum"], ["Wo?", "Dort.", "1"]]
    assert first_row_of_table([row for row in rows if any(row)]) == 1
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["FAQ", None], ["Question", "Answer"], ["Where is it?", "On its way."], [None, "Look here."]]:
        sheet.append(row)
    sheet.merge_cells("A1:B1")
    sheet.merge_cells("A3:A4")
    book.save(tmp_path / "f.xlsx")
    result = collect([tmp_path / "f.xlsx"], CollectConfig())
    assert [r.texts for r in result.records] == [
        ("Where is it?", "On its way."),
        ("Where is it?", "Look here."),
    ]
    assert [r.reason for r in result.rejected] == ["what stands above the table"]


def test_a_header_in_doubt_is_told_with_rows_or_asked(tmp_path: Path) -> None:
    path = tmp_path / "f.tsv"
    path.write_text("house\tHaus\ngood morning\tguten Morgen\nwhere is it\two ist es\n", encoding="utf-8")
    result = collect([path], CollectConfig())
    assert len(result.records) == 3
    (warning,) = result.sources[0].warnings
    assert "names of columns: house | Haus" in warning
    assert "good morning | guten Morgen" in warning
    assert "say --header" in warning
    asked: list[tuple[str, int]] = []

    def reading(source: str, shown: object) -> int:
        asked.append((source, len(str(shown).split("where is it")) - 1))
        return 1

    other = collect([path], CollectConfig(), ask=Ask(lambda *_: "", reading))
    assert len(other.records) == 2
    assert asked == [("f.tsv", 2)]
    assert not collect([path], CollectConfig(header=False)).sources[0].warnings


@pytest.mark.parametrize(
    ("text", "kind", "first"),
    [
        ("Hi.\t嗨。\nHi.\t你好。\nRun.\t你用跑的。\n", Pair, ("Hi.", "嗨。")),
        ("Go.\tGeh.\tCC-BY 2.0 x\nHi.\tHallo!\tCC-BY 2.0 y\nRun!\tLauf!\tCC-BY 2.0 z\n", Pair, ("Go.", "Geh.")),
        ("lamp\tit shines\nriver\twater that flows\nbird\tit has wings\n", Conversation, ("lamp", "it shines")),
    ],
)  # fmt: skip
def test_two_columns_without_names(tmp_path: Path, text: str, kind: type, first: tuple[str, str]) -> None:
    (tmp_path / "f.tsv").write_text(text, encoding="utf-8")
    records = collect([tmp_path / "f.tsv"], CollectConfig()).records
    assert isinstance(records[0], kind)
    assert records[0].texts == first
    assert len(records) == 3


def test_classes_in_columns_of_their_own(tmp_path: Path) -> None:
    rows = "".join(f"{i},this is comment {i},{i % 2},0,{i // 2 % 2}\n" for i in range(12))
    (tmp_path / "f.csv").write_text(f"id,comment_text,toxic,threat,insult\n{rows}", encoding="utf-8")
    result = collect([tmp_path / "f.csv"], CollectConfig())
    assert [r.label for r in result.records if isinstance(r, Labelled)][:4] == [
        "none",
        "toxic",
        "insult",
        "toxic, insult",
    ]
    rows = "".join(f"{text} {i},{['kaufen', 'fragen'][i % 2]}\n" for i in range(12) for text in SAID[::2])
    (tmp_path / "g.csv").write_text(f"satz_text,absicht\n{rows}", encoding="utf-8")
    found = collect([tmp_path / "g.csv"], CollectConfig())
    assert isinstance(found.records[0], Labelled)
    rows = "".join(f"{text} {i},{['kaufen', 'fragen'][i % 2]},{i}\n" for i in range(12) for text in SAID[::2])
    (tmp_path / "h.csv").write_text(f"satz_text,absicht,nummer\n{rows}", encoding="utf-8")
    assert (
        "say --label-column absicht" in collect([tmp_path / "h.csv"], CollectConfig()).sources[0].warnings[0]
    )


def test_html_and_quoted_mail_are_taken_out_of_cells(tmp_path: Path) -> None:
    rows = "".join(
        f'{i},customer,"<p>Where is <b>order {i}</b>?</p>"\n'
        f'{i},agent,"<p>On its way.</p><p>On Mon, Jan 1, 2024 at 10:00 Ann wrote:</p><p>Where?</p>"\n'
        for i in range(3)
    )
    (tmp_path / "f.csv").write_text(f"ticket_id,author_type,body\n{rows}", encoding="utf-8")
    result = collect([tmp_path / "f.csv"], CollectConfig())
    assert result.records[0].texts == ("Where is order 0?", "On its way.")
    assert set(result.sources[0].dropped) >= {"mark-up of HTML", "quoted mail and signatures"}
