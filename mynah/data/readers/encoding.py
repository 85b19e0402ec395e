"""Find a text file's encoding, and refuse what is not text."""

from __future__ import annotations

import codecs
import re

from mynah.data.readers.inputs import Input
from mynah.data.sources import Reading
from mynah.errors import ConfigError, DataError

#: Kinds of files that are read, for errors.
KINDS = "tables, JSON, chat exports, text, web pages, books and documents (docs/sources.md)"

_PIECE = 1 << 20
_SAMPLE = 1 << 16

#: Byte-order marks, the longer first because UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def detect_encoding(given: Input) -> str:
    """Return the name of a file's encoding, reading all of it once, in pieces.

    Tried in order: a byte-order mark, UTF-8 (most of what is beyond ASCII must decode), then GB 18030, Big5
    and Shift JIS on a sample, then Windows-1252 or Latin-1.

    Raises:
        DataError: if the file is binary.
    """
    head = given.head(_SAMPLE)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if unmarked := _utf16_without_mark(head):
        return unmarked
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\f\x1b")
    if control > 0.02 * len(head):
        raise DataError(f"{given.name}: is binary and of no kind that is read here; kinds: {KINDS}")
    if _is_utf8(given):
        return "utf-8"
    return _legacy_encoding(_sample_with_characters(given))


def encoding_of(given: Input, reading: Reading) -> str:
    """Return a text's encoding as told by the user, else as detected; say it in the account.

    Raises:
        ConfigError: if the encoding that was told does not exist.
        DataError: if the file is binary.
    """
    told = reading.config.encoding
    reading.used.add("encoding")
    if told is None:
        encoding = given.encoding = given.encoding or detect_encoding(given)
    else:
        try:
            with given.text(told) as file:
                file.read(1 << 16)
        except LookupError:
            raise ConfigError(f"--encoding {told}: no such encoding") from None
        except UnicodeError:
            raise ConfigError(f"--encoding {told}: {given.name} is not in it") from None
        encoding = told
    reading.source.encoding = encoding
    if given.strange_bytes and not told:
        reading.source.encoding += f" with {given.strange_bytes:,} bytes of another encoding"
    return encoding


def encoding_of_bytes(data: bytes) -> str:
    """Return the encoding of a text that was read whole, as it looks: UTF-8, an East Asian one, Windows-1252."""
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # cut in a character
            return "utf-8"
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    if bad <= len(text) - len(text.encode("ascii", "ignore")) - bad:
        return "utf-8"
    first = next(i for i, byte in enumerate(data) if byte > 127)
    return _legacy_encoding(data[first : first + _SAMPLE])


def _utf16_without_mark(head: bytes) -> str | None:
    """Recognise UTF-16 of mostly ASCII text by its NULs on every other place."""
    if len(head) < 4:
        return None
    pairs = len(head) // 2
    if head[1::2].count(0) > 0.4 * pairs and head[::2].count(0) < 0.05 * pairs:
        name = "utf-16-le"
    elif head[::2].count(0) > 0.4 * pairs and head[1::2].count(0) < 0.05 * pairs:
        name = "utf-16-be"
    else:
        return None
    text = head.decode(name, errors="replace")
    readable = sum(char.isprintable() or char in "\r\n\t" for char in text)
    return name if readable > 0.95 * len(text) else None


def _is_utf8(given: Input) -> bool:
    """Whether more characters beyond ASCII are UTF-8 than are not: by chance, bytes of other encodings hardly ever are.

    A file cut in the middle, or with lines pasted from elsewhere, is UTF-8 still.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    bad = good = 0
    with given.open() as file:
        while True:
            piece = file.read(_PIECE)
            if piece and piece.isascii() and decoder.getstate() == (b"", 0):
                continue
            text = decoder.decode(piece, final=not piece)
            own = piece.count(b"\xef\xbf\xbd")  # replacement characters that the file itself holds
            replaced = text.count("\ufffd")
            bad += replaced - own
            good += len(text) - len(text.encode("ascii", "ignore")) - replaced + own
            if not piece:
                given.strange_bytes = bad if bad <= good else 0
                return bad <= good


def _sample_with_characters(given: Input) -> bytes:
    """Return a piece of a file that begins near its first byte beyond ASCII."""
    with given.open() as file:
        while piece := file.read(_PIECE):
            if not piece.isascii():
                first = next(i for i, byte in enumerate(piece) if byte > 127)
                return (piece[first:] + file.read(_SAMPLE))[:_SAMPLE]
    return b""


def _legacy_encoding(head: bytes) -> str:
    """Choose among the encodings that chat logs and old books come in.

    Single-byte encodings decode anything, so the East Asian ones are tried first: one that decodes the
    whole sample into mostly common Han or kana wins; otherwise the text is Western.
    """
    if _is_western(head):
        return "cp1252"
    best, best_score = "cp1252", 0.3
    for name in ("gb18030", "big5", "shift_jis"):
        text = head.decode(name, errors="replace")
        beyond = [c for c in text if ord(c) > 127]
        if not beyond:
            continue
        bad = sum(c == "\ufffd" for c in beyond)
        common = sum(_is_everyday_east_asian(c) for c in beyond)
        score = common / len(beyond) - 4 * bad / len(beyond)
        if score > best_score + 0.02:
            best, best_score = name, score
    if best == "cp1252":
        try:
            head.decode("cp1252")
        except UnicodeDecodeError:
            return "latin-1"
    return best


#: Bytes beyond ASCII stand alone among letters in Western text, and in pairs and runs in East Asian text.
_ALONE = re.compile(rb"(?:(?<=[\x00-\x7f])|(?<=^))[\x80-\xff](?=[\x00-\x7f]|$)")
_WESTERN_SHARE = 0.8


def _is_western(head: bytes) -> bool:
    """Whether most bytes beyond ASCII stand alone, and are letters or marks of Windows-1252."""
    alone = _ALONE.findall(head)
    count = sum(byte > 127 for byte in head)
    usual = sum(byte.decode("cp1252", "replace") in _WESTERN for byte in alone)
    return count > 0 and usual >= _WESTERN_SHARE * count


_WESTERN = frozenset("äöüßÄÖÜéèêëàâáãåçíìîïñóòôõøúùûýÿæœÉÈÊËÀÂÁÃÅÇÍÌÎÏÑÓÒÔÕØÚÙÛÝÆŒ‘’“”„–—…•€£§°«»¿¡´")


def _is_everyday_east_asian(char: str) -> bool:
    """Kana, full-width punctuation, or Han of the first (everyday) level of GB 2312 or Big5.

    Bytes read in the wrong East Asian encoding give Han too, but mostly rare ones.
    """
    code = ord(char)
    if 0x3000 <= code <= 0x30FF or 0xFF00 <= code <= 0xFF5E:
        return True
    for name, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6)):
        try:
            if first <= char.encode(name)[0] <= last:
                return True
        except UnicodeEncodeError:
            continue
    return False
