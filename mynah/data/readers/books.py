"""Books and documents: EPUB, DOCX and ODT, which are ZIP archives of XML, and RTF."""

from __future__ import annotations

import posixpath
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
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
#: Parts of a Word document beside its text.
_WORD_PARTS = re.compile(r"word/(footnote|endnote|comment|header|footer)s?\d*\.xml")
#: What of an OpenDocument text is no running text, and its element.
_ODT_ASIDE = {
    "deleted text": f"{_TEXT}tracked-changes",
    "notes of the document": f"{_TEXT}note",
    "comments of the document": "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}annotation",
}


def read_epub(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a book, chapter by chapter in the order of its spine, in pieces.

    Raises:
        DataError: if it is damaged or has no spine.
    """
    reading.tell(form="EPUB", layout="chapters in the order of the book, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        chapters, others = _spine(given, archive)
        if not chapters:
            raise DataError(f"{given.name}: an EPUB without a spine (the list of its chapters)")
        for name in chapters:
            data = _member(archive, name)
            if data is None:
                yield Rejected(f"{given.name}/{name}", 0, "a chapter is missing or damaged")
                continue
            text = _text(data)
            reading.source.characters += len(text)
            yield from cut(iter(text.splitlines(keepends=True)), f"{given.name}/{name}")
        for name in others:
            text = _text(_member(archive, name) or b"")
            reading.source.characters += len(text)
            if text:
                reason = "a page that is not in the order of the book"
                yield Rejected(f"{given.name}/{name}", 0, reason, bad=False, characters=len(text))


def read_docx(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the paragraphs of a Word document, tables as rows, in pieces.

    Raises:
        DataError: if it is damaged.
    """
    reading.tell(form="DOCX", layout="paragraphs, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        root = _root(given, archive, "word/document.xml")
        yield from _in_pieces(given, reading, map(_word_paragraph, _outermost(root, f"{_W}p")))
        for name in sorted(archive.namelist()):
            part = _WORD_PARTS.fullmatch(name)
            other = _parsed(_member(archive, name)) if part else None
            if part and other is not None:
                left = sum(len(element.text or "") for element in other.iter(f"{_W}t"))
                reading.source.characters += left
                reading.drop(f"{part[1]}s of the document", left)


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
    reading.source.characters += len(text)
    yield from cut(iter(text.splitlines(keepends=True)), given.name)


def read_odt(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the paragraphs of an OpenDocument text, in pieces.

    Raises:
        DataError: if it is damaged.
    """
    reading.tell(form="ODT", layout="paragraphs, cut at blank lines")
    with given.local() as path, _opened(given, path) as archive:
        root = _root(given, archive, "content.xml")
        for reason, tag in _ODT_ASIDE.items():
            for element in list(root.iter(tag)):
                left = len("".join(element.itertext()))
                reading.source.characters += left
                reading.drop(reason, left)
                _remove(element)
        yield from _in_pieces(given, reading, map(_odt_paragraph, _outermost(root, f"{_TEXT}p", f"{_TEXT}h")))


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


def _text(chapter: bytes) -> str:
    tree = parse_html(chapter) if chapter else None
    return tree_text(tree) if tree is not None else ""


def _spine(given: Input, archive: zipfile.ZipFile) -> tuple[list[str], list[str]]:
    """Return the names of a book's chapters in order, and those of its pages that are none."""
    container = _parsed(_member(archive, "META-INF/container.xml"))
    roots = container.xpath("//@full-path") if container is not None else []
    package = _parsed(_member(archive, str(roots[0]))) if roots else None
    if package is None:
        return [], []
    folder = posixpath.dirname(str(roots[0]))
    by_id = {
        item.get("id"): posixpath.normpath(
            posixpath.join(folder, urllib.parse.unquote(item.get("href") or ""))
        ).partition("#")[0]
        for item in package.iter("{*}item")
        if "html" in (item.get("media-type") or "")
    }
    chapters = [by_id[of] for item in package.iter("{*}itemref") if (of := item.get("idref")) in by_id]
    return chapters, [name for name in by_id.values() if name not in chapters]


def _root(given: Input, archive: zipfile.ZipFile, member: str) -> Any:
    root = _parsed(_member(archive, member))
    if root is None:
        raise DataError(f"{given.name}: {member} is missing or damaged")
    return root


def _outermost(root: Any, *tags: str) -> Iterator[Any]:
    """Yield paragraphs in order, of those inside another (of a text box, a note) none: they are read with it.

    What Word writes twice, for programs that know a drawing and for those that do not, is there once.
    """
    for other in list(root.iter("{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback")):
        _remove(other)
    for element in root.iter(*tags):
        if next(element.iterancestors(*tags), None) is None:
            yield element


def _remove(element: Any) -> None:
    """Take an element out and leave what follows it."""
    parent, tail = element.getparent(), element.tail or ""
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def _in_pieces(given: Input, reading: Reading, paragraphs: Iterable[str]) -> Iterator[Record | Rejected]:
    def lines() -> Iterator[str]:
        for paragraph in paragraphs:
            text = re.sub(r"[ \u00a0]+", " ", paragraph).strip()
            if text:
                reading.source.characters += len(text)
                yield text + "\n"
                yield "\n"

    yield from cut(lines(), given.name)


def _word_paragraph(paragraph: Any) -> str:
    parts = []
    tags = (f"{_W}{name}" for name in ("t", "tab", "br", "cr", "noBreakHyphen", "p"))
    for element in paragraph.iter(*tags):
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        else:
            parts.append({"tab": "\t", "noBreakHyphen": "-"}.get(element.tag.rpartition("}")[2], "\n"))
    return "".join(parts)


def _odt_paragraph(paragraph: Any) -> str:
    return "".join(paragraph.itertext())
