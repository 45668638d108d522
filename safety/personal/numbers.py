"""Numbers that point at a person: telephone, card, accounts, resident and social-security numbers, machine addresses.

Checks beyond the shape: Luhn for cards, mod 97 for IBAN (ISO 7064), calendar dates for resident numbers, the
numbering plans of ``phonenumbers`` for numbers with a country code, and words nearby for shapes that are ambiguous.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

Found = tuple[int, int, str]

_PHONE_KO = re.compile(
    r"(?<![\d.,\-])(?:\+?82[\s.\-]{0,2}(?:\(?0\)?[\s.\-]{0,2})?1[016789]|0[\s.\-]{0,2}1[\s.\-]{0,2}[016789])\)?(?:[\s.\-·ㅡ~_/)]{0,3}\d){7,8}(?!\d)"
)
_LAND_KO = re.compile(
    r"(?<![\d.,\-])(?:\+82[\s.\-]?)?\(?(?:0?2|0?3[1-3]|0?4[1-4]|0?5[1-5]|0?6[1-4]|070|050\d)\)?[\s.\-]{1,2}\d{3,4}[\s.\-]{1,2}\d{4}(?![\d\-])"
)
_PHONE_US = re.compile(
    r"(?<![\d.,$\-/])(?:\+?1[\s.\-]{0,2})?(?:\([2-9]\d{2}\)[\s.\-]{0,2}|[2-9]\d{2}[\s.\-/])\d{3}[\s.\-]\d{4}(?![\d\-]|[.,]\d)"
)
_PHONE_PLUS = re.compile(r"(?<![\d\w])\+\d{1,3}(?:[\s.()\-]{0,2}\d){6,12}(?!\d)")
_PHONE_UK = re.compile(
    r"(?<![\d.,\-])0(?:7\d{3}[\s\-]?\d{3}[\s\-]?\d{3}|20[\s\-]\d{4}[\s\-]\d{4}|1\d{2,3}[\s\-]\d{3}[\s\-]\d{3,4})(?![\d\-])"
)
_PHONE_BARE = re.compile(r"(?<![\d.,$#\-\w])(?:1?[2-9]\d{9}|\d{3}[\s.\-]\d{4}|0\d{9,10})(?![\d\-\w]|[.,]\d)")
_PHONE_SPACED = re.compile(r"(?<![\d.,$#\-])(?:\d[\s.\-]){6,11}\d(?![\d\-]|[.,]\d)")
_PHONE_CUE = re.compile(
    r"\b(?:call|text|phone|number|cell|mobile|tel|whatsapp|reach|dial|contact|ring|sms|fax)\b|전화|번호|연락|폰|문자|핸드폰|휴대"
)
_NOT_PHONE = re.compile(
    r"\b(?:order|tracking|invoice|ticket|score|code|commit|serial|isbn|model|case)\b|주문|송장|운송장|코드|점수"
)
_CARD = re.compile(r"(?<![\d.\-])[2-6](?:[\s.\-]{0,2}\d){12,18}(?![\d])")
# Lengths by the issuer's first digits (ISO/IEC 7812 ranges): Visa, Mastercard, American Express, Diners, JCB, others.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[0-9]|2[2-7])\d{14}|3[47]\d{13}|3(?:0|6|8|9)\d{12}|35\d{14}|6\d{15,18}"
)
_RRN = re.compile(r"(?<!\d)(\d{2})(\d{2})(\d{2})(\s{0,2}[\-–~]\s{0,2}|\s)?([1-8])\d{6}(?!\d)")
_RRN_CUE = re.compile(r"주민|등록번호|민증|외국인 ?등록")
_SSN = re.compile(r"(?<![\d\-])(?!000|666)\d{3}([\-\s])(?!00)\d{2}\1(?!0000)\d{4}(?![\d\-])")
_SSN_CUE = re.compile(r"\bssn\b|social(?: security)?")
_SSN_BARE = re.compile(r"(?<!\d)(?!000|666|9)\d{9}(?!\d)")
_BANKS = (
    r"(?:국민|신한|우리|하나|기업|농협|카카오|토스|케이|새마을|신협|우체국|수협|씨티|제일|산업|부산|대구|광주|전북|경남|제주|sc제일|kb|nh|ibk|kdb|im)"
    r"(?:뱅크|은행|금고|중앙회|국민은행|농협|기업은행)?"
)
_ACCOUNT = r"\d{2,6}(?:[\s\-]\d{2,8}){1,3}(?:-\d)?|\d{10,14}"
_BANK_KO = re.compile(rf"{_BANKS}\s{{0,2}}(?:계좌|계좌번호)?(?:는|은|:)?\s{{0,2}}({_ACCOUNT})(?![\d\-])")
_BANK_AFTER = re.compile(
    rf"(?<![\d\-])(?:{_ACCOUNT})\s{{0,2}}(?:\(?{_BANKS}(?:뱅크|은행|협|금고|협동조합)|\(?(?:농협|신협|수협|우체국|토스)\b)"
)
_BANK_CUE = re.compile(
    rf"(?:계좌|통장|account|acct|routing|iban)(?:\s?(?:번호|number|no\.?|#))?(?:는|은|가|이|\s?is|:)?\s{{0,3}}({_ACCOUNT}|\d{{8,17}})(?![\d\-])"
)
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}\d{2}(?:\s?[a-z0-9]{4}){2,7}(?:\s?[a-z0-9]{1,3})?(?![a-z0-9])")
_IPV4 = re.compile(r"(?<![\d.\w])(?:\d{1,3}\.){3}\d{1,3}(?![\d\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:])")
_VERSION_CUE = re.compile(r"(?:ver(?:sion)?\.?|\bv|chapter|build|firmware|release|버전|빌드|section|절)\s?$")


def find(text: str) -> Iterator[Found]:
    """Numbers in folded text, overlaps included."""
    if not any(c.isdigit() for c in text):
        return
    yield from _cards(text)
    yield from _residents(text)
    yield from _social(text)
    yield from _banks(text)
    yield from _machines(text)
    yield from _phones(text)


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the Luhn formula (ISO/IEC 7812-1)."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _cards(text: str) -> Iterator[Found]:
    for m in _CARD.finditer(text):
        digits = _digits(m.group())
        if _ISSUED.fullmatch(digits) and len(set(digits)) > 1 and luhn(digits):
            yield m.start(), m.end(), "card"


def _residents(text: str) -> Iterator[Found]:
    for m in _RRN.finditer(text):
        month, day = int(m.group(2)), int(m.group(3))
        plausible = 1 <= month <= 12 and 1 <= day <= (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
        if plausible and ((m.group(4) or "").strip() or _RRN_CUE.search(text, max(0, m.start() - 25), m.start())):
            yield m.start(), m.end(), "rrn"


def _social(text: str) -> Iterator[Found]:
    for m in _SSN.finditer(text):
        if (m.group(1) == "-" and m.group()[0] != "9") or _SSN_CUE.search(text, max(0, m.start() - 25), m.start()):
            yield m.start(), m.end(), "ssn"
    for m in _SSN_BARE.finditer(text):
        if _SSN_CUE.search(text, max(0, m.start() - 25), m.start()):
            yield m.start(), m.end(), "ssn"


def iban_valid(text: str) -> bool:
    """Whether the check digits of an IBAN are right: rearranged and read as a number it leaves 1 mod 97."""
    compact = "".join(text.split())
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _banks(text: str) -> Iterator[Found]:
    for m in _IBAN.finditer(text):
        if iban_valid(m.group()):
            yield m.start(), m.end(), "bank"
    for m in _BANK_KO.finditer(text):
        if 9 <= len(_digits(m.group(1))) <= 16:
            yield m.start(), m.end(), "bank"
    for m in _BANK_AFTER.finditer(text):
        if 9 <= len(_digits(m.group())) <= 16:
            yield m.start(), m.end(), "bank"
    for m in _BANK_CUE.finditer(text):
        if 8 <= len(_digits(m.group(1))) <= 17:
            yield m.start(1), m.end(1), "bank"


def _machines(text: str) -> Iterator[Found]:
    for pattern in (_IPV4, _IPV6):
        for m in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(m.group())
            except ValueError:
                continue
            bare = address.is_loopback or address.is_unspecified
            if not bare and not _VERSION_CUE.search(text, max(0, m.start() - 12), m.start()):
                yield m.start(), m.end(), "ip"


def _phones(text: str) -> Iterator[Found]:
    for pattern in (_PHONE_KO, _LAND_KO, _PHONE_US, _PHONE_UK):
        yield from ((m.start(), m.end(), "phone") for m in pattern.finditer(text))
    for m in _PHONE_PLUS.finditer(text):
        if _possible(m.group()):
            yield m.start(), m.end(), "phone"
    for pattern in (_PHONE_BARE, _PHONE_SPACED):
        for m in pattern.finditer(text):
            near = (text, max(0, m.start() - 30), m.end() + 12)
            if _PHONE_CUE.search(*near) and not _NOT_PHONE.search(*near):
                yield m.start(), m.end(), "phone"


def _possible(number: str) -> bool:
    """Whether a number with a country code fits that country's numbering plan by its length."""
    import phonenumbers  # heavy metadata: loaded when the first such number is seen

    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return False
