"""The bundled logs are what their sources make, and are read without a flag."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from mynah.data.collect.collector import CollectConfig, collect
from mynah.data.records import Conversation
from mynah.evaluate.replies import exchanges, holds_facts, look_up, read_questions

ROOT = Path(__file__).parents[1]
FOLDER = Path(str(files("mynah") / "samples"))


def test_they_are_what_the_script_writes_and_keep_its_rules() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "samples" / "generate.py"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("language", "least_exchanges", "least_intents", "least_questions"),
    [("en", 1500, 40, 200), ("zh", 600, 25, 100)],
)
def test_size_and_reading(
    language: str, least_exchanges: int, least_intents: int, least_questions: int
) -> None:
    result = collect([FOLDER / f"shop_{language}.csv"], CollectConfig())
    assert not result.rejected
    assert all(isinstance(r, Conversation) and r.messages[0].role == "user" for r in result.records)
    pairs = exchanges(result.records)
    assert len(pairs) >= least_exchanges
    assert max(len(r.messages) for r in result.records if isinstance(r, Conversation)) >= 4
    questions = read_questions(FOLDER / f"questions_{language}.jsonl")
    assert len({q.intent for q in questions}) >= least_intents
    assert len(questions) >= least_questions
    asked = {q.lower().strip(" ?!.？！。") for q, _ in pairs}
    assert not asked & {q.question.lower().strip(" ?!.？！。") for q in questions}
    assert all(holds_facts(q.answer, q.facts) for q in questions)
    # Not trivial: the most similar known question does not give nearly all of them away.
    found = look_up(pairs, [q.question for q in questions])
    right = sum(holds_facts(r, q.facts) for r, q in zip(found, questions, strict=True)) / len(questions)
    assert 0.3 < right < 0.95
