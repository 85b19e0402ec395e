"""PDF: text page by page in reading order, words rejoined that a line end broke, running heads left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import DataError, MissingDependency

#: How PDFium marks a hyphen that it knows to break a word; Unicode's soft hyphen does the same.
_SOFT = re.compile("[\u0002\ufffe\u00ad]\r?\n?")
_HYPHEN = re.compile(r"(?<=[a-zà-ÿ])[-\u2010]$")
_LIST = re.compile(r"[•▪–*-]\s|\(?\d{1,2}[.)]\s")
#: A line this much shorter than the page's usual one ends a paragraph.
_SHORT = 0.7
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
#: Bytes at the end of a file among which its end mark stands.
_TAIL = 4096
_CJK_END = re.compile(_CJK.pattern + "$")


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a PDF, in pieces.

    Raises:
        DataError: if it is damaged, locked by a password or has no text (a scan).
        MissingDependency: without pypdfium2.
    """
    reading.tell(form="PDF", layout="pages in order, cut at blank lines")
    with given.local() as path:
        pages = list(_pages(given.name, path))
        if not _is_whole(path):
            yield Rejected(
                given.name, 0, "the end of this PDF is missing: it was cut off, as were pages perhaps"
            )
    if not any(page.strip() for page in pages):
        raise DataError(f"{given.name}: a PDF of {len(pages)} pages without text; a scan needs OCR first")
    repeated = _running_heads(pages)
    kept = [_without(page, repeated) for page in pages]
    reading.source.characters += sum(map(len, pages))
    reading.drop("running heads and page numbers", sum(map(len, pages)) - sum(map(len, kept)))
    text = "\n\n".join(map(flow, kept))
    yield from cut(iter(text.splitlines(keepends=True)), given.name)


def _is_whole(path: Path) -> bool:
    """Whether a PDF has the mark that ends it (ISO 32000-1, 7.5.5), which what was appended may follow."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return b"%%EOF" in file.read()


def _pages(name: str, path: Path) -> Iterator[str]:
    try:
        import pypdfium2
        import pypdfium2.raw
    except ImportError:
        raise MissingDependency("pypdfium2", "documents", "reading PDF") from None
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise DataError(f"{name}: a PDF that is {'locked by a password' if locked else 'damaged'}") from None
    try:
        for number in range(len(document)):
            try:
                page = document[number]
                yield page.get_textpage().get_text_bounded(errors="ignore").replace("\r\n", "\n")
            except pypdfium2.PdfiumError:
                yield ""
    finally:
        document.close()


def _running_heads(pages: list[str]) -> set[str]:
    """Return the first and last lines that stand on most pages, their digits aside."""
    if len(pages) < 4:
        return set()
    seen: Counter[str] = Counter()
    for page in pages:
        lines = [line.strip() for line in page.split("\n") if line.strip()]
        seen.update({_without_digits(line) for line in (*lines[:2], *lines[-2:])})
    return {line for line, count in seen.items() if 2 * count > len(pages)}


def _without_digits(line: str) -> str:
    return re.sub(r"\d+", "#", line)


def _without(page: str, repeated: set[str]) -> str:
    if not repeated:
        return page
    return "\n".join(line for line in page.split("\n") if _without_digits(line.strip()) not in repeated)


def flow(page: str) -> str:
    """Join the lines of a page into paragraphs, and the halves of words that a line end broke.

    A line clearly shorter than the usual one ends a paragraph.
    """
    page = _SOFT.sub("\u00ad\n", page)
    lines = [line.strip() for line in page.split("\n")]
    widths = sorted(len(line) for line in lines if line)
    usual = widths[len(widths) // 2] if widths else 0
    made: list[str] = []
    ended = True
    for line in lines:
        if not line:
            ended = True
            continue
        if ended or not made or _LIST.match(line):
            made.append(line)
        elif made[-1].endswith("\u00ad") or (_HYPHEN.search(made[-1]) and line[:1].islower()):
            made[-1] = made[-1][:-1] + line
        elif _CJK_END.search(made[-1]) and _CJK.match(line):
            made[-1] += line
        else:
            made[-1] += f" {line}"
        ended = len(line) < _SHORT * usual and not line.endswith("\u00ad")
    return "\n\n".join(paragraph.replace("\u00ad", "") for paragraph in made)
