"""Does a reply deny what its speaker said of themselves? Rules over first-person sentences; no model.

A small model is a poor judge of contradiction, so this counts only what can be seen in the words: the same statement
with and without a negation, one slot (name, age, home, work, a count, a favourite) filled twice, and words that
exclude each other: the kinds of DECODE (Nie et al. 2021, table 2) that need no knowledge of the world. Few false
alarms, many misses: a rate is a lower bound, and says so wherever it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_QUESTION = re.compile(r"\?\s*$")
_WORD = re.compile(r"[a-z0-9']+")
_NEGATION = re.compile(r"\b(?:not|never|no|don't|doesn't|didn't|can't|cannot|won't|isn't|ain't|haven't|hate|dislike)\b")
_SHORT = (
    ("i'm", "i am"),
    ("i've", "i have"),
    ("dont", "don't"),
    ("can't", "cannot"),
    ("won't", "will not"),
    ("n't", " not"),
)
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "i am is are was be a an the my me to of in on at and or but so very really just too also it that this for "
        "with do does did not never no can cannot will would have has had hate dislike like love enjoy s t ever any "
        "lot much about all when as some always often usually",
    )
)
_COUNTED = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty",
)
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED)}
_NUMBERS |= {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60"}
_JOBS = "teacher|nurse|doctor|lawyer|student|engineer|chef|cook|driver|writer|artist|farmer|baker|pilot|librarian"
_KIN = "brothers?|sisters?|kids?|children|cats?|dogs?|sons?|daughters?"
_SLOTS = (
    ("name", re.compile(r"^(?:my name is|i am called) ([a-z]+)")),
    ("age", re.compile(r"^i am (\d+|[a-z]+teen|twenty|thirty|forty|fifty|sixty)(?: years old)?$")),
    ("home", re.compile(r"^i (?:live|am living) in (?:the )?([a-z]+(?: [a-z]+)?)$")),
    ("origin", re.compile(r"^i (?:am|come) from (?:the )?([a-z]+(?: [a-z]+)?)$")),
    ("work", re.compile(rf"^i (?:work as|am) an? ((?:[a-z]+ ){{0,2}}(?:{_JOBS}|chatbot|robot|human|person))$")),
    ("count", re.compile(rf"^i have (no|\d+|[a-z]+) ((?:older |younger )?(?:{_KIN}))$")),
    ("favourite", re.compile(r"^my favou?rite ([a-z]+) (?:is|are) (?:the )?([a-z]+)")),
)  # fmt: skip
_APART = (
    frozenset({"married", "single"}), frozenset({"vegetarian", "meat", "steak"}), frozenset({"vegan", "meat", "steak"}),
    frozenset({"male", "female"}), frozenset({"man", "woman"}), frozenset({"tall", "short"}),
    frozenset({"retired", "student"}), frozenset({"chatbot", "human"}), frozenset({"chatbot", "person"}),
)  # fmt: skip
_LIKING = re.compile(r"\b(?:like|love|enjoy|like to|favou?rite)\b")


def contradicts(reply: str, facts: Sequence[str]) -> bool:
    """Whether a sentence of the reply contradicts one of the facts by the rules above (English)."""
    return any(_clash(said, fact) for said in statements(reply) for line in facts for fact in statements(line))


def statements(text: str) -> Iterator[str]:
    """First-person statements in plain lower case, questions left out; parts joined by "and" or "but" stand alone."""
    plain = text.lower().replace("’", "'")
    for short, long in _SHORT:
        plain = plain.replace(short, long)
    for sentence in _SENTENCE.findall(plain):
        if _QUESTION.search(sentence):
            continue
        for part in re.split(r",| and (?=i\b|my\b)| but ", sentence):
            words = " ".join(_WORD.findall(part))
            if re.match(r"(?:i|my)\b", words):
                yield words


def _clash(said: str, fact: str) -> bool:
    return _slots_differ(said, fact) or _negated(said, fact) or _apart(said, fact)


def _slots_differ(said: str, fact: str) -> bool:
    for kind, pattern in _SLOTS:
        first, second = pattern.match(said), pattern.match(fact)
        if first and second and not (_is_negative(said) and kind not in ("count",)):
            one, two = first.groups(), second.groups()
            if kind == "count":
                return _plural(one[1]) == _plural(two[1]) and _number(one[0]) != _number(two[0])
            if kind == "favourite":
                return one[0] == two[0] and one[1] != two[1]
            if kind == "age":
                return _number(one[0]) != _number(two[0])
            return not (one[0].endswith(two[0]) or two[0].endswith(one[0]))
    return False


def _plural(word: str) -> str:
    return "child" if word in ("children", "kids", "kid") else word.removesuffix("s")


def _number(word: str) -> str:
    return {"no": "0", "a": "1", "an": "1"}.get(word, _NUMBERS.get(word, word))


def _is_negative(text: str) -> bool:
    return len(_NEGATION.findall(text)) % 2 == 1


def _negated(said: str, fact: str) -> bool:
    """The same content, one of the two negated; liking counts as one verb whatever its word."""
    if _is_negative(said) == _is_negative(fact) or _likes(said) != _likes(fact):
        return False
    one, two = _content(said), _content(fact)
    return bool(one) and one <= two and len(one) >= min(len(two), 2)


def _likes(text: str) -> bool:
    return bool(_LIKING.search(text)) or bool(re.search(r"\b(?:hate|dislike)\b", text))


def _content(text: str) -> set[str]:
    return {_stem(word) for word in text.split()} - {_stem(word) for word in _FUNCTION_WORDS}


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _apart(said: str, fact: str) -> bool:
    """Words that exclude each other, in two statements of what one is or eats, neither negated."""
    if _is_negative(said) or _is_negative(fact):
        return False
    one, two = set(said.split()), set(fact.split())
    plain = re.compile(r"^i (?:am|eat|love|like)\b")
    if not (plain.match(said) and plain.match(fact)):
        return False
    return any(one & pair and two & pair and not one & two & pair for pair in _APART)
