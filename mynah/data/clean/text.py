"""Steps from text to text: each a pure function, so that what a user types can go through the same ones."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from functools import cache

TextStep = Callable[[str], str]

#: Without one of these no text is mis-decoded UTF-8: they are what its bytes look like in other encodings.
_SUSPECT = re.compile("[\u0080-\u009f\u00a1-\u024f\u0370-\u05ff\ufffd]")
#: Of these, what is suspect beside plain letters too; of the others ftfy asks for two characters beyond ASCII, none
#: of them of the scripts of East Asia.
_SUSPECT_ALONE = frozenset("".join(map(chr, range(0x80, 0xA0))) + "\ufffdÂÃŒœØÙ")
_LIGATURES = re.compile("[\ufb00-\ufb06]")
# Zero-width joiner and non-joiner stay: emoji and several scripts are spelled with them.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_BLOCK = "p|div|li|ul|ol|tr|td|th|table|tbody|thead|h[1-6]|blockquote|section|article|header|footer|pre|hr|br"
_INLINE = "a|b|i|u|s|em|strong|span|font|small|big|sub|sup|center|img|strike|del|ins|mark|code|tt|abbr|cite"
_ATTRIBUTES = r"""(?:\s+[\w:-]+(?:\s*=\s*(?:"[^"<>]{0,2000}"|'[^'<>]{0,2000}'|[^\s"'<>]{1,2000}))?)*\s*/?"""
_TAG = re.compile(rf"</?(?:(?P<block>{_BLOCK})|{_INLINE}){_ATTRIBUTES}>", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_RUN = re.compile(r"(?<=\S)[^\S\n]{2,}")
_WIDE = re.compile(r"(?<=\S)[\t\u00a0\u3000](?=\S)")
_BLANK = re.compile(r"\n{3,}")
#: All white space but the plain space and the line end.
_ODD_SPACES = tuple(filter(str.isspace, map(chr, (*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0x3001)))))


def repair_unicode(text: str) -> str:
    """Mend mojibake (ftfy), undo ligatures, normalise to NFC.

    Full-width punctuation stays, it is right in Chinese; so do curly quotes.
    """
    if text.isascii():
        return text
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    if _may_be_mojibake(text) and is_bad(text):
        text = fix_encoding(text)
    if _LIGATURES.search(text):
        text = _LIGATURES.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _may_be_mojibake(text: str) -> bool:
    """Tell what is worth ftfy's own look, which takes ten times as long."""
    for found in _SUSPECT.finditer(text):
        at = found.start()
        beside = (text[at - 1 : at], text[at + 1 : at + 2])
        if found[0] in _SUSPECT_ALONE or any("\x7f" < neighbour < "\u2e80" for neighbour in beside):
            return True
    return False


def remove_control(text: str) -> str:
    """Remove control characters, zero-width marks and direction overrides; tabs and line ends stay."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", text)


def remove_html(text: str) -> str:
    """Resolve entities and remove the tags that mark up text; a block's tag becomes a line end.

    Only tags by their names in HTML count, so `vec<int>` and `a < b` stay.
    """
    if "<" in text:
        if "-->" in text or "</s" in text.lower():
            text = _COMMENT.sub("", text)
        text = _TAG.sub(lambda m: "\n" if m["block"] else "", text)
    if "&" in text:
        text = _ENTITY.sub(lambda m: html.unescape(m[0]), text)
    return text


def fold_whitespace(text: str) -> str:
    """Fold runs of spaces inside a line, drop them at its end, allow one blank line; keep indentation."""
    odd = any(space in text for space in _ODD_SPACES)
    if odd or "  " in text:
        text = _RUN.sub(" ", text)
        text = _WIDE.sub(" ", text)
    if odd or " \n" in text:
        text = "\n".join(map(str.rstrip, text.split("\n")))
    return (_BLANK.sub("\n\n", text) if "\n\n\n" in text else text).strip()


@cache
def script_converter(target: str) -> TextStep:
    """Return a step that writes Chinese in one script (OpenCC): "t2s" to simplified, "s2t" to traditional.

    Raises:
        MissingDependency: if `opencc` is not installed.
    """
    from mynah.errors import MissingDependency

    try:
        import opencc
    except ImportError:
        raise MissingDependency("opencc", "chinese", "converting between Chinese scripts") from None
    convert: TextStep = opencc.OpenCC(target).convert
    return convert
