"""What is got out of documents, books, web archives, mail and wikis: content, not counts."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from benchmark_modules import benchmark

from mynah.data.collect.collector import Collected, collect
from mynah.data.readers.latex import to_text
from mynah.data.readers.pdf import flow
from mynah.data.records import Conversation, Document
from mynah.data.sources import CollectConfig

PROSE = (
    "The lamp that stood on the table was lit again, and nobody in the house knew by whom it had been done. "
    * 3
)


def read(path: Path, data: bytes) -> Collected:
    path.write_bytes(data)
    return collect([path], CollectConfig())


def texts(found: Collected) -> list[str]:
    return [record.text for record in found.records if isinstance(record, Document)]


def archive(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


# Books and office documents


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    def page(words: str) -> str:
        body = f"<body><h1>{words}</h1><p>{PROSE}</p><p>a<br/>b</p></body>"
        return f"<html xmlns='http://www.w3.org/1999/xhtml'><head><style>p {{}}</style></head>{body}</html>"

    item = "<item id='{0}' href='text/{0}%20x.xhtml' media-type='application/xhtml+xml'/>"
    package = "<package xmlns='http://www.idpf.org/2007/opf'><manifest>" + item.format("a") + item.format("b")
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container><rootfiles><rootfile full-path='O/c.opf'/></rootfiles></container>",
        "O/c.opf": f"{package}</manifest><spine><itemref idref='b'/><itemref idref='a'/></spine></package>",
        "O/text/a x.xhtml": page("Second"),
        "O/text/b x.xhtml": page("First"),
    }
    text = "\n".join(texts(read(tmp_path / "book.epub", archive(members))))
    assert text.index("First") < text.index("Second")
    assert PROSE.strip() in text
    assert "{}" not in text


def test_a_word_document_with_tabs_breaks_and_kept_hyphens(tmp_path: Path) -> None:
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    first = "<w:t xml:space='preserve'>Name</w:t><w:tab/><w:t>Ann</w:t><w:br/>"
    run = f"<w:r>{first}<w:t>well</w:t><w:noBreakHyphen/><w:t>known</w:t></w:r>"
    gone = "<w:del><w:r><w:delText>struck out</w:delText></w:r></w:del>"
    body = f"<w:p>{run}{gone}</w:p><w:p><w:r><w:t>{PROSE}</w:t></w:r></w:p>"
    document = f"<w:document xmlns:w='{w}'><w:body>{body}</w:body></w:document>"
    members = {"[Content_Types].xml": "<Types/>", "word/document.xml": document}
    (text,) = texts(read(tmp_path / "a.docx", archive(members)))
    assert text.startswith(f"Name\tAnn\nwell-known\n\n{PROSE.strip()}")


@pytest.mark.parametrize("name", ["a.ods", "a.odt", "a"])
def test_open_document_sheets_are_tables_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    kinds = {
        prefix: f"urn:oasis:names:tc:opendocument:xmlns:{prefix}:1.0"
        for prefix in ("office", "table", "text")
    }
    names = " ".join(f"xmlns:{prefix}='{uri}'" for prefix, uri in kinds.items())
    rows = "".join(
        "<table:table-row>" + "".join(
            f"<table:table-cell office:value-type='string'><text:p>{cell}</text:p></table:table-cell>" for cell in row
        ) + "</table:table-row>"
        for row in (("question", "answer"), ("Where?", "Here."))
    )  # fmt: skip
    sheet = f"<office:spreadsheet><table:table table:name='s'>{rows}</table:table></office:spreadsheet>"
    members = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": f"<office:document-content {names}><office:body>{sheet}</office:body></office:document-content>",
        "META-INF/manifest.xml": "<manifest/>",
    }
    (record,) = read(tmp_path / name, archive(members)).records
    assert record.texts == ("Where?", "Here.")


def test_words_broken_at_the_end_of_a_pdfs_line_are_joined() -> None:
    wide = "A line of a page that is as long as the others are on it,"
    page = f"{wide} and con-\ntinues: {wide}\n{wide} self-\nMade. {wide}"
    assert flow(page) == f"{wide} and continues: {wide} {wide} self- Made. {wide}"
    assert flow("一二三四五六七八九十中文\n中文。") == "一二三四五六七八九十中文中文。"


# LaTeX


def test_latex_keeps_text_and_formulas_and_writes_macros_out() -> None:
    source = r"""\documentclass{article}
