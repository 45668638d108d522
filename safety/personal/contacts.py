"""E-mail addresses, plain and disguised, and secrets: access tokens, keys, passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

_AT = r"(?:\s?@\s?|\s?[\[({<]\s?(?:at|앳|@|골뱅이)\s?[\])}>]\s?|\s(?:at)\s|\s?(?:골뱅이|앳)\s?)"
_DOT = r"(?:\.|\s?[\[({<]\s?(?:dot|\.|닷|점)\s?[\])}>]\s?|\s(?:dot)\s|\s?(?:닷|점|쩜)\s?)"
_PLAIN = re.compile(r"(?<![\w.+\-])[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){0,4}\.[a-z]{2,24}(?![a-z])")
_DISGUISED = re.compile(
    rf"(?<![\w.+\-])[a-z0-9_.+\-]{{1,64}}{_AT}[a-z0-9\-]{{1,63}}(?:{_DOT}[a-z0-9\-]{{1,63}}){{0,3}}{_DOT}(?:com|net|org|edu|gov|io|co|kr|uk|me|info|dev|app|us|jp|de|fr|ca|au|test|example|컴|넷)(?![a-z0-9])"
)
_TOKENS = (
    re.compile(
        r"(?<![\w\-])[A-Za-z0-9_\-]{23,28}\.[A-Za-z0-9_\-]{6,7}\.[A-Za-z0-9_\-]{27,45}(?![\w\-])"
    ),  # Discord bot
    re.compile(r"(?<![\w\-])mfa\.[\w\-]{60,100}"),
    re.compile(r"discord(?:app)?\.com/api/webhooks/\d{10,25}/[\w\-]{20,100}"),
    re.compile(r"(?<![\w\-])(?:sk|pk|rk)[_\-](?:live[_\-]|test[_\-]|proj[_\-]|ant[_\-])?[A-Za-z0-9_\-]{16,200}"),
    re.compile(
        r"(?<![\w\-])(?:gh[pousr]_[A-Za-z0-9]{30,100}|github_pat_\w{22,120}|glpat-[\w\-]{16,60}|hf_[A-Za-z0-9]{20,60})"
    ),
    re.compile(r"(?<![\w\-])xox[abprs]-[A-Za-z0-9\-]{10,100}"),
    re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    re.compile(r"(?<![\w\-])AIza[\w\-]{30,40}"),
    re.compile(r"(?<![\w\-])eyJ[\w\-]{8,2000}\.[\w\-]{8,4000}\.[\w\-]{8,1000}"),  # JSON web token, RFC 7519
    re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
    re.compile(r"(?<!\d)\d{8,10}:[A-Za-z0-9_\-]{35}(?![\w\-])"),  # Telegram bot
)
_SECRET = re.compile(
    r"(?:api[ _\-]?key|access[ _\-]?token|auth[ _\-]?token|bot[ _\-]?token|secret(?:[ _\-]?key)?|password|passwd"
    r"|passcode|비밀번호|비번|패스워드|토큰)"
    r"(?:\s?(?:is|was|은|는|이|가|:|=))?\s{0,2}[:=]?\s?[\"'`]?([!-~]{6,200})",
    re.IGNORECASE,
)


def find(text: str) -> Iterator[tuple[int, int, str]]:
    """E-mail addresses in folded text."""
    for pattern in (_PLAIN, _DISGUISED):
        yield from ((m.start(), m.end(), "email") for m in pattern.finditer(text))


def tokens(text: str) -> Iterator[tuple[int, int]]:
    """Secrets in the original text, whose case matters."""
    for pattern in _TOKENS:
        yield from (m.span() for m in pattern.finditer(text))
    for m in _SECRET.finditer(text):
        secret = m.group(1)
        if any(c.isdigit() for c in secret) and any(c.isalpha() for c in secret):
            yield m.span(1)
