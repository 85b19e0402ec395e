"""How well text is got out of pages, PDF and EPUB, beside the tools that are known for it.

    python benchmarks/extraction.py DATA

DATA holds `web_html_gold` (pages with phrases that must and must not be in the main text) and `docs_epub_pdf`. Pages: F1 over
the phrases, Mynah beside trafilatura as it comes and beside all text of the page. PDF: runs of five words shared with what
`pdftotext` (poppler) gives. The EPUB: with the same book's PDF.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from machine import describe

from mynah.data.collect.collector import collect
from mynah.data.records import Document
from mynah.data.sources import CollectConfig


def text_of(path: Path) -> str:
    """Return all text that Mynah reads out of a file."""
    return "\n\n".join(r.text for r in collect([path], CollectConfig()).records if isinstance(r, Document))


def folded(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def pages(folder: Path) -> None:
    """Print precision, recall and F1 over the phrases of the gold pages."""
    import trafilatura

    from mynah.data.markup import parse_html, tree_text
    from mynah.data.readers.encoding import detect_encoding
    from mynah.data.readers.inputs import Input

    gold = json.loads((folder / "evaldata.json").read_text(encoding="utf-8"))
    items = list(gold.values()) if isinstance(gold, dict) else gold

    def decoded(path: Path) -> str:
        return path.read_text(encoding=detect_encoding(Input(path.name, path)), errors="replace")

    def all_text(path: Path) -> str:
        tree = parse_html(path.read_bytes())
        return tree_text(tree) if tree is not None else ""

    ways: dict[str, Callable[[Path], str]] = {
        "Mynah": text_of,
        "trafilatura, bytes": lambda path: trafilatura.extract(path.read_bytes()) or "",
        "trafilatura, decoded": lambda path: trafilatura.extract(decoded(path), include_comments=False) or "",
        "all text": all_text,
    }
    print("\nweb_html_gold: phrases that must (with) and must not (without) be in the main text")
    for name, extract in ways.items():
        counts: Counter[str] = Counter()
        for item in items:
            path = folder / "pages" / item["file"]
            if not path.is_file():
                continue
            text = folded(extract(path))
            counts["pages"] += 1
            for phrase in item.get("with", []):
                counts["right" if folded(phrase) in text else "missed"] += 1
            for phrase in item.get("without", []):
                counts["wrong" if folded(phrase) in text else "kept out"] += 1
        precision = counts["right"] / max(1, counts["right"] + counts["wrong"])
        recall = counts["right"] / max(1, counts["right"] + counts["missed"])
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        print(
            f"  {name:<22} precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}  ({counts['pages']} pages)"
        )


def runs(text: str) -> Counter[tuple[str, ...]]:
    """Return the runs of five words of a text, hyphens and punctuation aside."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return Counter(zip(*(words[i:] for i in range(5)), strict=False))


def shared(first: str, second: str) -> float:
    """Return the share of runs of five words that two texts have in common (Dice)."""
    a, b = runs(first), runs(second)
    return 2 * sum((a & b).values()) / max(1, sum(a.values()) + sum(b.values()))


def documents(folder: Path) -> None:
    """Compare PDFs with pdftotext, the EPUB with the PDF of the same book."""
    print("\ndocs_epub_pdf: share of runs of five words in common (1: the same text in the same order)")
    for path in sorted(folder.glob("*.pdf")):
        mine = text_of(path)
        done = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=True)
        theirs = done.stdout.decode("utf-8", "replace")
        broken = (
            len(re.findall(r"[a-z][-\u00ad\ufffe\u0002]\n[a-z]", mine)),
            len(re.findall(r"[a-z]-\n[a-z]", theirs)),
        )
        print(
            f"  {path.name:<36} {shared(mine, theirs):.3f}   words broken at line ends: {broken[0]}, pdftotext {broken[1]}"
        )
    epub, pdf = runs(text_of(folder / "alice.epub")), runs(text_of(folder / "11-pdf.pdf"))
    inside = sum((epub & pdf).values()) / sum(epub.values())
    print(
        f"  alice.epub, an abridged edition: {inside:.3f} of its runs of five words stand in the full book, 11-pdf.pdf"
    )
    print(
        f"  alice.epub with the text of its chapters, tags removed: {shared(text_of(folder / 'alice.epub'), tagless(folder / 'alice.epub')):.3f}"
    )


def tagless(path: Path) -> str:
    """Return the chapters of an EPUB with their tags removed by a regular expression, in the order of the archive."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith((".xhtml", ".html"))]
        pages = [archive.read(name).decode("utf-8", "replace") for name in names]
    body = "\n".join(re.sub(r"<head.*?</head>", "", page, flags=re.DOTALL) for page in pages)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def main() -> None:
    data = Path(sys.argv[1])
    print(describe())
    pages(data / "web_html_gold")
    documents(data / "docs_epub_pdf")


if __name__ == "__main__":
    main()
