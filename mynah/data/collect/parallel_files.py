"""Parallel files, two that belong together line by line: text and translation, posts and replies, texts and classes."""

from __future__ import annotations

import html
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from mynah.data.readers import chat_text, irc
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Conversation, Labelled, Message, Pair, Record, Rejected
from mynah.data.sources import Reading

Items = Iterator[Record | Rejected]

#: ISO 639-1 codes that name the language of a file of sentences: train.en and train.de.
_CODES = frozenset(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ka kk ko lt lv mk ms nb nl no pl pt ro ru "
    "sk sl sq sr sv sw ta te th tl tr uk ur vi zh cn tw".split()
)
#: ISO 639-3 codes of the same languages.
_LONG_CODES = frozenset(
    "ara bul ben cat ces dan deu ell eng spa est pes fin fra heb hin hrv hun ind ita jpn kat kaz kor lit lav mkd msa "
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
#: A sentence in the files of a shared task (WMT, IWSLT).
_SEGMENT = re.compile(r"<seg\b[^<>]*>(.*?)</seg>", re.IGNORECASE)


@dataclass(frozen=True)
class Unit:
    """What is read as one source."""

    name: str
    files: list[Input]
    read: Callable[[Reading], Items]


def parallel_translations(inputs: list[Input]) -> Iterator[Unit]:
    """A text and its translation: two files whose names differ in a language's code alone, or in source and target."""
    by_base: dict[str, list[tuple[str, Input]]] = defaultdict(list)
    for given in inputs:
        folder, stem = PurePosixPath(given.name).parent, given.stem.lower()
        found = re.fullmatch(r"(.+?)[._-]([a-z]{2})(\.txt|\.tok|\.snt|\.sgml?|\.xml)?", stem)
        if found and found[2] in _CODES:
            base = re.sub(r"(?<![a-z])(?:src|ref)(?![a-z])", "*", found[1])  # WMT says both
            by_base[f"{folder}/{base}"].append((found[2], given))
        elif (found := re.fullmatch(r"([a-z]{2,3})(?:_[a-z]{4})?((?:[._-]\w+)?)", stem)) and (
            found[1] in _CODES or found[1] in _LONG_CODES
        ):
            by_base[f"{folder}/*{found[2]}"].append((found[1], given))
    for files in by_base.values():
        if len({code for code, _ in files}) != len(files) or len(files) != 2:
            continue
        counts = {_count_lines(given) for _, given in files}
        if len(counts) > 1 or min(counts) < _FEWEST or any(_is_chat(given) for _, given in files):
            continue  # two texts that are named alike, and neither the other's translation
        # English first, if it is one of them: corpora are named either way round.
        (_, source), (_, target) = sorted(files, key=lambda item: (item[0] not in ("en", "eng"), item[0]))
        yield Unit(source.name, [source, target], partial(_read_translation, source, target))
    yield from _called(inputs, _TRANSLATED, _read_translation)


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
    for place, first, second in _lines_of_both(source, target, reading):
        yield second if isinstance(second, Rejected) else Pair(first, second, place)


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
