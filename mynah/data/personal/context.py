"""Words before a number that say what it is: a phone, or an order that only looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: How far before a number such a word may stand, in characters.
REACH = 28

#: Numbers called this are nobody's personal data.
_HARMLESS = re.compile(
    r"(?:order|invoice|tracking|ticket|case|serial|model|part|version|ver|v|release|build|isbn|issn|sku|ref|"
    r"reference|transaction|item|product|batch|lot|commit|revision|firmware|article|parcel|shipment|booking|"
    r"flight|room|page|port|error|code|patent|rfc|订单|订单号|单号|运单|快递|物流|流水|编号|型号|版本|序列号|发票|"
    r"货号|批号|票号|房间|错误码|工单|合同号|产品|条码|商品|货运|包裹)"
    r"(?:\s?(?:number|no\.?|nr\.?|id|#|号|号码|为|是|编号))?\s*(?:is|was|[:：#＃=])?\s*[#＃]?\s*(?:[A-Za-z]{0,4}-?)?$",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?:phone|tel|telephone|mobile|cell|cellphone|call|call me (?:on|at)|ring|fax|whatsapp|text|sms|dial|contact|"
    r"number|hotline|reach (?:me|us|him|her) (?:on|at)|电话|手机|手机号|手机号码|座机|传真|致电|拨打|联系方式|联系电话|"
    r"号码|热线|打我|短信|联系|來電|電話|手機)"
    r"(?:\s?(?:number|no\.?|号|号码))?\s*(?:is|are|at|on|me|us|me at|me on|[:：=]|是|为|：)*\s*[(（]?$",
    re.IGNORECASE,
)


#: What may stand between what a number is called and the number.
_BETWEEN = re.compile(r"(?:\bis\b|\bwas\b|[\s:：=#是为号码(（,，.-])*")


def windows_of(anchor: re.Pattern[str], text: str, before: int, after: int) -> Iterator[tuple[int, int]]:
    """Yield (begin, end) of the parts of a text around what an anchor matches, those that touch joined into one.

    A slow pattern need not look at the rest of a long text.
    """
    begin, end = 0, -1
    for found in anchor.finditer(text):
        if found.start() - before > end:
            if end >= 0:
                yield begin, end
            begin = max(0, found.start() - before)
        end = found.end() + after
    if end >= 0:
        yield begin, end


def before(text: str, start: int) -> str:
    """Return what stands before a place in its line, as far as context reaches."""
    piece = text[max(0, start - REACH) : start]
    return piece.rpartition("\n")[2]


def is_harmless(text: str, start: int) -> bool:
    """Whether the words before a number call it an order, a version, a serial number or the like."""
    return _HARMLESS.search(before(text, start)) is not None


def is_called_phone(text: str, start: int) -> bool:
    """Whether the words before a number call it a phone number."""
    return _PHONE.search(before(text, start)) is not None


#: Words for a phone that make a number after them one, wherever in the line they stand.
_PHONE_WORD = re.compile(
    r"\b(?:phone|telephone|mobile|cell(?:phone)?|whatsapp|hotline|call(?:ed|ing)?|dial|reach(?:ed)?|text(?:ed)?|ring|"
    r"(?:contact|fax) (?:no|number))\b"
    r"|电话|手机|致电|拨打|热线",
    re.IGNORECASE,
)
#: How far before a number, in characters.
_IN_LINE = 80


def is_spoken_of_as_phone(text: str, start: int) -> bool:
    """Whether the line before a number speaks of a phone, though other words stand between."""
    above, _, line = text[max(0, start - _IN_LINE) : start].rpartition("\n")
    if not line.strip():  # a form writes what a number is over it
        line = above.rpartition("\n")[2]
    return _PHONE_WORD.search(line) is not None


def is_called(pattern: re.Pattern[str], text: str, start: int) -> bool:
    """Whether the words before a place end with what a pattern matches."""
    said = before(text, start)
    ends = [found.end() for found in pattern.finditer(said)]
    return bool(ends) and _BETWEEN.fullmatch(said[ends[-1] :]) is not None
