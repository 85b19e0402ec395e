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
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from mynah.data.personal.config import Span
from mynah.data.preprocess import stop_words

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
#: Before a name, in capitals themselves.
_TITLES = frozenset(
    "Mr Mrs Ms Miss Mx Dr Prof Professor Sir Madam Madame Herr Frau Dame Lord Lady Captain Capt Colonel Col Major General "
    "Gen Lieutenant Lt Sergeant Sgt Corporal Private Admiral Commander Officer Detective Inspector President Chancellor "
    "Chairman Chairwoman Minister Senator Sen Governor Gov Mayor Councillor Councilman Congressman Congresswoman "
    "Representative Rep Judge Justice Attorney Ambassador Secretary Director Principal Dean Coach Chef Pastor Reverend Rev "
    "Father Brother Sister Rabbi Imam Bishop Archbishop Cardinal Pope Saint King Queen Prince Princess Duke Duchess Count "
    "Baron Emperor Rifleman Uncle Aunt Auntie Grandma Grandpa Nurse Doctor Engineer Manager Singer Actor Actress Director "
    "Author Artist Producer CEO CFO CTO".split()
)  # fmt: skip
#: Titles behind which one word is a name, known or not.
_SURE_TITLES = frozenset(
    "Mr Mrs Ms Miss Mx Dr Prof Professor Madam Madame Herr Frau Captain Capt Colonel Col Sergeant Sgt Lieutenant Lt Admiral "
    "Senator Sen Congressman Congresswoman Councillor Detective Inspector Reverend Rev Pastor Rabbi Judge President Chancellor "
    "Nurse Rifleman Uncle Aunt".split()
)  # fmt: skip
#: What ends the name of a company, a place or a work.
_NO_PERSON = frozenset(
    "Inc Ltd LLC LLP PLC GmbH AG Corp Corporation Company Co Limited Incorporated Enterprises Enterprise Holdings Group "
    "Partners Partnership Associates Consulting Consultants Solutions Systems Services Service Industries Technologies "
    "Technology Software Labs Laboratories Ventures Capital Investments Financial Insurance Bank Banking Trust Fund "
    "University College School Academy Institute Hospital Clinic Center Centre Foundation Society Association Committee "
    "Council Commission Agency Department Ministry Office Bureau Court Club Team Union League Party Church Cathedral Temple "
    "Museum Gallery Library Theatre Theater Studio Studios Hotel Inn Resort Restaurant Cafe Café Bar Grill Store Shop Market "
    "Mall Plaza Tower Building House Hall Palace Castle Stadium Arena Park Garden Gardens Square Street Road Avenue Lane "
    "Drive Boulevard Way Court Bridge Station Airport Port Harbor Bay Beach Island Islands Isle River Lake Creek Falls Sea "
    "Ocean Mountain Mountains Valley Hill Hills Canyon Desert Forest Woods County City Town Village State Province Region "
    "District Territory Republic Kingdom Empire Award Awards Prize Cup Trophy Medal Cross Championship Tournament Series "
    "Festival Show Act Bill Law Treaty War Battle Revolution Movement Project Program Programme Plan Report Review Journal "
    "Magazine Times Post News Press Books Records Pictures Films Media Entertainment Music Orchestra Symphony Band Motors "
    "Airlines Airways Foods Brewery Winery Vineyard Engineering Construction Realty Estate Estates Properties Homes Energy "
    "Electric Oil Gas Mining Steel Logistics Transport Express Industry Marketing Advertising Design Designs Fashion Jewelry "
    "Cosmetics Therapeutics Pharma Pharmaceuticals Health Care Medical Dental Law Legal Day Night Week Month Year Edition "
    "Collection Model Version Street Rd St Ave Blvd Dr Ln Apt Suite Unit Floor Room Memorial Disease Syndrome Theory Effect "
    "World Portal Crew United Rovers Athletic Racing".split()
)  # fmt: skip
#: Of these, and of the words below, those that are surnames behind a first name that is nothing else; and first names.
_ALSO_SURNAMES = frozenset(
    "English French German Irish Welsh Hall Hill Hills Park West North South Woods Church Day House Lane Law Bell Young Long Short Small Little New Good Best "
    "Night Post Page Grove Ford Street Temple Palace Castle Tower Field Forest Fall Summers Winter March May".split()
)
_ALSO_FIRST = frozenset("Will May April June August Young Long Christian Roman".split())
#: Companies and brands that are called as people are.
_COMPANIES = frozenset(
    name.strip()
    for name in (
        "Morgan Stanley, Wells Fargo, Merrill Lynch, Charles Schwab, Smith Barney, Edward Jones, Raymond James, Fannie Mae, "
        "Freddie Mac, Sallie Mae, Goldman Sachs, Philip Morris, Eli Lilly, Bristol Myers, Baker McKenzie, Booz Allen, Ernst "
        "Young, Arthur Andersen, Hewlett Packard, Warner Bros, Walt Disney, Estee Lauder, Ralph Lauren, Calvin Klein, Tommy "
        "Hilfiger, Louis Vuitton, Hugo Boss, Jack Daniels, Johnnie Walker, Mary Kay, Eddie Bauer, Harley Davidson, Aston Martin, "
        "Rolls Royce, Papa John, Trader Joe, Jimmy Choo, Dolce Gabbana, Christian Dior, Jack Wolfskin, Johns Hopkins, Carnegie "
        "Mellon, William Hill, Marks Spencer, Ray Ban, Victoria Secret, Dow Jones, Pizza Hut"
    ).split(",")
)
#: Words in capitals that begin or are no name, though the census has them.
_NO_NAME = frozenset(
    "The A An This That These Those My Your His Her Its Our Their He She It We You They I In On At By For From With And Or "
    "Not But If When While After Before Since Because Although Though As So Then Than Thus Here There Where What Who Whom "
    "Whose Which Why How All Any Each Every Some Many Most Few No Yes Please Thank Thanks Dear Hello Hi Hey Best Regards "
    "Hallo Hola Ciao Bonjour Greetings Congratulations Congrats Cheers Welcome Goodbye Bye Attn Re Fwd Cc "
    "Sincerely Will Would Can Could May Might Must Shall Should Do Does Did Have Has Had Is Are Was Were Be Been To Of Into "
    "Over Under Up Down Out Off New Old Free Sale Good Great Big Little Small Long Short Young Very Just Only Also Even Still "
    "Now Today Tomorrow Yesterday Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December Spring Summer Autumn Fall Winter Christmas Easter Halloween North "
    "South East West Northern Southern Eastern Western Central Upper Lower Inner Outer Let Get Make Take Go Come See Look Find "
    "Say Said Call Contact Email Phone Fax Web Site Page Home About Search Click Download Read More View Order Buy Shop Cart "
    "Sign Log Register Submit Chapter Section Part Volume Figure Table Appendix Note Question Answer Step Item Day Night Mail "
    "San Santa Los Las El La Le Loch Mount Mt Fort Port Cape Glen Isle Puerto Rio Villa Casa Colonia Zona Bosque Monte Costa "
    "American British English French German Italian Spanish Irish Scottish Welsh Dutch Swedish Russian Chinese Japanese Indian "
    "African Asian European Latin Jewish Christian Muslim Catholic Greek Roman Turkish Polish Mexican Canadian Australian "
    "Google Apple Amazon Microsoft Facebook Twitter Instagram Windows Linux Ubuntu Java Python Android Chrome Safari Firefox "
    "Oracle God Lord Jesus Christ Holy Bible Ok Okay Sorry Well Oh Ah".split()
)  # fmt: skip
#: First names that are places, months or things as often; a surname must follow.
_DOUBTFUL = frozenset(
    "April May June August Will Mark Grace Hope Faith Joy Rose Bill Pat Art Ray Christian Sunny Summer Autumn Dawn Sky Chase "
    "Chance Case Major Van Son Long Young King White Black Green Brown Gray Price Day Love Best Rich Bishop Pope Prince Knight "
    "Marshall Carter Porter England Ireland Holland France China India Georgia Virginia Carolina Dakota Paris London Sydney "
    "Florence Victoria Chelsea Austin Houston Dallas Jackson Lincoln Madison Washington Memphis Phoenix Asia America Kent "
    "Diamond Crystal Pearl Ruby Amber Star Charlotte Savannah Orlando Denver Milan Geneva Verona Valencia Cleveland Arlington "
    "Brooklyn Israel Jordan Kenya Cuba Chad Malta Montana Nevada Arizona Alaska Columbus Mercedes Lourdes Santiago Trinidad "
    "Concord Eden Harvard Stanford Oxford Cambridge Bristol Wellington Hamilton Lexington Manila Roma Persia Berlin Vienna "
    "Odessa Alexandria Antonia Augusta Aurora Regina Melbourne Darwin Perth Albany Trenton Salem Eugene Clinton Lafayette "
    "German Florida Jan Loch Italia Africa Alabama Texas Ohio Missouri Holland Britain Asia Persia "
    "Domain Page Royal Merry Young Soul Sierra Justice Mercy Destiny Harmony Melody Genesis Trinity Heaven Miracle Princess "
    "Precious Treasure Ivory Ebony Jade Ginger Rosemary Basil Sage Olive Clay Cliff Dale Glen Heath Forest Lane Rusty Sandy "
    "Rocky Sonny Buddy Junior Bobby Earnest Frank Gay Gene Guy Jack Jay Jean Jewel Lily Lance Mason Nick Norm Patience Penny "
    "Reed Rob Sue Tab Ty Vi Wade Ward Wills Ling Man Min My Ha Ho In An So See Song Soon Sun Sung Tam Tai Yi Yu".split()
)  # fmt: skip
#: What the names of places begin with: San Diego is no Diego.
_PLACES_BEGIN = frozenset(
    "San Santa Los Las El La Le Saint St Loch Lake Mount Mt Fort Port Cape Glen Isle Puerto Rio Villa Casa Colonia Zona Bosque "
    "Monte Costa New North South East West".split()
)  # fmt: skip
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


