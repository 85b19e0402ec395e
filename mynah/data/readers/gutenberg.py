"""Where a book of Project Gutenberg begins and ends in its file, between notices, credits and the licence."""

from __future__ import annotations

import re
from collections.abc import Iterable

_START = re.compile(
    r"\s*\*{1,3}\s*(?:START OF (?:THE|THIS) PROJECT GUTENBERG|END\s*\*\s*THE SMALL PRINT)|.{0,80}\*END\*",
    re.IGNORECASE,
)
_END = re.compile(
    r"\s*\*{1,3}\s*END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\s*\**\s*(?:This is the )?End of (?:the |this )?Project Gutenberg\b",
    re.IGNORECASE,
)
#: Where the licence begins in files that have lost the mark before it.
_LICENCE = re.compile(
    r"\s*\*{0,3}\s*(?:START:? )?(?:THE )?FULL PROJECT GUTENBERG(?:-tm|™)? LICEN[SC]E", re.IGNORECASE
)
_NOTICE = re.compile(r".{0,80}Project Gutenberg|.{0,40}\bEtext\b", re.IGNORECASE)
#: Who made the file, in the first paragraphs after the mark.
_CREDITS = re.compile(
    r"\s*\[?(?:Produced|Prepared|Scanned|Transcribed|Digitized|E-?text (?:was )?(?:prepared|produced|scanned)|"
    r"This (?:e-?text|e-?book|file) was (?:prepared|produced|transcribed|created)|HTML version by|"
    r"Updated editions will replace|\w+'?s note:? this e-?text)\b",
    re.IGNORECASE,
)
#: The mark that begins a book stands in its first lines, credits soon after it.
_LAST_START, _LAST_CREDITS = 1200, 60
#: Lines of a paragraph of credits.
_LONGEST_CREDITS = 6
#: A notice that opens a file stands in its first lines.
_FIRST_LINES = 10


def find_book(lines: Iterable[str]) -> tuple[int, int | None]:
    """Return how many lines stand before a book, and the number of the first line after it.

    Returns:
        (0, None) where there are no notices of Project Gutenberg; the second is None where none stand after the book.
    """
    first = after = credited = 0
    noticed = False
    for number, line in enumerate(lines, start=1):
        noticed = noticed or (number <= _FIRST_LINES and _NOTICE.match(line) is not None)
        if not first and number > _LAST_START and not noticed:
            break
        if not first and number <= _LAST_START and _START.match(line):
            first = number
        elif credited and number - credited <= _LONGEST_CREDITS and not line.strip():
            first, credited = number, 0  # a paragraph of credits, to its end
        elif first and number - first <= _LAST_CREDITS and _CREDITS.match(line):
            first = credited = number
        elif (first or noticed) and number > _FIRST_LINES and (_END.match(line) or _LICENCE.match(line)):
            after = number
            break
    return first, after or None
