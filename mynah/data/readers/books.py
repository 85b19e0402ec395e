"""Books and documents: EPUB, DOCX and ODT, which are ZIP archives of XML, and RTF."""

from __future__ import annotations

import posixpath
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from mynah.data.markup import parse_html, tree_text
from mynah.data.readers.inputs import BOMB_BYTES, BOMB_RATIO, Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import DataError, MissingDependency

#: Pictures in it are text, too.
LARGEST_RTF = 64 << 20
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


def read_epub(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a book, chapter by chapter in the order of its spine, in pieces.

    Raises:
        DataError: if it is damaged or has no spine.
    """
    reading.tell(form="EPUB", layout="chapters in the order of the book, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        chapters = _spine(given, archive)
        if not chapters:
            raise DataError(f"{given.name}: an EPUB without a spine (the list of its chapters)")
        for name in chapters:
            data = _member(archive, name)
            if data is None:
                yield Rejected(f"{given.name}/{name}", 0, "a chapter is missing or damaged")
                continue
            tree = parse_html(data)
            text = tree_text(tree) if tree is not None else ""
            yield from cut(iter(text.splitlines(keepends=True)), f"{given.name}/{name}")


def read_docx(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the paragraphs of a Word document, tables as rows, in pieces.

    Raises:
        DataError: if it is damaged.
    """
    reading.tell(form="DOCX", layout="paragraphs, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        yield from cut(
            _paragraphs(given, archive, "word/document.xml", _word_paragraph, f"{_W}p"), given.name
        )


def read_rtf(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of an RTF document, in pieces.

    Raises:
        DataError: if it is larger than any text.
        MissingDependency: without striprtf.
    """
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError:
        raise MissingDependency("striprtf", "documents", "reading RTF") from None
    reading.tell(form="RTF", layout="paragraphs, cut at blank lines")
    data = given.head(LARGEST_RTF + 1)
    if len(data) > LARGEST_RTF:
        raise DataError(f"{given.name}: an RTF document of more than {LARGEST_RTF >> 20} MiB")
    try:
        text = rtf_to_text(data.decode("latin-1"), errors="replace")
    except (ValueError, LookupError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        raise DataError(f"{given.name}: a damaged RTF document ({type(error).__name__})") from None
    yield from cut(iter(text.splitlines(keepends=True)), given.name)


def read_odt(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the paragraphs of an OpenDocument text, in pieces.

    Raises:
        DataError: if it is damaged.
    """
    reading.tell(form="ODT", layout="paragraphs, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        paragraphs = _paragraphs(given, archive, "content.xml", _odt_paragraph, f"{_TEXT}p", f"{_TEXT}h")
        yield from cut(paragraphs, given.name)


def _opened(given: Input, path: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError):
        raise DataError(f"{given.name}: cut short or damaged") from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """Return a member's bytes; None if it is missing, damaged, or expands beyond all measure."""
    try:
        info = archive.getinfo(name)
        limit = max(BOMB_BYTES, BOMB_RATIO * info.compress_size)
        with archive.open(info) as file:
            data = file.read(limit + 1)
        return data if len(data) <= limit else None
    except (KeyError, zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        return None


def _parsed(data: bytes | None) -> Any:
    """Return the root of an XML member, or None; entities are not resolved, nothing is fetched."""
    from lxml import etree

    if data is None:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _spine(given: Input, archive: zipfile.ZipFile) -> list[str]:
    container = _parsed(_member(archive, "META-INF/container.xml"))
    roots = container.xpath("//@full-path") if container is not None else []
    if not roots:
        return []
    package = _parsed(_member(archive, str(roots[0])))
    if package is None:
        return []
    folder = posixpath.dirname(str(roots[0]))
    by_id = {
        item.get("id"): item.get("href")
        for item in package.iter("{*}item")
        if "html" in (item.get("media-type") or "")
    }
    found = []
    for reference in package.iter("{*}itemref"):
        href = by_id.get(reference.get("idref"))
        if href:
            name = posixpath.normpath(posixpath.join(folder, urllib.parse.unquote(href)))
            found.append(name.partition("#")[0])
    return found


def _paragraphs(
    given: Input, archive: zipfile.ZipFile, member: str, text_of: Any, *tags: str
) -> Iterator[str]:
    root = _parsed(_member(archive, member))
    if root is None:
        raise DataError(f"{given.name}: {member} is missing or damaged")
    for element in root.iter(*tags):
        text = re.sub(r"[ \u00a0]+", " ", text_of(element)).strip()
        if text:
            yield text + "\n"
            yield "\n"


def _word_paragraph(paragraph: Any) -> str:
    parts = []
    for element in paragraph.iter(f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}cr", f"{_W}noBreakHyphen"):
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        else:
            parts.append({"tab": "\t", "noBreakHyphen": "-"}.get(element.tag.rpartition("}")[2], "\n"))
    return "".join(parts)


def _odt_paragraph(paragraph: Any) -> str:
    return "".join(paragraph.itertext())
