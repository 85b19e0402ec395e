"""Rules that tell web text worth reading, with the thresholds that were published.

C4: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2. MassiveText: Rae et al. 2021,
"Scaling Language Models: Gopher", section A.1.1 and table A1. FineWeb: Penedo et al. 2024, "The FineWeb
Datasets", section 3.5.

Words mean words; for Chinese, what a segmenter cuts. Where a threshold counts letters of words or the length of
lines it is another one for Chinese, noted beside it: there a word has 1.6 characters on average, not 4.7.
"""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import numpy.typing as npt

from mynah.data.clean.measure import Measured
from mynah.data.preprocess import TERMINAL

_STOP_WORDS = frozenset("the be to of and that have with".split())
_STOP_WORDS_ZH = frozenset("的 了 是 在 和 有 不 与 之 而 以 为 也 就 都 这 我 他 你 不 於 為 與 這".split())
_BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–", "- ", "* ", "·", "●")
_EIGHT_HAN = re.compile(r"(?:[\u3400-\u9fff][^\u3400-\u9fff]*){8}")
_SENTENCE_END = re.compile(r"[.!?…]+(?=[\s\"'”’)]|$)|[。！？]+")
_ALPHABETIC = re.compile(r"[^\W\d_]")
#: What C4 drops a line for, in lower case.
_POLICY = (
    "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
    "隐私政策", "使用条款", "cookie 政策",
)  # fmt: skip

#: Largest share of a text's characters in its most frequent n-gram, by n (Rae et al. 2021, table A1).
TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}
#: Largest share of a text's characters in n-grams that stand in it more than once, by n (the same table).
REPEATED_NGRAM = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def gopher(text: Measured) -> str | None:
    """Return which of MassiveText's quality rules a text breaks, or None."""
    words, lines = text.words, text.lines
    if not 50 <= len(words) <= 100_000:
        return f"{'fewer than 50' if len(words) < 50 else 'more than 100,000'} words"
    mean = float(np.mean(text.word_lengths))
    low, high = (1.15, 4.0) if text.chinese else (3.0, 10.0)  # Chinese: around its mean of 1.6
    if not low <= mean <= high:
        return f"mean word length outside {low:g} to {high:g}"
    symbols = text.text.count("#") + text.text.count("...") + text.text.count("…")
    if symbols > 0.1 * len(words):
        return "more than one # or ellipsis in 10 words"
    if sum(line.startswith(_BULLETS) for line in lines) > 0.9 * len(lines):
        return "more than 90 % of lines begin with a bullet"
    if sum(line.endswith(("...", "…")) for line in lines) > 0.3 * len(lines):
        return "more than 30 % of lines end with an ellipsis"
    # Chinese: the segmenter makes punctuation a word of its own, about a sixth of all.
    search = _ALPHABETIC.search
    lettered = np.array([word[0].isalpha() or search(word) is not None for word in text.different])
    least = 0.65 if text.chinese else 0.8
    if text.word_counts[lettered].sum() < least * len(words):
        return f"fewer than {least:.0%} of words hold a letter"
    common = _STOP_WORDS_ZH if text.chinese else _STOP_WORDS
    if len(common.intersection(map(str.lower, text.different))) < 2:
        return "fewer than 2 of the commonest words"
    return None


def repetition(text: Measured) -> str | None:
    """Return which of MassiveText's repetition rules a text breaks, or None."""
    for what, parts, by_count, by_characters in (
        ("lines", text.lines, 0.30, 0.20),
        ("paragraphs", text.paragraphs, 0.30, 0.20),
    ):
        repeats, characters = _repeats(parts)
        if parts and repeats > by_count * len(parts):
            return f"more than {by_count:.0%} of {what} repeat an earlier one"
        if characters > by_characters * len(text.text):
            return f"more than {by_characters:.0%} of characters are in repeated {what}"
    lengths = text.word_lengths
    total = int(lengths.sum())
    if total == 0:
        return None
    # An n-gram has no more characters of the text than n times what its commonest word has of them.
    heaviest = int(np.max(text.word_counts * text.different_lengths))
    for n, most in TOP_NGRAM.items():
        if n * heaviest <= most * total:
            continue
        hashes = text.ngrams(n)
        if len(hashes) < 2:
            return None
        ordered = np.sort(hashes)
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        counts = np.diff(np.concatenate([starts, [len(ordered)]]))
        top = int(np.argmax(counts))
        at = int(np.argmax(hashes == ordered[starts[top]]))
        if counts[top] > 1 and counts[top] * lengths[at : at + n].sum() > most * total:
            return f"one {n}-gram has more than {most:.0%} of the characters"
    for n, most in REPEATED_NGRAM.items():
        share = _repeated_share(text.ngrams(n), lengths, n) / total
        if share > most:
            return f"more than {most:.0%} of characters are in repeated {n}-grams"
        if share <= min(REPEATED_NGRAM.values()):
            break  # a longer run that repeats is made of shorter ones that do
    return None


