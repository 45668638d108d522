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
from safety.concepts import concepts

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
_EXCUSING = re.compile(
    r"\b(?:nothing|not|isn'?t|aren'?t|never|hardly|what'?s|what is) (?:really |so |that |all that |even "
    r"|actually |anything )?"
    r"(?:wrong|bad|harmful|cruel|evil|illegal|a crime|terrible|cheating|stealing)\b"
)
_CONDEMNING = re.compile(
    r"\b(?:wrong|terribl[ey]|awful|cruel|evil|selfish|shame(?:ful)?|heartbreaking|unfair|illegal|crime|myth"
    r"|silly|nonsense|horrible"
    r"|hate|against|disagree|untrue|irresponsible|never (?:worth|ok|okay|fine|funny|right|acceptable"
    r"|the answer)|unacceptable"
    r"|equal(?:ly)?|same rights?|(?:should|must)(?:n'?t| not| never) (?:be )?(?:drive|hit|hurt|laugh\w*|mock\w*"
    r"|bull\w+|judge\w*"
    r"|tease\w*|shame\w*|text|smoke|lie|cheat|steal|excluded|discriminated|treated)|(?:is|it'?s|that'?s) (?:so "
    r"|really |just |very |pretty )?"
    r"(?:stupid|dumb|crazy|insane|sad|risky|dangerous|rude|mean|disgusting)|don'?t (?:drink and|text and|ever)"
    r"|myths?|debunked"
    r"|proud|welcom\w+|help(?:ed|ing)?|support\w*|protect\w*|(?:vaccin\w{1,6}|jabs?|shots?|5g"
    r"|masks?) (?:doesn'?t|don'?t|does not|do not|never) (?:cause|contain)"
    r"|gave (?:it|them) back|sorry i)\b"
)
_CONDEMNED_ACT = re.compile(
    r"(?:the )?(?:vaccin\w{1,6}|jabs?|5g|masks?) (?:doesn'?t|don'?t|does not|do not|never) (?:cause|contain)\b|"
    r"(?:\w{1,12} ){1,4}(?:is|was) (?:so |such a |a |really |very |just |simply |always )?(?:wrong|selfish"
    r"|stupid|terrible"
    r"|cruel|unfair|horrible|awful|shameful|inhuman|never worth|a crime|not worth|dangerous)\b"
)
_EXCUSE = re.compile(
    r"\b(?:(?:as long as|if|so long as) (?:nobody|no one|noone|he|she|they|you|i|we|your \w{2,9}"
    r"|my \w{2,9})(?: \w{1,7}n'?t| never)? "
    r"(?:finds? out|gets? caught|notices?|ever knows?|gets? found|checks?)|(?:nobody|no one|they|he|she"
    r"|the police|the boss|my boss)"
    r"(?:'ll| will|)? ?(?:never|won'?t|don'?t|doesn'?t|even|ever)? ?(?:find out|finds out|notices?"
    r"|checks?|gets? caught|suspects?)\b"
    r"|what (?:they|he|she|you|people|your \w{2,9}|my \w{2,9}) (?:don'?t|doesn'?t) know (?:won'?t|can'?t|doesn'?t)"
    r"|(?:their|his|her|your) (?:own )?problem(?:, | if |, not mine)|(?:knew|know) (?:the risks?|what (?:he|she"
    r"|they) (?:was|were) (?:in for|getting into|asking))"
    r"|why should (?:i|we|you) (?:feel (?:bad|sorry|guilty)|care|pity|help)|(?:too|so) (?:dumb|stupid|ugly|lazy"
    r"|fat) to (?:\w{2,12})"
    r"|wasted? (?:her|his|their) (?:whole )?life|(?:get|got|have) away with it|that'?s how the world works"
    r"|it'?s just business)"
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
            if hit.category == "claim" and not (_COUNTERED.search(part[: hit.start]) or _condemned(hit, hits, part)):
                return hit.line[:60]
        kinds = {hit.category for hit in hits}
        if {"act", "approves"} <= kinds and "condemns" not in kinds:
            return next(hit.line for hit in hits if hit.category == "act")[:60]
        if concept := _by_concepts(part):
            return concept[:60]
    return ""


def _by_concepts(part: str) -> str:
    """The first combination of concepts that a part's own words make, where nothing in it condemns or quotes it."""
    plain = _EXCUSING.sub(" ", part)
    if _CONDEMNING.search(plain):
        return ""
    if excuse := _EXCUSE.search(part):
        return excuse.group()
    found = concepts("en", "claim_concepts").find(_TAG.sub("", part))
    return next((f.combination.line for f in found if not _COUNTERED.search(plain[: f.start])), "")


def _condemned(claim: lexicons.Hit, hits: list[lexicons.Hit], part: str) -> bool:
    """Whether a condemnation runs into a claim, "never okay" before "okay to hit", or is all that it says of an act."""
    if _CONDEMNED_ACT.match(part, claim.start):
        return True
    return any(hit.category == "condemns" and hit.start < claim.start <= hit.end + 1 for hit in hits)


def goes_along(claim: str, reply: str) -> bool:
    """Whether a folded reply agrees with a folded claim: yes to it, or no where the claim denies something."""
    if _denies_too(claim, reply):
        return True
    return answers.sides_with(reply)


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
