"""Whether a table's first row names its columns, judged by what stands under each name; and where the table begins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mynah.data.sources import Alternative, Reading
from mynah.data.vocabulary import LANGUAGE_NAMES, known_names

#: Names that say nothing: those of a table without a header, or given by a program.
NAMELESS = re.compile(r"(?:column|col|field|var|_?c|v|x|f)_?\d+", re.IGNORECASE)
#: Rows that are looked at under the first.
LOOKED_AT = 50
#: A guess with a score nearer to zero than this is told as one.
UNSURE = 1.5
#: A name is no longer than this.
_LONGEST_NAME = 60
_NUMBER = re.compile(r"[-+]?[\d.,:/\s%$€£¥-]*\d[\d.,:/\s%TZ-]*(?:[AaPp]\.?[Mm]\.?)?")
_ADDRESS = re.compile(r"\S+@\S+\.\w+|https?://\S+")
_SENTENCE_END = re.compile(r"[.!?。！？…,，；;][\"'”’»)]*\s*$")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
#: Scripts that are told apart, by ranges of their characters.
_SCRIPTS = (
    ("east", re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")),
    ("greek", re.compile(r"[\u0370-\u03ff]")),
    ("cyrillic", re.compile(r"[\u0400-\u052f]")),
    ("semitic", re.compile(r"[\u0590-\u06ff]")),
    ("indic", re.compile(r"[\u0900-\u0e7f]")),
    ("latin", re.compile(r"[A-Za-zÀ-ɏ]")),
)


def is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether a row names the columns of the rows that follow; see `header_score`."""
    return header_score(first, rest) > 0


def header_score(first: Sequence[str], rest: Sequence[Sequence[str]]) -> float:
    """Return how much speaks for a row being a header: above zero it is one, near zero nothing tells.

    A usual name speaks for it, and so does a cell of another kind than those under it: a word over numbers, dates or
    sentences, Latin letters over Chinese. A cell like those under it speaks against: a number, a sentence, a value
    that comes again.
    """
    names = [cell.strip() for cell in first]
    while names and not names[-1]:
        names.pop()  # a spreadsheet may have left empty columns behind
    if not names:
        return -1.0
    if len(names) > 1 and all(map(NAMELESS.fullmatch, names)):
        return 9.0
    known = known_names()
    same = [row for row in rest if len(row) == len(first)][:LOOKED_AT]
    if not same and len(rest) > 0:
        same = [row for row in rest if len(row) >= len(names)][:LOOKED_AT]
    scores = [
        _score(name, [cell for row in same if (cell := row[i].strip())], known)
        for i, name in enumerate(names)
    ]
    if any(score <= _NEVER for score in scores):
        return min(scores)
    if not any(score >= _TELLING for score in scores) and all(map(_is_free_text, zip(*same, strict=False))):
        # Sentences in every column: short words above them may be the shortest of them as well as names.
        return min(sum(scores), -0.5)
    doubled = len({name.lower() for name in names if name}) < len([name for name in names if name])
    if (
        sum(score >= _TELLING for score in scores) > 1
    ):  # two that are names make names of what stands beside them
        return sum(max(score, 0.0) for score in scores)
    return sum(scores) - 2.0 * (doubled and not any(_fold(name) in known for name in names))


#: A score that length alone does not give.
_TELLING = 2.5


def _is_free_text(column: Sequence[str]) -> bool:
    cells = [cell for cell in map(str.strip, column) if cell]
    worded = sum(bool(re.search(r"[^\W\d_]", cell)) for cell in cells)
    return len(cells) > 1 and 10 * worded >= 9 * len(cells) and 2 * len(set(cells)) > len(cells)


#: What no name of a column is: a number, an address, the value of a row.
_NEVER = -9.0


