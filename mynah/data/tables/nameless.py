"""The layout of a table whose columns have no names: told by what the columns hold alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mynah.data.choices import MARKS
from mynah.data.language import language_of
from mynah.data.layout import Layout
from mynah.data.tables.column_contents import FEW, is_clock, is_prose, is_worded
from mynah.data.tables.header import NAMELESS, script_of
from mynah.data.vocabulary import ROLE_ASSISTANTS, ROLE_USERS

Sample = Sequence[Mapping[str, str]]
_NO_TEXT = re.compile(r"[\W\d_]*|\S+@\S+\.\w+|https?://\S+")
#: A note on rights beside each sentence, as collections of them have it.
_RIGHTS = re.compile(r"CC[- ]BY|attribution:", re.IGNORECASE)
#: Columns of a table without names that are looked at.
_MOST_COLUMNS = 12


def are_nameless(columns: Sequence[str]) -> bool:
    """Whether no column of a table has a name that says anything."""
    return all(map(NAMELESS.fullmatch, columns))


def two_languages(columns: Sequence[str], sample: Sample) -> tuple[str, str] | None:
    """Return the two columns that say the same in two languages, told by their scripts, else by their words."""
    texts = texts_among(columns, sample)
    if len(texts) != 2:
        return None
    first, second = (_joined(column, sample) for column in texts)
    scripts = script_of(first), script_of(second)
    apart = scripts[0] != scripts[1] and all(scripts)
    if not apart:
        codes = language_of(first).code, language_of(second).code
        apart = codes[0] != codes[1] and all(codes)
    return (texts[0], texts[1]) if apart else None


def texts_among(columns: Sequence[str], sample: Sample) -> list[str]:
    """Return the columns that hold texts: letters in most cells, hardly any twice, and no note on rights."""
    found = []
    for column in columns[:_MOST_COLUMNS]:
        cells = _cells(column, sample)
        if _are_ids(cells):
            continue
        lettered = sum(not _NO_TEXT.fullmatch(cell) for cell in cells)
        noted = sum(bool(_RIGHTS.search(cell)) for cell in cells)
        # The shortest sentences come many times on one side of a translation.
        distinct = len(set(cells)) > (len(cells) // 4 if len(cells) > FEW else 1)
        if (
            cells
            and 10 * lettered >= 9 * len(cells)
            and 2 * noted < len(cells)
            and distinct
            and not is_clock(cells)
        ):
            found.append(column)
    return found


def is_lettered(column: str, sample: Sample) -> bool:
    """Whether most cells of a column have letters in them."""
    cells = _cells(column, sample)
    return not cells or 2 * sum(not _NO_TEXT.fullmatch(cell) for cell in cells) > len(cells)


def _are_ids(cells: Sequence[str]) -> bool:
    """Whether cells are ids: letters and digits, no blank, as long as one another."""
    if len(cells) < 5 or any(" " in cell for cell in cells):
        return False
    digits = sum(any(map(str.isdigit, cell)) for cell in cells)
    same = max(map(len, cells)) - min(map(len, cells)) <= 1
    return same and 2 * digits > len(cells)


def guess_nameless(columns: Sequence[str], sample: Sample) -> Layout | None:
    """Return the layout of a table without names; None if its one text is all there is, or nothing can be told."""
    return guess_by_contents(columns, sample) if sample and are_nameless(columns) else None


def guess_by_contents(columns: Sequence[str], sample: Sample) -> Layout | None:
    """Return the layout of a table by what its columns hold, whatever they are called; None if nothing can be told."""
    return (
        _choices(columns, sample)
        or _spoken(columns, sample)
        or _labelled(columns, sample)
        or _pairs(columns, sample)
    )


def _choices(columns: Sequence[str], sample: Sample) -> Layout | None:
    """A question, its options, and last the letter of the right one."""
    if len(columns) < 4 or len(sample) < 2:
        return None
    golds = {row.get(columns[-1], "").strip().upper() for row in sample}
    numbered = all(row.get(columns[0], "").strip().isdecimal() for row in sample)
    question, *options = columns[int(numbered) : -1]
    if (
        not 2 <= len(options) <= 8
        or not golds <= set(MARKS[: len(options)])
        or not is_worded(question, sample)
    ):
        return None
    return Layout("pairs", question=(question,), answer=columns[-1], choices=tuple(options))


def _spoken(columns: Sequence[str], sample: Sample) -> Layout | None:
    """Who speaks, by a word for a customer or for who answers, and what is said."""
    for column in columns:
        values = {cell.lower() for cell in _cells(column, sample)}
        if values <= ROLE_USERS | ROLE_ASSISTANTS and values & ROLE_USERS and values & ROLE_ASSISTANTS:
            texts = [c for c in texts_among(columns, sample) if c != column]
            if len(texts) == 1:
                return Layout("messages", text=texts[0], speaker=column)
    return None


def _labelled(columns: Sequence[str], sample: Sample) -> Layout | None:
    """One column repeats a few short words: the class. The text is the longest of the others; of two long ones (title
    and text, or two sentences) both."""
    if not 2 <= len(columns) <= 8 or len(sample) < FEW:
        return None
    values = {c: [row.get(c, "").strip() for row in sample] for c in columns}
    columns = [c for c in columns if len(set(values[c])) > 1]  # empty, or the same in every row
    few = [c for c in columns if _are_classes(values[c])]
    if len(few) > 1:  # an empty cell here and there is a mark, and no class
        few = [c for c in few if all(values[c])]
    texts = [
        c
        for c in columns
        if c not in few
        and len(set(values[c])) > len(sample) // 2
        and is_worded(c, sample)
        and not is_clock(values[c])
    ]
    if len(columns) > 4 and len(texts) > 1:  # of many, the one that holds most
        longest = max(texts, key=lambda c: sum(map(len, values[c])))
        rest = max(sum(map(len, values[c])) for c in texts if c != longest)
        texts = [longest] if sum(map(len, values[longest])) > 1.2 * rest else texts
    if len(few) != 1 or not 1 <= len(texts) <= 2:
        return None
    return Layout("labelled", title=texts[0] if len(texts) == 2 else None, text=texts[-1], label=few[0])


#: Numbers of classes: one, or several with commas between.
_NUMBERS = re.compile(r"\d{1,2}(?:,\d{1,2})*")
#: Numbered classes, and sets of them, are no more than so many.
_MOST_NUMBERED = 60


def _are_classes(values: Sequence[str]) -> bool:
    """Whether the cells of a column are a few short words, or numbers of classes."""
    kinds = set(values)
    if max(map(len, values)) > 32:
        return False
    if len(kinds) <= max(2, len(values) // 10):
        return True
    numbered = all(_NUMBERS.fullmatch(value) for value in values)
    several = any("," in value for value in values)
    repeated = 2 * len(kinds) <= len(values) or several
    return numbered and repeated and len(kinds) <= _MOST_NUMBERED


def _pairs(columns: Sequence[str], sample: Sample) -> Layout | None:
    """Two texts, the second the reply to the first."""
    texts = [c for c in columns if is_prose(c, sample)]
    texts = texts if len(texts) == 2 else texts_among(columns, sample)
    if len(texts) != 2:
        return None
    if (score := _likeness(columns, sample)) is not None:
        return Layout("labelled", title=texts[0], text=texts[1], label=score)
    made = Layout("pairs", question=(texts[0],), answer=texts[1])
    if all(is_prose(c, sample) for c in texts):
        return made
    # A word and what it means, a name and a text: as good as a pair, or it is the second that counts.
    other = Layout("text", text=texts[1])
    return replace(made, otherwise=other, otherwise_flag=f"--rows-are text --text-column {texts[1]}")


#: How alike two sentences are, from 0 to 5, as STS has it.
_LIKENESS = re.compile(r"[0-5]\.\d{1,3}")


def _likeness(columns: Sequence[str], sample: Sample) -> str | None:
    """Return the column that says how alike two texts are."""
    scored = (c for c in columns if (cells := _cells(c, sample)) and all(map(_LIKENESS.fullmatch, cells)))
    return next(scored, None)


def _cells(column: str, sample: Sample) -> list[str]:
    return [cell for row in sample if (cell := row.get(column, "").strip())]


def _joined(column: str, sample: Sample) -> str:
    return " \n".join(_cells(column, sample[:200]))[:4000]
