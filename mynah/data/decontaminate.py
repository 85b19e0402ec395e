"""Find records that hold a piece of an evaluation file, so that a model is not measured on what it has read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mynah.data.preprocess import words
from mynah.data.records import Record

#: Words in a row that two texts share only if one was taken from the other (Brown et al. 2020, "Language
#: Models are Few-Shot Learners", appendix C); a Han character counts half.
OVERLAP_WORDS = 13


class Overlap:
    """Knows every run of 13 words (26 Han characters) of evaluation texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.known = {run for text in texts for run in _runs(text)}

    def __contains__(self, record: Record) -> bool:
        return any(run in self.known for text in record.texts for run in _runs(text))


def _runs(text: str) -> Iterator[int]:
    found = words(text.casefold())
    han = sum("\u3400" <= word[0] <= "\u9fff" for word in found)
    n = 2 * OVERLAP_WORDS if 2 * han > len(found) else OVERLAP_WORDS
    return (hash(tuple(found[i : i + n])) for i in range(len(found) - n + 1))
