"""Find records that hold a piece of an evaluation file, so that a model is not measured on what it has read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mynah.data.dedup.duplicates import shingle_text
from mynah.data.records import Record

#: Words in a row that two texts share only if one was taken from the other (Brown et al. 2020, "Language
#: Models are Few-Shot Learners", appendix C); a Han character counts half.
OVERLAP_WORDS = 13


class Overlap:
    """Knows every run of 13 words (26 Han characters) of evaluation texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.runs = {run for text in texts for run in _runs(text)}

    def __contains__(self, record: Record) -> bool:
        return any(run in self.runs for text in record.texts for run in _runs(text))


def _runs(text: str) -> Iterator[int]:
    """Yield a hash of every run that weighs 13 words, whatever stands around it; a Han character weighs half."""
    found = shingle_text(text).split()
    weights = [1 if "\u3400" <= word[0] <= "\u9fff" else 2 for word in found]
    start = weight = 0
    for end, added in enumerate(weights):
        weight += added
        while weight - weights[start] >= 2 * OVERLAP_WORDS:
            weight -= weights[start]
            start += 1
        if weight >= 2 * OVERLAP_WORDS:
            yield hash(tuple(found[start : end + 1]))
