"""HTML pages: the main text, without menus, notices and advertisements (trafilatura)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mynah.data.markup import parse_html, prose_blocks, shown_characters, tree_text
from mynah.data.readers.encoding import encoding_of, encoding_of_bytes
from mynah.data.readers.gutenberg import find_book
from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import NOTES, cut
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import MissingDependency

#: A page larger than this is data in the shape of a page.
LARGEST = 32 << 20
#: A page with more text than this is a book, and is cut like one.
BOOK_CHARACTERS = 50_000
#: Of a longer page all text is taken: to look for the main one would take seconds.
MAIN_TEXT_CHARACTERS = 3 << 20
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)


def is_html(start: str) -> bool:
    """Whether a text begins as a page does."""
    return (
        re.match(
            r"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
            start,
            re.IGNORECASE | re.DOTALL,
        )
        is not None
    )


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield a page's main text as one document."""
    data = given.head(LARGEST + 1)
    if len(data) > LARGEST:
        yield Rejected(given.name, 0, f"a page of more than {LARGEST >> 20} MiB")
        return
    told = encoding_of(given, reading) if reading.config.encoding else ""
    encoding = told or page_encoding(data)
    reading.used.add("encoding")
    page = read_page(data, encoding)
    text = page.text
    reading.tell(form="a web page", layout="main text", encoding=encoding)
    page.account(reading)
    if page.aside > len(text):
        reading.source.warnings.append(
            f"more sentences stand outside what was taken for its main text than in it ({page.aside:,} characters); "
            "look at what was read: mynah data show"
        )
    if text and len(text) > BOOK_CHARACTERS:
        lines = text.splitlines(keepends=True)
        first, after = find_book(lines)
        lines = lines[first : None if after is None else after - 1]
        if first or after is not None:
            notes = len(text) - sum(map(len, lines))
            yield Rejected(given.name, 0, NOTES, bad=False, characters=notes)
        yield from cut(iter(lines), given.name)
    elif text:
        yield Document(text, given.name)
    else:
        yield Rejected(given.name, 0, "a page without text")


def page_encoding(data: bytes, told: str = "") -> str:
    """Return the encoding of a page: as its server told or it declares itself, if that is true; else as it looks.

    Args:
        data: the page.
        told: by the server's header, if it was.
    """
    declared = _DECLARED.search(data[:4096])
    for name in (told, declared[1].decode("ascii") if declared else ""):
        if not name:
            continue
        name = _WIDER.get(name.lower(), name)
        with contextlib.suppress(LookupError, ValueError):
            text = data.decode(name, "replace")
            if 20 * text.count("\ufffd") <= len(text) - len(text.encode("ascii", "ignore")):
                return name
    return encoding_of_bytes(data)


#: Encodings that pages in a wider one declare.
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
}


@dataclass(frozen=True)
class Page:
    """What a page says."""

    #: its main text; empty if there is none
    text: str
    #: characters of all the text that it shows, and of them those of sentences outside the main text
    shown: int
    aside: int

    def account(self, reading: Reading) -> None:
        """Account for what a page shows: its main text is kept, all else is left out."""
        reading.source.characters += max(self.shown, len(self.text))
        reading.drop(ASIDE, self.aside)
        reading.drop(MENUS, max(0, self.shown - len(self.text) - self.aside))


#: What of a page is no main text.
ASIDE, MENUS = "sentences outside the main text of a page", "menus, links and labels of a page"


def read_page(data: bytes, encoding: str = "utf-8") -> Page:
    """Return the main text of a page; none if the encoding is unknown or there is no text.

    Where no main text can be told (a page of links, a fragment), all of its text is returned, and so it is of a page
    that is as long as a book.

    Raises:
        MissingDependency: without trafilatura.
    """
    try:
        import trafilatura
    except ImportError:
        raise MissingDependency("trafilatura", "documents", "finding the main text of a page") from None
    try:
        page = data.decode(encoding, "replace").replace("\x00", "")
    except LookupError:
        return Page("", 0, 0)
    tree = parse_html(page.encode(), "utf-8")
    if tree is None:
        return Page("", 0, 0)
    if len(page) <= MAIN_TEXT_CHARACTERS:
        found = (
            trafilatura.extract(page, include_comments=False, include_tables=True, deduplicate=False) or ""
        )
        blocks = prose_blocks(tree)
        if _is_lost(blocks, found):
            more = (
                trafilatura.extract(page, include_comments=True, favor_recall=True, deduplicate=False) or ""
            )
            found = "\n".join(blocks) if _is_lost(blocks, more) else more
        if found:
            return Page(str(found), shown_characters(tree), sum(map(len, _outside(blocks, found))))
    whole = tree_text(tree)
    return Page(whole, len(whole), 0)


#: Sentences outside links of which less than this share is in what was found, and more than so many characters are
#: not: the main text was taken for something else, by the name of its element, say.
_LOST_SHARE, _LOST_CHARACTERS = 0.3, 200


def _is_lost(blocks: list[str], found: str) -> bool:
    total, lost = _size(blocks), _size(_outside(blocks, found))
    short = 2 * _size([found]) < total
    return short and total - lost < _LOST_SHARE * total and lost > _LOST_CHARACTERS


def _outside(blocks: list[str], found: str) -> list[str]:
    """Return the sentences that do not begin anywhere in what was found."""
    within = re.sub(r"\s+", "", found)
    return [block for block in blocks if re.sub(r"\s+", "", block)[:24] not in within]


def _size(texts: list[str]) -> int:
    """Return how much texts say: a Han character says as much as two letters."""
    return sum(len(text.encode("gb18030", "replace")) for text in texts)
