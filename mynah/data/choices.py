"""Questions with options to choose from: the options as lines "A. ...", the right one as the reply."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

#: What options are marked with.
MARKS = string.ascii_uppercase
#: Names of columns or fields of which each holds one option: `option_b`, `answer2`, `ending0`, `sol1`, `opa`.
_ONE_OPTION = re.compile(r"(?:option|choice|answer|ending|solution|sol|opt|op|ans)(?:ion)?([a-h]|\d)")


def ask(parts: Sequence[str], options: Sequence[str]) -> str:
    """Return a question of several parts (a passage, what is asked) with its options, each on a line of its own."""
    asked = [part.strip() for part in parts if part.strip()]
    options = unmarked(options)
    return "\n".join([*asked, *(f"{MARKS[i]}. {option.strip()}" for i, option in enumerate(options))])


def reply(options: Sequence[str], right: int) -> str:
    """Return the reply to `ask`: the right option with its mark."""
    return f"{MARKS[right]}. {unmarked(options)[right].strip()}"


def unmarked(options: Sequence[str]) -> list[str]:
    """Return options without the marks that they may have themselves: "(A) here"."""
    found = [re.match(rf"\s*\(?{MARKS[i]}[).:：、]\s*", option) for i, option in enumerate(options)]
    if not all(found):
        return list(options)
    return [option[mark.end() :] for option, mark in zip(options, found, strict=True) if mark]


def index_of(gold: str, options: Sequence[str], first: int = 0) -> int | None:
    """Return which option is right, counted from 0; None if that cannot be told.

    Args:
        gold: a letter, a number, or the option itself.
        options: in order.
        first: what the first option is counted as, where gold is a number.
    """
    gold = gold.strip()
    bare = gold.strip("().:").upper()
    if len(bare) == 1 and bare in MARKS[: len(options)]:
        return MARKS.index(bare)
    if re.fullmatch(r"\d+(?:\.0)?", gold):
        number = int(float(gold)) - first
        return number if 0 <= number < len(options) else None
    folded = [option.strip().lower() for option in options]
    return folded.index(gold.lower()) if gold.lower() in folded else None


def option_names(names: Sequence[str]) -> tuple[list[str], int]:
    """Return the names that hold one option each, in order, and what the first is counted as; none if there are not
    at least two beginning with A, 0 or 1."""
    letters = [name for name in names if len(name) == 1 and name in MARKS[:8]]
    if len(letters) > 1 and sorted(letters)[0] == "A":
        return sorted(letters), 0
    found: dict[str, str] = {}
    for name in names:
        if match := _ONE_OPTION.fullmatch(re.sub(r"[\W_]+", "", name.lower())):
            found.setdefault(match[1], name)
    marks = sorted(found)
    if len(marks) < 2 or marks[0] not in ("a", "0", "1"):
        return [], 0
    # SocialIQA counts its answers A, B and C from 1.
    first = marks[0] == "1" or (marks[0] == "a" and all("answer" in found[mark].lower() for mark in marks))
    return [found[mark] for mark in marks], int(first)


def first_number(golds: Sequence[str], options: int, first: int) -> int:
    """Return what the first option is counted as, by the numbers that are right in many questions."""
    numbers = {int(gold) for gold in golds if gold.strip().isdecimal()}
    if not numbers:
        return first
    if 0 in numbers:
        return 0
    return 1 if options in numbers else first
