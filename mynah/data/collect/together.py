"""Files that belong together: an export in many files, a text and its translation, texts in folders by class.

Every unit is read as one; a file that belongs to nothing else is a unit of its own.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from mynah.data.collect.class_files import lists_of_classes, named_for_classes, names_by_folder, read_texts
from mynah.data.collect.parallel_files import (
    Items,
    Unit,
    parallel_labels,
    parallel_replies,
    parallel_translations,
)
from mynah.data.readers import cornell, irc, mail, slack
from mynah.data.readers.detect import form_of, reader_of
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.records import Labelled, Rejected
from mynah.data.sources import CollectConfig, Reading, Source
from mynah.errors import DataError

#: A folder of texts is a class if there are a few of them with this many files each.
_FEWEST_IN_CLASS, _MOST_CLASSES = 10, 500
_CLASS_FILE = re.compile(r"(?:class|classes|labels?|categories|target_names)\.txt")


def find_units(inputs: list[Input], config: CollectConfig) -> list[Unit]:
    """Put files that belong together into units, all others into units of their own, in the order of files."""
    units: list[Unit] = []
    left = list(inputs)

    def take(unit: Unit) -> None:
        units.append(unit)
        for given in unit.files:
            if given in left:
                left.remove(given)

    if config.form is None:
        for find in (
            _slack,
            _cornell,
            _irc,
            _mail,
            _indexed_classes,
            parallel_labels,
            lists_of_classes,
            named_for_classes,
            parallel_replies,
            partial(parallel_translations, languages=config.languages),
        ):
            for unit in list(find(left)):
                take(unit)
    if config.form in (None, "text") and config.folder_labels is not False:
        for unit in _by_folder(left, config):
            take(unit)
    names = names_by_folder(inputs)
    units += [
        Unit(
            given.name, [given], partial(_single, given, names.get(str(PurePosixPath(given.name).parent), ()))
        )
        for given in left
    ]
    order = {id(given): number for number, given in enumerate(inputs)}
    return sorted(units, key=lambda unit: min(order[id(given)] for given in unit.files))


def _single(given: Input, class_names: tuple[str, ...], reading: Reading) -> Items:
    reading.class_names = class_names
    return reader_of(given, reading)(given, reading)


def _slack(inputs: list[Input]) -> Iterator[Unit]:
    for root, files in slack.find_exports(inputs).items():
        users = next(given for given in files if given.name == f"{root}users.json")
        channels: dict[str, list[Input]] = defaultdict(list)
        for given in files:
            if slack.is_day(given, root):
                channels[str(PurePosixPath(given.name).parent)].append(given)
        for name, days in channels.items():
            tops = [given for given in files if not slack.is_day(given, root)]
            yield Unit(name, [*days, *tops], partial(slack.read_channel, days, users))


def _mail(inputs: list[Input]) -> Iterator[Unit]:
    """Messages that are a file each, in one folder: of a thread each may lie in a file of its own."""
    by_folder: dict[str, list[Input]] = defaultdict(list)
    for given in inputs:
        path = PurePosixPath(given.name)
        if (given.suffix == ".eml" or path.parent.name in ("cur", "new")) and mail.is_mail(
            given.head(1 << 13)
        ):
            by_folder[str(path.parent)].append(given)
    for folder, files in by_folder.items():
        if len(files) > 1:
            name = f"{folder}/*.eml" if folder != "." else "*.eml"
            yield Unit(name, files, partial(mail.read_files, files))


def _cornell(inputs: list[Input]) -> Iterator[Unit]:
    by_folder: dict[str, list[Input]] = defaultdict(list)
    for given in inputs:
        if cornell.is_cornell(given):
            by_folder[str(PurePosixPath(given.name).parent)].append(given)
    for files in by_folder.values():
        yield Unit(files[-1].name, files, partial(cornell.read, files))


def _irc(inputs: list[Input]) -> Iterator[Unit]:
    named = {given.name: given for given in inputs}
    for given in inputs:
        if ".annotation" not in given.name:
            continue
        for other in (given.name.replace(".annotation", part) for part in (".raw", ".ascii", "")):
            if (log := named.get(other)) is not None and irc.is_annotation(given):
                yield Unit(log.name, [log, given], partial(_annotated, log, given))
                break


def _annotated(log: Input, annotation: Input, reading: Reading) -> Items:
    return irc.read(log, reading, annotation)


def _indexed_classes(inputs: list[Input]) -> Iterator[Unit]:
    """A file of class names, one a line, in a folder with files of `text<TAB>number of the class`."""
    for names in inputs:
        if not _CLASS_FILE.fullmatch(names.stem.lower()):
            continue
        classes = [line.strip() for line in itertools.islice(names.lines("utf-8-sig"), 2000) if line.strip()]
        folder = str(PurePosixPath(names.name).parent)
        neighbours = [g for g in inputs if g is not names and str(PurePosixPath(g.name).parent) == folder]
        for given in neighbours:
            lines = [x for x in itertools.islice(given.lines("utf-8"), 50) if x.strip()]
            if lines and all(re.search(r"\t\d+\s*$", x) and int(x.split()[-1]) < len(classes) for x in lines):
                yield Unit(given.name, [given, names], partial(_read_indexed, given, classes))


def _read_indexed(given: Input, classes: list[str], reading: Reading) -> Items:
    encoding = encoding_of(given, reading)
    reading.tell(form="table cut by tabs", layout="text, number of its class in the file of classes")
    for number, line in enumerate(given.lines(encoding), start=1):
        if not line.strip():
            continue
        text, _, index = line.rstrip("\r\n").rpartition("\t")
        reading.source.rows += 1
        if not text.strip() or not index.strip().isdecimal() or int(index) >= len(classes):
            yield Rejected(given.name, number, "no text, or no class of that number")
        else:
            yield Labelled(text, classes[int(index)], f"{given.name}:{number}")


def _by_folder(inputs: list[Input], config: CollectConfig) -> list[Unit]:
    """Texts that lie in folders by class: at least two folders, each with many files of plain text and nothing else."""
    folders: dict[str, list[Input]] = defaultdict(list)
    for given in inputs:
        if given.folder:
            folders[str(PurePosixPath(given.name).parent)].append(given)
    classes = {
        folder: files
        for folder, files in folders.items()
        if (len(files) >= _FEWEST_IN_CLASS or config.folder_labels)
        and all(given.suffix in (".txt", ".text", "") for given in files)
        and _is_text(files[0], config)
    }
    if not 2 <= len(classes) <= _MOST_CLASSES or (len(classes) < len(folders) and not config.folder_labels):
        return []
    return [
        Unit(folder, files, partial(read_texts, PurePosixPath(folder).name, files, "its folder"))
        for folder, files in classes.items()
    ]


def _is_text(given: Input, config: CollectConfig) -> bool:
    try:
        return form_of(given, Reading(config, Source(given.name))) == "text"
    except DataError:
        return False
