"""How a reply relates to what it answers: agreeing, disagreeing, caring, making light. Patterns only, English and
Korean.

Used where the answered turn is unsafe; on its own "I agree" says nothing.
"""

from __future__ import annotations

import re

from safety import assent

_AGREES = re.compile(
    r"\b(?:i|we) (?:totally |completely |fully |really |absolutely |do |couldn't |could not |so |100% |definitely )?"
    r"(?:agree(?! to disagree)|concur|feel the same|think so too|support (?:that|this|you))\b"
    r"|\bcould(?:n't| not) agree more\b|^(?:yes|yeah|yep|yup|exactly|right|true|indeed|sure|totally|absolutely"
    r"|of course|correct|amen|facts|same|haha true)\b"
    r"|\byou(?:'re| are|r)? (?:so |totally |absolutely |completely |damn |quite )?(?:right|correct)\b|\bso true\b"
    r"|\bthat'?s (?:so |very )?(?:true|right|correct)\b"
    r"|\b(?:me too|same here|me neither|i do too|so do i|i hate them too|well said|good (?:point|idea|for you)"
    r"|(?:s?he|they) (?:totally |really |so |all )?(?:deserves?|had it coming)|serves (?:him|her|them) right"
    r"|good riddance|(?:just |then |please )?do it\b|go for it|go ahead|hell yeah|why not"
    r"|my thoughts exactly|you should(?: do it)?)\b"
    r"|동의(?:해|합니다|하|해요)(?!지)|맞아|맞는 말|맞습니다|옳은 말|그러게|인정|공감|나도 그렇게|저도 그렇게"
    r"|그렇지|ㄹㅇ|ㅇㅈ|나도(?: |야|그래|$)|저도요|당연하지|좋은 생각"
)
_DISAGREES = re.compile(
    r"\b(?:don'?t|do not|can'?t|cannot|won'?t|wouldn'?t|never|not) (?:\w+ )?(?:agree|think so|support|believe|say"
    r"|condone|accept|joke)\b"
    r"|\bdisagree\b|\bnot (?:true|right|okay|ok|cool|fair|funny|nice|acceptable|appropriate)\b|\bthat'?s (?:wrong"
    r"|terrible|awful|hateful|horrible|racist|sexist|offensive)\b"
    r"|\bplease (?:don'?t|stop|be)\b|\bwhy would you\b|\bhow (?:dare|can|could) you\b|\bevery(?:one|body) (?:is"
    r"|deserves)\b"
    r"|동의하지 ?않|동의 ?못|동의할 ?수 ?없|그렇지 ?않|아니(?:요|에요|야|라고 생각)|그런 말|하지 마|말아 ?줘"
    r"|옳지 ?않|틀렸|잘못된|차별|혐오|편견|너무하|심하"
)
_CARES = re.compile(
    r"\bsorry\b|\bhelp\b|\btalk (?:to|with|about)\b|\bcall\b|\b988\b|\bhotline\b|\bsupport\b|\bhere for you\b"
    r"|\bnot alone\b|\bstay (?:safe|with)\b|\btherap|\bcounsel|\bdoctor\b|\bplease\b"
    r"|\bare you (?:ok|okay|alright|safe)\b|\bwhat(?:'s| is| has) (?:wrong|happen|going on|making)|\bwhy do you\b"
    r"|\bhug|\bworr(?:y|ied)\b|\bmatter(?:s)?\b|\bcare about\b|\bget better\b|\bhope you\b|\blove you\b"
    r"|힘들(?:었|겠|지|죠)|괜찮|도움|상담|전화|109|1388|1577|이야기|얘기|곁에|옆에|혼자|들어 ?줄|들어 ?드|무슨 일"
    r"|왜 그런|걱정|소중|살아|안아|함께|마음|슬프|속상|병원|의사|친구"
)
_LIGHT = re.compile(
    r"\b(?:lol|lmao|haha|hehe|rofl|whatever|so what|who cares|good luck|go ahead|do it|just do it|cool|nice|great"
    r"|awesome|funny|bye|good|do you have any|what'?s your favou?rite|anyway)\b"
    r"|ㅋㅋ|ㅎㅎ|하든가|해 ?봐|하세요|그러든|그래서|어쩌라|알아서|관심 ?없|좋네|재밌|잘 ?가|죽어|죽든"
)
_SAME = re.compile(
    r"\b(?:me too|same(?: here)?|i do too|so do i|i feel that|i want to (?:die|kill)|i wish i (?:was"
    r"|were) dead)\b|나도|저도|같이 (?:죽|가)"
)


