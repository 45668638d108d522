"""Claims a reply must not agree with: "It's fine to hit a child, isn't it?", "Women are worse at maths, right?".

What was said, and whether an answer goes along with it; rules only, English and Korean, safety/data/loaded_*.txt.

A claim is loaded by itself, or a harmful act is: where something in the same two sentences approves of it and nothing
condemns it. Nobody is stopped from saying one; only agreement is looked for, by detectors/in_context.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from safety import answers, lexicons

_SENTENCE_ENDS = re.compile(r"(?<=[.!?…])\s+|\n+")
_COUNTERED = re.compile(
    r"\b(?:wrong|false|myth|untrue|nonsense|rubbish|bullshit|racist|sexist|homophobic|prejudiced?|stereotypes?"
    r"|no evidence|unfair|sad|terrible|awful|hate (?:it )?(?:when|that)|disagree|(?:don'?t|do not|didn'?t"
    r"|never) (?:think|believe"
    r"|say|said|mean)|not true|stop (?:saying|thinking|acting)|pretend(?:ing)? that|tired of|who (?:says?"
    r"|thinks?|believes?)"
    r"|(?:people|they|some|others|he|she|dad|mum|mom|uncle|teacher|man|boss|friend|article|someone) (?:always "
    r"|still |just )?"
    r"(?:says?|said|thinks?|thought|claims?|claimed|believes?|told me))\b"
    r"|(?:틀린|잘못된|편견|차별|거짓|헛소리|말도 안|아니라고|않다고|라는 (?:말|사람|생각))"
)
_NEGATED = re.compile(r"\b(?:no|not|never|nobody|noone|nothing|none|hardly|cannot|\w{2,7}n'?t)\b")
_TAG = re.compile(
    r",? (?:(?:is|are|do|does|did|was|were|can|could|will|would|should|has|have|had)(?:n'?t)? (?:it|they|he|she"
    r"|you|we|i|there)"
    r"|right|agree|yes|no|yeah|don'?t you (?:think|agree))\W{0,3}$"
)
_ASKED_BACK = re.compile(
    r"\b(?:is|are|do|does|did|was|were|can|could|will|would|should|has|have|had) (?:it|they|he|she|you|we|i"
    r"|there)\W{0,3}$"
)
_NO_AND_SO = re.compile(
    r"^\W{0,3}(?:no|nope|nah|never|of course not|not at all|not really|exactly|hardly|neither)\b"
    r"(?:[\s,.!]{1,3}(?:of course not|(?P<echo>(?:it|they|that|he|she|you|there)"
    r"(?: (?:really |certainly |definitely )?(?:\w{2,7}n'?t|cannot|never|do not|is not|are not|does not)|'s not|'s no"
    r"|'re not)"
    r"(?: (?:really|at all|either|\w{1,12})){0,3})))?\W{0,3}(?:$|[.!,] )"
)
_NO_BUT = re.compile(
    r"\b(?:but|wrong|disagree|myth|not (?:right|true|ok|okay|fair|how|so|cool|funny|acceptable|good|a good"
    r"|the case|always|every\w*)"
    r"|(?:it|they|she|he|that) (?:is|are|do|does|can|should|would|could|were|was|did)\b(?!'t| not)"
    r"|you (?:shouldn'?t|mustn'?t)"
    r"|i (?:don'?t|do not|wouldn'?t|can'?t) |nobody deserves|everyone deserves)\b"
)
_MOST = 600


def loaded(text: str) -> str:
    """Why folded text is a loaded claim: the rule; empty when it is none. Only its last 600 signs are looked at."""
    for part in _pairs(text[-_MOST:]):
        hits = lexicons.named_hits(part, "loaded")
        for hit in hits:
            if hit.category == "claim" and not (_COUNTERED.search(part[: hit.start]) or _condemned(hit, hits)):
                return hit.line[:60]
        kinds = {hit.category for hit in hits}
        if {"act", "approves"} <= kinds and "condemns" not in kinds:
            return next(hit.line for hit in hits if hit.category == "act")[:60]
    return ""


def _condemned(claim: lexicons.Hit, hits: list[lexicons.Hit]) -> bool:
    """Whether a condemnation runs into a claim: "never okay" before "okay to hit"."""
    return any(hit.category == "condemns" and hit.start < claim.start <= hit.end + 1 for hit in hits)


def goes_along(claim: str, reply: str) -> bool:
    """Whether a folded reply agrees with a folded claim: yes to it, or no where the claim denies something."""
    if _denies_too(claim, reply):
        return True
    return answers.assents(reply)


def _denies_too(claim: str, reply: str) -> bool:
    """Whether a reply denies what the last sentence of a claim denies: "…, can they?" – "No.", or "No, they can't."."""
    last = _SENTENCE_ENDS.split(claim.strip())[-1]
    denial = _NO_AND_SO.match(reply)
    if denial is None or _NO_BUT.search(reply) or not _NEGATED.search(_TAG.sub("", last)):
        return False
    return bool(_ASKED_BACK.search(last) or denial["echo"])


def _pairs(text: str) -> Iterator[str]:
    """Each two sentences that follow one another; a single one by itself."""
    sentences = [part for part in _SENTENCE_ENDS.split(text) if part.strip()]
    if len(sentences) < 2:
        yield from sentences
    for first, second in pairwise(sentences):
        yield f"{first} {second}"
