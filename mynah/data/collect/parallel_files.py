"""Parallel files, two that belong together line by line: text and translation, posts and replies, texts and classes."""

from __future__ import annotations

import bisect
import html
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from mynah.data.readers import chat_text, irc
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.subtitles import captions
from mynah.data.records import Conversation, Labelled, Message, Pair, Record, Rejected
from mynah.data.sources import Reading
from mynah.data.vocabulary import names_of_language
from mynah.errors import ConfigError, DataError

Items = Iterator[Record | Rejected]

#: ISO 639-1 codes that name the language of a file of sentences: train.en and train.de.
_CODES = frozenset(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ka kk ko lt lv mk ms nb nl no pl pt ro ru "
    "sk sl sq sr sv sw ta te th tl tr uk ur vi zh cn tw".split()
)
#: ISO 639-3 codes of the same languages.
_LONG_CODES = frozenset(
    "ara bul ben cat ces dan deu ell eng spa est pes fin fra heb hin hrv hun ind ita jpn kat kaz kor lit lav mkd msa "
    "chi ger fre dut per gre cze rum slo alb arm geo ice mac may wel "
    "nob nld pol por ron rus slk slv sqi srp swe swa tam tel tha tgl tur ukr urd vie zho cmn".split()
)
#: What two files are called of which one answers the other, or is its translation, line by line.
_REPLIES = (("post", "response"), ("post", "reply"), ("question", "answer"), ("questions", "answers"),
            ("query", "response"), ("ask", "answer"), ("context", "response"), ("enc", "dec"))  # fmt: skip
_TRANSLATED = (("src", "tgt"), ("source", "target"), ("src", "trg"), ("src", "ref"))
#: And of which one holds the classes of the other's lines.
_TEXTS = frozenset(("seq.in", "text", "texts", "sentences", "data", "x"))
_LABELS = ("label", "labels", "y")
#: Files of fewer lines agree by chance.
_FEWEST = 2
#: Of so few lines nothing is told by which are blank.
_FEW_LINES = 20
#: Lines that are looked at to tell whether two texts go line by line.
_LOOKED_AT = 1000
#: Texts of nearly as many lines, which were meant to have as many: this share of them, and no fewer than so many.
_PARTED_SHARE, _FEWEST_PARTED = 0.65, 5
#: Regions and scripts that may stand after a language's code.
_REGIONS = frozenset(
    "cn tw hk sg us gb uk br pt es mx ar fr ca de at ch hans hant latn cyrl jp kr in".split()
)
#: Captions of two languages belong together if they are shown within so many seconds of each other.
_CAPTIONS, _SHOWN_WITHIN = (".srt", ".vtt"), 0.7
#: A sentence in the files of a shared task (WMT, IWSLT).
_SEGMENT = re.compile(r"<seg\b[^<>]*>(.*?)</seg>", re.IGNORECASE)


@dataclass(frozen=True)
class Unit:
    """What is read as one source."""

    name: str
    files: list[Input]
    read: Callable[[Reading], Items]


