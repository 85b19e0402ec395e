"""Terms that are always translated in one way: read from a file, and found in a text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mynah.errors import DataError

#: Scripts that put no spaces between words: a term stands anywhere, not between word boundaries.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Term:
    """A term that stands in a text."""

    #: what it is always translated to
    target: str
    #: the text without it
    without: str

    def said_in(self, translation: str) -> bool:
        """Whether a translation holds it, as it is written."""
        return _pattern(self.target, re.NOFLAG).search(translation) is not None


@dataclass(frozen=True)
class Glossary:
    """Terms and their translations."""

    terms: tuple[tuple[str, str], ...] = ()

    def flipped(self) -> Glossary:
        """Return the glossary of the other direction."""
        return Glossary(tuple((target, source) for source, target in self.terms))

    def wanted(self, text: str) -> list[Term]:
        """Return the terms that stand in a text, upper or lower case, in their order there.

        Where terms overlap, the longer one counts; one that stands twice is wanted once.
        """
        free = text
        found: dict[str, tuple[int, Term]] = {}
        for source, target in sorted(self.terms, key=lambda term: -len(term[0])):
            if (match := _pattern(source).search(free)) is not None:
                term = Term(target, f"{text[: match.start()]}{text[match.end() :].lstrip()}")
                found.setdefault(target, (match.start(), term))
                free = _pattern(source).sub(lambda m: "\n" * len(m.group()), free)
        return [term for _, term in sorted(found.values(), key=lambda one: one[0])]


def _pattern(term: str, flags: re.RegexFlag = re.IGNORECASE) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, term.split()))
    left = "" if UNSPACED.match(term[0]) or not term[0].isalnum() else r"(?<!\w)"
    right = "" if UNSPACED.match(term[-1]) or not term[-1].isalnum() else r"(?!\w)"
    return re.compile(left + words + right, flags)


def read_glossary(path: Path) -> Glossary:
    """Read a file of terms: source and target, cut by a tab or comma, a pair a line.

    Raises:
        DataError: if it cannot be read, a line has not two texts, or a term is given two translations; with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not valid UTF-8 text") from None
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 24))
    cut = "\t" if any("\t" in line for line in lines) else ","
    return Glossary(tuple(_terms(path, csv.reader(lines, delimiter=cut))))


def _terms(path: Path, rows: Iterable[list[str]]) -> list[tuple[str, str]]:
    found: dict[str, tuple[str, str, int]] = {}
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if len(cells) != 2 or not all(cells):
            raise DataError(
                f"{path}:{number}: found {len([c for c in cells if c])} texts, expected a term and its translation"
            )
        _, before, line = found.setdefault(cells[0].lower(), (cells[0], cells[1], number))
        if before != cells[1]:
            raise DataError(f"{path}:{number}: the term of line {line} has another translation here")
    if not found:
        raise DataError(
            f"{path}: holds no terms; expected a term and its translation a line, cut by a tab or comma"
        )
    return [(source, target) for source, target, _ in found.values()]
