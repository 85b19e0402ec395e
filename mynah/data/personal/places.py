"""Street addresses and number plates, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from mynah.data.personal.config import Span
from mynah.data.personal.context import is_called, windows_of

_SUFFIX = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|"
    r"Highway|Hwy|Parkway|Pkwy|Close|Crescent|Cres|Mews|Circle|Cir|Trail|Trl|Alley|Gardens|Grove|Hill|Rise|Row|"
    r"Walk|Way|Quay|Broadway|Turnpike|Plaza|Loop|Pike|Path|Run|Ridge|View|Vista|Park|Green|Heights|Point|Manor|"
    r"Ports?|Harbors?|Islands?|Fields?|Forges?|Glens?|Keys?|Knolls?|Lakes?|Meadows?|Mills?|Mountains?|Orchard|Oval|"
    r"Overpass|Passage|Pines?|Plains?|Prairie|Radial|Ranch|Rapids?|Rest|River|Shoals?|Shores?|Skyway|Springs?|"
    r"Spurs?|Station|Stravenue|Stream|Summit|Throughway|Trace|Track|Trafficway|Tunnel|Underpass|Unions?|Valleys?|"
    r"Viaduct|Villages?|Ville|Wall|Wells?|Crossing|Crossroad|Curve|Dale|Dam|Divide|Estates?|Expressway|Extensions?|"
    r"Falls?|Ferry|Flats?|Fords?|Forest|Fork|Freeway|Gateway|Garden|Groves|Haven|Hollow|Inlet|Isle|Junctions?|Lights?|"
    r"Lodge|Motorway|Neck|Bayou|Beach|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Bypass|Camp|Canyon|Cape|"
    r"Causeway|Centers?|Circles|Cliffs?|Club|Common|Corners?|Course|Courts|Coves?|Creek|Crest|Drives|Squares?|Streets|Roads|Spurs)"
)
_DIRECTION = r"(?:[NSEW]\.?|NE|NW|SE|SW|North|South|East|West)"
_UNIT = r"(?:,?\s(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|Floor|Fl|#)\.?\s?#?\d{1,5}[A-Za-z]?)"
_ZIP = r"(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d|\d{4})"
_STATE = r"(?:[A-Z]{2}|[A-Z][a-z]+(?:\s[A-Z][a-z]+)?)"
_TAIL = rf"(?:(?:,|\n|,\n)?\s?(?:[A-Z][A-Za-z.'-]+\s?){{1,4}}(?:,?\s(?:{_STATE}))?,?\s{_ZIP}(?![A-Za-z0-9]))"
_ENGLISH = re.compile(
    rf"(?<![\w.,/$€£#-])(?<!\d )(?:(?:Flat|Unit|Apt|Apartment|Suite|Studio)\s\d{{1,5}}[A-Za-z]?,?\s)?"
    rf"\d{{1,6}}[A-Za-z]?(?:-\d{{1,5}})?,?\s(?:{_DIRECTION}\s)?"
    rf"(?:(?:[A-Z][A-Za-z'’.-]+|\d{{1,3}}(?:st|nd|rd|th))\s){{1,4}}{_SUFFIX}\b\.?(?:\s{_DIRECTION}(?![A-Za-z]))?"
    rf"{_UNIT}?{_TAIL}?"
)
#: Whatever the street is called, a number before it and town, state and ZIP code after it tell an American address.
_AMERICAN = re.compile(
    rf"(?<![\w.,/$€£#-])\d{{1,6}}[A-Za-z]?\s(?:[A-Z][A-Za-z'’.-]+\s){{0,4}}[A-Z][A-Za-z'’.-]+{_UNIT}?,?"
    r"\s(?:[A-Z][A-Za-z'.-]+\s?){1,4},\s[A-Z]{2}\s\d{5}(?:-\d{4})?(?![0-9])"
)
_BOX = re.compile(
    rf"(?<![A-Za-z])(?:P\.?\s?O\.?\s?Box|PO\s?Box|PSC|Unit)\s\d{{1,6}}(?:,?\sBox\s\d{{1,5}})?{_TAIL}?"
)
#: Ways and hills that are no streets: "5 Star Way" is one, "2 Common Point" is not likely to be.
_BARE = re.compile(
    r"\b(?:Park|View|Point|Run|Rest|Lights?|Club|Course|Common|Center|Camp|Track|Union|Wall|Well|Key|Station|Bridge|"
    r"Corner|Extension|Branch|Stream|Port|Field|Mountain|Mill|Beach|River|Path|Loop|Green|Way|Place|Court|Row|Hill|Rise|"
    r"Walk|Forest|Village|Spring|Fall|Ford|Island|Lake|Garden|Dam|Cape|Trace|Summit|Light)s?\.?$"
)

_HAN = r"[\u4e00-\u9fff]"
_PROVINCE = (
    r"(?:"
    + "|".join(
        "北京 天津 上海 重庆 河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 海南 四川 贵州 云南 陕西 甘肃 青海 "
        "台湾 臺灣 内蒙古 广西 西藏 宁夏 新疆 香港 澳门".split()
    )
    + r")(?:省|市|自治区|壮族自治区|回族自治区|维吾尔自治区|特别行政区)?"
)
_CITY = rf"(?:{_HAN}{{2,6}}?(?:市|自治州|地区|盟))"
_DISTRICT = rf"(?:{_HAN}{{1,7}}?(?:区|县|旗|市))"
_STREET = rf"(?:{_HAN}{{1,10}}?(?:大道|大街|路|街|道|巷|弄|胡同|里|条|段|镇|乡|村|街道|小区|社区|花园|新村|公寓|广场|大厦|家园|苑|园|座|期|庄|营|桥|屯|湾|坊|院))"
_NUMBER = r"(?:[东南西北中]{0,2}(?:[A-Za-z]?[0-9０-９一二三四五六七八九十百]{1,6}(?:[-—－][0-9]{1,4})?(?:号楼|号院|号|弄|栋|幢|座|楼|层|单元|室|户|组|队)(?:附[0-9]{1,3}号)?)|[A-Za-z]座)"
_CHINESE = re.compile(
    rf"(?:{_PROVINCE})?(?:{_CITY})?(?:{_DISTRICT})?{_STREET}{{1,3}}{_NUMBER}{{1,6}}(?:[A-Za-z]?\d{{2,4}}(?:室|房|号)?)?"
    rf"|{_PROVINCE}(?:{_CITY})?{_DISTRICT}{_STREET}{{1,3}}(?:{_NUMBER}){{0,6}}(?![\u4e00-\u9fff]{{0,2}}(?:法院|政府|公安|医院|大学|学校|委员会|银行|公司|中心))"
)
#: A Chinese address holds one of these, and begins no more than 70 characters before it.
_ANCHOR = re.compile(
    rf"[0-9０-９一二三四五六七八九十百](?:号|弄|栋|幢|座|楼|层|单元|室|户|组|队|[-—－])|[A-Za-z]座|{_PROVINCE}"
)
#: Words that lead up to an address and do not belong to it.
_LEAD = re.compile(
    r"^.*?(?:地址|住址|住在|住到|家住|位于|寄到|寄往|寄至|发到|发往|送到|送至|送往|搬到|搬去|来到|在|到|去|是|为|从|往|我家|公司|址)"
    r"(?:是|为|：|:|在|了)?"
)
_ADMINISTRATIVE = re.compile(rf"{_PROVINCE}|{_CITY}|{_DISTRICT}")

_PLATE_CN = re.compile(
    r"(?<![A-Za-z0-9\u4e00-\u9fff])?[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]"
    r"[A-HJ-NP-Z][·•\s-]?(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳]|[DF][A-HJ-NP-Z0-9]\d{4}|\d{5}[DF])(?![A-Za-z0-9])"
)
_PLATE_GB = re.compile(
    r"(?<![A-Za-z0-9])[A-HJ-PR-Y][A-HJ-PR-Y](?:0[1-9]|[1-7]\d)\s?[A-HJ-PR-Z]{3}(?![A-Za-z0-9])"
)
_PLATE_OTHER = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z0-9 -]*\d)[A-Z0-9]{1,4}[ -]?[A-Z0-9]{2,4}(?:[ -]?\d{1,4})?(?![A-Za-z0-9])"
)
_PLATE_WORDS = re.compile(
    r"(?:licen[cs]e plates?|number plates?|registration plates?|plates?|vehicle registration|car registration|reg(?:istration)?|车牌号码|车牌号|车牌|牌照)"
    r"(?: number| no\.?)?(?: is| was|:|：|是|为)*",
    re.IGNORECASE,
)


def find_addresses(text: str) -> Iterator[Span]:
    """Yield street addresses: with a number and a street's name, in the order of the language."""
    if any("0" <= c <= "9" for c in text):
        for found in _ENGLISH.finditer(text):
            shown = found[0].rstrip(" .,\n")
            # A tail with a postcode, or a suffix that is a street's and nothing else's, tells an address.
            if (
                re.search(rf"{_ZIP}$", shown)
                or not _BARE.search(shown)
                or _called_address(text, found.start())
            ):
                yield Span(found.start(), found.start() + len(shown), "address", "en")
        for found in _AMERICAN.finditer(text):
            yield Span(*found.span(), "address", "en")
        for found in _BOX.finditer(text):
            if found[0].upper().replace(".", "").replace(" ", "").startswith("POBOX") or re.search(
                _ZIP, found[0]
            ):
                yield Span(found.start(), found.start() + len(found[0].rstrip(" .,\n")), "address", "en")
    windows = windows_of(_ANCHOR, text, before=90, after=80)
    for found in chain.from_iterable(_CHINESE.finditer(text, *window) for window in windows):
        start = found.start()
        shown = found[0]
        cut = _begin(shown)
        start += cut
        shown = shown[cut:]
        if len(shown) >= 5 and re.search(rf"{_STREET}", shown):
            yield Span(start, found.end(), "address", "zh")


