"""Files that are named for classes: `x.pos` and `x.neg`, `ham_1.txt` and `spam_1.txt`; and lists of classes' names."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from mynah.data.collect.parallel_files import Items, Unit
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Labelled, Rejected
from mynah.data.sources import Reading
from mynah.errors import DataError

#: Classes that files are named for, those of one task together.
_TASKS = tuple(
    frozenset(names.split())
    for names in (
        "pos neg neutral neu",
        "positive negative neutral mixed",
        "good bad",
        "ham spam",
        "real fake",
        "true false",
        "subjective objective",
        "subj obj",
        "toxic nontoxic clean",
        "hate nothate normal offensive",
        "sarcastic notsarcastic",
        "正面 负面 中性",
        "积极 消极 中立",
        "正 负",
    )
)
_WORD = re.compile(r"[^\W\d_]+")
#: A class with this many files has a text a file; with fewer, a text a line, and at least so many.
_MANY_FILES, _FEWEST_LINES = 10, 2
#: A list of classes: what it is called, and how long it and its names are at most.
_LIST = re.compile(
    r"(?:.*[._-])?(?:class|classes|class[._-]?names|labels?|label[._-]?names|labels?[._-]?list|categories|category[._-]?names|"
    r"target[._-]?names|intents?[._-]?list|intents|tag[._-]?set)(?:\.(?:txt|csv|tsv|names|json|list))?"
)
_MOST_CLASSES, _LONGEST_NAME, _MOST_WORDS = 1000, 60, 6


def named_for_classes(inputs: list[Input]) -> Iterator[Unit]:
    """Files of one folder whose names differ in the name of a class alone."""
    groups: dict[tuple[str, int], dict[str, list[Input]]] = defaultdict(lambda: defaultdict(list))
    for given in inputs:
        if given.suffix not in (".txt", ".text", "", *(f".{name}" for names in _TASKS for name in names)):
            continue
        words = _WORD.findall(PurePosixPath(given.name).name.lower())
        for number, names in enumerate(_TASKS):
            found = [word for word in words if word in names]
            if len(found) == 1:
                groups[str(PurePosixPath(given.name).parent), number][found[0]].append(given)
    taken: set[str] = set()
    for classes in groups.values():
        files = [(label, given) for label, listed in classes.items() for given in listed]
        if len(classes) < 2 or any(given.name in taken for _, given in files):
            continue
        whole = all(len(listed) >= _MANY_FILES for listed in classes.values())
        if not whole and any(
            len(given.first_lines("utf-8", _FEWEST_LINES)) < _FEWEST_LINES for _, given in files
        ):
            continue
        taken |= {given.name for _, given in files}
        if whole:
            for label, listed in classes.items():
                yield Unit(listed[0].name, listed, partial(read_texts, label, listed, "in its name"))
        else:
            for label, given in files:
                yield Unit(given.name, [given], partial(_read_lines, label, given))


def lists_of_classes(inputs: list[Input]) -> Iterator[Unit]:
    """Files that hold nothing but the names of classes, which is no text to learn from."""
    for given in inputs:
        if _LIST.fullmatch(PurePosixPath(given.name).name.lower()) and _are_names(given):
            yield Unit(given.name, [given], partial(_refuse, given))


def names_by_folder(inputs: list[Input]) -> dict[str, tuple[str, ...]]:
    """Return folder -> the names of its classes in the order of their numbers, where one file there lists them."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for given in inputs:
        path = PurePosixPath(given.name)
        if _LIST.fullmatch(path.name.lower()) and (names := _names_in(given)):
            found[str(path.parent)].append(names)
    return {folder: lists[0] for folder, lists in found.items() if len(lists) == 1}


def _are_names(given: Input) -> bool:
    return bool(_names_in(given))


def _names_in(given: Input) -> tuple[str, ...]:
    """Return the names of classes that a file lists, in the order of their numbers; none if it is no list of names."""
    lines = given.first_lines("utf-8", _MOST_CLASSES + 1)
    if given.suffix == ".json":
        try:
            value = json.loads("".join(lines))
        except ValueError:
            return ()
        if isinstance(value, dict) and all(isinstance(number, int) for number in value.values()):
            names = sorted(value, key=lambda name: value[name])
        elif isinstance(value, dict) and all(key.isdecimal() for key in value):
            names = [value[key] for key in sorted(value, key=int)]
        else:
            names = [*value.values()] if isinstance(value, dict) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return ()
    else:
        names = [re.sub(r"^\s*\d+[\s,:.]+|[\s,:]+\d+\s*$", "", line).strip(" ,;\t\r\n\"'") for line in lines]
        names = [name for name in names if name]
    told = (
        0 < len(names) <= _MOST_CLASSES
        and len(set(names)) == len(names)
        and all(len(name) <= _LONGEST_NAME and len(name.split()) <= _MOST_WORDS for name in names)
        and not any(mark in name for name in names for mark in "\t,;.?!。？！")
    )
    return tuple(names) if told else ()


def _refuse(given: Input, reading: Reading) -> Items:
    reading.tell(form="a list of classes")
    raise DataError(f"{given.name}: a list of the names of classes, and no text to learn from")
    yield


def _read_lines(label: str, given: Input, reading: Reading) -> Items:
    encoding = encoding_of(given, reading)
    reading.tell(
        form="texts of one class", layout=f"each line is a text, its class in the file's name: {label}"
    )
    reading.account_for_lines(given, 4)
    for number, line in enumerate(given.lines(encoding), start=1):
        if line.strip():
            reading.source.rows += 1
            yield Labelled(line.strip(), label, f"{given.name}:{number}")


#: Characters of a text that has a class.
_LONGEST_TEXT = 16 << 20


def read_texts(label: str, files: list[Input], where: str, reading: Reading) -> Items:
    """Yield files that are a text each of one class.

    Args:
        label: the class.
        files: of it.
        where: it stands: "its folder", "in its name".
        reading: settings and the account.
    """
    for given in files:
        encoding = encoding_of(given, reading)
        with given.text(encoding) as file:
            text = file.read(_LONGEST_TEXT)
            longer = bool(file.read(1))
        reading.source.rows += 1
        reading.source.characters += len(text)
        if longer:
            yield Rejected(
                given.name, 0, f"what stands beyond the first {_LONGEST_TEXT >> 20} Mi characters", bad=False
            )
        yield Labelled(text, label, given.name) if text.strip() else Rejected(given.name, 0, "empty text")
    reading.tell(form="texts of one class", layout=f"each file is a text, {where} the class: {label}")
