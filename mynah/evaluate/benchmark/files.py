"""Read benchmark files in the layouts that they are spread in.

JSON lines (also gzipped): BLiMP; LLM Foundry's questions, schemas and contexts; the columns that ARC, PIQA, WinoGrande,
COPA, HellaSwag, MMLU and LAMBADA have on the hub; GSM8K; SVAMP; HumanEval. CSV: MMLU without a header and CMMLU with
one, each with worked examples from the folder `dev` beside its own.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mynah.errors import DataError
from mynah.evaluate.benchmark.items import Benchmark, Choosing, GoingOn, Item, Programming, Writing

LETTERS = "ABCDEFGHIJ"
#: Worked examples before each question, where a layout has them.
SHOTS = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """How a line of a kind of file becomes an item."""

    name: str
    #: columns that tell it from the others, all of which must be there
    columns: frozenset[str]
    make: Callable[[Row], Item]
    #: whether worked examples stand before a question: the first lines of the file, which are not asked themselves
    worked: bool = False


class _Wrong(ValueError):
    """A line whose columns do not hold what they should; the message says what was expected."""


def spaced(text: str, before: str) -> str:
    """Return a text as it stands after another: with a space between words that are written with one."""
    if (
        not before
        or before[-1].isspace()
        or not text
        or text[0].isspace()
        or text[0] in ",.;:!?，。；：！？、）)”"
    ):
        return text
    return text if _ideographic(before[-1]) or _ideographic(text[0]) else f" {text}"


def _ideographic(character: str) -> bool:
    return (
        "\u2e80" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\uff00" <= character <= "\uffef"
    )


def _choosing(context: str, choices: Sequence[str], right: int) -> Choosing:
    if len(choices) < 2:
        raise _Wrong("two choices or more")
    if not 0 <= right < len(choices):
        raise _Wrong(f"the right one as a number from 0 to {len(choices) - 1}")
    return Choosing(tuple((context, spaced(choice, context)) for choice in choices), right)


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"text in {column}")
    return value


def _texts(row: Row, column: str) -> list[str]:
    value = row.get(column)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Wrong(f"a list of texts in {column}")
    return value


def _number(row: Row, column: str) -> int:
    value = row.get(column)
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(f"a whole number in {column}")
    return value


def _blimp(row: Row) -> Item:
    good, bad = _text(row, "sentence_good"), _text(row, "sentence_bad")
    return Choosing((("", good), ("", bad)), 0)


def _foundry(row: Row) -> Item:
    return _choosing(_text(row, "query"), _texts(row, "choices"), _number(row, "gold"))


def _schema(row: Row) -> Item:
    contexts, rest, right = _texts(row, "context_options"), _text(row, "continuation"), _number(row, "gold")
    if len(contexts) < 2 or not 0 <= right < len(contexts):
        raise _Wrong("two context_options or more, and the number of one in gold")
    return Choosing(tuple((context, spaced(rest, context)) for context in contexts), right)


def _going_on(row: Row) -> Item:
    context, rest = _text(row, "context"), _text(row, "continuation")
    return GoingOn(context, spaced(rest, context))


def _last_word(row: Row) -> Item:
    context, _, last = _text(row, "text").rpartition(" ")
    if not context or not last:
        raise _Wrong("two words or more in text")
    return GoingOn(context, f" {last}")


def _arc(row: Row) -> Item:
    choices = row.get("choices")
    if not isinstance(choices, dict):
        raise _Wrong("choices with text and label")
    texts, labels = _texts(choices, "text"), _texts(choices, "label")
    key = _text(row, "answerKey")
    if key not in labels or len(texts) != len(labels):
        raise _Wrong("in answerKey one of the labels")
    return _choosing(f"Question: {_text(row, 'question')}\nAnswer:", texts, labels.index(key))


def _piqa(row: Row) -> Item:
    return _choosing(
        f"Question: {_text(row, 'goal')}\nAnswer:",
        [_text(row, "sol1"), _text(row, "sol2")],
        _number(row, "label"),
    )


def _winogrande(row: Row) -> Item:
    before, gap, after = _text(row, "sentence").partition("_")
    if not gap:
        raise _Wrong("a gap, _, in sentence")
    right = _number(row, "answer") - 1
    if right not in (0, 1):
        raise _Wrong("1 or 2 in answer")
    options = (before + _text(row, "option1"), before + _text(row, "option2"))
    return Choosing(tuple((option, f" {after.strip()}") for option in options), right)


def _copa(row: Row) -> Item:
    joins = {"cause": "because", "effect": "therefore"}
    kind = _text(row, "question")
    if kind not in joins:
        raise _Wrong("cause or effect in question")
    choices = [_text(row, column) for column in ("choice1", "choice2")]
    choices = [choice[:1].lower() + choice[1:] for choice in choices]
    context = f"{_text(row, 'premise').strip().rstrip('.')} {joins[kind]}"
    return _choosing(context, choices, _number(row, "label"))


def _hellaswag(row: Row) -> Item:
    about = f"{row['activity_label']}: " if row.get("activity_label") else ""
    return _choosing(f"{about}{_text(row, 'ctx')}", _texts(row, "endings"), _number(row, "label"))


def _mmlu_hub(row: Row) -> Item:
    return _lettered(_text(row, "question"), _texts(row, "choices"), _number(row, "answer"))


def _gsm8k(row: Row) -> Item:
    answer = _text(row, "answer")
    if "####" not in answer:
        raise _Wrong("#### and the result at the end of answer")
    return Writing(f"Question: {_text(row, 'question')}\nAnswer:", answer)


def _svamp(row: Row) -> Item:
    return Writing(f"Question: {_text(row, 'context')}\nAnswer:", _text(row, "answer"))


def _human_eval(row: Row) -> Item:
    return Programming(_text(row, "prompt"), _text(row, "test"), _text(row, "entry_point"))


#: The first whose columns are all there is taken.
LAYOUTS = (
    Layout("BLiMP", frozenset({"sentence_good", "sentence_bad"}), _blimp),
    Layout("questions with choices", frozenset({"query", "choices", "gold"}), _foundry),
    Layout("schemas", frozenset({"context_options", "continuation", "gold"}), _schema),
    Layout("ARC", frozenset({"question", "choices", "answerKey"}), _arc),
    Layout("PIQA", frozenset({"goal", "sol1", "sol2", "label"}), _piqa),
    Layout("WinoGrande", frozenset({"sentence", "option1", "option2", "answer"}), _winogrande),
    Layout("COPA", frozenset({"premise", "choice1", "choice2", "question", "label"}), _copa),
    Layout("HellaSwag", frozenset({"ctx", "endings", "label"}), _hellaswag),
    Layout("MMLU", frozenset({"question", "choices", "answer"}), _mmlu_hub),
    Layout("HumanEval", frozenset({"prompt", "test", "entry_point"}), _human_eval),
    Layout("contexts to go on with", frozenset({"context", "continuation"}), _going_on),
    Layout("SVAMP", frozenset({"context", "answer"}), _svamp, worked=True),
    Layout("GSM8K", frozenset({"question", "answer"}), _gsm8k, worked=True),
    Layout("LAMBADA", frozenset({"text"}), _last_word),
)


def read_benchmark(path: Path, shots: int = SHOTS) -> Benchmark:
    """Read a benchmark file.

    Args:
        path: .jsonl, .jsonl.gz or .csv.
        shots: worked examples before each question, where the layout has them.

    Raises:
        DataError: with file and line if it cannot be read, is of no known layout, or a line lacks something.
    """
    text = _text_of(path)
    name = path.name.removesuffix(".gz").rpartition(".")[0]
    if ".csv" in path.suffixes:
        return _read_csv(path, name.removesuffix("_test"), text, shots)
    rows = list(_json_rows(path, text))
    if not rows:
        raise DataError(f"{path}: holds no lines; expected a benchmark as JSON lines")
    first = rows[0][1].keys()
    layout = next((one for one in LAYOUTS if one.columns <= first), None)
    if layout is None:
        known = "; ".join(f"{one.name} ({', '.join(sorted(one.columns))})" for one in LAYOUTS)
        raise DataError(
            f"{path}: {', '.join(first)} are the columns of no known benchmark; expected one of: {known}"
        )
    items = []
    for line, row in rows:
        try:
            if missing := sorted(layout.columns - row.keys()):
                raise _Wrong(f"{', '.join(missing)}, as the other lines of {layout.name} have")
            items.append(replace(layout.make(row), place=f"{path}:{line}"))
        except _Wrong as error:
            raise DataError(f"{path}:{line}: expected {error}") from None
    return Benchmark(name, layout.name, with_worked(items, shots) if layout.worked else items)


def with_worked(items: Sequence[Item], shots: int) -> list[Item]:
    """Put the first items, with their answers, before each of the others."""
    worked = [item for item in items[:shots] if isinstance(item, Writing)]
    if len(worked) >= len(items):
        return list(items)
    before = "".join(f"{item.prompt} {item.answer}\n\n" for item in worked)
    return [
        replace(item, prompt=before + item.prompt)
        for item in items[len(worked) :]
        if isinstance(item, Writing)
    ]


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path}: cannot be read: {told}") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise DataError(f"{path}:{number}: not JSON; expected an object a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected an object")
        yield number, row


def _lettered(
    question: str, choices: Sequence[str], right: int, before: str = "", answer: str = "Answer:"
) -> Choosing:
    """Return a question whose choices stand in it by letters, of which one is to be said (Hendrycks et al. 2021)."""
    listed = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    return _choosing(f"{before}{question}{listed}\n{answer}", LETTERS[: len(choices)], right)


def _read_csv(path: Path, name: str, text: str, shots: int) -> Benchmark:
    """Read MMLU's or CMMLU's file."""
    rows = list(_csv_rows(path, text))
    if not rows:
        raise DataError(f"{path}: holds no questions")
    chinese = any(map(_ideographic, "".join(row.question for row in rows[:5])))
    subject = re.sub(r"_+", " ", name)
    begin = (
        f"以下是关于{subject}的单项选择题，请直接给出正确答案的选项。\n\n"
        if chinese
        else f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    )
    answer = "答案：" if chinese else "Answer:"
    worked = ""
    for row in _worked(path, name)[:shots]:
        item = _lettered(row.question, row.choices, row.right, "", answer)
        worked += "".join(item.options[row.right]) + "\n\n"
    items = [
        replace(
            _lettered(row.question, row.choices, row.right, begin + worked, answer),
            place=f"{path}:{row.line}",
        )
        for row in rows
    ]
    return Benchmark(name, "CMMLU" if chinese else "MMLU", items)


@dataclass(frozen=True)
class _Lettered:
    """A line of MMLU or CMMLU."""

    question: str
    choices: tuple[str, ...]
    right: int
    line: int


def _csv_rows(path: Path, text: str) -> Iterable[_Lettered]:
    reader = csv.reader(io.StringIO(text))
    header: list[str] | None = None
    for cells in reader:
        if not cells:
            continue
        line = reader.line_num
        if header is None and "Question" in cells:
            header = cells
            continue
        if header is not None:
            row = dict(zip(header, cells, strict=False))
            cells = [row.get(column) or "" for column in ("Question", "A", "B", "C", "D", "Answer")]
        if (
            len(cells) < 4
            or len(cells[-1].strip()) != 1
            or cells[-1].strip() not in LETTERS[: len(cells) - 2]
        ):
            raise DataError(
                f"{path}:{line}: expected a question, its choices, and the letter of the right one"
            )
        yield _Lettered(cells[0], tuple(cells[1:-1]), LETTERS.index(cells[-1].strip()), line)


def _worked(path: Path, name: str) -> list[_Lettered]:
    """Return the worked examples of a subject, from the folder `dev` beside the file's own, if there are any."""
    for other in (f"{name}_dev.csv", f"{name}.csv"):
        beside = path.parent.parent / "dev" / other
        if beside.is_file() and beside != path:
            return list(_csv_rows(beside, _text_of(beside)))
    return []


