"""Text out of HTML and XML trees: blocks on lines of their own, tables as rows, scripts and styles left out."""

from __future__ import annotations

import re
from typing import Any

#: Elements that stand on lines of their own; a blank line follows those that are paragraphs.
_PARAGRAPHS = frozenset(
    "p h1 h2 h3 h4 h5 h6 blockquote pre ul ol dl table figure section article div".split()
)
_LINES = frozenset("li tr dt dd hr title caption figcaption option".split())
_CELLS = frozenset("td th".split())
_SKIPPED = frozenset("script style head noscript template svg math iframe object".split())
#: Trees deeper than this are not text that anybody wrote; what lies deeper is left out.
DEEPEST = 400


#: Where a line, a paragraph ends; runs of them are one.
_LINE, _PARAGRAPH = "\x01", "\x02"
_BREAKS = re.compile(r"[ \t]*[\x01\x02][ \t\x01\x02]*")


def tree_text(root: Any) -> str:
    """Return the text of an lxml tree, paragraphs with a blank line between."""
    parts: list[str] = []
    # A stack, for pages may be nested deeper than Python's calls go: (element, whether it is being left, depth).
    stack: list[tuple[Any, bool, int]] = [(root, False, 0)]
    while stack:
        element, leaving, depth = stack.pop()
        name = _name(element)
        if leaving:
            parts.append(_break(name) or ("\t" if name in _CELLS else ""))
        elif name and name not in _SKIPPED and depth < DEEPEST:
            parts += ["\n" if name == "br" else _break(name), _folded(element.text, name)]
            stack.append((element, True, depth))
            stack.extend((child, False, depth + 1) for child in reversed(element))
            continue
        if element is not root:
            parts.append(_folded(element.tail, _name(element.getparent())))
    text = _BREAKS.sub(lambda m: "\n\n" if _PARAGRAPH in m[0] else "\n", "".join(parts))
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def shown_characters(tree: Any) -> int:
    """Return how many characters of text a page shows, runs of white space as one; faster than `tree_text`."""
    hidden = [element.text_content() for element in tree.iter(*_SKIPPED)]
    return max(0, _size(tree.text_content()) - sum(map(_size, hidden)))


def _size(text: str) -> int:
    return len(" ".join(text.split()))


def _name(element: Any) -> str:
    tag = element.tag if element is not None else None
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def _break(name: str) -> str:
    if name in _PARAGRAPHS:
        return _PARAGRAPH
    return _LINE if name in _LINES else ""


def _folded(text: str | None, parent: str) -> str:
    """Fold white space as a browser shows it; `pre` keeps its own."""
    if not text:
        return ""
    return text if parent == "pre" else re.sub(r"\s+", " ", text)


#: Elements whose words are no sentences of a page's own.
_NO_PROSE = _SKIPPED | frozenset("a nav footer header select button label textarea form aside".split()) - {
    "form"
}
#: A sentence has at least this many characters, or half as many if they are Han.
_SENTENCE = 30


def prose_blocks(tree: Any) -> list[str]:
    """Return what a page says in sentences outside links, menus and scripts, in order."""
    blocks: list[str] = []
    stack: list[tuple[Any, int]] = [(tree, 0)]
    while stack:
        element, depth = stack.pop()
        if depth >= DEEPEST or not isinstance(element.tag, str) or _name(element) in _NO_PROSE:
            continue
        for text in (element.text, *(child.tail for child in element)):
            block = " ".join((text or "").split())
            han = sum("\u3400" <= char <= "\u9fff" for char in block)
            letters = sum(map(str.isalpha, block))
            if len(block) + han >= _SENTENCE and 2 * letters > len(block) - block.count(" "):
                blocks.append(block)
        stack.extend((child, depth + 1) for child in reversed(element))
    return blocks


#: How a text that is HTML begins; a text about HTML begins with words.
_HTML = re.compile(
    r"\s*<(?:!doctype|html|head|body|p|div|br|span|table|ul|ol|li|blockquote|h[1-6]|b|strong|i|em|a|font|article|img|"
    r"section|pre|code|figure)\b[^<>]*>",
    re.IGNORECASE,
)
_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)
_INSIDE = re.compile(r"<br\s*/?>|</(?:p|div|a|span|b|strong|li)>", re.IGNORECASE)


def is_html_text(text: str) -> bool:
    """Whether a text, as it stands in a cell or field, is HTML and not a text with `<` in it."""
    if _BREAK_TAG.search(text):
        return True
    return _HTML.match(text) is not None and (text.rstrip().endswith(">") or _INSIDE.search(text) is not None)


def plain_text(text: str) -> str:
    """Return the text of a cell or field, of HTML the words it shows."""
    if not is_html_text(text):
        return text
    tree = parse_html(text.encode("utf-8", "replace"), "utf-8")
    return tree_text(tree) if tree is not None else ""


def parse_html(data: bytes, encoding: str | None = None) -> Any:
    """Return the tree of a page, or None if there is nothing in it.

    Args:
        data: the page.
        encoding: as Python calls it; None: as the page says.
    """
    from lxml import etree, html

    if encoding is not None and encoding != "utf-8":  # libxml2 knows fewer, and some by other names
        data, encoding = data.decode(encoding, "replace").encode("utf-8", "replace"), "utf-8"
    parser = html.HTMLParser(encoding=encoding, no_network=True, remove_comments=True, huge_tree=False)
    try:
        return html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, LookupError):
        return None
