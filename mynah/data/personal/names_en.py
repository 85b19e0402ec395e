"""Names of people in English: from words in capitals, by what the words are and by what stands around them.

First names and surnames come from the US census of 1990 (the package `names`), common words and places from the
spelling dictionary of American English (Hunspell's, in the package `spylls`). A first name that is no common word
makes the next word in capitals its surname, known or not; an unknown word makes a name with a known surname; of two
unknown words it takes a title, an office or what people do. A name that was once found whole is found by its parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mynah.data.personal.config import Span
from mynah.data.personal.name_words import (
    ALSO_FIRST,
    ALSO_SURNAMES,
    COMPANIES,
    DOUBTFUL,
    NO_NAME,
    NO_PERSON,
    PLACES_BEGIN,
    SURE_TITLES,
    TITLES,
    fold,
    frequent_first,
    frequent_last,
    is_common,
    is_first,
    is_place,
    is_proper,
    is_sure_first,
    is_surname,
)

#: A word of a name: in capitals at its beginning, with parts behind an apostrophe or a hyphen.
_WORD = r"[A-ZÀ-ÖØ-Þ][^\W\d_]*(?:['’-][^\W\d_]+)*"
_PARTICLE = r"(?:van|von|de|del|della|der|den|la|le|bin|ibn|al|da|di|dos|du|ter|el)"
#: Titles that are cut short.
_SHORT = r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Capt|Col|Gen|Lt|Sgt|Sen|Rep|Gov|Rev|Fr|Hon)\.(?=[ \t]+[A-Z])"
#: Words in capitals in a row, initials and particles among them.
_SEQUENCE = re.compile(
    rf"(?<![\w@/.-])(?:{_SHORT}|{_WORD}|[A-Z]\.)(?:[ \t]+(?:{_PARTICLE}[ \t]+){{0,2}}(?:{_SHORT}|[A-Z]\.(?!\w)|{_WORD}))*"
    r"(?![\w@]|\.\w)"
)
_TOKEN = re.compile(rf"{_SHORT}|[A-Z]\.(?!\w)|{_WORD}|{_PARTICLE}(?=[ \t])")
_POSSESSIVE = re.compile(r"['’]s?$")
#: Offices and trades before a name, in small letters, and what presents people.
_BEFORE = re.compile(
    r"(?:\b(?:actor|actress|singer|songwriter|musician|rapper|guitarist|drummer|composer|conductor|pianist|artist|painter|"
    r"sculptor|photographer|architect|designer|author|writer|novelist|poet|journalist|reporter|editor|columnist|blogger|"
    r"director|producer|filmmaker|screenwriter|comedian|model|host|presenter|scientist|physicist|chemist|biologist|economist|"
    r"historian|philosopher|researcher|analyst|professor|lecturer|teacher|student|doctor|physician|surgeon|nurse|dentist|"
    r"psychologist|therapist|lawyer|attorney|judge|prosecutor|detective|officer|sergeant|captain|coach|manager|trainer|"
    r"player|quarterback|pitcher|goalkeeper|striker|defender|midfielder|golfer|boxer|driver|pilot|engineer|developer|founder|"
    r"co-founder|owner|entrepreneur|investor|chairman|chairwoman|president|secretary|minister|senator|governor|mayor|leader|"
    r"spokesman|spokeswoman|spokesperson|representative|consultant|assistant|friend|colleague|husband|wife|partner|father|"
    r"mother|son|daughter|brother|sister|uncle|aunt|cousin|grandfather|grandmother|neighbor|neighbour|boss|client|customer|"
    r"patient|employee|tenant|witness|victim|suspect|king|queen|prince|princess|CEO|CFO|CTO|COO|VP|star|legend|champion|"
    r"named|called|by|with|and|met|meet|contact|ask|thank|thanks to|featuring|starring|interviewed|hired|married))\s*$"
)
_MARK_BEFORE = re.compile(r"[:;,(\"“–—-]\s*$")
_AFTER = re.compile(
    r"[ \t]*(?:,?\s*(?:said|says|told|tells|wrote|writes|added|adds|asked|asks|explained|explains|believes|thinks|argues|"
    r"noted|notes|replied|claims|claimed|recalls|recalled|joined|joins|born|died|was born|is a|is an|is the|was a|was an|"
    r"was the|has been|who|will be|plays|played|stars|starred|sings|sang|teaches|taught|works|worked|lives|lived|loves|"
    r"won|wins|scored|founded|directed|married|grew up|graduated|came|went|can|could|would|had|took|made|gave|got|began|"
    r"left|saw|found|felt|knew|thought|wanted|tried|started|returned|moved|became|spent|met)\b"
    r"|,\s*(?:(?:a|an|the|our|your|who|whose|aged?|\d{1,2}|PhD|MD|M\.D\.|Ph\.D\.|Esq|CPA|RN)\b|(?:[A-Z][a-z]+\s)?(?:Manager|"
    r"Director|President|Officer|Chairman|CEO|CFO|CTO|Professor|Editor|Partner|Engineer|Founder|Owner|Head|Chief|Senior|Vice|"
    r"Executive|Lead|Secretary|Minister|Author|Attorney|Counsel|Agent|Analyst|Consultant)\b)"
    r"|\s*[(<]|['’]s\b)"
)
#: What people alone do.
_SPEAKS = re.compile(
    r"[ \t]*,?\s*(?:said|says|told|tells|wrote|writes|added|adds|asked|asks|explained|explains|believes|thinks|argues|noted|"
    r"replied|claims|claimed|recalls|recalled|suggests|suggested|insists|insisted|admits|admitted|smiled|laughed|nodded|"
    r"whispered|shouted|married|was born|died)\b"
)
#: Labels and greetings before a name, and endings of letters.
_INTRODUCED = re.compile(
    r"(?i:my name is|my name['’]s|i am called|call me|i['’]?m|this is|named?|name\s*:|name is|full name|contact person|"
    r"account manager|account holder|account owner|beneficiary|recipient|applicant|policyholder|insured|employee|manager|"
    r"supervisor|representative|agent|advisor|adviser|consultant|attorney|physician|patient|customer|client|tenant|landlord|"
    r"buyer|seller|borrower|lender|witness|signature|signed(?: by)?|prepared (?:by|for)|reviewed by|approved by|submitted by|"
    r"written by|issued (?:to|by)|billed? to|ship(?:ped)? to|sold to|attn|attention|contact|author|from|to|cc|sender|host|"
    r"organi[sz]er|interviewer|interviewee|candidate|student|teacher|instructor|doctor|regards|sincerely|cheers|thanks|best|"
    r"yours(?: truly)?|love|ask for|speak (?:to|with)|spoke (?:to|with)|talk to|hi|hello|hey|dear|good morning|good evening|"
    r"good afternoon|thank you|bye|welcome)(?:[ \t]*[:：,.!-])?\s+$"
)
_LABEL = re.compile(r"[A-Za-z][A-Za-z /-]{1,30}:[ \t]*$")


@dataclass(frozen=True)
class _Token:
    """A word in capitals, an initial or a particle, and where it stands."""

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return _POSSESSIVE.sub("", self.text)

    @property
    def bare_end(self) -> int:
        return self.start + len(self.word)

    @property
    def is_initial(self) -> bool:
        return len(self.text) == 2 and self.text[1] == "."

    @property
    def is_particle(self) -> bool:
        return self.text.islower()


def find_english_names(text: str) -> Iterator[Span]:
    """Yield names of people: whole, and by their parts where they were found whole."""
    whole: list[Span] = []
    alone: list[tuple[int, Sequence[_Token]]] = []
    for found in _SEQUENCE.finditer(text):
        said = found[0]
        if " " not in said and "\t" not in said:  # most words in capitals begin a sentence
            if said not in NO_NAME:
                alone.append((0, [_Token(said, found.start(), found.end())]))
            continue
        tokens: Sequence[_Token] = [
            _Token(t[0], found.start() + t.start(), found.start() + t.end()) for t in _TOKEN.finditer(said)
        ]
        whole += _in_sequence(text, tokens)
        alone += [
            (at, tokens) for at, token in enumerate(tokens) if not token.is_initial and not token.is_particle
        ]
    yield from whole
    parts = {
        part.strip(".")
        for span in whole
        for part in _POSSESSIVE.sub("", text[span.start : span.end]).split()
        if len(part) > 2 and part[0].isupper() and part not in NO_NAME and part not in TITLES
    }
    taken = {at for span in whole for at in range(span.start, span.end)}
    for at, tokens in alone:
        token = tokens[at]
        if token.start not in taken and _is_alone(text, at, tokens, parts):
            yield Span(token.start, token.bare_end, "name", "en")


def _in_sequence(text: str, tokens: Sequence[_Token]) -> Iterator[Span]:
    """Yield the names within words in capitals in a row."""
    last = tokens[-1]
    if (
        len(tokens) > 2
        and last.word in NO_PERSON - ALSO_SURNAMES
        and not any(token.text != token.word for token in tokens[:-1])
    ):
        return  # Doris Henderson Newcomers School
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.word.removesuffix(".") in TITLES and index + 1 < len(tokens):
            length = _name_at(text, tokens, index + 1, titled=token.word.removesuffix("."))
            if length:
                yield _span(tokens, index + 1, length)
                index += 1 + length
                continue
        length = _name_at(text, tokens, index)
        if length:
            yield _span(tokens, index, length)
        index += length or 1
    return


def _span(tokens: Sequence[_Token], index: int, length: int) -> Span:
    return Span(tokens[index].start, tokens[index + length - 1].bare_end, "name", "en")


def _name_at(text: str, tokens: Sequence[_Token], index: int, titled: str = "") -> int:
    """Return how many tokens from one on are a name; 0: none."""
    best = 0
    for length in range(1 if titled in SURE_TITLES else 2, 6):
        if index + length > len(tokens):
            break
        part = tokens[index : index + length]
        if any(token.text.endswith(("'s", "’s")) for token in part[:-1]):
            break
        if part[-1].is_particle or (part[-1].is_initial and length > 2):
            continue
        if _is_name(text, part, tokens, index, titled):
            best = length
    if best and index + best < len(tokens) and not tokens[index + best - 1].text.endswith(("'s", "’s")):
        after = tokens[index + best].word
        if after in NO_PERSON or (
            after.isupper() and len(after) > 1 and after in ("LLC", "LLP", "PLC", "AG", "SA")
        ):
            return 0
    return best


def _is_name(text: str, part: Sequence[_Token], tokens: Sequence[_Token], index: int, titled: str) -> bool:
    words = [token.word for token in part]
    given, tail = words[0], words[-1]
    if any(
        len(word) > 1 and word.isupper() and not token.is_initial
        for word, token in zip(words, part, strict=True)
    ):
        return _in_capitals(text, part)
    known_tail, common_tail = is_surname(tail), is_common(tail)
    if given in NO_NAME and not (given in ALSO_FIRST and known_tail and not common_tail and len(part) == 2):
        return False
    if tail in NO_NAME - ALSO_SURNAMES:
        return False
    if any(word in NO_PERSON and not is_surname(word) for word in words[1:]):
        return False
    if _in_company(text, part) or " ".join(words) in COMPANIES:
        return False
    if titled and len(part) == 1:
        return tail not in NO_PERSON and not is_place(tail)
    middle = part[1:-1]
    if any(
        not token.is_initial and not token.is_particle and not _may_be_middle(token.word) for token in middle
    ):
        return False
    if part[-1].is_initial:  # Hannah B.
        return len(part) == 2 and is_sure_first(given)
    if (
        len(tail) < 2
        or (tail in NO_PERSON - ALSO_SURNAMES)
        or (tail in ALSO_SURNAMES and not is_sure_first(given))
    ):
        return False
    context = bool(titled) or _has_context(text, part, tokens, index)
    frequent = fold(given) in frequent_first()
    if part[0].is_initial:
        return (known_tail and not common_tail) or (context and not common_tail and not is_place(tail))
    if is_sure_first(given):
        return known_tail or (not common_tail and not is_place(tail))
    if is_first(given):
        if known_tail and not common_tail:
            return frequent or not is_common(given) or context
        unknown_tail = not common_tail and not is_proper(tail)
        return (frequent and (known_tail or unknown_tail)) or ((known_tail or unknown_tail) and context)
    if is_common(given) or (is_proper(given) and not is_surname(given)):
        return False
    if known_tail and (not common_tail or (fold(tail) in frequent_last() and not is_proper(given))):
        return context or tail not in DOUBTFUL
    if common_tail or is_place(tail):
        return False
    unknown = not is_proper(tail) and not is_proper(given)
    told = bool(titled) or _has_context(text, part, tokens, index, strong=True)
    return told or (unknown and is_surname(given)) or _is_spoken_of(text, (given, tail))


def _is_spoken_of(text: str, words: Sequence[str]) -> bool:
    """Whether one of some words stands elsewhere alone, and does what people do."""
    return any(
        _SPEAKS.match(text, found.end()) is not None
        for word in words
        for found in re.finditer(rf"(?<![\w-]){re.escape(word)}(?!\w)", text)
    )


def _may_be_middle(word: str) -> bool:
    return (is_first(word) or is_surname(word) or not is_common(word)) and word not in NO_NAME


def _in_capitals(text: str, part: Sequence[_Token]) -> bool:
    """Whether words all in capitals are a name: a known first name before a known surname, and nothing else known."""
    words = [token.word for token in part if not token.is_initial]
    return (
        len(part) in (2, 3)
        and all(word.isupper() and len(word) > 2 for word in words)
        and is_sure_first(words[0].capitalize())
        and is_surname(words[-1].capitalize())
        and not is_common(words[-1])
    )


def _in_company(text: str, part: Sequence[_Token]) -> bool:
    """Whether an ampersand stands beside a name: Ernst & Young."""
    before, after = text[: part[0].start].rstrip()[-1:], text[part[-1].end :].lstrip()[:1]
    return "&" in (before, after)


def _has_context(
    text: str, part: Sequence[_Token], tokens: Sequence[_Token], index: int, strong: bool = False
) -> bool:
    """Whether what stands before or after says that a person is meant; a mark alone before it is no strong sign."""
    before = text[max(0, part[0].start - 40) : part[0].start]
    line = before.rpartition("\n")[2]
    if index == 0 and (_BEFORE.search(before) or _INTRODUCED.search(before)):
        return True
    if index == 0 and not strong and (_MARK_BEFORE.search(before) or _LABEL.search(line)):
        return True
    last = index + len(part) == len(tokens)
    return last and _AFTER.match(text, part[-1].bare_end) is not None


def _is_alone(text: str, at: int, tokens: Sequence[_Token], parts: set[str]) -> bool:
    """Whether one word in capitals is a name: a part of one that was found whole, or a first name that is nothing else."""
    token = tokens[at]
    word = token.word
    if word in NO_NAME or word in NO_PERSON or len(word) < 2 or (word.isupper() and len(word) > 1):
        return False
    beside = [tokens[i] for i in (at - 1, at + 1) if 0 <= i < len(tokens)]
    following = tokens[at + 1].word if at + 1 < len(tokens) else ""
    possessive = token.text != word
    # Leussink Engineering is no person, though Jason Leussink is; Leussink's Engineering speaks of him.
    bound = bool(following) and not possessive and following not in parts
    if at and tokens[at - 1].word in PLACES_BEGIN:
        return False
    if word in parts and not bound:
        before = tokens[at - 1].word if at else ""
        known = before in NO_NAME or before.strip(".") in TITLES or before in parts or before.isupper()
        return not before or known or is_common(before)
    if is_common(word):
        return False
    if (
        not beside
        and is_sure_first(word)
        and _INTRODUCED.search(text[max(0, token.start - 40) : token.start])
    ):
        return True
    if not beside and not is_place(word) and _SPEAKS.match(text, token.bare_end):
        return word not in DOUBTFUL
    if not is_sure_first(word):
        return False
    if fold(word) not in frequent_first() and not (not beside and _AFTER.match(text, token.bare_end)):
        return False
    return not beside or (len(beside) == 1 and at == 1 and tokens[0].word in NO_NAME)
