"""Wikipedia dumps: the articles of a `<mediawiki>` export, wiki mark-up removed (mwparserfromhell)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mynah.data.readers.inputs import Input
from mynah.data.readers.xml_records import elements
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import MissingDependency

#: An article larger than this is a list that no reader reads; parsing it would take minutes.
LARGEST = 1 << 20
_TABLE = re.compile(r"\{\|.*?\|\}", re.DOTALL)
_FILE = re.compile(
    r"\[\[(?:File|Image|Category|Datei|Bild|Kategorie|文件|图像|分类|檔案|圖像|分類):[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]",
    re.I,
)
_REFERENCE = re.compile(r"<ref\b[^<>]*/>|<ref\b[^<>]*>.*?</ref\s*>", re.DOTALL | re.IGNORECASE)
_STYLE = re.compile(r"'{5}|'{2,3}")
_REDIRECT = re.compile(r"\s*#(?:REDIRECT|重定向|WEITERLEITUNG|REDIRECTION)", re.I)


def is_dump(start: str) -> bool:
    """Whether a text begins as a MediaWiki export does."""
    return re.match(r"(?:<\?xml[^>]*>\s*)?<mediawiki\b", start) is not None


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield one document an article; redirects, talk and file pages are left out and counted."""
    try:
        import mwparserfromhell
    except ImportError:
        raise MissingDependency("mwparserfromhell", "documents", "reading wiki mark-up") from None
    reading.tell(form="a Wikipedia dump", layout="articles; redirects and other pages left out")
    for number, page in enumerate(elements(given, "page"), start=1):
        reading.source.rows += 1
        found = {name: page.find(f".//{{*}}{name}") for name in ("title", "ns", "text")}
        title, space, text = (
            found[key].text if found[key] is not None else None for key in ("title", "ns", "text")
        )
        if (space or "0").strip() != "0" or not text or _REDIRECT.match(text):
            reading.source.system += 1
            yield Rejected(given.name, number, "a redirect, or no article", bad=False)
        elif len(text) > LARGEST:
            yield Rejected(given.name, number, f"an article of more than {LARGEST >> 20} MiB")
        else:
            plain = _FILE.sub("", _TABLE.sub("", _REFERENCE.sub("", text)))
            words = str(
                mwparserfromhell.parse(plain, skip_style_tags=True).strip_code(normalize=True, collapse=True)
            )
            # The parser leaves bold and italic marks, which take it long, and the blanks around headings.
            words = "\n".join(line.strip() for line in _STYLE.sub("", words).split("\n"))
            words = re.sub(r"\n{3,}", "\n\n", words).strip()
            if words:
                yield Document(f"{title}\n\n{words}" if title else words, f"{given.name}:{number}")
            else:
                yield Rejected(given.name, number, "an article without text")
