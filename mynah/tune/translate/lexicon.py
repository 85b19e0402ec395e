"""IBM model 1: which word stands for which, learned from pairs alone; the yardstick of a translator.

Brown et al. 1993, "The Mathematics of Statistical Machine Translation", section 4.1. S and T words of a pair's sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|[^\w\s]"
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
#: Links between words that are looked at, at most: those of the first pairs.
MOST_LINKS = 20_000_000
#: Rounds of expectation and maximisation; five are usual, the likelihood hardly grows after.
ROUNDS = 5


def words_of(text: str) -> list[str]:
    """Return the words of a text; of Chinese and Japanese its characters."""
    return _WORD.findall(text)


class Lexicon:
    """The likeliest translation of every word."""

    def __init__(self, best: dict[str, str]) -> None:
        self.best = best

    @classmethod
    def learn(cls, pairs: Iterable[tuple[str, str]], rounds: int = ROUNDS) -> Lexicon:
        """Return a lexicon of t(target word | source word), by expectation maximisation from even beginnings.

        Args:
            pairs: source and target.
            rounds: of expectation and maximisation.
        """
        sources, targets = _Numbers(), _Numbers(null=False)
        links: list[npt.NDArray[np.int64]] = []
        #: of each link, which target word of which pair it explains
        explains: list[npt.NDArray[np.int64]] = []
        total, explained = 0, 0
        for source, target in pairs:
            # Sources in lower case, so that a word is one at the beginning of a sentence too; 0: no word at all.
            s = np.array([0, *map(sources.number, words_of(source.lower()))], np.int64)
            t = np.array([targets.number(word) for word in words_of(target)], np.int64)
            links.append((s[None, :] << 32 | t[:, None]).reshape(-1))
            explains.append(explained + np.repeat(np.arange(len(t)), len(s)))
            explained += len(t)
            total += len(s) * len(t)
            if total > MOST_LINKS:
                break
        if not total:
            return cls({})
        kinds, which = np.unique(np.concatenate(links), return_inverse=True)
        of, source_of = np.concatenate(explains), kinds >> 32
        t_given_s = np.ones(len(kinds))
        for _ in range(rounds):
            each = t_given_s[which]
            share = each / np.bincount(of, each, explained)[of]
            counted = np.bincount(which, share, len(kinds))
            t_given_s = counted / np.bincount(source_of, counted, len(sources))[source_of]
        best: dict[str, str] = {}
        order = np.lexsort((t_given_s, source_of))
        last = np.flatnonzero(np.append(source_of[order][1:] != source_of[order][:-1], True))
        for kind in kinds[order[last]].tolist():
            if kind >> 32:
                best[sources.words[kind >> 32]] = targets.words[kind & 0xFFFFFFFF]
        return cls(best)

    def translate(self, text: str) -> str:
        """Return a text word by word; words that no pair has had stay as they are."""
        return join_words([self.best.get(word.lower(), word) for word in words_of(text)])


def join_words(words: Sequence[str]) -> str:
    """Return words as a text: spaces between them, but not around characters of Chinese, nor before punctuation."""
    text = ""
    for word in words:
        joined = not text or _UNSPACED.match(word) or _UNSPACED.match(text[-1]) or not word[0].isalnum()
        text += word if joined else f" {word}"
    return text


class _Numbers:
    """Numbers of words, in the order in which they come."""

    def __init__(self, *, null: bool = True) -> None:
        #: 0 is no word, where there is one
        self.words: list[str] = [""] if null else []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.words)

    def number(self, word: str) -> int:
        found = self._numbers.setdefault(word, len(self.words))
        if found == len(self.words):
            self.words.append(word)
        return found
