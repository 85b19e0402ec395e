"""Put something else in the place of personal data: a tag, a mask, or a pseudonym that stays the same."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from mynah.data.personal.config import KINDS, PersonalConfig, Span
from mynah.data.personal.find import find, merged
from mynah.data.personal.mentions import Mentions, is_han, speaker_span
from mynah.data.personal.names import given_name_zh
from mynah.data.records import Conversation, Record
from mynah.data.verdict import Verdict

#: How often another name is drawn where two people of a record would get the same.
MOST_ALIKE = 20
_FIRST = "Alex Sam Robin Jamie Taylor Morgan Casey Riley Jordan Avery Quinn Rowan Skyler Emery Reese Finley".split()
_LAST = "Field Marsh Lake Wood Hill Stone Brook Vale Moor Heath Dale Ford Shore Glen Cliff Reed".split()
_GIVEN_ZH = "安然 思远 嘉禾 子墨 一诺 若溪 景行 清和 云帆 知远 书白 乐天 星河 沐阳 怀瑾 望舒".split()
_SURNAME_ZH = "柏林江梅石叶谷兰方白云山水田夏秋"
_STREETS = "Maple Cedar Willow Birch Alder Rowan Linden Hazel".split()
_STREETS_ZH = "枫林路 柏树街 银杏路 槐荫街 松涛路 竹园路 桂花街 海棠路".split()


class Redactor:
    """A cleaning step: finds personal data in a record and replaces it as the settings say."""

    def __init__(self, config: PersonalConfig) -> None:
        self.config = config
        self.kinds = [kind for kind in KINDS if kind not in config.keep]

    def __call__(self, record: Record) -> tuple[Record, tuple[Verdict, ...]]:
        """Return the record without its personal data, and a verdict for each kind found.

        A pseudonym depends on the record's place, so that it is the same through a conversation and another in
        the next one.
        """
        # In order, not as a set: which pseudonym is taken first must not depend on the process.
        speakers: list[str] = []
        if isinstance(record, Conversation):
            names = dict.fromkeys(m.name for m in record.messages if m.name)
            speakers = [name for name in names if speaker_span(name).kind in self.kinds]
        mentions = Mentions(speakers)
        spans = [
            merged(find(text, self.kinds, self.config.regions), mentions.find(text)) for text in record.texts
        ]
        found = {span.kind for spans_of in spans for span in spans_of}
        found.update(speaker_span(name).kind for name in speakers)
        for kind in self.config.drop:
            if kind in found:
                return record, (Verdict("dropped", kind),)
        told = tuple(kind for kind in KINDS if kind in found)
        if self.config.action == "off" or not told:
            return record, ()
        if self.config.action == "warn":
            return record, tuple(Verdict("warned", kind) for kind in told)
        people = _People([*speakers, *_named(record.texts, spans)])
        texts = [
            self._replace(text, found_in, record.place, people)
            for text, found_in in zip(record.texts, spans, strict=True)
        ]
        changed = record.with_texts(texts)
        if isinstance(changed, Conversation) and speakers:
            messages = tuple(
                replace(
                    m,
                    name=self._instead(m.name, speaker_span(m.name), record.place, people)
                    if m.name in speakers
                    else m.name,
                )
                for m in changed.messages
            )
            changed = replace(changed, messages=messages)
        return changed, tuple(Verdict("changed", kind) for kind in told)

    def _replace(self, text: str, spans: list[Span], salt: str, people: _People) -> str:
        """Return a text with its spans replaced; `salt` decides the pseudonyms."""
        parts, at = [], 0
        for span in spans:
            parts += [text[at : span.start], self._instead(text[span.start : span.end], span, salt, people)]
            at = span.end
        return "".join(parts) + text[at:]

    def _instead(self, value: str, span: Span, salt: str, people: _People) -> str:
        if self.config.action == "tag":
            return f"[{span.kind.upper()}]"
        if self.config.action == "mask":
            return mask(value)
        if span.kind == "name":
            return people.pseudonym(value, span, salt)
        return pseudonym(value, span, salt)


class _People:
    """The people of a record by their whole names, so that a first name alone is known again."""

    def __init__(self, names: list[str]) -> None:
        self.by_part: dict[str, str] = {}
        #: name in lower case -> what stands for it; and the first parts of those
        self.given: dict[str, str] = {}
        self.taken: set[str] = set()
        for name in names:
            parts = name.split()
            if len(parts) > 1:
                self.by_part.setdefault(parts[0], name)
                self.by_part.setdefault(parts[-1], name)
            elif (given := given_name_zh(name)) is not None:  # 小明 is 王小明
                self.by_part.setdefault(given, name)

    def pseudonym(self, value: str, span: Span, salt: str) -> str:
        """Return a name for a name: the same for the same, another for another, a part of one for a part."""
        whole = self.by_part.get(value)
        if whole is not None and is_han(whole):
            return self._given(whole, span, salt)[1:]
        if whole is not None and span.detail == "en":
            first, _, last = self._given(whole, span, salt).partition(" ")
            return last or first if whole.split()[-1] == value else first
        return self._given(value, span, salt)

    def _given(self, name: str, span: Span, salt: str) -> str:
        key = name.casefold()
        for attempt in range(MOST_ALIKE):
            if key in self.given:
                break
            made = pseudonym(name, span, f"{salt}\0{attempt}" if attempt else salt)
            first = made.split(" ")[0]
            if first not in self.taken or attempt == MOST_ALIKE - 1:
                self.given[key] = made
                self.taken.add(first)
        return self.given[key]


def _named(texts: tuple[str, ...], spans: list[list[Span]]) -> list[str]:
    return [
        text[span.start : span.end]
        for text, found in zip(texts, spans, strict=True)
        for span in found
        if span.kind == "name"
    ]


def mask(value: str) -> str:
    """Keep the first letter or digit and the marks between; every other character becomes *."""
    first = next((i for i, char in enumerate(value) if char.isalnum()), 0)
    return "".join(char if i == first or not char.isalnum() else "*" for i, char in enumerate(value))


def pseudonym(value: str, span: Span, salt: str) -> str:
    """Return another value of the same kind and form; equal values of one `salt` have equal pseudonyms.

    What is returned is reserved for examples wherever a standard reserves something (example.com, RFC 2606;
    192.0.2.0/24, RFC 5737; 2001:db8::/32, RFC 3849), so that it is nobody's.
    """
    # A number is the same with and without its country's code and the marks between.
    key = re.sub(r"\D", "", value)[-10:] if span.kind == "phone" else value.casefold()
    digest = hashlib.sha256(f"{salt}\0{span.kind}\0{key}".encode()).digest()
    if span.kind == "phone":
        return _same_ending(value, digest)
    number = int.from_bytes(digest[:8], "big")
    if span.kind == "email":
        return f"{_FIRST[number % 16].lower()}{number // 16 % 1000}@example.com"
    if span.kind == "ip":
        low = number % 254 + 1
        return f"2001:db8::{low:x}" if span.detail == "6" else f"192.0.2.{low}"
    if span.kind == "name" and span.detail == "zh":
        return _SURNAME_ZH[number % 16] + _GIVEN_ZH[number // 16 % 16][: max(1, len(value) - 1)]
    if span.kind == "name":
        first, last = _FIRST[number % 16], _LAST[number // 16 % 16]
        return f"{first} {last}" if len(value.split()) > 1 else first
    if span.kind == "address":
        if span.detail == "zh":
            return f"{_STREETS_ZH[number % 8]}{number // 8 % 200 + 1}号"
        return f"{number // 8 % 900 + 1} {_STREETS[number % 8]} Street"
    return _same_form(value, digest)


def _same_ending(value: str, digest: bytes) -> str:
    """Replace the last ten digits of a phone number, counted from its end; what is before them is the country's code."""
    made, count = [], 0
    for char in reversed(value):
        if re.fullmatch(r"[0-9]", char):
            if count < 10:
                char = str((int(char) + 1 + digest[count] % 9) % 10)
            count += 1
        made.append(char)
    return "".join(reversed(made))


def _same_form(value: str, digest: bytes) -> str:
    """Replace each digit by a digit and each Latin letter by a letter of its case; other characters stay."""
    made = []
    for index, char in enumerate(value):
        step = digest[index % len(digest)] + index // len(digest)
        if re.fullmatch(r"[0-9]", char):
            made.append(str((int(char) + 1 + step % 9) % 10))
        elif re.fullmatch(r"[A-Za-z]", char):
            base = ord("A" if char.isupper() else "a")
            made.append(chr(base + (ord(char) - base + 1 + step % 25) % 26))
        else:
            made.append(char)
    return "".join(made)
