"""The plain shape of a reply: its length and whether it asks something."""

from __future__ import annotations

from dialogue.rerank import words

_ASKS = ("?", "？")
_ASKING_WORDS = frozenset({"who", "what", "where", "when", "why", "how", "which", "whose"})
_KOREAN_ENDINGS = ("나요", "가요", "까요", "니까", "을까", "ㄹ까", "나", "니", "래요", "어때")


def length(reply: str) -> int:
    """Words of a reply."""
    return len(words(reply))


def asks(reply: str) -> bool:
    """Whether a reply asks a question: by its mark, or by how its last sentence begins (English) or ends (Korean).

    The question rate of See et al. 2019, section 4; marks alone miss questions typed without them.
    """
    if any(mark in reply for mark in _ASKS):
        return True
    said = words(reply.replace("!", ".").rstrip(". ").rsplit(".", 1)[-1])
    if not said:
        return False
    return len(said) > 2 and (said[0] in _ASKING_WORDS or said[-1].endswith(_KOREAN_ENDINGS[:6]))
