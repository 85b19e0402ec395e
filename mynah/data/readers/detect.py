"""Tell what a file is: by its first bytes, then as text by its form; its name decides only where these cannot."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

from mynah.data.readers import (
    books,
    chat_blocks,
    chat_days,
    chat_signal,
    chat_text,
    chat_zoom,
    columnar,
    conllu,
    database,
    dialogue_lines,
    excel,
    faq,
    gettext,
    irc,
    json_file,
    labelled_lines,
    latex,
    mail,
    pdf,
    plain,
    rasa,
    subtitles,
    table,
    telegram_html,
    transcript,
    warc,
    web_page,
    wechat_html,
    wikipedia,
    xml_records,
    yaml_file,
)
from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input, office_kind
from mynah.data.readers.json_values import looks_like_json
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import ConfigError, DataError

Reader = Callable[[Input, Reading], Iterator[Record | Rejected]]

#: form -> its reader. A new format is a file beside this one, a line here and a line in `form_of`.
READERS: dict[str, Reader] = {
    "table": table.read,
    "json": json_file.read,
    "chat": chat_text.read,
    "chat-blocks": chat_blocks.read,
    "chat-days": chat_days.read,
    "signal": chat_signal.read,
    "irc": irc.read,
    "lines": dialogue_lines.read,
    "classes": labelled_lines.read,
    "transcript": transcript.read,
    "faq": faq.read,
    "telegram-html": telegram_html.read,
    "wechat-html": wechat_html.read,
    "yaml": yaml_file.read,
    "rasa": rasa.read_markdown,
    "conllu": conllu.read,
    "tagged": conllu.read_tagged,
    "zoom": chat_zoom.read,
    "xml": xml_records.read,
    "parquet": columnar.read,
    "excel": excel.read,
    "sqlite": database.read,
    "html": web_page.read,
    "epub": books.read_epub,
    "docx": books.read_docx,
    "odt": books.read_odt,
    "pdf": pdf.read,
    "latex": latex.read,
    "warc": warc.read,
    "mail": mail.read,
    "wikipedia": wikipedia.read,
    "subtitles": subtitles.read,
    "gettext": gettext.read,
    "rtf": books.read_rtf,
    "text": plain.read,
}

_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "parquet"),
    (b"\xff\xff\xff\xff", "parquet"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"WARC/", "warc"),
    (b"filedesc://", "warc"),
)
#: Kinds that are recognised to be refused by their name.
_REFUSED = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"OggS", "a sound file"),
    (b"ID3", "a sound file"),
    (b"RIFF", "a sound or video file"),
)
#: How a corpus of chatterbot's begins, whatever the file is called.
_CHATTERBOT = re.compile(r"(?:---\s+|#.*\n)*(?:categories:\s*\n(?:\s*- .*\n)+)?conversations:\s*\n\s*- ")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TABLES = (".csv", ".tsv", ".tab", ".psv")
_TEXTS = (".txt", ".text", ".log", ".md", ".markdown", ".rst", "")


def reader_of(given: Input, reading: Reading) -> Reader:
    """Return the reader for a file.

    Raises:
        ConfigError: if the form told by the user does not exist.
        DataError: if the file is of a kind that nothing here reads.
    """
    form = reading.config.form
    if form is not None and form not in READERS:
        raise ConfigError(f"--form {form}: no such form; expected one of: {', '.join(READERS)}")
    return READERS[form or form_of(given, reading)]


def form_of(given: Input, reading: Reading) -> str:
    """Tell a file's form, a key of `READERS`.

    Raises:
        DataError: if it is of a kind that nothing here reads.
    """
    return _binary_form(given) or _text_form(given, reading)


def _binary_form(given: Input) -> str | None:
    head = given.head(512)
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    if given.suffix in (".warc", ".arc", ".wet"):
        return "warc"
    for magic, what in _REFUSED:
        if head.startswith(magic):
            raise DataError(f"{given.name}: is {what}, which holds no text that is read here")
    if head.startswith(b"PK\x03\x04"):
        try:
            with given.local() as path, zipfile.ZipFile(path) as archive:
                kind = office_kind(archive.namelist())
                sheets = kind == "odt" and b"spreadsheet" in archive.open("mimetype").read(256)
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError):
            raise DataError(
                f"{given.name}: an archive or Office document that is cut short or damaged"
            ) from None
        if kind == "xlsx" or sheets:
            return "excel"
        if kind in ("docx", "epub", "odt"):
            return kind
        raise DataError(f"{given.name}: an Office document of a kind that is not read here")
    if head.startswith(_OLE):
        if given.suffix in (".xls", ".xlt", ""):
            return "excel"
        raise DataError(f"{given.name}: an old Office document; save it as .docx or .xlsx first")
    if chat_signal.is_sigtop(given.head(1 << 13).decode("utf-8", "replace")):
        return "signal"
    if mail.is_mail(given.head(1 << 13)):
        return "mail"
    if head[257:262] == b"ustar":
        raise DataError(f"{given.name}: is a tar archive; unpack it and name the folder")
    return None


def _text_form(given: Input, reading: Reading) -> str:
    encoding = encoding_of(given, reading)
    with given.text(encoding) as file:
        start = file.read(1 << 14).lstrip("\ufeff \t\r\n")
    if looks_like_json(given, encoding):
        return "json"
    if telegram_html.is_export(start):
        return "telegram-html"
    if wechat_html.is_export(given, encoding, start):
        return "wechat-html"
    if web_page.is_html(start):
        return "html"
    if wikipedia.is_dump(start):
        return "wikipedia"
    if re.match(r"<\?xml", start) or xml_records.is_xml(start):
        return "html" if "<html" in start[:2000].lower() else "xml"
    if subtitles.is_subtitles(start):
        return "subtitles"
    if gettext.is_catalogue(start):
        return "gettext"
    if conllu.is_conllu(start):
        return "conllu"
    if conllu.is_tagged(start):
        return "tagged"
    if chat_zoom.is_zoom(start):
        return "zoom"
    if given.suffix in (".md", ".markdown", ".txt", "") and rasa.is_markdown(start):
        return "rasa"
    if given.suffix in (".tex", ".ltx", ".sty") or latex.is_latex(start):
        return "latex"
    # A cell may hold what looks like a chat.
    tabular = given.suffix in _TABLES and table.sniff_delimiter(given, encoding) is not None
    if not tabular and chat_blocks.head_of(given, encoding):
        return "chat-blocks"
    if not tabular and chat_days.head_of(given, encoding):
        return "chat-days"
    if chat_text.is_chat_text(given, encoding):
        return "chat"
    if irc.is_irc(given, encoding):
        return "irc"
    if given.suffix in (".yml", ".yaml") or _CHATTERBOT.match(start):
        return "yaml"
    if given.suffix not in _TABLES:
        if dialogue_lines.kind_of_lines(given, encoding):
            return "lines"
        if labelled_lines.layout_of(given, encoding):
            return "classes"
        if faq.form_of_faq(given, encoding):
            return "faq"
        if transcript.is_transcript(given, encoding):
            return "transcript"
    if given.suffix in _TABLES or reading.config.delimiter is not None:
        return "table"
    # Running text has commas too: as a table it must be cut by tabs into equally many cells, or begin with names of
    # columns.
    delimiter = table.sniff_delimiter(given, encoding)
    if given.suffix in _TEXTS or given.suffix.startswith(tuple(f".{i}" for i in range(10))):
        return (
            "table"
            if delimiter == "\t" or (delimiter and table.has_known_header(given, encoding, delimiter))
            else "text"
        )
    return "table" if delimiter else "text"
