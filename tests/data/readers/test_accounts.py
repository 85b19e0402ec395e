"""Where the characters of a document go: into texts, or out for a reason that is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_documents import PROSE, archive, read, texts

from mynah.data.collect.collector import Collected
from mynah.data.sources import Source

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OPEN = "urn:oasis:names:tc:opendocument:xmlns"


def only(found: Collected) -> Source:
    (source,) = found.sources
    return source


def word(body: str, name: str = "document") -> str:
    return f"<w:{name} xmlns:w='{W}'><w:body>{body}</w:body></w:{name}>"


def said(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_footnotes_comments_and_heads_of_a_word_document_are_named(tmp_path: Path) -> None:
    members = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": word(said(PROSE)),
        "word/footnotes.xml": word(said("See page nine."), "footnotes"),
        "word/comments.xml": word(said("Really?"), "comments"),
        "word/header1.xml": word(said("Draft"), "hdr"),
    }
    source = only(read(tmp_path / "a.docx", archive(members)))
    assert source.dropped == {
        "footnotes of the document": 14, "comments of the document": 7, "headers of the document": 5,
    }  # fmt: skip
    assert source.characters == len(PROSE.strip()) + 26
    assert abs(source.unnamed) <= 2 * len(texts(read(tmp_path / "a.docx", archive(members))))


def test_a_text_box_is_read_once(tmp_path: Path) -> None:
    compatible = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = f"<w:txbxContent>{said('In the box.')}</w:txbxContent>"
    both = (
        f"<mc:AlternateContent xmlns:mc='{compatible}'><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    )
    document = word(f"<w:p><w:r><w:t>Beside it.</w:t>{both}</w:r></w:p>{said(PROSE)}")
    members = {"[Content_Types].xml": "<Types/>", "word/document.xml": document}
    (text,) = texts(read(tmp_path / "a.docx", archive(members)))
    assert text.split("\n\n")[0] == "Beside it.\nIn the box."


def test_deleted_text_and_notes_of_an_open_document_are_no_text(tmp_path: Path) -> None:
    names = " ".join(f"xmlns:{name}='{OPEN}:{name}:1.0'" for name in ("office", "text"))
    deleted = "<text:tracked-changes><text:deletion><text:p>Struck out.</text:p></text:deletion></text:tracked-changes>"
    note = "<text:note><text:note-body><text:p>A note.</text:p></text:note-body></text:note>"
    paragraphs = f"<text:p>Before{note} and after.</text:p><text:p>{PROSE}</text:p>"
    content = f"<office:text>{deleted}{paragraphs}</office:text>"
    members = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"<office:document {names}><office:body>{content}</office:body></office:document>",
    }
    found = read(tmp_path / "a.odt", archive(members))
    (text,) = texts(found)
    assert text.startswith(f"Before and after.\n\n{PROSE.strip()}")
    assert only(found).dropped == {"deleted text": 11, "notes of the document": 7}


def test_a_page_of_a_book_that_its_order_leaves_out_is_named(tmp_path: Path) -> None:
    def page(words: str) -> str:
        return f"<html xmlns='http://www.w3.org/1999/xhtml'><body><p>{words}</p></body></html>"

    items = "".join(f"<item id='{n}' href='{n}.xhtml' media-type='application/xhtml+xml'/>" for n in "ab")
    order = f"<manifest>{items}</manifest><spine><itemref idref='a'/></spine>"
    package = f"<package xmlns='http://www.idpf.org/2007/opf'>{order}</package>"
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container><rootfiles><rootfile full-path='c.opf'/></rootfiles></container>",
        "c.opf": package,
        "a.xhtml": page(PROSE),
        "b.xhtml": page("Left out of the order."),
    }
    source = only(read(tmp_path / "book.epub", archive(members)))
    assert source.dropped == {"a page that is not in the order of the book": 22}


MENU = "".join(f"<li><a href='/{n}'>Department number {n}</a></li>" for n in range(30))
ARTICLE = "".join(f"<p>Paragraph {n}: {PROSE}</p>" for n in range(4))


def test_menus_of_a_page_are_named_and_its_other_sentences_too(tmp_path: Path) -> None:
    footer = "<footer><p>This site uses cookies to remember what you like best of all.</p></footer>"
    page = f"<html><body><ul>{MENU}</ul><article><h1>The lamp</h1>{ARTICLE}</article>{footer}</body></html>"
    found = read(tmp_path / "a.html", page.encode())
    source = only(found)
    assert source.dropped["menus, links and labels of a page"] > 500
    assert source.characters >= source.kept > len(PROSE) * 4
    assert not source.describe_warnings()


def test_a_page_most_of_whose_sentences_are_not_taken_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trafilatura

    monkeypatch.setattr(trafilatura, "extract", lambda *_, **__: PROSE)
    others = "".join(
        f"<p>{chr(65 + n)} says that it was quite another lamp that was lit, and by day.</p>"
        for n in range(9)
    )
    page = f"<html><body><article><p>{PROSE}</p></article><div>{others}</div></body></html>"
    (warning,) = only(read(tmp_path / "a.html", page.encode())).describe_warnings()
    assert "more sentences stand outside" in warning


def test_what_of_latex_is_no_text_is_named(tmp_path: Path) -> None:
    table = r"\begin{table}\begin{tabular}{ll} a & b \end{tabular}\end{table}"
    body = "\n\n".join(f"\\section{{Part {n}}} {PROSE} \\emph{{so}} it was." for n in range(5))
    source_text = (
        "\\documentclass{book}\n\\usepackage{x}\n\\begin{document}\n% a remark that nobody prints\n"
        f"{body}\n{table}\n\\end{{document}}\n"
    )
    source = only(read(tmp_path / "a.tex", source_text.encode()))
    assert source.dropped["comments of LaTeX"] == 30
    assert source.dropped["figures, tables, code and bibliographies"] == len(table)
    assert source.dropped["preamble of LaTeX"] > 40
    assert source.characters == len(source_text)
    assert abs(source.unnamed) < 0.02 * source.characters
