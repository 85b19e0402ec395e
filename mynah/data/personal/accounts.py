"""Addresses of accounts: e-mail, QQ and WeChat ids, wallets, keys and passwords."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator

from mynah.data.personal.config import Span

_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._%+'-]{0,62}[A-Za-z0-9_+-])?"
_DOMAIN = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?P<tld>[A-Za-z]{2,18}|xn--[A-Za-z0-9-]{2,30})"
)
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9._%+/=@-])(?:mailto:)?{_LOCAL}[@＠]{_DOMAIN}(?![A-Za-z0-9@])(?!-[A-Za-z0-9])"
)
_SPELLED = re.compile(
    rf"(?<![A-Za-z0-9._%+-])(?P<local>{_LOCAL})\s?(?:\[at\]|\(at\)|\{{at\}}|\s(?:at|AT)\s)\s?"
    r"(?P<domain>[A-Za-z0-9-]+(?:\s?(?:\[dot\]|\(dot\)|\s(?:dot|DOT)\s|\.)\s?[A-Za-z0-9-]+)*"
    r"\s?(?:\[dot\]|\(dot\)|\s(?:dot|DOT)\s|\.)\s?(?:com|net|org|edu|gov|io|co|cn|uk|de|fr|info|me))(?![A-Za-z0-9])"
)
#: Endings of file names that follow an @, as in icon@2x.png.
_FILES = frozenset(
    "png jpg jpeg gif svg webp ico css js ts json html htm py pdf zip gz md txt mp4 mp3 so dll".split()
)

_QQ = re.compile(
    r"(?:(?<![A-Za-z])(?:QQ|qq|Qq|扣扣|企鹅|球球)(?:号码|号|群号|群|\s?(?:number|no\.?|id))?(?:是|为|:|：|=|\s|加|，|is\s)*)(?P<id>[1-9]\d{4,10})(?![\d.@A-Za-z])"
)
_WECHAT = re.compile(
    r"(?:(?:微信(?:号码|号|ID|id)?|薇信|威信|(?<![A-Za-z])(?:wechat|weixin|wx|vx|WeChat|VX|WX)(?![A-Z-])(?:\s?(?:id|ID|号|no\.?))?)"
    r"(?:是|为|:|：|=|\s|is|加我|加)*)(?P<id>[A-Za-z][A-Za-z0-9_-]{5,19})(?![A-Za-z0-9_.@-])"
    r"|(?<![A-Za-z0-9_])(?P<own>wxid_[A-Za-z0-9]{8,24})(?![A-Za-z0-9_])"
)
#: Words that follow "WeChat" without being an id.
_NOT_IDS = frozenset(
    "account public message messages group groups video payment support number please moments channel article "
    "official program programs mini-program contact friend friends sticker stickers history".split()
)

_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,255}|"
    r"glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|sk-(?:ant-|proj-|live-)?[A-Za-z0-9_-]{20,}|"
    r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|"
    r"hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}|"
    r"dop_v1_[a-f0-9]{64}|LTAI[A-Za-z0-9]{12,24}|AKID[A-Za-z0-9]{13,40}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r")(?![A-Za-z0-9_])"
)
_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----.{16,8192}?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    re.DOTALL,
)
_CALLED = re.compile(
    r"(?:(?<![A-Za-z])(?:api[_ -]?key|access[_ -]?key|secret(?:[_ -]?(?:access[_ -]?)?key)?|auth[_ -]?token|access[_ -]?token|"
    r"token|client[_ -]?secret|private[_ -]?key|password|passwd|pwd|passphrase|passcode|credentials?)|密码|口令|密钥|令牌|验证码|登录密码)"
    r"\s?(?:is|was|[:：=]|是|为)+\s*[\"'`“]?(?P<value>[^\s\"'`”，。；,;<>()（）\u3400-\u9fff]{6,128})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?i:bearer)\s+(?P<value>[A-Za-z0-9._~+/=-]{20,})")
_DENSE = re.compile(r"(?<![A-Za-z0-9_/+=.-])[A-Za-z0-9_+/-]{32,128}={0,2}(?![A-Za-z0-9_/+=.-])")
_URL_LOGIN = re.compile(r"(?<=://)(?P<value>[^\s/@:]{1,64}:[^\s/@:]{1,64})(?=@)")
#: Entropy in bits a character above which mixed letters and digits are no words; English text has about 4.0
#: over its letters, random base64 of 32 characters 4.6 on average.
_ENTROPY = 4.2

_BITCOIN = re.compile(
    r"(?<![A-Za-z0-9])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?![A-Za-z0-9])"
)
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def find_emails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses (RFC 5321, its common part), also those spelled with [at] and [dot]."""
    for found in _EMAIL.finditer(text) if "@" in text or "＠" in text else ():
        if found["tld"].lower() in _FILES:
            continue
        start, end = found.span()
        start += len("mailto:") if found[0].startswith("mailto:") else 0
        if text[start:end].startswith("git@") and text[end : end + 1] == ":":
            continue  # a repository, not a mailbox
        yield Span(start, end, "email")
    for found in _SPELLED.finditer(text):
        marked = re.search(r"\[at\]|\(at\)|\{at\}", found[0]) or re.search(
            r"\s(?:dot|DOT)\s|[\[(]dot[\])]", found[0]
        )
        if marked:
            yield Span(*found.span(), "email", "spelled")


