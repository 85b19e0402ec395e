"""What English words are to names of people: titles, companies, places, first names and surnames, common words.

First names and surnames come from the US census of 1990 (the package `names`), common words and places from the
spelling dictionary of American English (Hunspell's, in the package `spylls`).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from mynah.data.preprocess import stop_words

#: Before a name, in capitals themselves.
TITLES = frozenset(
    "Mr Mrs Ms Miss Mx Dr Prof Professor Sir Madam Madame Herr Frau Dame Lord Lady Captain Capt Colonel Col Major General "
    "Gen Lieutenant Lt Sergeant Sgt Corporal Private Admiral Commander Officer Detective Inspector President Chancellor "
    "Chairman Chairwoman Minister Senator Sen Governor Gov Mayor Councillor Councilman Congressman Congresswoman "
    "Representative Rep Judge Justice Attorney Ambassador Secretary Director Principal Dean Coach Chef Pastor Reverend Rev "
    "Father Brother Sister Rabbi Imam Bishop Archbishop Cardinal Pope Saint King Queen Prince Princess Duke Duchess Count "
    "Baron Emperor Rifleman Uncle Aunt Auntie Grandma Grandpa Nurse Doctor Engineer Manager Singer Actor Actress Director "
    "Author Artist Producer CEO CFO CTO".split()
)  # fmt: skip
#: Titles behind which one word is a name, known or not.
SURE_TITLES = frozenset(
    "Mr Mrs Ms Miss Mx Dr Prof Professor Madam Madame Herr Frau Captain Capt Colonel Col Sergeant Sgt Lieutenant Lt Admiral "
    "Senator Sen Congressman Congresswoman Councillor Detective Inspector Reverend Rev Pastor Rabbi Judge President Chancellor "
    "Nurse Rifleman Uncle Aunt".split()
)  # fmt: skip
#: What ends the name of a company, a place or a work.
NO_PERSON = frozenset(
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
ALSO_SURNAMES = frozenset(
    "English French German Irish Welsh Hall Hill Hills Park West North South Woods Church Day House Lane Law Bell Young Long Short Small Little New Good Best "
    "Night Post Page Grove Ford Street Temple Palace Castle Tower Field Forest Fall Summers Winter March May".split()
)
ALSO_FIRST = frozenset("Will May April June August Young Long Christian Roman".split())
#: Companies and brands that are called as people are.
COMPANIES = frozenset(
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
NO_NAME = frozenset(
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
DOUBTFUL = frozenset(
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
PLACES_BEGIN = frozenset(
    "San Santa Los Las El La Le Saint St Loch Lake Mount Mt Fort Port Cape Glen Isle Puerto Rio Villa Casa Colonia Zona Bosque "
    "Monte Costa New North South East West".split()
)  # fmt: skip


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
def frequent_first() -> frozenset[str]:
    """Return the first names that are common enough to be known alone: nine people in ten bear one."""
    import names

    found: set[str] = set()
    for file in ("first:male", "first:female"):
        for line in Path(names.FILES[file]).read_text(encoding="ascii").splitlines():
            if line.strip() and float(line.split()[2]) <= 88.0:
                found.add(line.split()[0].capitalize())
    return frozenset(found)


@cache
def frequent_last() -> frozenset[str]:
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
def is_common(word: str) -> bool:
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


def fold(name: str) -> str:
    """Return a name as the census writes it: O'Brien is Obrien there."""
    return re.sub(r"['’-]", "", name).capitalize()


@lru_cache(1 << 14)
def is_surname(word: str) -> bool:
    """Whether a word, or each of its parts, is a surname of the census."""
    _, last = _census()
    return all(fold(part) in last for part in word.split("-"))


@lru_cache(1 << 14)
def is_first(word: str) -> bool:
    """Whether a word, or each of its parts, is a first name of the census."""
    first, _ = _census()
    return all(fold(part) in first for part in word.split("-"))


@lru_cache(1 << 14)
def is_place(word: str) -> bool:
    """Whether a word is written in capitals in a dictionary, and is no name of a person in the census."""
    _, proper = _dictionary()
    return word in proper and not is_first(word) and not is_surname(word)


@lru_cache(1 << 14)
def is_sure_first(word: str) -> bool:
    """Whether a word is a first name and hardly ever anything else."""
    return is_first(word) and word not in DOUBTFUL and word not in NO_NAME and not is_common(word)


def is_proper(word: str) -> bool:
    """Whether a dictionary writes a word in capitals: a place, a people or a person."""
    _, proper = _dictionary()
    return word in proper
