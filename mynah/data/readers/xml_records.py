"""XML of records: SMS backups, the NUS SMS corpus, and any file that repeats one element with fields in it.

SMS backups write an emoji as references to the two halves of its UTF-16, which XML forbids: they are put together
before the parser sees them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, BinaryIO

from mynah.data.chats.notices import Reactions
from mynah.data.layout import Layout
from mynah.data.markup import plain_text
from mynah.data.readers.inputs import Input
from mynah.data.records import Pair, Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, SAMPLE_ROWS, messages_to_records, rows_to_records
from mynah.errors import DataError

#: Android's "SMS Backup & Restore" writes 1 for received, 2 for sent (and 3 to 6 for drafts and failures).
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RECEIVED, _SENT = "1", "2"
_NUMBER = rb"&#([0-9]{1,7}|[xX][0-9a-fA-F]{1,6});"
_SINGLE, _PAIR = re.compile(_NUMBER), re.compile(_NUMBER + _NUMBER)
_LONGEST_REFERENCE, _LONGEST_PAIR = 12, 24


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the records of an XML file.

    Raises:
        DataError: if it is not XML, or repeats no element.
    """
    reading.tell(form="XML")
    tag = _repeated(given)
    if tag is None:
        raise DataError(f"{given.name}: XML in which no element repeats; expected one element a record")
    if tag in ("sms", "mms"):
        yield from _backup(given, reading)
        return
    if tag in ("trans-unit", "segment"):
        yield from _units(given, tag, reading)
        return
    rows = _rows_of_elements(given, tag)
    sample = list(islice(rows, SAMPLE_ROWS))
    cells = [row.cells for row in sample if isinstance(row, Row)]
    columns = tuple(dict.fromkeys(name for row in cells for name in row))
    filled = (
        Row(row.line, {name: row.cells.get(name, "") for name in columns}) if isinstance(row, Row) else row
        for row in chain(sample, rows)
    )
    yield from rows_to_records(given.name, columns, cells, filled, reading)


#: Two elements, the second in the first.
_OPENED = re.compile(r"<([A-Za-z_][\w.:-]*)(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*>\s*<[A-Za-z_!]")
#: Elements that a piece of a web page begins with.
_OF_PAGES = frozenset(
    "p div span b i br a table center font ul ol h1 h2 h3 body head section article main".split()
)


def is_xml(start: str) -> bool:
    """Whether a text without a declaration is XML: one element after the other, and nothing before the first."""
    bare = re.sub(r"<!--.*?-->|<!DOCTYPE[^<>]*>", "", start, flags=re.DOTALL).lstrip()
    opened = _OPENED.match(bare)
    if opened is None or opened[1].lower() in _OF_PAGES:
        return False
    return len(re.findall(r"</[A-Za-z_][\w.:-]*>|/>", bare)) >= 2


