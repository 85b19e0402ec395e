"""Web archives: the pages of WARC and ARC files, the texts of WET; damaged records are passed over and named."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import re
import zlib
from collections.abc import Iterator
from typing import Any

from mynah.data.readers.inputs import Input
from mynah.data.readers.web_page import page_encoding, read_page
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import MissingDependency

#: A page larger than this is passed over.
LARGEST_PAGE = 8 << 20
#: Kinds of records that hold pages; others hold requests and notes about the crawl.
_PAGES = ("response", "conversion", "resource")
#: What the library raises on damaged records.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, zlib.error)


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield one document a page; its place is file and number of the record.

    Raises:
        MissingDependency: without warcio.
    """
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError:
        raise MissingDependency("warcio", "documents", "reading web archives") from None
    reading.tell(form="a web archive", layout="main text of each page")
    if given.head(16).startswith(b"WARC/1.0\n"):
        yield from _read_text(given, reading)
        return
    logging.getLogger("warcio").setLevel(logging.ERROR)  # what is wrong stands in the account
    number = 0
    with given.open() as stream:
        records = iter(ArchiveIterator(stream, arc2warc=True, no_record_parse=False))
        while True:
            try:
                with contextlib.redirect_stderr(
                    io.StringIO()
                ):  # the library writes there what is in the account
                    record = next(records)
                if record.rec_type not in _PAGES or _is_crawlers(record):
                    continue
                number += 1
                body = record.content_stream().read(LARGEST_PAGE + 1)
            except StopIteration:
                break
            except _DAMAGE as error:
                yield Rejected(given.name, number, f"damaged from here on ({type(error).__name__})")
                break
            except ArchiveLoadFailed:
                yield Rejected(given.name, number, "damaged from here on (no header of a record)")
                break
            yield _record(given, reading, number, record, body)
    reading.source.rows = number


def _is_crawlers(record: Any) -> bool:
    """Whether a record is what the crawler notes of itself: wget's log, its arguments."""
    return (record.rec_headers.get_header("WARC-Target-URI") or "").strip("<>").startswith("metadata:")


def _read_text(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the texts of a WET file that was saved as text: its lengths count line ends that are no longer there."""
    number, in_head, skip, body = 0, True, True, list[str]()
    for line in itertools.chain(given.lines("utf-8"), ["WARC/1.0\n"]):
        if line.rstrip("\r\n") == "WARC/1.0":
            if number and not skip:
                yield _document(given, reading, number, "".join(body))
            number, in_head, skip, body = number + 1, True, True, []
        elif in_head:
            in_head = bool(line.strip())
            if line.lower().startswith("warc-type:"):
                skip = line.split(":", 1)[1].strip() not in _PAGES
        else:
            body.append(line)
    reading.source.rows = number - 1


def _record(given: Input, reading: Reading, number: int, record: Any, body: bytes) -> Record | Rejected:
    headers = record.http_headers or record.rec_headers
    kind = (headers.get_header("Content-Type") or "").lower()
    if record.rec_type == "conversion":
        return _document(given, reading, number, body.decode("utf-8", "replace"))
    status = record.http_headers.get_statuscode() if record.http_headers is not None else "200"
    charset = re.search(r"charset=[\"']?([\w.:-]+)", kind)
    code = int(status) if (status or "").isdecimal() else None
    return _page(given, reading, number, body, kind, charset[1] if charset else "", code)


def _page(
    given: Input, reading: Reading, number: int, body: bytes, kind: str, charset: str, status: int | None
) -> Record | Rejected:
    if status is not None and not 200 <= status < 300:
        return Rejected(given.name, number, f"no page: status {status}", bad=False)
    if len(body) > LARGEST_PAGE:
        return Rejected(given.name, number, f"a page of more than {LARGEST_PAGE >> 20} MiB")
    if "html" in kind:
        page = read_page(body, page_encoding(body, charset))
        page.account(reading)
        return _document(given, None, number, page.text)
    if kind.startswith("text/plain"):
        return _document(given, reading, number, body.decode(page_encoding(body, charset), "replace"))
    return Rejected(given.name, number, f"no text: {kind.partition(';')[0] or 'no type'}"[:80], bad=False)


def _document(given: Input, reading: Reading | None, number: int, text: str) -> Record | Rejected:
    """Return a record's text, accounted for if a reading is given."""
    if reading is not None:
        reading.source.characters += len(text.strip())
    if not text.strip():
        return Rejected(given.name, number, "a page without text")
    return Document(text.strip(), f"{given.name}:{number}")
