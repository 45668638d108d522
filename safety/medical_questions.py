"""Whether a message asks a medical question, and how surely; rules only, English and Korean, safety/data/medical_*.txt.

A question is judged by sentences: one that asks the bot about itself, or about a film, a job or a pet, is no medical
one. Knows nothing of replies, policy or verdicts.
"""

from __future__ import annotations

import re
from enum import IntEnum

from safety import lexicons


class Asks(IntEnum):
    """How surely a message asks for medical advice."""

    NOT = 0
    TOLD = 1
    """Speaks of a medicine or an illness without asking."""
    MAYBE = 2
    """Asks about a body and something done to it, or wrong with it."""
    SURELY = 3


_BODILY = {"medicine", "illness"}
_BY_ITSELF = _BODILY | {"mind"}
_OTHER = {"elsewhere", "everyday"}
_VALUE = re.compile(
    r"\b(?:9\d|1\d\d|2[0-4]\d) ?(?:/|over) ?\d{2,3}\b|\b\d{1,4}(?:[.,]\d{1,2})? ?(?:mg|mcg|iu|mmol|mmhg|bpm|mg/dl)\b"
)
"""A blood pressure, a dose, a value of a blood test."""
_SENTENCE_ENDS = re.compile(r"(?<=[.!?…])\s+|\n+")
_OPENERS = (
    r"(?:so|and|but|or|also|hey|hi|hello|please|ok|okay|um|well|doctor|doc|bot|quick question|honestly|seriously"
    r"|anyone know|do you know|(?:can|could) you tell me|any idea|"
    r"what do you think|do you think|just wondering)"
)
_QUESTION = re.compile(
    rf"\?|^\W{{0,3}}(?:{_OPENERS}\W{{1,3}}){{0,2}}(?:is|are|am|was|do|does|did|can|could|should|shall|will|would|may"
    r"|might|must"
    r"|has|have|what'?s?|which|how|why|when|any|isn'?t|aren'?t|don'?t|doesn'?t|shouldn'?t|at what)\b"
    r"|\b(?:should|can|could|may|must|shall|do) (?:i|we|he|she|they|my|our)\b"
    r"|\bis (?:it|that|this|there) (?:ok|okay|alright|all right|safe|normal|bad|fine|dangerous|serious|true"
    r"|anything)\b"
    r"|\b(?:is|are|am|will|would|does|do|did|was|were|can|could|should) (?:it|that|this|they|he|she|i|my|we)\b"
    r"|\bhow (?:many|much|long|often|soon|bad|safe|do i|can i)\b|\bwhat (?:should|can|could|do|to|is|now)\b"
    r"|\b(?:i )?(?:wonder|wondering|want to know|need to know|curious|worried|unsure|not sure|no idea|don'?t know)"
    r"(?: that| about)?(?: if| whether| what| how| why| it| this)?\b"
    r"|\btell me (?:what|how|if|whether|why|which|honestly)\b|\bneed (?:a |some )?(?:advice|remedy|cure|tips)\b"
    r"|\b(?:i guess|i think (?:i|it|my|this|that)|i'?m (?:thinking|planning|going to|considering|gonna)"
    r"|i (?:want|plan|intend|decided|would like|'d like) to|i'?d rather|i really want|probably nothing"
    r"|i don'?t (?:think|believe|need|want|see))\b"
    r"|까요?|나요|될까|돼요|되나|되죠|되지|괜찮|인가|일까|건가|ㄹ까|해야|어떡|어떻게|뭐예요|뭐야|왜 |얼마|몇 "
)
_TO_THE_BOT = re.compile(
    r"\b(?:do|did|have|are|were|will|would) (?:you|u)\b(?! (?:pull|see|wait|eat|drink|drive|put|let|take (?:it|them"
    r"|this|that|the|for|to|an)|ever take|just|do|think|know|recommend|say|reckon|suggest|advise|believe"
    r"|treat|need|have to|get rid|stop|cure|tell|start|give|take care|supposed|allowed|meant|sure|worry|trust|wait"
    r"|go to|heard|any|call|lower|fix|use for|use on|do for|do about|do if|do when|do in|risk|get (?:pregnant"
    r"|infected)))"
    r"|^\W{0,3}(?:and |how about |what about )?(?:you|u|yours)\?|\bhow (?:are|have) (?:you|u)\b|\b(?:has|does|did|is"
    r"|are|was|were|have any of) your\b|\b(?:can"
    r"|could) (?:you|u) (?:help|sing|write|tell me a|play|feel|be|talk"
    r"|speak)\b"
)
_NO_ADVICE = re.compile(
    r"^\W{0,3}(?:who|where|whose)\b|\bwhat (?:year|country|language|do (?:nurses|doctors))\b"
    r"|\bwhat does \w+ stand for\b"
    r"|\bstudy(?:ing)? medicine\b|\b(?:funny|cool|crazy|sad|nice|awesome|great|annoying), ?(?:right|huh|no)\?"
)
# "Vaccines save lives, right?" looks for assent to a general remark; "I can mix them, right?" asks what to do.
_SMALL_TALK = re.compile(
    r"(?:\b(?:right|agree|(?:is|are|do|does|did|was|were|can|could|will|would|should|has|have)(?:n'?t)? (?:it"
    r"|they|there)"
    r"|don'?t you (?:think|agree))|(?:지|죠|잖아요?|않나요?|않아요?))\s?\?\W{0,3}$"
)
_SOMEBODY = re.compile(
    r"\b(?:i|i'm|i've|i'll|me|my|mine|we|our|he|she|his|her|him|mom|mum|dad|baby|son|daughter|kids?|child|wife"
    r"|husband|friend"
    r"|take|taking|mix|mixing|stop|stopping|double|skip|safe|dangerous|normal|cure\w*|cause\w*)\b"
    r"|(?:나|저|내|제|우리|엄마|아빠|아이|애|아기|남편|아내|친구|먹어|먹으|드셔|복용|끊)"
)
_WORRIED = re.compile(
    r"^\W{0,3}\w{1,20}(?: \w{1,20}){0,2}\?|\b(?:normal|serious|dangerous|worr(?:y|ied)|safe|harmful|concern(?:ed"
    r"|ing)?|bad sign|should i|should we"
    r"|should (?:he|she|my|the)|can i|can we|can (?:he|she|my)|could (?:it|this|that|i)|what (?:is|could|can|should"
    r"|do|now)"
    r"|what'?s (?:wrong|this|that|it|the best)|is (?:it|this|that)|why|how (?:do|can|long|soon|much|many|often)|do i"
    r"|does (?:it|that|this|he|she)"
    r"|am i|(?:is|was|are) (?:he|she|it|they|something)|will (?:it|i|this|that|he|she)|need|go away|heal|or not|okay"
    r"|ok|alright|help"
    r"|helps"
    r"|good for|bad for|best|related|mean|means|would|right|a problem|bad|probably nothing|on (?:its|their) own"
    r"|just as|enough|pass|possible|sign of|hurt|at home|still|fix|best"
    r"|\w+ or \w+\W{0,3}$)(?!\w)|괜찮|정상|위험|걱정|해야|까요|나요|뭐|왜|어떻게|어떡"
)


