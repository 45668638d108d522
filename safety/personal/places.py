"""Postal addresses, vehicle plates, passport numbers, and the names that stand beside such data; English and Korean."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STREET = (
    r"(?:street|str|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|way|terrace|circle|cir"
    r"|parkway|pkwy|highway|hwy|square|close|crescent)"
)
_STATE = (
    r"(?:a[klrz]|c[aot]|d[ce]|fl|ga|hi|i[adln]|k[sy]|la|m[adeinost]|n[cdehjmvy]|o[hkr]|pa|ri|s[cd]|t[nx]|ut"
    r"|v[at]|w[aivy])"
)
_ADDR_EN = re.compile(
    rf"(?<![\w.,$#\-])\d{{1,5}}[a-z]?\s((?:[a-z0-9][\w'.]{{0,20}}\s){{1,3}}){_STREET}\b\.?"
    rf"(?:,?\s(?:apt|apartment|unit|suite|ste|flat|floor|#)\.?\s?#?\w{{1,6}})?"
    rf"(?:,?\s(?:[a-z][a-z'.]{{1,20}}\s?){{1,3}},?\s{_STATE}(?:\s\d{{5}}(?:-\d{{4}})?)?\b|,?\s\d{{5}}(?:-\d{{4}})?\b)?"
)
_NOT_STREET = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "on",
        "in",
        "at",
        "to",
        "from",
        "by",
        "for",
        "my",
        "your",
        "his",
        "her",
        "our",
        "their",
        "this",
        "that",
        "down",
        "up",
        "miles",
        "mile",
        "minutes",
        "minute",
        "min",
        "blocks",
        "block",
        "people",
        "times",
        "years",
        "year",
        "days",
        "hours",
        "hour",
        "feet",
        "meters",
        "lanes",
        "cars",
        "and",
        "or",
        "is",
        "are",
        "was",
        "were",
        "way",
        "it",
        "i",
        "you",
        "we",
        "they",
        "km",
        "per",
        "percent",
        "points",
        "more",
        "other",
        "different",
        "out",
        "with",
        "one",
        "two",
        "three",
        "side",
        "long",
        "big",
        "wide",
        "each",
        "every",
        "lane",
        "road",
        "best",
        "first",
        "ways",
        "men",
        "women",
        "kids",
        "guys",
        "players",
        "teams",
        "games",
        "goals",
        "yards",
        "inches",
        "stars",
        "dollars",
        "seconds",
        "weeks",
        "months",
    ]
)
_ADDR_BOX = re.compile(r"\bp\.?\s?o\.?\s?box\s\d{1,6}\b")
_POSTCODE_UK = re.compile(r"(?<![a-z0-9])[a-z]{1,2}\d[a-z0-9]?\s\d[abd-hjlnp-uw-z]{2}(?![a-z0-9])")
_UK_CUE = re.compile(r"postcode|post code|live|address|street|road|\bat\b")
_REGION = (
    r"(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주|충청[남북]|전라[남북]|경상[남북])"
    r"(?:특별자치시|특별자치도|특별시|광역시|도|시)?"
)
_UNIT = (
    r"(?:[\s,]{0,2}\(?[가-힣a-z0-9]{1,12}(?:아파트|빌라|오피스텔|타워|맨션|빌딩|주택|하우스|캐슬|자이|래미안|푸르지오|힐스테이트|아이파크|더샵|e편한세상)\)?)?"
    r"(?:[\s,]{0,2}\d{1,4}동(?=[\s\d,]))?(?:[\s,]{0,2}(?:지하\s?)?\d{1,3}층(?![가-힣\d]|\s?높이))?(?:[\s,]{0,2}[a-z]?\d{1,5}호)?"
)
_ADDR_KO = re.compile(
    rf"(?:{_REGION}\s{{0,2}})?(?:[가-힣]{{1,6}}[시군구]\s{{0,2}}){{1,2}}(?:[가-힣]{{1,6}}[읍면동]\s{{0,2}})?"
    rf"[가-힣0-9]{{1,10}}(?:대로|로|길)\s{{0,2}}\d{{1,4}}(?:번?길\s?\d{{1,4}})?(?:-\d{{1,4}})?(?!\d){_UNIT}"
)
_ADDR_ROAD = re.compile(
    rf"(?:{_REGION}\s{{1,2}}[가-힣0-9]{{1,10}}(?:대로|로|길)|(?<![가-힣])[가-힣]{{2,8}}(?:대로|\d{{1,3}}번?길))\s{{0,2}}\d{{1,4}}(?:번?길\s?\d{{1,4}})?(?:-\d{{1,4}})?(?![\d.%]|\s?(?:분|시|원|명|개|년|번|살|위|등|km)){_UNIT}"
)
_ADDR_LOT = re.compile(
    rf"(?:{_REGION}\s{{0,2}})?(?:[가-힣]{{1,6}}[시군구]\s{{0,2}}){{1,2}}[가-힣0-9]{{1,8}}[읍면동리가]\s{{0,2}}(?:산\s?)?\d{{1,4}}(?:-\d{{1,4}})?(?:번지)?(?![\d.%]|\s?(?:분|시|원|명|개|년|월|살|위|등)){_UNIT}"
)
_ADDR_FLAT = re.compile(
    r"(?:[가-힣a-z0-9]{1,12}(?:아파트|빌라|오피스텔|자이|래미안|푸르지오)\s{0,2})?\d{1,4}동\s{0,2}\d{1,4}호"
)
_PLATE_KO = re.compile(
    r"(?<![\d가-힣])(?:(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주)\s?)?"
    r"\d{2,3}\s?[가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주하허호배아바사자]\s?\d{4}(?![\d,.]|\s?(?:년|원|명|개|월|번지|미터|km))"
)
_PLATE_EN = re.compile(
    r"(?:licen[sc]e plate|number plate|\bplates?|registration)(?:\s(?:number|no|is"
    r"|was))?(?:\sis)?[:\s]{1,3}([a-z0-9]{1,4}[\s\-]?[a-z0-9]{2,5})(?![a-z0-9])"
)
_PASSPORT = re.compile(r"(?<![a-z0-9])[mrsodg](?:\d{8}|\d{3}[a-z]\d{4})(?![a-z0-9])")
_PASSPORT_CUE = re.compile(
    r"(?:passport|여권)(?:\s?(?:number|no\.?|번호|#))?(?:\s?(?:is|은|는|:|=))?[:\s]{0,3}([a-z]{0,2}\d{6,9}|[a-z]\d{3}[a-z]\d{4})(?![a-z0-9])"
)
_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민류나진지엄채원천방공현"
    "함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국"
)
_NAME_KO = (
    re.compile(
        rf"(?<![가-힣])[{_SURNAMES}][가-힣]{{2}}(?=\s?(?:집이|집은|씨|님|이고|입니다|이에요|예요|이야|\s*$|[,.:)]|\s\d))"
    ),
    re.compile(
        rf"(?:이름은|이름:|예금주:?|성명:?|제 이름은|수취인:?|받는 ?분:?)\s?([{_SURNAMES}][가-힣]{{1,3}}?)(?=이고"
        rf"|입니다|이에요|예요|이야|야|,|\s|$)"
    ),
)
_NAME_EN = (
    re.compile(
        r"(?:\b(?:[Ii]'m|[Ii] am|[Mm]y name is|[Nn]ame:?|[Tt]his is|[Cc]ontact|[Hh]e is"
        r"|[Ss]he is))\s((?:[A-Z][a-z'\-]{1,15}\s){1,2}[A-Z][a-z'\-]{1,20})"
    ),
    re.compile(
        r"(?:^|[.!?]\s)((?:[A-Z][a-z'\-]{1,15}\s){1,2}[A-Z][a-z'\-]{1,20})(?=\s(?:lives|can be reached|works at"
        r"|is at|phone|email|tel))"
    ),
)


def find(text: str) -> Iterator[tuple[int, int, str]]:
    """Addresses, plates and passport numbers in folded text, overlaps included."""
    for pattern in (_ADDR_KO, _ADDR_ROAD, _ADDR_LOT, _ADDR_FLAT, _ADDR_BOX):
        yield from ((m.start(), m.end(), "addr") for m in pattern.finditer(text))
    for m in _ADDR_EN.finditer(text):
        if not _NOT_STREET & set(m.group(1).split()):
            yield m.start(), m.end(), "addr"
    for m in _POSTCODE_UK.finditer(text):
        if _UK_CUE.search(text, max(0, m.start() - 40), m.start()):
            yield m.start(), m.end(), "addr"
    yield from ((m.start(), m.end(), "plate") for m in _PLATE_KO.finditer(text))
    for m in _PLATE_EN.finditer(text):
        if any(c.isdigit() for c in m.group(1)):
            yield m.start(1), m.end(1), "plate"
    yield from ((m.start(), m.end(), "passport") for m in _PASSPORT.finditer(text))
    yield from ((m.start(1), m.end(1), "passport") for m in _PASSPORT_CUE.finditer(text))


def names(text: str) -> Iterator[tuple[int, int]]:
    """Full names where the words around say that they are names; original text, for its capitals."""
    for pattern in (*_NAME_KO, *_NAME_EN):
        for m in pattern.finditer(text):
            yield m.span(1) if pattern.groups else m.span()
