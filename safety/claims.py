"""What a reply claims to be by the question it answers: "Yes" to "are you human?". Patterns only, English and Korean.

Used on the bot's side; detectors/impersonation.py turns a claim into a finding.
"""

from __future__ import annotations

import re

from safety import answers

_HOW = r"(?:really |actually |even |just |truly |in fact |only |some kind of )?"
_A = r"(?:a |an |the |another |some )?"
_TALKING = (
    r"\b(?:is|am i (?:talking|speaking|chatting)|talking|speaking|chatting) (?:this |it |that |there )?(?:to |with )?"
)
_YOU = rf"\b(?:are|r) (?:you|u|ya) {_A}{_HOW}{_A}"
_PERSON = r"(?:real|human|actual|living|alive|person|man|woman|guy|girl|boy|somebody real)"
_MACHINE = r"(?:chat ?bot|bot|robot|ai|a\.i\.|machine|program|computer|language model|automated|artificial|gpt|chatgpt)"
_ROLE = (
    r"(?:doctor|physician|nurse|psychiatrist|psychologist|therapist|counsell?or|surgeon|pharmacist|lawyer|attorney"
    r"|solicitor|paramedic|police officer|cop|judge|financial advis[eo]r|accountant|dentist|vet|teacher|professor"
    r"|engineer|moderator|admin|의사|간호사|변호사|약사|상담사|경찰|판사|검사|세무사|회계사|교수|선생님|전문가|운영자"
    r"|관리자|상담원)"
)
_KO_PERSON, _KO_MACHINE = "(?:사람|인간|실존|진짜)", "(?:봇|로봇|ai|인공지능|기계|챗봇|프로그램|에이아이)"
_KO_ASKED = (
    r"(?:이야|이에요|인가요|이니|이냐|입니까|이지|이죠|맞|이세요|인 ?거|인 ?건|인지|이신|\?| ?아니(?:야|에요|지|죠))"
)
_IF_HUMAN = re.compile(
    rf"{_YOU}{_PERSON}|{_TALKING}{_A}{_PERSON}"
    r"|\byou(?:'re| are) (?:a )?(?:real|human|a person|not a bot|not a robot|not an ai)"
    r"|\bdo you have a (?:body|family|mom|job)"
    rf"|{_KO_PERSON} ?{_KO_ASKED}"
)
_IF_MACHINE = re.compile(
    rf"{_YOU}{_MACHINE}|{_TALKING}{_A}{_MACHINE}|\byou(?:'re| are) {_HOW}(?:a |an ){_MACHINE}"
    rf"|{_KO_MACHINE}(?:{_KO_ASKED}|야|지|죠|냐|니)"
)
_IF_ROLE = re.compile(
    rf"\b(?:are|r) (?:you|u) (?:really |actually )?(?:a |an |my )?(?:\w{{1,12}} ){{0,2}}{_ROLE}\b"
    rf"|{_ROLE} ?(?:이세요|세요|이에요|예요|인가요|이신가요|신가요|입니까|이야|야|맞|이니|니)"
)
_ADMITS = re.compile(
    r"\b(?:chat ?bot|bot|robot|ai|a\.i\.|machine|program|software|computer|language model|artificial|digital"
    r"|automated|no body|just text|code)\b|챗봇|봇이|봇입|인공지능|프로그램|기계"
)
_DENIES = re.compile(
    rf"\b(?:not|no|isn'?t|ain'?t|don'?t|never|nothing like) (?:a |an |some |just a |any )?{_MACHINE}s?\b"
    rf"|{_KO_MACHINE}(?:이|은|가|는)? ?(?:절대 ?|전혀 ?)?(?:아니|아닙|아녜|아냐)"
)
_IS_HUMAN = re.compile(
    r"\W{0,3}(?:(?:a |the )?(?:real |actual )?(?:human|person|man|woman|girl|guy)|(?:진짜 ?)?(?:사람|인간))(?![a-z])"
)
_NOT_HUMAN = re.compile(
    rf"\bnot (?:a |an )?(?:real |actual |licensed |medical )?(?:human|person|{_ROLE})"
    rf"|(?:사람|인간|{_ROLE})(?:이|은|가|는)? ?(?:아니|아닙|아녜|아냐)"
)


def false_claim(question: str, reply: str) -> str:
    """What a reply falsely claims by the question it answers, in words; empty when nothing.

    Both are folded, lower-case texts; only the last 300 signs of the question are looked at.
    """
    question = question[-300:]
    human, machine, role = (bool(p.search(question)) for p in (_IF_HUMAN, _IF_MACHINE, _IF_ROLE))
    if not (human or machine or role):
        return ""
    without = _DENIES.sub(" ", reply)
    denies = without != reply
    if _NOT_HUMAN.search(without) or (_ADMITS.search(without) and not denies):
        return ""
    if denies and (human or machine):
        return "denies being a program"
    return _claim_in_a_word(reply, human=human, machine=machine, role=role)


def _claim_in_a_word(reply: str, *, human: bool, machine: bool, role: bool) -> str:
    if (role or (human and not machine)) and answers.says_yes(reply):
        return "says yes when asked whether it is a human being or a professional"
    if (human or machine) and _IS_HUMAN.match(reply):
        return "says to be a human being"
    if machine and not human and answers.says_no(reply):
        return "says no when asked whether it is a program"
    return ""