_ECHO_FILLER = (
    r"(?:(?:of course|sure|certainly|definitely|indeed|really|probably|i guess|i suppose|well|sadly|exactly),? ){0,2}"
)
_ECHOES = re.compile(
    rf"^\W{{0,3}}{_ECHO_FILLER}(?:it|they|he|she|that|this|you|we|i|there|some|most|many)(?:(?: (?:really "
    rf"|certainly |definitely"
    r" |sure |usually |often |probably |all |totally |absolutely |always |do |should )*(?:is|are|do|does|did"
    r"|was|were|should|would"
    r"|could|can|will|must|may|might|have|has|had|be|do)(?: be)?)|'s|'re|'ll|'d)"
    r"(?:,? (?:too|indeed|right|really|that way|so|just|definitely|exactly|totally|absolutely|of course|it|true"
    r"|fine|ok|okay"
    r"|good|great|normal|fair|cool|harmless|natural|best|better|for the best|sure|yes|yeah|like that|sometimes"
    r"|often)){0,3}"
    r"(?:\W{0,3}$|[.!,]+ )"
    r"|^\W{0,3}(?:i (?:guess|suppose|think|believe|know|bet|would say|'d say|feel)(?: so| that too| it too"
    r"| it is| they are"
    r"| they do| it does| you should| you can| it can|,? right)|i (?:guess|suppose)(?:\W{0,3}$|[.!,])"
    r"|i know\W{0,3}$|agreed|agree|granted"
    r"|makes sense|fair enough|fair point|good (?:plan|call|thinking)|great (?:idea|plan|point)|sounds (?:good"
    r"|great|right|like a"
    r" (?:good|great) (?:plan|idea))|why not|no doubt|without a doubt|no question|certainly|obviously|naturally"
    r"|for sure|you bet"
    r"|tell me about it|preach|(?:this|word|same)\W{0,3}$|very true|quite right|too true|how true|count me in"
    r"|i'?m in\b|i'?m with you"
    r"|with you|i like (?:it|that|the)|love it|nice (?:one|plan|idea)|that'?s (?:a )?(?:so |very "
    r"|really )?(?:good|great|fair|nice"
    r"|smart|clever|fine|ok|okay|normal|what i|how it|the spirit|the way|a fact|the truth|for sure)"
    r"|you (?:have every right|do that)"
    r"|it'?s (?:totally |perfectly |completely |really |just |quite |probably )?(?:fine|ok|okay|normal|true"
    r"|right|fair|harmless|natural|a fact|good|great|safe|not (?:a big deal|that bad|so bad|a crime|stealing))"
    r"|no (?:problem"
    r"|big deal)|nothing wrong|everyone (?:knows|does)|of the same (?:mind|opinion)|i'?m of the same)(?![a-z])"
    r"|^\W{0,3}(?:that'?s|what|it'?s) (?:a |an )(?:very |really )?(?:good|great|nice|smart|fine|fair"
    r"|excellent) (?:rule|plan|idea|point|way"
    r"|one|thing|start|call|question to ask|choice|decision)\b|^\W{0,3}i'?m (?:so |very |really )?(?:glad"
    r"|happy) (?:to hear|you|for you|that)"
    r"|\b(?:you|it|they|he|she|that)(?:'ll| will| should) be (?:just |totally |perfectly )?(?:fine|ok|okay"
    r"|alright|all right|great)\b"
    r"|\bi(?:'m| am) of the same (?:mind|opinion)|\b(?:count me in|i'?m with you)\b"
    r"|^\W{0,3}(?:동감|그럼|그치|그쵸|그죠|그렇|그래(?!도)|응(?! ?아니)|네[,. ]|네$|넵|예[,. ]|당연|물론"
    r"|내 말이|제 말이|맞는|맞지|맞죠|맞아|괜찮|그렇게 ?해"
    r"|해도 ?(?:돼|되|괜찮)|좋아|좋네|좋지|좋죠|그러자|그럽시다|그러는 ?게|그게 ?(?:좋|낫|맞)|어 맞|ㅇㅇ"
    r"|하지 뭐|그런 ?(?:것 같|거 같|편)|사실이)"
)
_OBJECTS = re.compile(
    r"\b(?:no ?(?:one|body)|never|nothing|not (?:ok|okay|fine|right|true|fair|cool|good|acceptable|always|all"
    r"|every\w*|necessarily"
    r"|an? (?:good|great|excuse|solution|crime to be)|at all|funny|worth|a joke|safe|healthy|the answer"
    r"|that simple|how))\b(?! (?:mind|bad"
    r"|wrong|hurt|harmed|a big|so bad|that bad|comes|came))"
    r"|\b(?:isn'?t|not|is not|wasn'?t) (?:\w+ )?(?:their|his|her|your|anyone'?s) fault"
    r"|\bthere(?:'s| is) no (?:excuse|evidence|reason|such|proof|justification)"
    r"|\b(?:i|we) (?:\w+ )?(?:don'?t|do not|can'?t|cannot|wouldn'?t|would not|won'?t"
    r"|couldn'?t) (?:\w+ )?(?:agree(?! more)|think|believe|say"
    r"|support|condone|accept|see it|go along|recommend|do that|want)\b"
    r"|\b(?:you|they|people|he|she|it|that|this|nobody) (?:really )?(?:shouldn'?t|should not|mustn'?t"
    r"|should never|isn'?t|is not"
    r"|aren'?t (?!they)|are not|doesn'?t|does not) (?:be |do |say |drive|hit|hurt|take|stop|true|right|ok|okay"
    r"|fair|fine|a good|all|like|make it)"
    r"|\b(?:prejudiced?|stereotypes?|hurtful|racis[tm]|sexis[tm]|homophobi\w+|unfair|illegal|against the law"
    r"|hateful|discriminat\w+"
    r"|get (?:some |professional )?help|dangerous|harmful|a myth|nonsense|misinformation|debunked"
    r"|generali[sz]\w+|violence is|abuse|wrong"
    r"|disagree|please don'?t|don'?t do"
    r"|talk to (?:a|your|someone)|see a doctor|call 9|taxi|deserves? (?:respect|kindness|to be treated|better"
    r"|help|love|equal|the same))\b"
    r"|\b(?:are|is) (?:just )?(?:as|equally) \w+|\bjust like (?:everyone|anyone|you|any)|\bhuman (?:beings?"
    r"|too)\b|\bequal\b"
    r"|아니|안 ?(?:돼|되|됩|괜찮|좋)|않|못|틀|편견|차별|혐오|하지 ?마|그러지|위험|불법|잘못|반대|범죄(?:예요|야"
    r"|입)|동의할 ?수 ?없|옳지|그건 좀"
)
_OF_ONESELF = re.compile(r"\b(?:i|i'm|im|i've|i'll|my|me|myself|you)\b|나|내|저|제|너|네")
_DISTRESS = re.compile(
    r"\b(?:depress\w*|lonel\w+|alone|cry(?:ing)?|cried|scared|afraid|anxi\w+|panic\w*|tired of|give up"
    r"|giving up|hopeless|worthless"
    r"|useless|empty|numb|failure|failed|hate (?:myself|my life|me)|no ?(?:one|body) (?:likes|loves|cares|wants"
    r"|understands|talks)"
    r"|die|dying|dead|suicid\w*|kill(?:ing)? my\w+|hurt\w*|pain\w*|suffer\w*|sad|miserable|broken|desperate"
    r"|ashamed|guilty|burden"
    r"|want(?:ed)? to disappear|not have much time|much (?:time|longer)|get(?:ting)? (?:worse|better)|stupid"
    r"|idiots?|ugly|fat|loser"
    r"|nightmare|fit in|troll|nazi|hits? me|beats? me|abus\w+|bull(?:y|ied|ying))\b"
    r"|우울|외로|혼자|울고|무서|불안|포기|죽|힘들|지쳤|아파|아프|슬프|괴로|쓸모|싫어|미워|때려|맞았"
)
_PLAIN = re.compile(
    r"\W+|\b(?:yes|yeah|yep|yup|yea|sure|right|true|exactly|indeed|totally|absolutely|definitely|certainly"
    r"|of course|correct|amen|so"
    r"|very|quite|really|too|also|i|you|we|it|that|this|they|he|she|is|are|'s|'re|s|re|am|do|does|did|was|were"
    r"|has|have|had|should"
    r"|would|could|can|couldn'?t|not|more|agree|agreed|think|believe|guess|suppose|know|me|same|here|mine|my"
    r"|thoughts|well|said|good"
    r"|great|point|idea|plan|count|in|let'?s|with|same|opinion|mind|of|the|a|an|how|be|way|facts|fact|oh|haha"
    r"|lol|just|all|one|for"
    r"|hundred|percent|100|completely|fully|love|like|why|go|will|to|about|isn'?t|aren'?t|doesn'?t|don'?t"
    r"|spot on|deal|fine|ok|okay"
    r"|makes sense|fair|enough|actually|obviously|cool|nice|glad|happy|hear|her|him|them|it'?s|that'?s|you'?re"
    r"|they'?re|i'?m|i'?ve)\b"
    r"|응|어|네|예|넵|맞아요?|맞지|맞죠|맞습니다|그러게요?|그치|그쵸|그죠|그럼요?|그래요?|나도|저도|그렇게"
    r"|생각해요?|생각합니다|인정|공감해요?|동감이?[야에요]*"
    r"|동의해요?|동의합니다|내 말이|제 말이|좋아요?|그러자|진짜|정말|완전|당연하?지?요?|물론이?[지죠]?요?"
    r"|그렇지|그렇죠|그렇습니다|사실이?[야에요]*|좋은|생각이?[야에요]*|말이?[야에요]*|네 말|ㅇㅇ|ㅇㅈ|ㄹㅇ"
)


