"""Read sources of any supported kind into records, and account for every row that could not be used."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mynah.data.collect.parallel_files import Unit
from mynah.data.collect.together import find_units
from mynah.data.readers.inputs import find_inputs
from mynah.data.records import Labelled, Preference, Record, Rejected, kind_of
from mynah.data.sources import GENERAL, Ask, CollectConfig, Reading, Source, flag_of, is_url, is_web
from mynah.errors import ConfigError, DataError, MynahError

#: A source most of whose first rows are bad was misunderstood; this many are looked at.
FIRST_ROWS = 2000


@dataclass
class Collected:
    """Everything read, in the order of the sources."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


def collect(paths: Sequence[Path | str], config: CollectConfig, ask: Ask | None = None) -> Collected:
    """Read all sources into memory; see `Collector`."""
    collector = Collector(paths, config, ask)
    result = Collected(sources=collector.sources)
    for item in collector.items():
        if isinstance(item, Rejected):
            result.rejected.append(item)
        else:
            result.records.append(item)
    return result


class Collector:
    """Reads sources one after the other, holding no source in memory.

    Args:
        paths: files, folders and database URLs.
        config: how to read them.
        ask: who the assistant of a chat is, where nothing says so.
        told: is called with each source when it has been read.
        cache: a folder for the pages of web sites, so that a walk that was cut off goes on.

    Raises:
        ConfigError: if no source is given, or a setting fits none of them.
        DataError: if a source is missing or empty.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        config: CollectConfig,
        ask: Ask | None = None,
        told: Callable[[Source], None] | None = None,
        cache: Path | None = None,
    ) -> None:
        if not paths:
            raise ConfigError("no input given; example: mynah build chats.csv")
        if config.delimiter is not None and len(config.delimiter) != 1:
            raise ConfigError("--delimiter: expected one character; a tab is written '\\t'")
        self.config, self.ask, self.told = config, ask, told
        urls = [str(path) for path in paths if is_url(path)]
        found = find_inputs([Path(path) for path in paths if not is_url(path)])
        self.units = find_units(found.inputs, config) + [_at_url(url, cache) for url in urls]
        self.several = len(self.units) > 1
        self.first = self.units[0].name if self.units else str(paths[0])
        #: what was understood of each source that has been read
        self.sources: list[Source] = []
        #: files that were passed over, and why: (name, reason)
        self.left_out = found.left_out
        self.refused: list[MynahError] = []
        #: whether a text was found that is not empty
        self.usable = False

    def part(self, units: Sequence[int]) -> Collector:
        """Return a collector of some of the units, by their numbers, with an account of its own."""
        made = copy.copy(self)
        made.units = [self.units[number] for number in units]
        made.sources, made.left_out, made.refused, made.usable = [], [], [], False
        return made

    def items(self) -> Iterator[Record | Rejected]:
        """Yield every record, and every row that could not be used.

        One of several sources that cannot be read at all is passed over and listed in `left_out`; the only
        one stops the walk.

        Raises:
            DataError: if the only source cannot be read or understood, more than half of its first rows are
                bad, or nothing usable is left.
            ConfigError: if a setting does not fit the only source.
        """
        yield from self.walk()
        check_settings(self.config, self.sources)
        if not self.usable:
            if self.refused:
                raise self.refused[0]
            raise DataError(f"{self.first}: no usable row found: every text is empty")

    def walk(self) -> Iterator[Record | Rejected]:
        """Yield as `items` does; that nothing usable is found is no error yet."""
        for unit in self.units:
            source = Source(unit.name)
            try:
                for item in self._unit(unit, source):
                    if not self.usable and not isinstance(item, Rejected):
                        self.usable = any(text.strip() for text in item.texts)
                    yield item
            except (DataError, ConfigError) as error:
                if not self.several:
                    raise
                self.refused.append(error)
                self.left_out.append((unit.name, str(error).removeprefix(f"{unit.name}: ")))
                if not source.records:
                    continue
            self.sources.append(source)
            if self.told is not None:
                self.told(source)

    def _unit(self, unit: Unit, source: Source) -> Iterator[Record | Rejected]:
        reading = Reading(self.config, source, self.ask, alone=not self.several)
        items = map(_if_usable, unit.read(reading))
        first = list(itertools.islice(items, FIRST_ROWS))
        source.unused = sorted(self.config.told - reading.used)
        if not self.several and (meant := [s for s in source.unused if s not in GENERAL]):
            raise _meaningless(source, meant)
        bad = [item for item in first if isinstance(item, Rejected) and item.bad]
        rows = max(source.rows, sum(not isinstance(item, Rejected) or item.bad for item in first))
        if len(bad) == rows == 1:
            raise DataError(f"{unit.name}: {bad[0].reason}")
        if 2 * len(bad) > rows:
            raise DataError(
                f"{unit.name}: {len(bad):,} of {rows:,} rows are bad, more than half; the first is line "
                f"{bad[0].line}: {bad[0].reason}{_what_may_help(source.form)}"
            )
        counts: Counter[str] = Counter()
        units = 0
        for item in itertools.chain(first, items, _damages(unit)):
            units += 1
            if isinstance(item, Rejected):
                source.rejected += item.bad
                reading.drop(item.reason, item.characters)
            else:
                counts[kind_of(item)] += 1
                source.records = dict(sorted(counts.items()))
                source.kept += sum(map(len, item.texts))
                source.kept += len(item.label) if isinstance(item, Labelled) else 0
            yield item
        source.unused = sorted(self.config.told - reading.used)
        source.rows = source.rows or units
        reading.close()


def _if_usable(item: Record | Rejected) -> Record | Rejected:
    """Refuse a preference that prefers nothing."""
    if isinstance(item, Preference) and item.chosen.strip() == item.rejected.strip():
        file, _, line = item.place.rpartition(":")
        reason = "the better and the worse reply are the same"
        return Rejected(file, int(line), reason) if line.isdecimal() else Rejected(item.place, 0, reason)
    return item


def check_settings(config: CollectConfig, sources: Sequence[Source]) -> None:
    """Refuse settings that none of the sources had a use for.

    Raises:
        ConfigError: naming them, and what the first source was taken for.
    """
    if not sources:
        return
    nowhere = frozenset.intersection(*(frozenset(source.unused) for source in sources)) - GENERAL
    if nowhere:
        raise _meaningless(sources[0], sorted(nowhere & config.told))


def _meaningless(source: Source, settings: Sequence[str]) -> ConfigError:
    """Say that settings mean nothing for what a source was taken for."""
    taken = f"{source.form}{f' ({source.layout})' if source.layout else ''}"
    return ConfigError(
        f"{source.file}: {', '.join(map(flag_of, settings))}: of no use, for it was read as {taken}; leave it out, or "
        "say what the file is with --form or --rows-are"
    )


def _what_may_help(form: str) -> str:
    """Return which flags may mend a source that was misread."""
    if form.startswith("table"):
        return "; check --encoding, --delimiter and the column flags"
    if form in ("JSON", "Parquet", "Arrow", "SQLite", "a workbook"):
        return "; check the column flags"
    return "; check --encoding and --form" if form else ""


def _damages(unit: Unit) -> Iterator[Rejected]:
    """Yield what was wrong with the compression of files, known once they have been read."""
    for given in unit.files:
        if given.damage:
            yield Rejected(given.name, 0, given.damage)


def _at_url(url: str, cache: Path | None) -> Unit:
    if is_web(url):
        from mynah.data.collect import crawl

        return Unit(url, [], partial(crawl.read, url, cache=cache))
    from mynah.data.readers import database

    return Unit(database.shown_url(url), [], partial(database.read_url, url))