@cache
def _census() -> tuple[frozenset[str], frozenset[str]]:
    """Return first names and surnames of the US census of 1990, folded."""
    import names

    def read(*files: str) -> frozenset[str]:
        found: set[str] = set()
        for file in files:
            lines = Path(names.FILES[file]).read_text(encoding="ascii").splitlines()
            found.update(line.split()[0].capitalize() for line in lines if line.strip())
        return frozenset(found)

    return read("first:male", "first:female"), read("last")


@cache
def _frequent_first() -> frozenset[str]:
    """Return the first names that are common enough to be known alone: nine people in ten bear one."""
    import names

    found: set[str] = set()
    for file in ("first:male", "first:female"):
        for line in Path(names.FILES[file]).read_text(encoding="ascii").splitlines():
            if line.strip() and float(line.split()[2]) <= 88.0:
                found.add(line.split()[0].capitalize())
    return frozenset(found)


@cache
def _frequent_last() -> frozenset[str]:
    """Return the surnames that six people in ten bear."""
    import names

    lines = Path(names.FILES["last"]).read_text(encoding="ascii").splitlines()
    return frozenset(
        line.split()[0].capitalize() for line in lines if line.strip() and float(line.split()[2]) <= 60.0
    )


@cache
def _dictionary() -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that American English writes small, and those that it writes in capitals."""
    path = resources.files("spylls") / "hunspell" / "data" / "en" / "en_US.dic"
    words = [line.split("/")[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return frozenset(w for w in words if w[:1].islower()), frozenset(w for w in words if w[:1].isupper())


_ENDINGS = (
    "s", "es", "ed", "d", "ing", "ly", "er", "ers", "al", "ness", "able", "ible", "ment", "ments", "ful", "less", "ation",
    "ity", "ized", "izer", "ist", "ists",
)  # fmt: skip


@lru_cache(1 << 14)
def _is_common(word: str) -> bool:
    """Whether a word, or what it is an inflection of, is written small in a dictionary."""
    small, _ = _dictionary()
    lower = word.lower()
    if lower in small or lower in stop_words("en"):
        return True
    for ending in _ENDINGS:
        stem = lower.removesuffix(ending)
        if stem != lower and len(stem) > 2 and (stem in small or f"{stem}e" in small or stem[:-1] in small):
            return True
    return lower.endswith("ies") and f"{lower[:-3]}y" in small


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


def _fold(name: str) -> str:
    """Return a name as the census writes it: O'Brien is Obrien there."""
    return re.sub(r"['’-]", "", name).capitalize()