def _score(name: str, below: Sequence[str], known: frozenset[str]) -> float:
    if not name:
        return 0.0
    usual = _fold(name) in known or _fold(name) in LANGUAGE_NAMES
    usual = usual and not _SENTENCE_END.search(name)
    # 160 bits and A are answers to choose from, over others of their kind.
    letter = len(name) == 1 and name.isupper() and below and all(len(cell) == 1 for cell in below)
    if letter or (name[0].isdigit() and any(cell[0].isdigit() for cell in below)):
        return _NEVER
    if len(name) > _LONGEST_NAME or "\n" in name or _NUMBER.fullmatch(name) or _ADDRESS.fullmatch(name):
        return _NEVER
    folded = name.lower()
    again = sum(cell.lower() == folded for cell in below)
    if again and (again > 1 or len(below) < LOOKED_AT or not usual):
        return _NEVER
    if usual:
        return 4.0
    score = _by_kind(name, below)
    if _SENTENCE_END.search(name):
        score -= 3.0
    if re.fullmatch(r"[a-z][a-z0-9]*(?:[_.][A-Za-z0-9]+)+|[a-z]+[A-Z]\w+", name):  # snake_case, camelCase
        score += _TELLING
    return score


def _by_kind(name: str, below: Sequence[str]) -> float:
    """Return what the cells under a word say: of another kind, for it; of the same, against."""
    if not below:
        return 0.5
    numbers = sum(bool(_NUMBER.fullmatch(cell) or _ADDRESS.fullmatch(cell)) for cell in below)
    if 5 * numbers >= 4 * len(below):
        return 3.0
    if len(below) >= 10 and len(set(below)) <= max(2, len(below) // 8):
        return 1.0  # classes, and it is none of them
    score = 0.0
    if (own := script_of(name)) and (theirs := script_of(" ".join(below)[:2000])) and own != theirs:
        score += 1.0 if own == "latin" else -1.0
    words, lengths = len(_WORD.findall(name)), sorted(map(len, below))
    if len(name) >= lengths[0]:
        score -= 0.5
    if 2 * len(name) >= lengths[len(lengths) // 2]:
        score -= 1.0
    elif len(name) <= 0.7 * lengths[0] and words <= 3:
        score += 1.0
    if words > 4:
        score -= 1.0
    return score


def script_of(text: str) -> str:
    """Return the script most letters of a text are of; empty if it has none."""
    counts = [(len(letters.findall(text)), name) for name, letters in _SCRIPTS]
    count, name = max(counts, key=lambda item: item[0] * (4 if item[1] == "east" else 1))
    return name if count else ""


def _fold(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def settle_header(
    score: float, first: Sequence[str], rest: Sequence[Sequence[str]], reading: Reading
) -> bool:
    """Return whether a row of such a score is a header; in doubt both readings are shown, and a person is asked."""
    header = score > 0
    if abs(score) >= UNSURE or len(first) < 2:
        return header
    readings = (
        Alternative(f"names of columns: {' | '.join(first)}", "--header", [" | ".join(row) for row in rest]),
        Alternative("a row like the others", "--no-header", [" | ".join(row) for row in (first, *rest)]),
    )
    chosen = reading.choose(readings if header else readings[::-1])
    return header if chosen == 0 else not header


def tell_doubled(names: Sequence[str], reading: Reading) -> None:
    """Say which names stand over more than one column."""
    if names:
        reading.source.warnings.append(
            f"more than one column is called {', '.join(names)}: the first is meant, the next is {names[0]}_2 to flags"
        )


def first_row_of_table(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows stand above a table: titles and notes, which fill fewer cells than its rows do."""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    if not filled:
        return 0
    usual = max(set(filled), key=lambda n: (filled.count(n), n))
    if usual < 2:
        return 0
    known = known_names()
    above = 0
    while (
        above < len(filled) - 1
        and filled[above] <= max(1, usual // 3)
        and not any(_fold(cell) in known for cell in rows[above])
    ):
        above += 1
    return above if above <= len(filled) // 2 else 0


def column_names(first: Sequence[str], header: bool) -> tuple[str, ...]:
    """Return the names of columns: those of the header, each once, or column1, column2, ..."""
    if not header:
        return tuple(f"column{i + 1}" for i in range(len(first)))
    names = [cell.strip() or ("index" if i == 0 else f"column{i + 1}") for i, cell in enumerate(first)]
    seen: dict[str, int] = {}
    for i, name in enumerate(names):  # a repeated name gets a number, so that no column hides another
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[i] = f"{name}_{seen[name]}"
    return tuple(names)


def doubled_names(first: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a header gives to more than one column."""
    names = [cell.strip() for cell in first if cell.strip()]
    return tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
