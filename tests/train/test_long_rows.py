"""Conversations longer than a row: split, cut or dropped, as it was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from mynah.artifacts import read_json
from mynah.config import merge
from mynah.data.records import Conversation, Message
from mynah.errors import DataError
from mynah.model.transformer import IGNORE
from mynah.pipeline.build import build
from mynah.tokenizer.dataset import TokenSet, encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.packed import LongRows, PackedBatches

LONG = Conversation(
    tuple(Message(role, f"{role} says {n}") for n in range(12) for role in ("user", "assistant")), "a:1"
)
SHORT = Conversation((Message("user", "hello"), Message("assistant", "hi")), "a:2")


def encoded(*talks: Conversation) -> TokenSet:
    tokenizer = Tokenizer.train([text for talk in talks for text in talk.texts], 300)
    return encode_records(talks, tokenizer)


def counted(data: TokenSet, long: LongRows, context: int) -> int:
    batches = PackedBatches(data, 1, context, 0, long=long)
    return sum(int((batches(step).targets != IGNORE).sum()) for step in range(batches.rows))


def test_split_counts_every_reply_once_and_the_others_what_they_keep() -> None:
    data = encoded(LONG, SHORT)
    context = 40
    assert len(data.record(0)) > 2 * context
    every, short = int(data.reply.sum()), int((data.record_part(1) == 2).sum())
    assert counted(data, "split", context) == every
    end = data.record_part(0)[-context:]
    assert counted(data, "cut", context) == int((end == 2).sum()) + short
    assert counted(data, "drop", context) == short


def test_all_dropped_is_told() -> None:
    with pytest.raises(
        DataError, match="no conversation with a reply to learn from that fits into 40 tokens"
    ):
        PackedBatches(encoded(LONG), 1, 40, 0, long="drop")


def test_the_report_names_them_and_what_becomes_of_them(tmp_path: Path) -> None:
    source = tmp_path / "chats.csv"
    rows = [f"question {n} {'word ' * (60 if n % 5 == 0 else 1)}?,answer {n}" for n in range(40)]
    source.write_text("question,answer\n" + "\n".join(rows), encoding="utf-8")
    recipe = merge(TINY, {"base": "none", "plan": {"tune": {"long": "cut"}}})
    build([source], recipe, tmp_path / "run")
    found = read_json(tmp_path / "run" / "plan" / "long.json")
    assert found["choice"] == "cut"
    assert found["count"] == len(found["shown"]) > 4
    lines = {int(row["place"].rpartition(":")[2]) - 2 for row in found["shown"]}
    assert all(n % 5 == 0 for n in lines)
    assert np.all([row["counted"] > 0 for row in found["shown"]])
    assert "their oldest turns are cut off" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