def parallel_translations(inputs: list[Input], languages: Sequence[str] = ()) -> Iterator[Unit]:
    """A text and its translations: files whose names differ in a language's code alone, or in source and target.

    Args:
        inputs: all files.
        languages: the source's and the target's, if a pair was asked for; else each language is paired with the first.
    """
    by_base: dict[str, list[tuple[str, Input]]] = defaultdict(list)
    told, paired = set[str](), False
    for given in inputs:
        if found := _language_in(given):
            base, code = found
            by_base[f"{PurePosixPath(given.name).parent}/{base}"].append((code, given))
    for files in by_base.values():
        if len(files) < 2 or len({code for code, _ in files}) != len(files):
            continue
        if any(_is_chat(given) for _, given in files):
            continue
        # English first, if it is one of them: corpora are named either way round.
        files.sort(key=lambda item: (item[0].split("-")[0] not in ("en", "eng"), item[0]))
        if languages:
            told.add(", ".join(code for code, _ in files))
            asked = _asked_for(files, languages)
            others = [given for _, given in files if asked and given not in [item for _, item in asked]]
            files = asked
            yield from (Unit(given.name, [given], partial(_not_asked_for, given)) for given in others)
            if not files:
                continue
        source = files[0][1]
        fitting = [
            target for _, target in files[1:] if source.suffix in _CAPTIONS or _are_parallel(source, target)
        ]
        if 3 * len(fitting) < 2 * (len(files) - 1):
            continue  # the same in many languages, each laid out in its own way
        for target in fitting:
            if source.suffix in _CAPTIONS:
                yield Unit(
                    f"{source.name} + {target.name}",
                    [source, target],
                    partial(_read_captions, source, target),
                )
            else:
                name = source.name if len(files) == 2 else f"{source.name} + {target.name}"
                yield Unit(name, [source, target], partial(_read_translation, source, target))
        paired = paired or len(files) > 1
    if told and not paired:
        raise ConfigError(
            f"--languages {','.join(languages)}: files named for languages are in {'; '.join(sorted(told))}"
        )
    yield from _called(inputs, _TRANSLATED, _read_translation)


def _not_asked_for(given: Input, reading: Reading) -> Items:
    reading.tell(form="a text in another language")
    reading.used.add("languages")
    yield Rejected(given.name, 0, "in a language that was not asked for", bad=False)


def _language_in(given: Input) -> tuple[str, str] | None:
    """Return what a file's name is without a language's code, and the code; None if there is none in it."""
    stem = given.stem.lower()
    found = re.fullmatch(
        r"(.+?)[._-]([a-z]{2,3}(?:[-_][a-z]{2,4})?)(\.txt|\.tok|\.snt|\.sgml?|\.xml|\.srt|\.vtt)?", stem
    )
    if found and _is_code(found[2]):
        base = re.sub(r"(?<![a-z])(?:src|ref)(?![a-z])", "*", found[1])  # WMT says both
        return f"{base}{found[3] or ''}", found[2].replace("_", "-")
    found = re.fullmatch(r"([a-z]{2,3}(?:[-_][a-z]{2,4})?)((?:[._-]\w+)?)", stem)
    if found and _is_code(found[1]):
        return f"*{found[2]}", found[1].replace("_", "-")
    return None


def _is_code(code: str) -> bool:
    language, _, region = code.replace("_", "-").partition("-")
    if region and region not in _REGIONS:
        return False
    return language in _CODES or language in _LONG_CODES


def _asked_for(files: list[tuple[str, Input]], languages: Sequence[str]) -> list[tuple[str, Input]]:
    """Return the files in the languages that were asked for; none if one of them is not there."""
    wanted: list[tuple[str, Input]] = []
    for language in languages:
        names = names_of_language(language)
        exact = [item for item in files if item[0] == language.lower().replace("_", "-")]
        wanted += (exact or [item for item in files if item[0].split("-")[0] in names])[:1]
    return wanted if len(wanted) == len(languages) else []


def _are_parallel(source: Input, target: Input) -> bool:
    """Whether two texts that are named alike go line by line: they have as many lines, or nearly, and hardly any is
    blank in one of them alone. Where a line is missing, reading them names the place."""
    counts = sorted((_count_lines(source), _count_lines(target)))
    if counts[0] < _FEWEST or (
        counts[0] < counts[1] and counts[0] < max(_FEWEST_PARTED, _PARTED_SHARE * counts[1])
    ):
        return False
    blank = [
        [not line.strip() for line in itertools.islice(given.lines("utf-8"), _LOOKED_AT)]
        for given in (source, target)
    ]
    apart = sum(one != other for one, other in zip(*blank, strict=False))
    if len(blank[0]) < _FEWEST_PARTED or (counts[0] == counts[1] and counts[0] < _FEW_LINES):
        return True
    return 5 * apart <= len(blank[0]) and (
        counts[0] == counts[1] or 10 * max(map(sum, blank)) <= len(blank[0])
    )


