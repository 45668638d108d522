"""Going along in other words than yes: "Can't argue with that.", "I'd do the same.", "Have fun with it!". English
patterns only; answers.py holds the plain words of agreement and what speaks against it.

``plainly`` is agreement whatever it answers; ``by_sympathy`` is agreement only where a loaded claim is answered: to
somebody who feels bad "I can understand that" is kindness.
"""

from __future__ import annotations

import re

_LEAD = (
    r"^\W{0,3}(?:(?:oh|ah|well|haha|lol|hmm?|um|ok|okay|yes|yeah|i mean|honestly|really|actually|wow|hey"
    r"|so)\W{1,3}){0,3}"
)
_HOW = (
    r"(?:really |totally |absolutely |perfectly |completely |actually |probably |pretty |so |very |just "
    r"|quite |also |certainly |definitely |do |all |a |an ){0,3}"
)
_GOOD = (
    r"(?:fine|ok|okay|alright|all right|fair|true|right|correct|normal|natural|harmless|reasonable|sensible"
    r"|smart|clever"
    r"|wise|great|good|cool|fun|funny|awesome|hilarious|perfect|brilliant|amazing|excellent|lovely|fantastic"
    r"|wonderful"
    r"|best|understandable|valid)"
)
_THING = (
    r"(?:plan|idea|point|thing|way|thought|choice|move|trick|tip|reason|attitude|approach|question|rule"
    r"|one|decision|call)"
)
_IT = r"(?:it|that|this|they|he|she|you|those|these|we|people|most|some|many)"
_PLAINLY = re.compile(
    _LEAD + rf"(?:(?:i )?(?:think|guess|suppose|believe|say|feel|would say|'d say|am sure|'m sure|know|admit|find"
    rf"|do think|bet) "
    rf"(?:that |so,? |so because )?{_IT}(?:'s| is| are|'re| was| were| would be|'d be| do| does| will|'ll"
    rf"| should| can"
    rf"|'ve) ?{_HOW}(?:{_GOOD}\b|{_THING}\b|\W{{0,3}}$|do it\b|be {_GOOD}\b|more than\b)"
    rf"|{_IT}(?:'s| is| are|'re| does| do| did| was| would be|'d be| sounds?| seems?| looks?)"
    rf" {_HOW}(?:{_GOOD}(?:\W{{0,3}}$|[.!,]| (?:to me|with me|by me|for (?:me|you)|enough|{_THING}|as long as|if))"
    rf"|like (?:a |an )?{_HOW}(?:{_GOOD} )?(?:{_THING}|time|fun)\b|seem (?:that|this) way|tend to be|the truth"
    rf"|(?:a )?fact)"
    rf"|(?:sounds?|seems?|looks?) {_HOW}{_GOOD}\b|perfectly {_GOOD}\b|{_HOW}(?:agreed|agree)\b"
    rf"|{_HOW}{_GOOD} (?:{_THING}|for you|job|work|thinking)\b|(?:fair|awesome|nice|cool|great|perfect"
    rf"|brilliant|hilarious|amazing|lovely)(?:\W{{0,3}}$|[!.] )"
    r"|(?:for sure|definitely|certainly|absolutely|totally|exactly|precisely|indeed|probably|obviously"
    r"|naturally|sure|surely"
    r"|clearly|undoubtedly|most likely|true|correct|yup|yep|yeah|of course|always)(?:\W{0,3}$|[.,!;] )"
    r"|(?:i )?(?:would|'d) (?:do|say|feel|think|want) (?:exactly )?(?:the same|so|it too|that too|too|it is"
    r"|they (?:are|do)|he is|she is)\b|i'?d (?:say so|do it)\b"
    r"|i would too\b|i (?:always |often |really |also |totally |used to )?(?:do|did|have|am|was|feel|think"
    r"|thought|felt|say|said|noticed|heard|love|like|enjoy)"
    r" (?:that|it|this|them|so|the same|the same way|that way)(?: \w{1,10}){0,2},? (?:too|as well|myself"
    r"|also)\b|i have (?:heard|noticed|seen|thought|felt) (?:that|it|this|so|the same)\b|(?:that|it"
    r"|this) makes (?:\w{2,9} )?sense\b|they never\b"
    r"|i'?ve (?:always |often |also |just )?(?:thought|felt|noticed|heard|seen|said|known|believed|done|wondered)"
    r" (?:so|that|it|this|the same)\b"
    r"|i (?:suppose|guess|think|believe|reckon|expect|would say|do|imagine) so\b|i (?:do|am|would|have|did)\W{0,3}$"
    r"|have (?:fun|a (?:good|great|nice|safe) (?:time|trip|ride|one))\b|good luck (?:with|on)\b"
    r"|(?:i )?hope (?:it|that|this|you|everything) "
    r"(?:works?|goes|helps?|enjoy|have (?:fun|a good))\b|enjoy\b|go (?:on then|for it|ahead|girl)\b|you go\b"
    r"|you (?:really )?deserve it\b"
    r"|(?:let me know|tell me) how it (?:goes|went)\b|(?:can i|may i|could i) (?:come|join|help|try|watch)\b"
    r"|i'?ll (?:join|help|come|try)\b"
    r"|(?:that'?s |it'?s )?(?:what|how|why) i (?:always |usually |would )?(?:think|say|do|feel|tell|believe"
    r"|mean|meant|like|love)\b"
    r"|i (?:really |totally |also )?(?:love|like|respect|admire) (?:that|it|this|the idea|your (?:idea|plan"
    r"|thinking|attitude))\b"
    r"|i admit (?:it|that)\b|amen\b|well (?:said|put|done)\b|nicely (?:said|put|done)\b)"
)
_NO_OBJECTION = re.compile(
    r"\b(?:(?:i )?(?:can'?t|cannot|can not|couldn'?t|won'?t|wouldn'?t|don'?t|do not) (?:really |even |possibly )?"
    r"(?:argue(?: with (?:that|you|it))?|disagree|deny (?:it|that)|fault (?:that|you|it)|blame you"
    r"|mind(?: (?:that|it|at all))?"
    r"|see (?:why not|any(?:thing)? (?:wrong|problem|harm|issue)|a problem|the (?:problem|harm))"
    r"|have (?:a problem|any problem|an issue) with|have said it better|have put it better|agree more"
    r"|hurt(?: to try)?)"
    r"|nothing (?:is )?wrong (?:with|in|about)|no (?:problem|doubt|harm|big deal|question|worries|objections?|shame)"
    r"|not (?:a (?:problem|big deal)|that bad|so bad|too bad|at all,? (?:go|do|it'?s (?:fine|ok))|wrong)"
    r"|why not|(?:who|nobody|no one) (?:doesn'?t|would(?:n'?t)?|will notice|cares|gets hurt|will know|minds)"
    r"|you(?: have|'ve)? (?:got |have )?a (?:good |fair |very good |valid )?point|you (?:have|'ve) got (?:that"
    r"|it) right"
    r"|how (?:true|right you are)|that figures|wouldn'?t you)\b"
)
_SYMPATHY = re.compile(
    _LEAD + r"(?:i (?:totally |completely |really |fully )?(?:know|see|get|understand|hear|feel) (?:what you mean"
    r"|what you'?re saying|why you(?:'d| would)? (?:say|think|feel|do)"
    r"|the feeling|you(?! )|that feeling|your point|where you'?re coming from)\b"
    r"|i (?:can|could) (?:totally |completely |really |certainly )?(?:understand|see|relate|imagine|believe"
    r"|agree)\b|i (?:feel|think|do) (?:that way|like that|the same)"
    r"(?: sometimes| too| often)*|i know\b(?! (?:some|a|many|that not|it is|what))|poor you\b|who wouldn'?t\b"
    rf"|(?:it|that|they|he|she|there) (?:can|could|may|might|must|will|would|certainly can|sure can|really can"
    rf"|do tend to|does tend to|tends? to) {_HOW}be\b"
    rf"|(?:i think |i guess |i suppose |yeah,? |it'?s |it is )?(?:{_HOW}{_GOOD},? )?(?:as|so) long as\b"
    rf"|i guess it'?s (?:ok|okay|fine)\b"
    r"|(?:i )?(?:do|also) (?:think|believe|feel) (?:they|that|it|he|she|you|we)\b|i think (?:they|it|he|she|we"
    r"|people) (?:should|do|deserve|need)\b)"
)
_ABOUT = re.compile(r"\b(?:but|however|though|although|careful|help|sorry|except|instead|first|unless|until)\b")


def plainly(reply: str) -> bool:
    """Whether folded text goes along, whatever it answers."""
    return bool(_PLAINLY.search(reply) or _NO_OBJECTION.search(reply))


def by_sympathy(reply: str) -> bool:
    """Whether folded text takes the side of who it answers, with nothing that turns it round."""
    return bool(_SYMPATHY.search(reply)) and not _ABOUT.search(reply)


def without_double_denial(reply: str) -> str:
    """Folded text less its denials that agree ("can't argue with that"), to look for real ones in the rest."""
    return _NO_OBJECTION.sub(" ", reply)
