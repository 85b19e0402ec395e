"""Rows made from rows: the same text with words left out or swapped, misspelt, in other case, or said in other words.

Wei & Zou 2019, "EDA: Easy Data Augmentation"; of scripts without spaces characters stand for words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

#: Share of the words that are left out or swapped, at least one; and how many rows are made of each.
CHANGED, COPIES = 0.12, 2
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

#: Texts in, as many texts that say the same in other words out.
Paraphrase = Callable[[Sequence[str]], list[str]]


def augmented(
    texts: Sequence[str], seed: int, paraphrases: Sequence[Paraphrase] = ()
) -> tuple[list[str], list[int]]:
    """Return changed texts, and of each the number of the text that it was made from.

    Args:
        texts: of at least one word each.
        seed: of all changes.
        paraphrases: each says the texts in other words, in addition.
    """
    made: list[str] = []
    of: list[int] = []
    for number, text in enumerate(texts):
        rng = np.random.default_rng((seed, number))
        for change in rng.permutation(len(_CHANGES))[:COPIES]:
            changed = _CHANGES[int(change)](text, rng)
            if changed != text and changed.strip():
                made.append(changed)
                of.append(number)
    for paraphrase in paraphrases:
        for number, (said, text) in enumerate(zip(paraphrase(texts), texts, strict=True)):
            if said.strip() and said != text:
                made.append(said)
                of.append(number)
    return made, of


def _cut(text: str) -> tuple[list[str], str]:
    """Return the words of a text and what stands between them."""
    if len(_UNSPACED.findall(text)) > len(text) / 3:
        return list(text), ""
    return text.split(), " "


def leave_out(text: str, rng: np.random.Generator) -> str:
    """Return a text with some of its words left out, never all."""
    words, between = _cut(text)
    count = min(len(words) - 1, max(1, round(CHANGED * len(words))))
    if count < 1:
        return text
    gone = set(rng.permutation(len(words))[:count].tolist())
    return between.join(word for n, word in enumerate(words) if n not in gone)


def swap(text: str, rng: np.random.Generator) -> str:
    """Return a text with some of its words in one another's place."""
    words, between = _cut(text)
    for _ in range(max(1, round(CHANGED * len(words) / 2))):
        if len(words) > 1:
            one, other = rng.permutation(len(words))[:2]
            words[one], words[other] = words[other], words[one]
    return between.join(words)


def misspell(text: str, rng: np.random.Generator) -> str:
    """Return a text in some of whose words a letter is left out, doubled or swapped with the next."""
    words, between = _cut(text)
    long = [n for n, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for n in rng.permutation(long)[: max(1, round(CHANGED * len(words)))] if long else ():
        word, at = words[n], int(rng.integers(1, len(words[n]) - 1))
        words[n] = (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )[int(rng.integers(3))]
    return between.join(words)


def recase(text: str, rng: np.random.Generator) -> str:
    """Return a text in lower case, in upper case, or with its first letter in the other case."""
    return (text.lower(), text.upper(), text[:1].swapcase() + text[1:])[int(rng.choice(3, p=[0.5, 0.1, 0.4]))]


_CHANGES: tuple[Callable[[str, np.random.Generator], str], ...] = (leave_out, swap, misspell, recase)
