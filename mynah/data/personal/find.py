"""All personal data in a text: every detector, then one span for each place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from mynah.data.personal.accounts import find_emails, find_im, find_keys, find_wallets
from mynah.data.personal.config import KINDS, Span
from mynah.data.personal.names import find_names
from mynah.data.personal.numbers import find_cards, find_ibans, find_ids, find_network, find_phones
from mynah.data.personal.places import find_addresses, find_plates

#: Where two kinds claim a place the surer one has it: a checksum over a form, a form over a word.
_ORDER = (
    "wallet",
    "key",
    "email",
    "iban",
    "id",
    "card",
    "mac",
    "ip",
    "im",
    "address",
    "phone",
    "plate",
    "name",
)
#: Without one of these no text spells out an address: name [at] host (dot) com.
_SPELLED_AT = ("[at]", "(at)", "{at}", " dot ", "[dot]", "(dot)")
_DIGIT = re.compile(r"\d")


def find(
    text: str, kinds: Collection[str] = KINDS, regions: tuple[str, ...] = ("CN", "US", "GB")
) -> list[Span]:
    """Return the personal data in a text, in order, none overlapping another.

    Args:
        text: any text, English or Chinese.
        kinds: which kinds to look for.
        regions: countries whose phone numbers are read without a country code.
    """
    spans = sorted(
        _all(text, kinds, regions), key=lambda span: (_ORDER.index(span.kind), -(span.end - span.start))
    )
    return merged([], spans)


def merged(taken: Sequence[Span], more: Iterable[Span]) -> list[Span]:
    """Return spans in order: those that are taken, and of the others what overlaps none before it."""
    found = list(taken)
    for span in more:
        if all(span.end <= other.start or span.start >= other.end for other in found):
            found.append(span)
    return sorted(found, key=lambda span: span.start)


def _all(text: str, kinds: Collection[str], regions: tuple[str, ...]) -> Iterator[Span]:
    folded = text.lower()
    digits = _DIGIT.search(text) is not None
    detectors: tuple[tuple[bool, tuple[str, ...], Callable[[str], Iterator[Span]]], ...] = (
        (
            "@" in text or "＠" in text or any(spelled in folded for spelled in _SPELLED_AT),
            ("email",),
            find_emails,
        ),
        (digits, ("card",), find_cards),
        (digits, ("iban",), find_ibans),
        (digits, ("id",), find_ids),
        (digits and ("." in text or ":" in text or "-" in text), ("ip", "mac"), find_network),
        (digits, ("phone",), lambda t: find_phones(t, regions)),
        (digits, ("wallet",), find_wallets),
        (digits, ("plate",), find_plates),
        (digits or "号" in text or "室" in text, ("address",), find_addresses),
        (True, ("im",), find_im),
        (True, ("key",), find_keys),
        (True, ("name",), find_names),
    )
    for worth, makes, detector in detectors:
        if worth and any(kind in kinds for kind in makes):
            yield from (span for span in detector(text) if span.kind in kinds)
