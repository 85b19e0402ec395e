"""Benchmark files in the layouts that they are spread in, and what is told of a line that is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import SHARED

from mynah.errors import DataError
from mynah.evaluate.benchmark.files import LAYOUTS, benchmarks_in, read_benchmark, spaced
from mynah.evaluate.benchmark.items import Choosing, GoingOn, Programming, Writing

#: layout -> a line, and the item
LINES: dict[str, tuple[dict[str, Any], Any]] = {
    "BLiMP": (
        {"sentence_good": "Susan revealed herself.", "sentence_bad": "Susan revealed themselves.", "UID": "x"},
        Choosing((("", "Susan revealed herself."), ("", "Susan revealed themselves.")), 0),
    ),
    "questions with choices": (
        {"query": "The man turned on the tap, therefore", "choices": ["it rained.", "water ran."], "gold": 1},
        Choosing(
            (
                ("The man turned on the tap, therefore", " it rained."),
                ("The man turned on the tap, therefore", " water ran."),
            ),
            1,
        ),
    ),
    "schemas": (
        {"context_options": ["The city feared the city", "The city feared men"], "continuation": "came.", "gold": 0},
        Choosing((("The city feared the city", " came."), ("The city feared men", " came.")), 0),
    ),
    "ARC": (
        {"question": "What is ice?", "choices": {"text": ["Water", "Air"], "label": ["1", "2"]}, "answerKey": "1"},
        Choosing((("Question: What is ice?\nAnswer:", " Water"), ("Question: What is ice?\nAnswer:", " Air")), 0),
    ),
    "PIQA": (
        {"goal": "Cut bread", "sol1": "With a knife.", "sol2": "With a hat.", "label": 0},
        Choosing(
            (("Question: Cut bread\nAnswer:", " With a knife."), ("Question: Cut bread\nAnswer:", " With a hat.")),
            0,
        ),
    ),
    "WinoGrande": (
        {"sentence": "Ann met Bea, so _ smiled.", "option1": "Ann", "option2": "Bea", "answer": "2"},
        Choosing((("Ann met Bea, so Ann", " smiled."), ("Ann met Bea, so Bea", " smiled.")), 1),
    ),
    "COPA": (
        {"premise": "It rained.", "choice1": "The road dries.", "choice2": "He ate.", "question": "effect", "label": 0},
        Choosing((("It rained therefore", " the road dries."), ("It rained therefore", " he ate.")), 0),
    ),
    "HellaSwag": (
        {"ctx": "A man sits down", "endings": [", then eats.", "He flies"], "label": "0", "activity_label": "Eating"},
        Choosing((("Eating: A man sits down", ", then eats."), ("Eating: A man sits down", " He flies")), 0),
    ),
    "MMLU": (
        {"question": "1 + 1?", "choices": ["1", "2"], "answer": 1},
        Choosing((("1 + 1?\nA. 1\nB. 2\nAnswer:", " A"), ("1 + 1?\nA. 1\nB. 2\nAnswer:", " B")), 1),
    ),
    "HumanEval": (
        {"prompt": "def f(x):\n", "test": "def check(c): assert c(1) == 1", "entry_point": "f", "task_id": "x/0"},
        Programming("def f(x):\n", "def check(c): assert c(1) == 1", "f"),
    ),
    "contexts to go on with": (
        {"context": "1 + 1 =", "continuation": "2"},
        GoingOn("1 + 1 =", " 2"),
    ),
    "SVAMP": (
        {"context": "Two and two?", "answer": "4", "chain_of_thought": "2 + 2"},
        Writing("Question: Two and two?\nAnswer:", "4"),
    ),
    "GSM8K": (
        {"question": "Two and two?", "answer": "It is 4.\n#### 4"},
        Writing("Question: Two and two?\nAnswer:", "It is 4.\n#### 4"),
    ),
    "LAMBADA": (
        {"text": "He went to the door and opened the door"},
        GoingOn("He went to the door and opened the", " door"),
    ),
}  # fmt: skip


def test_every_layout_has_a_line_here() -> None:
    assert set(LINES) == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_each_layout(tmp_path: Path, name: str) -> None:
    line, item = LINES[name]
    path = tmp_path / "some.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    read = read_benchmark(path)
    assert (read.name, read.layout) == ("some", name)
    [found] = read.items
    assert found.place == f"{path}:1"
    assert vars(found) | {"place": ""} == vars(item)
    packed = tmp_path / "some.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_benchmark(packed).items) == 1
    missing = dict(line)
    layout = next(one for one in LAYOUTS if one.name == name)
    missing.pop(sorted(layout.columns)[0])
    path.write_text("\n".join(map(json.dumps, (line, missing))), encoding="utf-8")
    with pytest.raises(
        DataError, match=rf"some.jsonl:2: expected {sorted(layout.columns)[0]}, as the other lines"
    ):
        read_benchmark(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "expected an object"),
        ('{"query": "a", "choices": ["b", "c"], "gold": 2}', "the right one as a number from 0 to 1"),
        ('{"query": "a", "choices": ["b"], "gold": 0}', "two choices or more"),
        ('{"query": "a", "choices": ["b", 1], "gold": 0}', "a list of texts in choices"),
        ('{"query": "a", "choices": ["b", "c"], "gold": "x"}', "a whole number in gold"),
        ('{"query": "a", "choices": ["b", "c"], "gold": true}', "a whole number in gold"),
        ('{"query": " ", "choices": ["b", "c"], "gold": 1}', "text in query"),
        ('{"question": "a", "answer": "b"}', "#### and the result"),
        ('{"sentence": "a", "option1": "a", "option2": "b", "answer": "1"}', "a gap"),
        ('{"sentence": "a_", "option1": "a", "option2": "b", "answer": "3"}', "1 or 2 in answer"),
        ('{"premise": "a", "choice1": "a", "choice2": "b", "question": "x", "label": 0}', "cause or effect"),
        ('{"question": "a", "choices": {"text": ["x"], "label": ["A", "B"]}, "answerKey": "A"}', "answerKey"),
        ('{"a": 1}', "are the columns of no known benchmark"),
        ("", "holds no lines"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_without_its_words(
    tmp_path: Path, line: str, told: str
) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=told) as error:
        read_benchmark(path)
    assert str(path) in str(error.value)


def test_worked_examples_stand_before_each_question_and_are_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"{n} and 1?", "answer": f"#### {n + 1}"} for n in range(5)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read = read_benchmark(path, shots=2)
    assert len(read.items) == 3
    first = read.items[0]
    assert isinstance(first, Writing)
    assert first.prompt == (
        "Question: 0 and 1?\nAnswer: #### 1\n\nQuestion: 1 and 1?\nAnswer: #### 2\n\nQuestion: 2 and 1?\nAnswer:"
    )
    assert len(read_benchmark(path, shots=0).items) == 5
    assert len(read_benchmark(path, shots=5).items) == 5  # too few to work any: all are asked


def test_mmlu_and_its_worked_examples(tmp_path: Path) -> None:
    for folder in ("dev", "test"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dev/high_tea_dev.csv").write_text(
        '"Milk, first?",yes,no,B\nSugar?,one,two,A\n', encoding="utf-8"
    )
    path = tmp_path / "test/high_tea_test.csv"
    path.write_text("Cup?,blue,red,A\n\nPot?,big,small,B\n", encoding="utf-8")
    read = read_benchmark(path, shots=1)
    assert (read.name, read.layout, len(read.items)) == ("high_tea", "MMLU", 2)
    item = read.items[1]
    assert isinstance(item, Choosing)
    assert item.options[1] == (
        "The following are multiple choice questions (with answers) about high tea.\n\n"
        "Milk, first?\nA. yes\nB. no\nAnswer: B\n\nPot?\nA. big\nB. small\nAnswer:",
        " B",
    )
    assert (item.right, item.place) == (1, f"{path}:3")
    assert benchmarks_in(tmp_path) == [path]
    path.write_text("Cup?,blue,red,C\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"high_tea_test\.csv:1: expected a question, its choices, and the letter"
    ):
        read_benchmark(path)


def test_chinese_choices_are_not_set_apart_by_a_space() -> None:
    assert spaced("水", "冰是什么？答案：") == "水"
    assert spaced("A", "答案：") == "A"
    assert spaced("water", "Answer:") == " water"
    assert spaced(", then", "He sat") == ", then"
    assert spaced("x", "ends here ") == "x"
    assert spaced("x", "") == "x"


def test_what_is_no_benchmark_is_text(tmp_path: Path) -> None:
    rows = {
        "texts.jsonl": {"text": "a b"},
        "asked.jsonl": {"question": "a", "answer": "b"},
        "list.jsonl": ["a"],
        "lambada.jsonl": {"text": "a b"},
        "blimp.jsonl": LINES["BLiMP"][0],
    }
    for name, row in rows.items():
        (tmp_path / name).write_text(json.dumps(row), encoding="utf-8")
    (tmp_path / "broken.jsonl").write_text("{", encoding="utf-8")
    (tmp_path / "talk.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "torn.jsonl.gz").write_bytes(b"\x1f\x8bxx")
    assert [path.name for path in benchmarks_in(tmp_path)] == ["blimp.jsonl", "lambada.jsonl"]
    assert benchmarks_in(tmp_path / "texts.jsonl") == []
    with pytest.raises(DataError, match=r"torn\.jsonl\.gz: cannot be read"):
        read_benchmark(tmp_path / "torn.jsonl.gz")


@pytest.mark.parametrize(
    "folder", ["eval_blimp", "eval_llm_foundry", "eval_mmlu", "eval_cmmlu", "eval_humaneval"]
)
def test_real_files(folder: str) -> None:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip("the data sets are not here")
    read = [read_benchmark(file) for file in benchmarks_in(path)]
    expected = {
        "eval_blimp": (34, 3400, {"BLiMP"}),
        "eval_llm_foundry": (
            10, 8162 - 5, {"questions with choices", "schemas", "contexts to go on with", "SVAMP"},
        ),
        "eval_mmlu": (12, None, {"MMLU"}),
        "eval_cmmlu": (14, None, {"CMMLU"}),
        "eval_humaneval": (1, 164, {"HumanEval"}),
    }[folder]  # fmt: skip
    assert (len(read), {one.layout for one in read}) == (expected[0], expected[2])
    assert expected[1] is None or sum(len(one.items) for one in read) == expected[1]