def benchmarks_in(path: Path) -> list[Path]:
    """Return the benchmark files that a path is, or that a folder holds, in the order of names; none where it is text.

    What any text may look like, lines of {"text": ...} and tables, counts as a benchmark by its name alone: lambada,
    or _test at its end as MMLU's subjects have it.
    """
    if path.is_dir():
        files = sorted(
            one for one in path.rglob("*") if one.is_file() and "dev" not in one.relative_to(path).parts
        )
        return [one for one in files if _is_benchmark(one)]
    return [path] if _is_benchmark(path) else []


def _is_benchmark(path: Path) -> bool:
    suffixes = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    if suffixes[:1] == [".csv"]:
        try:
            with path.open(encoding="utf-8-sig") as file:
                header = next(csv.reader(file), [])
        except (OSError, UnicodeDecodeError, csv.Error):
            return False
        return {"Question", "A", "B", "Answer"} <= set(header) or path.stem.endswith("_test")
    if suffixes[:1] not in ([".jsonl"], [".ndjson"]):
        return False
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as file
        ):
            row = json.loads(next((line for line in file if line.strip()), ""))
    except (OSError, EOFError, ValueError):
        return False
    if not isinstance(row, dict):
        return False
    layout = next((one for one in LAYOUTS if one.columns <= row.keys()), None)
    if layout is None or (layout.name == "LAMBADA" and "lambada" not in path.name.lower()):
        return False
    return layout.name != "GSM8K" or "####" in str(row["answer"])