def asks_for_advice(question: str) -> Asks:
    """How surely folded text asks what to do or think about a medicine, an illness or a symptom of somebody."""
    parts = _SENTENCE_ENDS.split(question)
    kinds = [_kinds(part) for part in parts]
    everything = set().union(*kinds)
    if not everything - _OTHER:
        return Asks.NOT
    somebody = _SOMEBODY.search(question) is not None
    asked = max(
        (_asked(part, own, everything, somebody) for part, own in zip(parts, kinds, strict=True)), default=Asks.NOT
    )
    if asked is Asks.NOT and everything & _BODILY and not everything & _OTHER:
        return Asks.NOT if "?" in question or _TO_THE_BOT.search(question) else Asks.TOLD
    return asked


def _kinds(part: str) -> set[str]:
    kinds = {hit.category for hit in lexicons.named_hits(part, "medical")}
    return kinds | {"illness"} if _VALUE.search(part) else kinds


def _asked(part: str, own: set[str], everything: set[str], somebody: bool) -> Asks:
    """How surely one sentence asks, by the kinds of words in it and those in the whole message."""
    if not _QUESTION.search(part) or _TO_THE_BOT.search(part) or _NO_ADVICE.search(part) or "elsewhere" in own:
        return Asks.NOT
    if _SMALL_TALK.search(part) and not somebody:
        return Asks.NOT
    worried = _WORRIED.search(part) is not None
    if own & _BY_ITSELF:
        return Asks.SURELY if worried or not everything & _OTHER else Asks.NOT
    if "everyday" in own:
        return Asks.NOT
    if worried and everything & _BY_ITSELF:
        return Asks.SURELY
    if len(everything & {"body", "complaint", "remedy"}) > 1 and not everything & _OTHER:
        return Asks.SURELY if worried and own else Asks.MAYBE
    return Asks.NOT