@lru_cache(1 << 14)
def _is_surname(word: str) -> bool:
    _, last = _census()
    return all(_fold(part) in last for part in word.split("-"))


@lru_cache(1 << 14)
def _is_first(word: str) -> bool:
    first, _ = _census()
    return all(_fold(part) in first for part in word.split("-"))


@lru_cache(1 << 14)
def _is_place(word: str) -> bool:
    """Whether a word is written in capitals in a dictionary, and is no name of a person in the census."""
    _, proper = _dictionary()
    return word in proper and not _is_first(word) and not _is_surname(word)


@lru_cache(1 << 14)
def _is_sure_first(word: str) -> bool:
    return _is_first(word) and word not in _DOUBTFUL and word not in _NO_NAME and not _is_common(word)


def find_english_names(text: str) -> Iterator[Span]:
    """Yield names of people: whole, and by their parts where they were found whole."""
    whole: list[Span] = []
    alone: list[tuple[int, Sequence[_Token]]] = []
    for found in _SEQUENCE.finditer(text):
        said = found[0]
        if " " not in said and "\t" not in said:  # most words in capitals begin a sentence
            if said not in _NO_NAME:
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
        if len(part) > 2 and part[0].isupper() and part not in _NO_NAME and part not in _TITLES
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
        and last.word in _NO_PERSON - _ALSO_SURNAMES
        and not any(token.text != token.word for token in tokens[:-1])
    ):
        return  # Doris Henderson Newcomers School
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.word.removesuffix(".") in _TITLES and index + 1 < len(tokens):
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
    for length in range(1 if titled in _SURE_TITLES else 2, 6):
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
        if after in _NO_PERSON or (
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
    known_tail, common_tail = _is_surname(tail), _is_common(tail)
    if given in _NO_NAME and not (given in _ALSO_FIRST and known_tail and not common_tail and len(part) == 2):
        return False
    if tail in _NO_NAME - _ALSO_SURNAMES:
        return False
    if any(word in _NO_PERSON and not _is_surname(word) for word in words[1:]):
        return False
    if _in_company(text, part) or " ".join(words) in _COMPANIES:
        return False
    if titled and len(part) == 1:
        return tail not in _NO_PERSON and not _is_place(tail)
    middle = part[1:-1]
    if any(
        not token.is_initial and not token.is_particle and not _may_be_middle(token.word) for token in middle
    ):
        return False
    if part[-1].is_initial:  # Hannah B.
        return len(part) == 2 and _is_sure_first(given)
    if (
        len(tail) < 2
        or (tail in _NO_PERSON - _ALSO_SURNAMES)
        or (tail in _ALSO_SURNAMES and not _is_sure_first(given))
    ):
        return False
    context = bool(titled) or _has_context(text, part, tokens, index)
    frequent = _fold(given) in _frequent_first()
    if part[0].is_initial:
        return (known_tail and not common_tail) or (context and not common_tail and not _is_place(tail))
    if _is_sure_first(given):
        return known_tail or (not common_tail and not _is_place(tail))
    if _is_first(given):
        if known_tail and not common_tail:
            return frequent or not _is_common(given) or context
        unknown_tail = not common_tail and not _is_proper(tail)
        return (frequent and (known_tail or unknown_tail)) or ((known_tail or unknown_tail) and context)
    if _is_common(given) or (_is_proper(given) and not _is_surname(given)):
        return False
    if known_tail and (not common_tail or (_fold(tail) in _frequent_last() and not _is_proper(given))):
        return context or tail not in _DOUBTFUL
    if common_tail or _is_place(tail):
        return False
    unknown = not _is_proper(tail) and not _is_proper(given)
    told = bool(titled) or _has_context(text, part, tokens, index, strong=True)
    return told or (unknown and _is_surname(given)) or _is_spoken_of(text, (given, tail))


def _is_proper(word: str) -> bool:
    """Whether a dictionary writes a word in capitals: a place, a people or a person."""
    _, proper = _dictionary()
    return word in proper


def _is_spoken_of(text: str, words: Sequence[str]) -> bool:
    """Whether one of some words stands elsewhere alone, and does what people do."""
    return any(
        _SPEAKS.match(text, found.end()) is not None
        for word in words
        for found in re.finditer(rf"(?<![\w-]){re.escape(word)}(?!\w)", text)
    )


def _may_be_middle(word: str) -> bool:
    return (_is_first(word) or _is_surname(word) or not _is_common(word)) and word not in _NO_NAME


def _in_capitals(text: str, part: Sequence[_Token]) -> bool:
    """Whether words all in capitals are a name: a known first name before a known surname, and nothing else known."""
    words = [token.word for token in part if not token.is_initial]
    return (
        len(part) in (2, 3)
        and all(word.isupper() and len(word) > 2 for word in words)
        and _is_sure_first(words[0].capitalize())
        and _is_surname(words[-1].capitalize())
        and not _is_common(words[-1])
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
    if word in _NO_NAME or word in _NO_PERSON or len(word) < 2 or (word.isupper() and len(word) > 1):
        return False
    beside = [tokens[i] for i in (at - 1, at + 1) if 0 <= i < len(tokens)]
    following = tokens[at + 1].word if at + 1 < len(tokens) else ""
    possessive = token.text != word
    # Leussink Engineering is no person, though Jason Leussink is; Leussink's Engineering speaks of him.
    bound = bool(following) and not possessive and following not in parts
    if at and tokens[at - 1].word in _PLACES_BEGIN:
        return False
    if word in parts and not bound:
        before = tokens[at - 1].word if at else ""
        known = before in _NO_NAME or before.strip(".") in _TITLES or before in parts or before.isupper()
        return not before or known or _is_common(before)
    if _is_common(word):
        return False
    if (
        not beside
        and _is_sure_first(word)
        and _INTRODUCED.search(text[max(0, token.start - 40) : token.start])
    ):
        return True
    if not beside and not _is_place(word) and _SPEAKS.match(text, token.bare_end):
        return word not in _DOUBTFUL
    if not _is_sure_first(word):
        return False
    if _fold(word) not in _frequent_first() and not (not beside and _AFTER.match(text, token.bare_end)):
        return False
    return not beside or (len(beside) == 1 and at == 1 and tokens[0].word in _NO_NAME)