class _Mended:
    """A file whose references to characters are such as XML has: two halves are one, what is no character is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, b""

    def read(self, size: int = -1) -> bytes:
        """Return some bytes; none at the end."""
        data = self._left + self._file.read(size)
        # A pair of references may be cut in two by the end of what was read.
        cut = data.rfind(b"&", -_LONGEST_PAIR) if len(data) > len(self._left) and size >= 0 else -1
        before = data.rfind(b"&", cut - _LONGEST_REFERENCE, cut) if cut > 0 else -1
        cut = before if before >= 0 else cut
        data, self._left = (data[:cut], data[cut:]) if cut > 0 else (data, b"")
        return _SINGLE.sub(_single, _PAIR.sub(_pair, data))


def _code(digits: bytes) -> int:
    return int(digits[1:], 16) if digits[:1] in b"xX" else int(digits)


def _pair(found: re.Match[bytes]) -> bytes:
    high, low = _code(found[1]), _code(found[2])
    if not (0xD800 <= high < 0xDC00 <= low < 0xE000):
        return found[0]
    return b"&#%d;" % (0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)


def _single(found: re.Match[bytes]) -> bytes:
    code = _code(found[1])
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        return b"&#65533;"
    return found[0] if code >= 32 or code in (9, 10, 13) else b""


def elements(given: Input, *tags: str) -> Iterator[Any]:
    """Yield the elements of these names as they end; each is forgotten afterwards.

    Entities are not resolved and nothing is fetched. Damage ends the walk and is kept in `given.damage`.
    """
    from lxml import etree

    with given.open() as file:
        wanted = [f"{{*}}{tag}" for tag in tags]
        walk = etree.iterparse(
            _Mended(file), events=("end",), tag=wanted, resolve_entities=False, no_network=True
        )
        try:
            for _, element in walk:
                yield element
                element.clear()
                parent = element.getparent()
                while parent is not None and element.getprevious() is not None:
                    del parent[0]
        except etree.XMLSyntaxError as error:
            given.damage = f"not well-formed XML from line {error.lineno} on; what came before it was read"


def local_name(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _repeated(given: Input) -> str | None:
    """Return the name of the element that repeats right below the root, looking at the first of them."""
    from lxml import etree

    if b"<xliff" in given.head(1 << 14):
        return "trans-unit" if b"<trans-unit" in given.head(1 << 20) else "segment"
    seen: dict[int, Counter[str]] = {2: Counter(), 3: Counter()}
    depth = 0
    with given.open() as file:
        walk = etree.iterparse(
            _Mended(file), events=("start", "end"), resolve_entities=False, no_network=True
        )
        try:
            for event, element in walk:
                depth += 1 if event == "start" else -1
                if event == "start" and depth in (2, 3):  # a body may hold the records
                    seen[depth][local_name(element)] += 1
                if event == "end" and depth == 1:
                    element.clear()
                    if seen[2].total() >= 100:
                        break
        except etree.XMLSyntaxError:
            pass
    for level in (2, 3):
        most = seen[level].most_common(1)
        if most and most[0][1] >= 2:
            return most[0][0]
    return None


def _rows_of_elements(given: Input, tag: str) -> Iterator[Row | Rejected]:
    for number, element in enumerate(elements(given, tag), start=1):
        cells: dict[str, str] = dict(element.attrib.items())
        if tag == "tu":  # TMX: a text in several languages
            for variant in element.iter("{*}tuv"):
                language = variant.get(_LANGUAGE) or variant.get("lang") or ""
                cells[language.split("-")[0].lower()] = "".join(variant.itertext()).strip()
            yield Row(number, cells)
            continue
        if _is_mixed(element):
            cells.setdefault("text", "".join(element.itertext()))
        else:
            _fields_of(element, cells)
            if element.text and element.text.strip():
                cells.setdefault("text", element.text)
        if cells:
            yield Row(number, cells)
        else:
            yield Rejected(given.name, number, "an empty element")


def _units(given: Input, tag: str, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the pairs of an XLIFF file."""
    reading.tell(form="XLIFF", layout="source, target")
    for number, element in enumerate(elements(given, tag), start=1):
        reading.source.rows += 1
        sides = [
            "".join(side.itertext()).strip() if side is not None else ""
            for side in (element.find("{*}source"), element.find("{*}target"))
        ]
        reading.source.characters += sum(map(len, sides))
        target = element.find("{*}target")
        if target is not None and (target.get("state") or "").startswith(("needs-translation", "new")):
            yield Rejected(
                given.name, number, "not translated yet", bad=False, characters=sum(map(len, sides))
            )
        elif all(sides):
            yield Pair(sides[0], sides[1], f"{given.name}:{number}")
        else:
            characters = sum(map(len, sides))
            yield Rejected(given.name, number, "not translated", bad=False, characters=characters)


def _is_mixed(element: Any) -> bool:
    """Whether an element's words go on after elements in it, as those of a marked-up sentence do."""
    return any(inner.tail and inner.tail.strip() for inner in element)


def _fields_of(element: Any, cells: dict[str, str]) -> None:
    """Add the texts and attributes of what lies in an element; the first of each name counts."""
    for inner in element:
        if not isinstance(inner.tag, str):
            continue
        name = local_name(inner)
        if _is_mixed(inner):
            cells.setdefault(name, "".join(inner.itertext()))
        else:
            if inner.text and inner.text.strip():
                cells.setdefault(name, plain_text(inner.text))
            _fields_of(inner, cells)
        for attribute, value in inner.attrib.items():
            cells.setdefault(f"{name} {attribute}", value)


def _backup(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield conversations with each number, cut at silences; who sent is the assistant."""
    reading.tell(form="an SMS backup")
    reading.source.layout = f"cut at {reading.config.gap_hours:g} hours of silence"
    layout = Layout(
        "messages", text="text", speaker="speaker", direction="issender", time="time", chat="chat"
    )
    yield from messages_to_records(given.name, _sms(given), layout, reading)


def _sms(given: Input) -> Iterator[Row | Rejected]:
    reactions = Reactions()
    for number, element in enumerate(elements(given, "sms", "mms"), start=1):
        if local_name(element) == "sms":
            text, sent = element.get("body") or "", element.get("type")
        else:
            parts = [p.get("text") or "" for p in element.iter("part") if p.get("ct") == "text/plain"]
            text, sent = "\n".join(parts), element.get("msg_box")
        if not text.strip() or text == "null":
            yield Rejected(given.name, number, MEDIA, bad=False)
            continue
        if sent not in (_RECEIVED, _SENT) or reactions.take(text):  # a draft was never said
            yield Rejected(given.name, number, APP, bad=False)
            continue
        address = element.get("address") or ""
        name = element.get("contact_name") or address
        cells = {
            "text": text,
            "chat": address,
            "time": element.get("date") or "",
            "speaker": "me" if sent == _SENT else address if name == "(Unknown)" else name,
            "issender": "1" if sent == _SENT else "0",
        }
        yield Row(number, cells)