\newcommand{\N}{the naturals}\newcommand{\pair}[2]{(#1, #2)}\def\half{one half}
\begin{document} % a comment, 50\% of it
\section{One} A caf\'e in \emph{\N{} and \textbf{bold}}; $x^2 < 1$, \pair{a}{b}, \half{} of 50\%.~\cite{x}
\begin{figure}\includegraphics{a.png}\caption{gone}\end{figure}
\begin{itemize}\item first \item second\end{itemize}
\end{document} after"""
    text = to_text(source)
    assert "A café in the naturals and bold; $x^2 < 1$, (a, b), one half of 50%." in " ".join(text.split())
    assert "- first" in text
    for gone in ("comment", "includegraphics", "after", "\\"):
        assert gone not in text.replace("$x^2 < 1$", "")


# The web


def response(body: bytes, head: bytes = b"") -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n" + head + b"\r\n" + body
    return (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://a.org/\r\n"
        b"WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(http), http)
    )


def test_pages_of_a_web_archive_chunked_packed_and_cut_short(tmp_path: Path) -> None:
    def page(word: str) -> bytes:
        menu = "<nav><a href='/'>Home</a></nav>"
        article = f"<article><h1>{word}</h1><p>{PROSE}</p><p>{PROSE.upper()}</p></article>"
        return f"<html><body>{menu}{article}</body></html>".encode()

    chunked = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (page("two")[:300], page("two")[300:], b"")
    )
    records = [
        response(page("one")),
        response(chunked, b"Transfer-Encoding: chunked\r\n"),
        response(gzip.compress(page("three")), b"Content-Encoding: gzip\r\n"),
        response(b"moved").replace(b"200 OK", b"301 No"),
    ]
    found = read(tmp_path / "a.warc.gz", b"".join(map(gzip.compress, records)))
    assert len(texts(found)) == 3
    for text, word in zip(texts(found), ("one", "two", "three"), strict=True):
        assert word in text
        assert PROSE.strip() in text
        assert PROSE.strip().upper() in text
        assert "Home" not in text
    assert [item.reason for item in found.rejected] == ["no page: status 301"]
    whole = b"".join(records[:2])
    cut = read(tmp_path / "cut.warc", whole[: len(records[0]) + 200])
    assert len(texts(cut)) >= 1


# Mail


def test_mail_is_threaded_without_quotes_and_signatures(tmp_path: Path) -> None:
    def message(number: int, who: str, body: str, to: str = "") -> str:
        lines = (
            f"From {who} Mon Jan  1 1{number}:00:00 2024",
            f"From: {who} <{who.lower()}@example.org>",
            f"Date: Mon, 1 Jan 2024 1{number}:00:00 +0000",
            f"Message-ID: <{number}@x>",
            f"In-Reply-To: <{to}@x>" if to else "Subject: s",
        )
        return "\n".join(lines) + f"\n\n{body}\n\n"

    box = (
        message(0, "Ann", "Does the lamp work?\n-- \nAnn, Lamps Ltd")
        + message(1, "Cid", "Another matter.\n>From here on it is mine.")
        + message(2, "Bob", "It does.\n\nOn Mon, Ann wrote:\n> Does the lamp work?", "0")
    )
    found = read(tmp_path / "a.mbox", box.encode())
    said = [[m.content for m in r.messages] for r in found.records if isinstance(r, Conversation)]
    assert said == [["Does the lamp work?", "It does."], ["Another matter.\nFrom here on it is mine."]]


# Wikipedia


def test_a_wiki_dump_without_markup_redirects_and_talk(tmp_path: Path) -> None:
    wiki = (
        "'''Lamps''' give [[light|much light]].{{citation needed}}&lt;ref&gt;a&lt;/ref&gt;\n"
        "{| class=x\n|a||b\n|}\n[[File:a.jpg|thumb|A lamp]]\n== Use ==\nThey [[hang]] or stand."
    )
    pages = [("Lamp", 0, wiki), ("Lamps", 0, "#REDIRECT [[Lamp]]"), ("Talk:Lamp", 1, "I think so.")]
    body = "".join(
        f"<page><title>{t}</title><ns>{n}</ns><revision><text>{x}</text></revision></page>"
        for t, n, x in pages
    )
    found = read(
        tmp_path / "dump.xml", f'<mediawiki xmlns="http://www.mediawiki.org/x">{body}</mediawiki>'.encode()
    )
    (text,) = texts(found)
    assert text.startswith("Lamp\n\nLamps give much light.")
    assert "They hang or stand." in text
    for mark in ("[[", "{{", "{|", "thumb", "'''"):
        assert mark not in text
    assert len(found.rejected) == 2


def test_a_page_in_pdf_reads_in_order(tmp_path: Path) -> None:
    (name, data), *_ = benchmark("fuzz_samples").pdf()
    (text,) = texts(read(tmp_path / name, data))
    assert text.index("Line 3 of") < text.index("Line 29 of")