def parallel_replies(inputs: list[Input]) -> Iterator[Unit]:
    """What was said in one file, the replies in another: `weibo_post.txt` and `weibo_response.txt`."""
    yield from _called(inputs, _REPLIES, _read_replies)


def _called(
    inputs: list[Input],
    names: tuple[tuple[str, str], ...],
    read: Callable[[Input, Input, Reading], Items],
) -> Iterator[Unit]:
    """Yield the pairs of files of equally many lines whose names differ in one of these words alone."""
    named = {given.name.lower(): given for given in inputs}
    for given in inputs:
        folder, _, name = given.name.lower().rpartition("/")
        for first, second in names:
            word = re.compile(rf"(?<![a-z]){first}(?![a-z])")
            other = named.get(f"{folder}/{word.sub(second, name)}".lstrip("/"))
            if (
                other is not None
                and other is not given
                and word.search(name)
                and given.suffix in (".txt", ".text", "", f".{first}")
                and _FEWEST <= _count_lines(given) == _count_lines(other)
            ):
                yield Unit(given.name, [given, other], partial(read, given, other))
                break


def parallel_labels(inputs: list[Input]) -> Iterator[Unit]:
    """Utterances in one file, their classes in another, line by line: seq.in and label."""
    named = {given.name: given for given in inputs}
    for given in inputs:
        folder, _, name = given.name.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        found = re.fullmatch(r"(.*?)(seq\.in|[A-Za-z]+)(\.txt)?", name)
        if not found or found[2].lower() not in _TEXTS or (found[1] and found[1][-1] not in "_-."):
            continue
        for word in _LABELS:
            ends = dict.fromkeys((found[3] or "", "", ".txt"))
            labels = next(
                (named[n] for end in ends if (n := f"{prefix}{found[1]}{word}{end}") in named), None
            )
            if (
                labels is not None
                and _FEWEST <= _count_lines(labels) == _count_lines(given)
                and _repeat(labels)
            ):
                slots = [named[prefix + "seq.out"]] if prefix + "seq.out" in named else []
                yield Unit(given.name, [given, labels, *slots], partial(_read_labels, given, labels))
                break


def _repeat(labels: Input) -> bool:
    """Whether the first lines of a file are classes: short, and fewer than there are lines."""
    lines = [line.strip() for line in labels.first_lines("utf-8", 1000)]
    return max(map(len, lines)) <= 64 and (len(lines) < 10 or 2 * len(set(lines)) <= len(lines))


def _read_labels(texts: Input, labels: Input, reading: Reading) -> Items:
    encoding = encoding_of(texts, reading)
    reading.tell(form="texts and classes line by line", layout=f"text = {texts.name}, label = {labels.name}")
    for number, (text, label) in enumerate(
        zip(texts.lines(encoding), labels.lines("utf-8"), strict=False), start=1
    ):
        reading.source.rows += 1
        if text.strip() and label.strip():
            yield Labelled(text.strip(), label.strip(), f"{texts.name}:{number}")
        else:
            yield Rejected(texts.name, number, "empty text or label")


def _read_replies(said: Input, replies: Input, reading: Reading) -> Items:
    reading.tell(form="two files line by line", layout=f"question = {said.name}, answer = {replies.name}")
    for place, first, second in _lines_of_both(said, replies, reading):
        if isinstance(second, Rejected):
            yield second
        else:
            yield Conversation((Message("user", first), Message("assistant", second)), place)


def _read_translation(source: Input, target: Input, reading: Reading) -> Items:
    reading.tell(form="two texts line by line", layout=f"source = {source.name}, target = {target.name}")
    reading.used.add("languages")
    _check_lengths(source, target, reading)
    for place, first, second in _lines_of_both(source, target, reading):
        yield second if isinstance(second, Rejected) else Pair(first, second, place)


