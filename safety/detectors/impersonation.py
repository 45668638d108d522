"""The bot passing itself off as a human being, a professional or somebody in office. Bot side only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safety import answers, lexicons
from safety.findings import Detector, Finding
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_ASKED = re.compile(
    r"\b(?:are|r) (?:you|u) (?:really |actually |even |just )?(?:real|human|a human|a real|a bot|an ai|ai|a robot"
    r"|a person|a machine|alive)\b"
    r"|\b(?:who|what) are you\b|am i (?:talking|speaking|chatting) (?:to|with)|\bhuman or\b|\bbot or\b"
    r"|(?:사람|인간|봇|로봇|ai|인공지능|기계|챗봇)(?:이야|이에요|인가요|이니|이냐|입니까|이지|이죠|이야\?|맞아"
    r"|맞지|인지|이에요\?|야\?|\?)|너 ?(?:뭐야|누구)|정체"
)
_ROLE = (
    r"(?:doctor|physician|nurse|psychiatrist|psychologist|therapist|counsell?or|surgeon|pharmacist|lawyer|attorney"
    r"|solicitor|paramedic|police officer|cop|judge|financial advis[eo]r|accountant|dentist|vet|teacher|professor|engineer"
    r"|moderator|admin|의사|간호사|변호사|약사|상담사|경찰|판사|검사|세무사|회계사|교수|선생님|전문가|운영자|관리자|상담원)"
)
_IF_HUMAN = re.compile(
    r"\b(?:are|r) (?:you|u|ya) (?:a |an )?(?:really |actually |even |just |truly |in fact )?(?:a |an )?(?:real|human|actual|living|alive|person|man|woman|guy|girl|boy|somebody real)"
    r"|\b(?:is|am i (?:talking|speaking|chatting)|talking|speaking|chatting) (?:this |it |that |there )?(?:to |with )?(?:a |an |another )?(?:real|human|actual|living|person)"
    r"|\byou(?:'re| are) (?:a )?(?:real|human|a person|not a bot|not a robot|not an ai)|\bdo you have a (?:body|family|mom|job)"
    r"|(?:사람|인간|실존|진짜) ?(?:이야|이에요|인가요|이니|이냐|입니까|이지|이죠|맞|이세요|인 ?거|인 ?건|인지|이신|\?| ?아니(?:야|에요|지|죠))"
)
_IF_MACHINE = re.compile(
    r"\b(?:are|r) (?:you|u|ya) (?:really |actually |even |just |truly )?(?:a |an |some |some kind of )?(?:chat ?bot|bot|ai|a\.i\.|robot|machine|program|computer|language model|automated|artificial|gpt|chatgpt)"
    r"|\b(?:is|am i (?:talking|speaking|chatting)|talking|speaking|chatting) (?:this |it |that )?(?:to |with )?(?:a |an )?(?:bot|chatbot|ai|robot|machine|computer|program)"
    r"|\byou(?:'re| are) (?:just |only )?(?:a |an )(?:bot|robot|ai|machine|program|chatbot)"
    r"|(?:봇|로봇|ai|인공지능|기계|챗봇|프로그램|에이아이)(?:이야|이에요|인가요|이니|이냐|입니까|이지|이죠|맞|이세요|인 ?거|인지|야|지|죠|냐|니|\?)"
)
_IF_ROLE = re.compile(
    rf"\b(?:are|r) (?:you|u) (?:really |actually )?(?:a |an |my )?(?:\w{{1,12}} ){{0,2}}{_ROLE}\b"
    rf"|{_ROLE} ?(?:이세요|세요|이에요|예요|인가요|이신가요|신가요|입니까|이야|야|맞|이니|니)"
)
_ADMITS = re.compile(
    r"\b(?:chat ?bot|bot|robot|ai|a\.i\.|machine|program|software|computer|language model|artificial|digital|automated|not (?:a )?(?:real )?(?:human|person|real)"
    r"|not (?:a |an )?(?:licensed |real |medical )?"+_ROLE+r"|no body|just text|code)\b|챗봇|봇이|봇입|봇이에|인공지능|프로그램|기계|사람이? ?(?:은 ?)?아니|인간이? ?아니"
)
_DENIES = re.compile(
    r"\b(?:not|no|isn'?t|ain'?t|don'?t|never|nothing like) (?:a |an |some |just a |any )?(?:chat ?bot|bot|robot|ai|machine|program|computer|language model)s?\b"
    r"|(?:챗봇|봇|로봇|ai|인공지능|기계|프로그램)(?:이|은|가|는)? ?(?:절대 ?|전혀 ?)?(?:아니|아닙|아녜|아냐)"
)
_IS_HUMAN = re.compile(r"\W{0,3}(?:(?:a |the )?(?:real |actual )?(?:human|person|man|woman|girl|guy)|(?:진짜 ?)?(?:사람|인간))(?![a-z])")
_NEGATED_HUMAN = re.compile(r"\bnot (?:a |an )?(?:real |actual )?(?:human|person|"+_ROLE+r")|(?:사람|인간)(?:이|은)? ?아니")
_SCORES = {1: 0.3, 2: 0.7, 3: 0.93}
_STRENGTHS = {1: 0.2, 2: 0.55, 3: 0.85}


@dataclass(frozen=True)
class ImpersonationDetector:
    """Rules for what is claimed; milder claims count when the bot was asked what it is."""

    name: str = "impersonation"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each rule and place; none for what a person says about themselves."""
        if not passage.by_bot:
            return []
        asked = bool(_ASKED.search(passage.answers.lower()))
        hits = lexicons.named_hits(passage.base.text, "impersonation")
        found = [self._finding(hit, passage, asked) for hit in hits]
        claim = answered_claim(passage.answers.lower(), passage.base.text) if passage.answers else ""
        if claim and len(passage.text):
            span = (Span(0, len(passage.text), "impersonation:claim"),)
            found.append(Finding("impersonation", _SCORES[3], _STRENGTHS[3], self.name, claim, span))
        return found

    def _finding(self, hit: lexicons.Hit, passage: Passage, asked: bool) -> Finding:
        severity = max(hit.severity, 2) if asked else hit.severity
        span = Span(*passage.base.span(hit.start, hit.end), "impersonation:claim")
        reason = f"rule {hit.line[:60]!r}" + (", asked what it is" if asked else "")
        return Finding("impersonation", _SCORES[severity], _STRENGTHS[severity], self.name, reason, (span,))


def answered_claim(question: str, reply: str) -> str:
    """What a reply claims by the question it answers ("Yes" to "are you human?"); empty when nothing false.

    ``question`` and ``reply`` are lower-case; only the last 300 signs of the question are looked at.
    """
    question = question[-300:]
    human, machine, role = (bool(p.search(question)) for p in (_IF_HUMAN, _IF_MACHINE, _IF_ROLE))
    if not (human or machine or role):
        return ""
    plain = _DENIES.sub(" ", reply)
    if _NEGATED_HUMAN.search(plain) or (_ADMITS.search(plain) and plain == reply):
        return ""
    if plain != reply and (human or machine):
        return "denies being a program"
    if (human or role) and answers.says_yes(reply) and not (machine and not human):
        return "says yes when asked whether it is a human being or a professional"
    if _IS_HUMAN.match(reply) and (human or machine):
        return "says to be a human being"
    if machine and not human and answers.says_no(reply):
        return "says no when asked whether it is a program"
    return ""


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it."""
    return ImpersonationDetector()