def find_im(text: str) -> Iterator[Span]:
    """Yield QQ numbers and WeChat ids, which only the words before them tell from other numbers and names."""
    for found in _QQ.finditer(text):
        yield Span(*found.span("id"), "im", "qq")
    for found in _WECHAT.finditer(text):
        group = "own" if found["own"] else "id"
        if found[group].lower() not in _NOT_IDS:
            digits = any(c.isdigit() or c in "_-" for c in found[group])
            colon = re.search(
                r"[:：=是为]\s*$|\b(?:id|ID)\s*(?:is)?\s*$|号\s*$", text[: found.start(group)][-6:]
            )
            if group == "own" or digits or colon:
                yield Span(*found.span(group), "im", "wechat")


def find_keys(text: str) -> Iterator[Span]:
    """Yield keys, tokens and passwords: by prefix, by being called so, or by what no word looks like."""
    for pattern in (_PREFIXED, _PEM):
        for found in pattern.finditer(text):
            yield Span(*found.span(), "key", "prefix")
    for found in _URL_LOGIN.finditer(text):
        yield Span(*found.span("value"), "key", "login")
    for pattern in (_CALLED, _BEARER):
        for found in pattern.finditer(text):
            value = found["value"].rstrip(".!?:")
            if len(value) >= 6 and _no_word(value):
                yield Span(found.start("value"), found.start("value") + len(value), "key", "called")
    for found in _DENSE.finditer(text):
        value = found[0]
        mixed = all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
        if (
            mixed
            and value.count("/") < 3
            and entropy(value) >= _ENTROPY
            and not re.search(r"[a-z]{9}", value)
        ):
            yield Span(*found.span(), "key", "entropy")


def _no_word(value: str) -> bool:
    """Whether a value called a password may be one: with a digit or a mark in it, or in mixed case."""
    if re.fullmatch(r"\*+|x+|X+|\.+|<.*>|\$\{?.*\}?|%.*%|null|none|true|false", value):
        return False
    return bool(re.search(r"\d|[^\w]|_", value)) or bool(re.search(r"[a-z][A-Z]", value))


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text's characters, in bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def find_wallets(text: str) -> Iterator[Span]:
    """Yield Bitcoin addresses whose checksum is right, and Ethereum addresses."""
    for found in _BITCOIN.finditer(text):
        if _bech32_ok(found[0]) if found[0].startswith("bc1") else _base58_ok(found[0]):
            yield Span(*found.span(), "wallet", "bitcoin")
    for found in _ETHEREUM.finditer(text):
        yield Span(*found.span(), "wallet", "ethereum")


def _base58_ok(address: str) -> bool:
    number = 0
    for char in address:
        number = number * 58 + _BASE58.index(char)
    try:
        raw = number.to_bytes(25, "big")
    except OverflowError:
        return False
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def _bech32_ok(address: str) -> bool:
    """Check the code of BIP 173 (constant 1) and BIP 350 (0x2bc830a3)."""
    check = 1
    for value in [
        *(ord(c) >> 5 for c in "bc"),
        0,
        *(ord(c) & 31 for c in "bc"),
        *map(_BECH32.index, address[3:]),
    ]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)