def _read_captions(source: Input, target: Input, reading: Reading) -> Items:
    """Yield captions that are shown at the same time."""
    reading.tell(
        form="subtitles in two languages", layout=f"source = {source.name}, target = {target.name}, by time"
    )
    reading.used.add("languages")
    first, second = (list(captions(given, encoding_of(given, reading))) for given in (source, target))
    starts = [start for _, start, _ in second]
    for line, start, text in first:
        reading.source.rows += 1
        near = bisect.bisect_left(starts, start - _SHOWN_WITHIN)
        if near < len(second) and abs(starts[near] - start) <= _SHOWN_WITHIN:
            yield Pair(text, second[near][2], f"{source.name}:{line}")
        else:
            yield Rejected(
                source.name, line, "nothing is shown at that time in the other language", bad=False
            )


def _check_lengths(source: Input, target: Input, reading: Reading) -> None:
    """Refuse texts of which one has more lines: from the line on where they part every pair would be wrong.

    Raises:
        DataError: naming that line.
    """
    counts = _count_lines(source), _count_lines(target)
    if counts[0] == counts[1]:
        return
    lengths = [
        np.array([len(line.strip()) for line in _lines(given, encoding_of(given, reading))], np.float64)
        for given in (source, target)
    ]
    longer, shorter = sorted(lengths, key=len, reverse=True)
    place = _parting(longer, shorter) + 1
    raise DataError(
        f"{source.name}: has {counts[0]:,} lines and {target.name} {counts[1]:,}; they part at about line {place:,}, "
        "from where on no line would be the other's translation: mend one of them there, or read each alone with "
        "--form text"
    )


def _parting(longer: npt.NDArray[np.float64], shorter: npt.NDArray[np.float64]) -> int:
    """Return the line at which lines are missing in one text, by how alike the lengths of lines are before and after.

    Gale and Church 1993, "A Program for Aligning Sentences in Bilingual Corpora": lengths of translations agree.
    """
    gap = len(longer) - len(shorter)
    scale = longer.sum() / max(1.0, shorter.sum())
    before = np.abs(longer[: len(shorter)] - scale * shorter)
    after = np.abs(longer[gap:] - scale * shorter)
    cost = np.concatenate([[0.0], np.cumsum(before)]) + np.concatenate([np.cumsum(after[::-1])[::-1], [0.0]])
    return int(np.argmin(cost))


def _lines_of_both(
    first: Input, second: Input, reading: Reading
) -> Iterator[tuple[str, str, str | Rejected]]:
    """Yield place and the two lines; or what was wrong with them instead of the second."""
    encodings = encoding_of(first, reading), encoding_of(second, reading)
    pairs = itertools.zip_longest(_lines(first, encodings[0]), _lines(second, encodings[1]))
    for number, (one, other) in enumerate(pairs, start=1):
        reading.source.rows += 1
        if one is None or other is None:
            ended = first if other is None else second
            yield "", "", Rejected(ended.name, number, "the other file has ended")
        elif not one.strip() or not other.strip():
            yield "", "", Rejected(first.name, number, "one side is empty")
        else:
            yield f"{first.name}:{number}", one.strip(), other.strip()


def _lines(given: Input, encoding: str) -> Iterator[str]:
    """Yield the lines of a file, or its segments if it marks them."""
    if not any(_SEGMENT.search(line) for line in given.first_lines(encoding, 50)):
        return given.lines(encoding)
    return (html.unescape(text) for line in given.lines(encoding) for text in _SEGMENT.findall(line))


def _is_chat(given: Input) -> bool:
    return chat_text.is_chat_text(given, "utf-8") or irc.is_irc(given, "utf-8")


def _count_lines(given: Input) -> int:
    """Return how many lines a file has, the last one with or without its end."""
    count, last = 0, b"\n"
    with given.open() as file:
        while piece := file.read(1 << 20):
            count += piece.count(b"\n")
            last = piece[-1:]
    return count + (last != b"\n")
