"""HTML pages: the main text, without menus, notices and advertisements (trafilatura)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.markup import parse_html, tree_text
from mynah.data.readers.plain import cut
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
    declared = _DECLARED.search(data[:4096])
    encoding = declared[1].decode("ascii") if declared and not reading.config.encoding else ""
    text = main_text(data, encoding) if encoding else None
    if text is None or text.count("\ufffd") > len(text) // 50:  # what a page declares is not always true
        encoding = encoding_of(given, reading)
        text = main_text(data, encoding)
    reading.tell(form="a web page", layout="main text", encoding=encoding)
    if text and len(text) > BOOK_CHARACTERS:
        yield from cut(iter(text.splitlines(keepends=True)), given.name)
    elif text:
        yield Document(text, given.name)
    else:
        yield Rejected(given.name, 0, "a page without text")


def main_text(data: bytes, encoding: str = "utf-8") -> str | None:
    """Return the main text of a page, or None if the encoding is unknown or there is no text.

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
        return None
    if len(page) <= MAIN_TEXT_CHARACTERS:
        found = trafilatura.extract(page, include_comments=False, include_tables=True, deduplicate=False)
        if found:
            return str(found)
    tree = parse_html(page.encode(), "utf-8")
    return (tree_text(tree) or None) if tree is not None else None