def _begin(shown: str) -> int:
    """Return where an address begins in what may lead up to it: 我住在 in 我住在中山路8号."""
    province = re.search(_PROVINCE + r"(?=.{3})", shown)
    if province:
        return province.start()
    lead = _LEAD.match(shown)
    while lead and len(shown) - lead.end() >= 5 and lead.end() < len(shown):
        inner = _LEAD.match(shown, lead.end())
        if not inner or len(shown) - inner.end() < 5:
            break
        lead = inner
    return lead.end() if lead and len(shown) - lead.end() >= 5 else 0


_ADDRESS_WORDS = re.compile(
    r"(?:address|live at|lives at|living at|located at|ship to|deliver to|send (?:it|them) to|at)(?: is|:)*",
    re.IGNORECASE,
)


def _called_address(text: str, start: int) -> bool:
    return is_called(_ADDRESS_WORDS, text, start)


def find_plates(text: str) -> Iterator[Span]:
    """Yield number plates: Chinese and British by their form, others by being called so."""
    for pattern, detail in ((_PLATE_CN, "CN"), (_PLATE_GB, "GB")):
        for found in pattern.finditer(text):
            yield Span(*found.span(), "plate", detail)
    for words in _PLATE_WORDS.finditer(text):
        plate = _PLATE_OTHER.match(
            text, words.end() + len(text[words.end() :]) - len(text[words.end() :].lstrip(" :："))
        )
        if plate and 4 <= len(plate[0].strip()) <= 10:
            yield Span(*plate.span(), "plate")