def _repeated_share(hashes: npt.NDArray[np.uint64], lengths: npt.NDArray[np.int64], n: int) -> int:
    """Return how many characters stand in n-grams that stand in the text more than once, each character once."""
    if len(hashes) < 2:
        return 0
    order = np.argsort(hashes)
    ordered = hashes[order]
    same = ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(hashes) + 1, dtype=bool)
    repeated[order[1:][same]] = True
    repeated[order[:-1][same]] = True
    at = np.flatnonzero(repeated)
    if not len(at):
        return 0
    steps = np.zeros(len(lengths) + 1, dtype=np.int64)
    steps[at] += 1
    np.add.at(steps, at + n, -1)
    return int(lengths[np.cumsum(steps[:-1]) > 0].sum())


def fineweb(text: Measured) -> str | None:
    """Return which of FineWeb's own rules a text breaks, or None."""
    lines = text.lines
    if not lines:
        return "empty"
    if sum(line.endswith(TERMINAL) for line in lines) < 0.12 * len(lines):
        return "fewer than 12 % of lines end with punctuation"
    short = 12 if text.chinese else 30  # Chinese: a line of 12 characters says what 30 letters do
    if sum(len(line) <= short for line in lines) > 0.67 * len(lines):
        return "more than 67 % of lines are short"
    if _repeats(lines)[1] >= 0.1 * sum(map(len, lines)):
        return "10 % of characters or more are in repeated lines"
    return None


def c4_lines(text: str) -> str:
    """Keep the lines that C4 keeps: sentences of five words or more, none about JavaScript, cookies or terms."""
    told = _tells_policy(text)
    kept = []
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            kept.append("")
        elif line.endswith(TERMINAL) and not (told and _tells_policy(line)):
            # Five words, or eight Han characters, which are about as many.
            kept += [line] if len(line.split(maxsplit=5)) >= 5 or _EIGHT_HAN.search(line) else []
    return "\n".join(kept).strip("\n")


def _tells_policy(text: str) -> bool:
    folded = text.lower()
    return any(words in folded for words in _POLICY)


def c4(text: Measured) -> str | None:
    """Return which of C4's rules for pages a text breaks, or None."""
    if "{" in text.text:
        return "holds a curly bracket"
    if "lorem ipsum" in text.text.lower():
        return "holds 'lorem ipsum'"
    third = next(islice(_SENTENCE_END.finditer(text.text), 2, None), None)
    return None if third else "fewer than 3 sentences"


def _repeats(parts: list[str]) -> tuple[int, int]:
    """Return how many parts repeat an earlier one, and their characters."""
    seen: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in seen:
            count += 1
            characters += len(part)
        else:
            seen.add(part)
    return count, characters


_BOILERPLATE = re.compile(
    r"^\s*(?:(?:please\s+)?(?:enable|turn on|activate)\s+javascript|javascript (?:is|must be|needs to be) |"
    r"(?:this|our) (?:web)?site uses cookies|we use cookies|by (?:using|continuing|browsing) .{0,60}cookies|"
    r"accept (?:all )?cookies|all rights reserved\W*$|(?:copyright|©|\(c\)) ?.{0,60}all rights reserved|"
    r"share (?:this )?(?:on|via) (?:facebook|twitter|whatsapp|email)\b.{0,40}$|skip to (?:main )?content\W*$|"
    r"\*{3} ?(?:start|end) of (?:this|the) project gutenberg|"
    r"请(?:启用|开启|打开)\s?javascript|本(?:网)?站使用\s?cookies?|版权所有.{0,40}(?:不得转载|保留所有权利)|"
    r"转载请注明出处.{0,20}$|点击(?:加载|查看)更多\W*$)",
    re.IGNORECASE,
)


def remove_boilerplate(text: str) -> str:
    """Drop lines that no author wrote: notices about JavaScript, cookies and rights, buttons for sharing."""
    folded = text.lower()
    if not any(hint in folded for hint in _BOILERPLATE_HINTS):
        return text
    return "\n".join(line for line in text.split("\n") if not _BOILERPLATE.match(line))


#: Without one of these no line of a text is one of those.
_BOILERPLATE_HINTS = (
    "javascript", "cookies", "rights reserved", "share", "skip to", "gutenberg", "版权", "转载", "点击"
)  # fmt: skip
