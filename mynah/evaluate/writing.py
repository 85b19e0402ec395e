"""What can be said of texts that a model has written, without reading them: how varied, how repetitive, how copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mynah.generate.copies import Runs

#: Tokens of a run that counts as copied, and of one that counts as repeated.
COPIED, REPEATED = 10, 4
#: Lengths of the runs of which distinct ones are counted (Li et al. 2016, section 5.2).
DISTINCT = (1, 2, 3)


def measure_writing(samples: Sequence[Sequence[int]], learned: Runs | None) -> dict[str, Any]:
    """Return the measures of some samples.

    Args:
        samples: the tokens of each, without its prompt.
        learned: runs of `COPIED` tokens of the text that the model has learned; None: it is not at hand.

    Returns:
        repetition: share of runs of four tokens that stand in the same sample before (Welleck et al. 2020, seq-rep-4).
        distinct: of each length, different runs over all runs, of all samples together.
        copied: share of tokens that stand in a run of ten that the training text holds; longest: the longest such
        stretch, in tokens. Both only where `learned` is given.
    """
    runs = [_runs(sample, REPEATED) for sample in samples]
    total = sum(map(len, runs))
    found: dict[str, Any] = {
        "samples": len(samples),
        "tokens": sum(map(len, samples)),
        "repetition": sum(len(of) - len(set(of)) for of in runs) / max(1, total),
        "distinct": {},
    }
    for length in DISTINCT:
        every = [run for sample in samples for run in _runs(sample, length)]
        found["distinct"][str(length)] = len(set(every)) / max(1, len(every))
    if learned is not None:
        marks = [learned.copied(sample) for sample in samples]
        found["copied"] = float(sum(mark.sum() for mark in marks)) / max(1, found["tokens"])
        found["longest"] = max((_longest(mark) for mark in marks), default=0)
    return found


def describe_writing(found: dict[str, Any]) -> str:
    """Return the measures as a sentence."""
    distinct = ", ".join(f"distinct-{length} {share:.2f}" for length, share in found["distinct"].items())
    said = f"repeated within a text {found['repetition']:.0%}, {distinct}"
    if "copied" in found:
        longest = f", at most {found['longest']} tokens on end" if found["longest"] else ""
        said += f", copied from the training text {found['copied']:.0%}{longest}"
    return said


def _runs(tokens: Sequence[int], length: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[n : n + length]) for n in range(len(tokens) - length + 1)]


def _longest(marks: Any) -> int:
    """Return the length of the longest stretch of marked tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marks.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