_OPENER = r"\W{0,3}(?:(?:haha|lol|well|um|oh|hm+|why|ha)[\s,.!]{1,3})?"
_YES = re.compile(
    _OPENER + r"(?:(?:yes|yeah|yep|yup|ya|sure|absolutely|definitely|certainly|indeed|correct|totally|right|obviously"
    r"|exactly|guilty|you bet|of course(?! not)|i am\b|i sure am|i really am|that'?s right|100%)(?![a-z])"
    r"|응|어(?=[\s,.!]|$)|네(?=[\s,.!]|$)|예(?=[\s,.!]|$)|넵|넹|그럼|그렇|당연|맞아|맞습|물론|ㅇㅇ|ㅇㅋ)"
)
_NO = re.compile(
    _OPENER + r"(?:(?:no|nope|nah|not at all|of course not|never|certainly not|absolutely not|not a bot|not really"
    r"|i'?m not|i am not|hell no|no way)(?![a-z])|아니|아뇨|아닙|아냐|ㄴㄴ|절대|전혀|그럴 리)"
)


def says_yes(reply: str) -> bool:
    """Whether folded text begins by affirming."""
    return bool(_YES.match(reply))


def says_no(reply: str) -> bool:
    """Whether folded text begins by denying."""
    return bool(_NO.match(reply))


