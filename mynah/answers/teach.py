"""What was taught to a bot since it was built, and what was taken back: a second index, over what counts now.

It is made anew from the run's index and what was taught, so that what was taken back is not in it. It knows of which
index it was made, and is made again when the run is built again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.errors import ArtifactError, DataError
from mynah.retrieval.exchanges import Exchange
from mynah.retrieval.index import ExchangeIndex

#: Within `taught`: the index, and what it was made of.
INDEX, ABOUT = "index", "taught.json"
STAGE = "taught"


@dataclass(frozen=True)
class Taught:
    """What counts besides, or instead of, what the run was built from."""

    #: exchanges that were taught, in order
    exchanges: tuple[Exchange, ...] = ()
    #: places and names whose exchanges of the log were taken back
    places: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def keeps(self, exchange: Exchange) -> bool:
        """Whether an exchange of the log was not taken back."""
        return not _is_of(exchange, self.places, self.names)

    def without(self, places: Sequence[str], names: Sequence[str]) -> Taught:
        """Return what counts without what stands at places, and without what people of these names took part in."""
        kept = tuple(e for e in self.exchanges if not _is_of(e, places, names))
        return Taught(kept, (*self.places, *places), (*self.names, *names))

    def with_more(self, exchanges: Sequence[Exchange]) -> Taught:
        """Return what counts with more exchanges; what was taken back before counts again if it is taught again."""
        there = {(e.question, e.reply, e.place) for e in self.exchanges}
        new = tuple(e for e in exchanges if (e.question, e.reply, e.place) not in there)
        return Taught((*self.exchanges, *new), self.places, self.names)


@dataclass(frozen=True)
class Known:
    """What a bot answers from."""

    index: ExchangeIndex
    #: exchanges from this number on were taught
    taught_from: int
    #: whether it had to be made anew
    renewed: bool = False


def open_known(answers: Path, index: Path, taught: Path) -> Known:
    """Open what a bot answers from; what was taught to an earlier build of the run is taken over.

    Args:
        answers: the folder of the run's stage.
        index: of the run.
        taught: the folder of what was taught; need not be there.

    Raises:
        ArtifactError: if something is missing, damaged or cannot be written.
    """
    if not (taught / artifacts.MANIFEST).is_file():
        main = ExchangeIndex(index)
        return Known(main, len(main))
    made_of = artifacts.read_manifest(taught).inputs.get("answers")
    if made_of != artifacts.read_manifest(answers, verify=False).output:
        write_known(answers, index, taught, read_taught(taught))
        return Known(ExchangeIndex(taught / INDEX), _from(taught), renewed=True)
    return Known(ExchangeIndex(taught / INDEX), _from(taught))


def read_taught(taught: Path) -> Taught:
    """Return what was taught and taken back so far; nothing if there is no such folder.

    Raises:
        ArtifactError: if it is damaged.
    """
    if not (taught / artifacts.MANIFEST).is_file():
        return Taught()
    about, known = artifacts.read_json(taught / ABOUT), ExchangeIndex(taught / INDEX)
    exchanges = tuple(known.exchange(n) for n in range(_from(taught), len(known)))
    return Taught(exchanges, tuple(about["places"]), tuple(about["names"]))


def write_known(answers: Path, index: Path, taught: Path, what: Taught) -> int:
    """Write the index of what counts now, in one step; return how many exchanges it holds.

    Raises:
        DataError: if nothing would be left.
        ArtifactError: if something is missing, damaged or cannot be written.
    """
    main = ExchangeIndex(index)
    kept = [n for n in range(len(main)) if what.keeps(main.exchange(n))]
    more = what.exchanges
    if not kept and not more:
        raise DataError("nothing would be left to answer from; remove the run instead")

    def everything() -> Iterator[Exchange]:
        yield from map(main.exchange, kept)
        yield from more

    about = {"places": list(what.places), "names": list(what.names), "taught_from": len(kept)}
    inputs = {"answers": artifacts.read_manifest(answers, verify=False).output}
    manifest = Manifest(
        STAGE, "", __version__, {}, inputs, 0, {"taught": len(more), "exchanges": len(kept) + len(more)}
    )
    with artifacts.new_directory(taught, manifest) as partial:
        ExchangeIndex.build(everything(), partial / INDEX, main.sparse.statistics)
        artifacts.write_json(partial / ABOUT, about)
    return len(kept) + len(more)


def taken_back(index: ExchangeIndex, places: Sequence[str], names: Sequence[str]) -> list[Exchange]:
    """Return the exchanges that stand at places, or that people of these names took part in."""
    return [exchange for exchange in index if _is_of(exchange, places, names)]


def _is_of(exchange: Exchange, places: Sequence[str], names: Sequence[str]) -> bool:
    return exchange.place in places or not set(names).isdisjoint(exchange.names)


def _from(taught: Path) -> int:
    about = artifacts.read_json(taught / ABOUT)
    try:
        return int(about["taught_from"])
    except (KeyError, TypeError, ValueError):
        raise ArtifactError(f"{taught / ABOUT}: damaged: a key is missing") from None
