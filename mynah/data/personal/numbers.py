"""Numbers that name a person or an account: phones, cards, IBANs, national ids, network addresses.

Check digits decide wherever the standard has them: ISO/IEC 7812 (Luhn) for cards, ISO 13616 for IBAN, GB 11643
for the Chinese resident id, each country's own for others (python-stdnum). Python's `\\b` sees no border between a
Han character and a digit, so borders are spelled as lookarounds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from itertools import chain
from typing import Any

from mynah.data.personal.config import Span
from mynah.data.personal.context import (
    is_called,
    is_called_phone,
    is_harmless,
    is_spoken_of_as_phone,
    windows_of,
)

_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.+/#@$€£¥-])(?<!\d[.,])(?:\+|00)?\(?\d[\d() \t.\-–/]{5,22}\d(?![A-Za-z0-9_@])(?![.,-]\d)(?!\s?(?:%|€|\$|元|块|USD|EUR|kg|km|MB|GB))"
)
_FORMATTED = re.compile(
    r"\(?\d{2,4}\)?[\s.-]\d{3,4}[\s.-]\d{3,4}|\(?0\d{2,4}\)?[\s-]?\d{6,8}|\(?0\d{2,4}\)?[\s.-]\d{3,4}[\s.-]?\d{3,4}"
)
_CN_MOBILE_ALONE = re.compile(
    r"(?<![A-Za-z0-9_.+-])(?<!\d )1[3-9]\d(?P<mark>[ -]?)\d{4}(?P=mark)\d{4}(?![A-Za-z0-9_])(?![.-]\d)"
)
_DATE_LIKE = re.compile(
    r"(?:19|20)\d\d[\s./-]?[01]?\d[\s./-]?[0-3]?\d(?:\s?\d{2,4})?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*"
)

_CARD = re.compile(
    r"(?<![A-Za-z0-9.+])(?<!\d[ -])"
    r"(?:\d{13,19}|\d{4}(?P<mark>[ -])\d{4}(?P=mark)\d{4}(?P=mark)\d{1,4}(?:(?P=mark)\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{4,5})"
    r"(?![A-Za-z0-9])(?!\.\d)"
)
#: Issuers by first digits and the lengths of their numbers: Visa, Mastercard, American Express, Discover, UnionPay,
#: JCB, Diners Club, Mir, Maestro.
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|3[689]"), (14, 16, 19)),
    (re.compile(r"6011|64[4-9]|65|62|81|35(?:2[89]|[3-8])|220[0-4]"), (16, 17, 18, 19)),
    (re.compile(r"50|5[6-8]|6304|67"), (16, 19)),
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")

_IPV4 = re.compile(r"(?<![A-Za-z0-9_.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![A-Za-z0-9_])(?!\.\d)")
#: Hints begin with a character of their own, which is found ten times as fast as a class.
_IPV4_HINT = re.compile(r"\.\d{1,3}\.\d")
_IPV6 = re.compile(
    r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![A-Za-z0-9_:])"
)
_MAC = re.compile(
    r"(?<![A-Za-z0-9_:-])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![A-Za-z0-9_:-])"
    r"|(?<![A-Za-z0-9_:-])(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}(?![A-Za-z0-9_:-])"
    r"|(?<![A-Za-z0-9_.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![A-Za-z0-9_.])"
)
#: What these look like from afar: the patterns themselves try every letter and digit of a text.
_MAC_HINTS = tuple(map(re.compile, (r":[0-9A-Fa-f]{2}:", r"-[0-9A-Fa-f]{2}-", r"\.[0-9A-Fa-f]{4}\.")))
_IPV6_HINT = re.compile(r":[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:")
_VERSION = re.compile(
    r"(?:\bv|version|ver\.?|release|build|firmware|版本|固件|chrome/|section|§|clause)\s*[:：]?\s*$",
    re.IGNORECASE,
)


def find_phones(text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    """Yield phone numbers: international, or valid in one of the regions and written or called as one."""
    for found in _CN_MOBILE_ALONE.finditer(text):  # new prefixes come faster than libraries know them
        if not is_harmless(text, found.start()):
            yield Span(*found.span(), "phone", "CN")
    for found in _PHONE.finditer(text):
        start = found.start()
        if is_harmless(text, start):
            continue
        called = is_called_phone(text, start) or is_spoken_of_as_phone(text, start)
        shown = found[0].rstrip(" -.(/")
        while shown:
            region = _phone_region(shown, called, regions)
            if region is not None:
                yield Span(start, start + len(shown), "phone", region)
                break
            shown = shown.rpartition(" ")[0].rstrip(
                " -.(/"
            )  # another number may follow: 010-12345678 10 o'clock


def _phone_region(shown: str, called: bool, regions: tuple[str, ...]) -> str | None:
    """Return the country of what may be a phone number, None if it is none or is not written as one."""
    if not 7 <= len(re.sub(r"\D", "", shown)) <= 15:
        return None
    international = shown.startswith(("+", "00"))
    written = _FORMATTED.fullmatch(shown) is not None
    if not (international or called or written) or (_DATE_LIKE.fullmatch(shown) and not called):
        return None
    return _region_of(shown, international, called, regions)


def _region_of(shown: str, international: bool, called: bool, regions: tuple[str, ...]) -> str | None:
    """Return the country of a phone number: the first where it is valid, or at least possible if called a phone."""
    import phonenumbers
    from phonenumbers import NumberParseException

    possible = None
    for region in (None,) if international else regions:
        try:
            parsed = phonenumbers.parse(f"+{shown[2:]}" if shown.startswith("00") else shown, region)
        except NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.region_code_for_number(parsed) or region or ""
        if (international or called) and phonenumbers.is_possible_number(parsed) and possible is None:
            possible = region or ""
    return possible


def find_cards(text: str) -> Iterator[Span]:
    """Yield payment card numbers: 13 to 19 digits of a known issuer whose Luhn check digit is right."""
    from stdnum import luhn

    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        issued = any(len(digits) in lengths and issuer.match(digits) for issuer, lengths in _ISSUERS)
        if len(set(digits)) > 1 and issued and luhn.is_valid(digits) and not is_harmless(text, found.start()):
            yield Span(*found.span(), "card")


def find_ibans(text: str) -> Iterator[Span]:
    """Yield international bank account numbers whose country, length and check digits are right."""
    from stdnum import iban

    for found in _IBAN.finditer(text):
        # Without separators nothing says where it ends, so the longest valid one counts.
        parts = found[0].split(" ")
        for count in range(len(parts), 0, -1):
            shown = " ".join(parts[:count])
            if iban.is_valid(shown, check_country=False):
                yield Span(found.start(), found.start() + len(shown), "iban", shown[:2])
                break


#: (detail, pattern, module of stdnum or None, words it must be called by or None: its form is telling enough)
_ID_FORMS: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("CN resident id", r"[1-8]\d{5}(?:18|19|20)\d{2}[01]\d[0-3]\d{4}[\dXx]", "own", None),
    ("US SSN", r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}", None, None),
    ("US SSN", r"(?!000|666|9\d\d)\d{3} ?(?!00)\d{2} ?(?!0000)\d{4}", None, r"ssn|social security(?: number| no\.?)?"),
    ("GB NINO", r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", None, None),
    ("GB NHS", r"\d{3} ?\d{3} ?\d{4}", "gb.nhs", r"nhs(?: number| no\.?)?"),
    ("IT codice fiscale", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale", None),
    ("ES DNI", r"\d{8}-?[A-Z]", "es.dni", None),
    ("ES NIE", r"[XYZ]-?\d{7}-?[A-Z]", "es.nie", None),
    ("FR NIR", r"[12] ?\d{2} ?[01]\d ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", "fr.nir", None),
    ("DE IdNr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", "de.idnr", r"(?:steuer-?(?:id|identifikationsnummer|nummer)|idnr\.?|tax id)"),
    ("PL PESEL", r"\d{11}", "pl.pesel", r"pesel"),
    ("NL BSN", r"\d{9}", "nl.bsn", r"bsn|burgerservicenummer"),
    ("BR CPF", r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf", None),
    ("KR RRN", r"\d{6}-[1-8]\d{6}", "kr.rrn", None),
    ("IN Aadhaar", r"[2-9]\d{3} \d{4} \d{4}", "in_.aadhaar", None),
    ("JP My Number", r"\d{4}[ -]?\d{4}[ -]?\d{4}", None, r"my number|マイナンバー|個人番号"),
    ("HK id", r"[A-Z]{1,2}\d{6}\([\dA]\)", None, None),
    ("TW id", r"[A-Z][12]\d{8}", None, r"身分證(?:字號|號碼)?|身份证(?:号)?|id"),
    ("SG NRIC", r"[STFGM]\d{7}[A-Z]", None, r"nric|fin|ic|identity card"),
    ("passport", r"[A-Z]{1,2}\d{7,8}|\d{9}|[A-Z](?=[A-Z0-9]*\d)[A-Z0-9]{8}", None, r"passport(?: number| no\.?)?|护照(?:号|号码)?|護照(?:號碼)?|港澳通行证(?:号)?"),
    ("CN old resident id", r"[1-8]\d{5}\d{2}[01]\d[0-3]\d{4}", None, r"身份证(?:号|号码)?"),
)  # fmt: skip


#: Every form holds six digits, between which stand no more than two letters or marks: elsewhere nothing is looked for.
_SIX_DIGITS = re.compile(r"[A-Z]{0,6}\d(?:[A-Za-z .()-]{0,2}\d){5,}")


@cache
def _id_forms() -> list[tuple[str, re.Pattern[str], Any, re.Pattern[str] | None]]:
    """Return the forms with their patterns compiled and their check functions looked up."""
    import importlib

    forms = []
    for detail, pattern, module, called in _ID_FORMS:
        check: Any = None
        if module == "own":
            check = _resident_id_ok
        elif module:
            check = importlib.import_module(f"stdnum.{module}").is_valid
        forms.append(
            (
                detail,
                re.compile(
                    rf"(?<![A-Za-z0-9.-])(?<!\d )(?:{pattern})(?![A-Za-z0-9])(?!-\d)(?! \d{{4}}(?![\d年]))"
                ),
                check,
                re.compile(called, re.IGNORECASE) if called else None,
            )
        )
    return forms


def _resident_id_ok(number: str) -> bool:
    """Check the date and the last digit (ISO 7064, MOD 11-2) of a Chinese resident id.

    The place is not looked up: districts are renamed and merged, numbers stay.
    """
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (1 << (17 - i)) for i, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()


def find_ids(text: str) -> Iterator[Span]:
    """Yield national ids and passports: by check digits, or by a telling form, or by being called so."""
    windows = list(windows_of(_SIX_DIGITS, text, before=8, after=12))
    for detail, pattern, check, called in _id_forms() if windows else ():
        for found in chain.from_iterable(pattern.finditer(text, *window) for window in windows):
            if called is not None and not is_called(called, text, found.start()):
                continue
            if check is not None and not check(found[0]):
                continue
            if called is None and is_harmless(text, found.start()):
                continue
            yield Span(*found.span(), "id", detail)


def find_network(text: str) -> Iterator[Span]:
    """Yield IPv4 and IPv6 addresses and MAC addresses; a version number of four parts is none."""
    for found in _MAC.finditer(text) if any(hint.search(text) for hint in _MAC_HINTS) else ():
        yield Span(*found.span(), "mac")
    for found in _IPV4.finditer(text) if _IPV4_HINT.search(text) else ():
        octets = found[0].partition("/")[0].split(".")
        if any(int(octet) > 255 or (len(octet) > 1 and octet[0] == "0") for octet in octets):
            continue
        if not _VERSION.search(text[max(0, found.start() - 16) : found.start()]) and not is_harmless(
            text, found.start()
        ):
            yield Span(*found.span(), "ip", "4")
    for found in _IPV6.finditer(text) if "::" in text or _IPV6_HINT.search(text) else ():
        shown = found[0]
        if shown.count(":") < 2 or not re.search(r"[0-9A-Fa-f]", shown) or len(shown) < 6:
            continue
        try:
            ipaddress.IPv6Address(shown)
        except ValueError:
            continue
        yield Span(*found.span(), "ip", "6")