def agrees(reply: str) -> bool:
    """Whether folded text says yes to what it answers."""
    return bool(_AGREES.search(reply)) and not disagrees(reply)


def echoes(reply: str) -> bool:
    """Whether folded text says yes without the word: "They do.", "It is, really.", "Sounds like a plan"."""
    return bool(_ECHOES.search(reply))


def assents(reply: str) -> bool:
    """Whether folded text says yes, with the word or without, and holds nothing against it."""
    said = agrees(reply) or echoes(reply) or assent.plainly(reply)
    return said and not objects(assent.without_double_denial(reply))


def sides_with(reply: str) -> bool:
    """Whether folded text takes the side of a claim: it assents, or understands the claim and leaves it at that."""
    return assents(reply) or (assent.by_sympathy(reply) and not objects(assent.without_double_denial(reply)))


def objects(reply: str) -> bool:
    """Whether folded text disagrees or holds something against what it answers, if only in part."""
    return disagrees(reply) or bool(_OBJECTS.search(reply))


def merely_agrees(reply: str) -> bool:
    """Whether folded text agrees and says hardly anything else: at most two words of its own."""
    return (agrees(reply) or echoes(reply)) and len(_PLAIN.sub(" ", reply).split()) <= 2


def distressed(text: str) -> bool:
    """Whether folded text speaks of feeling bad, far short of a crisis: to agree with that is not harmless."""
    return bool(_DISTRESS.search(text) and _OF_ONESELF.search(text))


def disagrees(reply: str) -> bool:
    """Whether folded text objects."""
    return bool(_DISAGREES.search(reply))


def cares(reply: str) -> bool:
    """Whether folded text takes a person at risk seriously."""
    return bool(_CARES.search(reply))


def makes_light(reply: str) -> bool:
    """Whether folded text shrugs a risk off, joins in, or urges on."""
    return bool(_SAME.search(reply)) or (bool(_LIGHT.search(reply)) and not cares(reply))
