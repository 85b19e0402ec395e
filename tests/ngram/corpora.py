"""Corpora for the tests of n-gram models: generated ones, and those of the reference figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from mynah.ngram.backoff import BackoffModel
from mynah.ngram.columns import Column
from mynah.ngram.counting import count
from mynah.ngram.estimating import estimate, to_tables
from mynah.ngram.marks import BOS, EOS
from mynah.ngram.smoothing import Smoothing
from mynah.ngram.workspace import Workspace

#: Sentences over the ids 3 to 8; 0 to 2 are <unk>, <s>, </s>.
VOCAB_SIZE = 9
sentences = st.lists(st.lists(st.integers(3, 8), min_size=1, max_size=12), min_size=1, max_size=12)
contexts = st.lists(st.sampled_from([0, 2, 3, 4, 5, 6, 7, 8]), max_size=6)


def lay(rows: list[list[int]]) -> npt.NDArray[np.uint32]:
    """Lay sentences end to end, between <s> and </s>."""
    return np.array([token for row in rows for token in (BOS, *row, EOS)], np.uint32)


def estimated(
    tokens: npt.NDArray[np.uint32],
    order: int,
    smoothing: Smoothing,
    workspace: Workspace | None = None,
    prune: tuple[int, ...] = (),
) -> BackoffModel:
    """Count and estimate in a workspace of the test's choice."""
    workspace = workspace or Workspace()
    column: Column = workspace.column(np.uint32, "tokens")
    column.append(tokens)
    levels = count(column, BOS, VOCAB_SIZE, order, workspace, adjusted=smoothing.adjusted, prune=prune)
    made = estimate(levels, VOCAB_SIZE, smoothing, workspace)
    return to_tables(levels, made, BOS, smoothing, workspace, compact=False)


def reference_lines(data: Path, kind: str) -> tuple[list[str], list[str]]:
    """Return train and test lines of a row of the reference table, tokens between spaces."""
    if kind == "shakespeare_chars":
        text = (data / "text_tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
        text = text.replace(" ", "_").replace("\n", "|")
        cut = int(len(text) * 0.9)
        return [" ".join(text[:cut])], [" ".join(text[cut:])]
    if kind == "luxun_chars":
        texts = [p.read_text(encoding="utf-8") for p in sorted((data / "text_zh_luxun").glob("*.txt"))]
        lines = [[c for c in line if not c.isspace()] for text in texts for line in text.split("\n")]
    else:
        name = {
            "wikitext2_words": "text_wikitext2/valid.txt",
            "shakespeare_words": "text_tinyshakespeare/input.txt",
        }
        lines = [line.split() for line in (data / name[kind]).read_text(encoding="utf-8").split("\n")]
    reserved = ("<unk>", "<s>", "</s>")
    kept = [" ".join("UNK" if word in reserved else word for word in line) for line in lines if line]
    train = [line for number, line in enumerate(kept) if number % 10 != 9]
    return train, kept[9::10]
