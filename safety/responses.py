"""What the bot says when it does not answer: deflections, refusals, fallbacks, and help for people at risk.

The line is chosen from the conversation itself, so the same conversation gets the same line, and neighbouring turns
get different ones. No text of the person is repeated.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from dialogue.turns import Conversation, Role
from safety.crisis_lines import ELSEWHERE, OPENINGS, POINTERS, RESOURCES
from safety.lexicons import hangul
from safety.verdict import ALLOW, Action, SafetyVerdict

_DEFLECTIONS = {
    "en": (
        "I'd rather not go there. What else is on your mind?",
        "Let's keep it friendly. How has your day been?",
        "I'd like to talk about something else. What have you been enjoying lately?",
        "That's not something I want to join in on. Shall we change the subject?",
        "I'll pass on that one. Seen or read anything good recently?",
        "Let's take this somewhere kinder. What are you looking forward to?",
        "I don't feel good about that topic. Tell me about something you like.",
    ),
    "ko": (
        "그 이야기는 하지 않을게요. 다른 이야기 해 볼까요?",
        "우리 조금만 부드럽게 이야기해요. 오늘 하루는 어땠어요?",
        "그건 제가 함께하기 어려운 이야기예요. 요즘 즐거웠던 일 있어요?",
        "다른 주제로 넘어가 볼까요? 요즘 뭐에 관심 있어요?",
        "그 말은 넘어갈게요. 최근에 본 영화나 책 있어요?",
        "조금 더 따뜻한 이야기를 해 보고 싶어요. 기대되는 일 있어요?",
    ),
}
_REFUSALS = {
    "en": (
        "I can't help with that one, but I'm happy to talk about something else.",
        "That's something I won't help with. Is there another thing you'd like to chat about?",
        "Sorry, I have to say no to that. What else would you like to talk about?",
        "I'm going to sit that one out. Want to pick another topic?",
    ),
    "ko": (
        "그건 도와드릴 수 없어요. 대신 다른 이야기라면 얼마든지 좋아요.",
        "죄송하지만 그 부탁은 들어드릴 수 없어요. 다른 이야기 해요.",
        "그건 제가 하지 않는 일이에요. 다른 주제로 이야기해 볼까요?",
        "그 부분은 도와드리기 어려워요. 다른 궁금한 게 있나요?",
    ),
}
_ASK_SOMEBODY_WHO_KNOWS = {
    "en": (
        "I'm a chat program, so I can't judge that. A doctor or a pharmacist can; if it is urgent, call for help.",
        "That's a question for a doctor or pharmacist, not for me. If it can't wait, call your emergency number.",
        "I don't know enough to answer that safely. Please ask a doctor; in an emergency call 112, 911 or 999.",
    ),
    "ko": (
        "저는 대화 프로그램이라 그건 판단할 수 없어요. 의사나 약사에게 물어보시고, 급하면 119에 전화해 주세요.",
        "그건 제가 아니라 의사나 약사가 답할 질문이에요. 급하다면 119에 꼭 전화하세요.",
    ),
}
_DISAGREEMENTS = {
    "en": (
        "I see that differently, and I wouldn't go along with it. What makes you say so?",
        "I don't agree with that, to be honest. How did you come to it?",
        "No, I can't say yes to that one. What's behind it?",
        "I'd say no to that. Shall we talk about something else?",
    ),
    "ko": (
        "저는 그렇게 생각하지 않아요. 왜 그렇게 생각하게 됐어요?",
        "솔직히 그 말에는 동의하기 어려워요. 무슨 일이 있었어요?",
        "그건 아니라고 생각해요. 다른 이야기도 해 볼까요?",
    ),
}
_SPAM = {
    "en": ("I'll leave that one alone.", "I skip messages like that one.", "Not for me, thanks."),
    "ko": ("그런 메시지는 넘어갈게요.", "그건 답하지 않을게요.", "그건 사양할게요."),
}
_FALLBACKS = {
    "en": (
        "Sorry, I lost my thread there. Could you say that another way?",
        "Hm, I don't have a good answer to that. Tell me more?",
        "I'm not sure what to say to that. What do you think?",
        "My mind went blank for a moment. Could you try me again?",
    ),
    "ko": (
        "미안해요, 잠깐 생각이 끊겼어요. 다시 한번 말해 줄래요?",
        "음, 좋은 대답이 떠오르지 않네요. 조금 더 얘기해 줄래요?",
        "뭐라고 해야 할지 잘 모르겠어요. 어떻게 생각하세요?",
        "잠깐 머리가 하얘졌어요. 다시 말해 줄 수 있어요?",
    ),
}


def _language(conversation: Conversation) -> str:
    """The language of the last thing a person said; the persona's where nobody has spoken."""
    heard = next((turn.text for turn in reversed(conversation.turns) if turn.role is Role.USER), None)
    if heard is None or not any(c.isalpha() for c in heard):
        return "ko" if conversation.persona.language == "ko" else "en"
    return "ko" if hangul(heard) else "en"


def _choose(lines: tuple[str, ...], conversation: Conversation) -> str:
    """A line fixed by the conversation's key and length, and never the one said last."""
    seed = zlib.crc32(str(conversation.key).encode("utf-8", "replace"))
    said = next((turn.text for turn in reversed(conversation.turns) if turn.role is Role.BOT), "")
    first = (seed + len(conversation.turns)) % len(lines)
    fresh = [line for line in lines[first:] + lines[:first] if line not in said]
    return (fresh or list(lines))[0]


def deflection(conversation: Conversation, verdict: SafetyVerdict) -> str:
    """A polite line instead of an answer, by what the verdict asks for."""
    lines: Mapping[str, tuple[str, ...]] = _DEFLECTIONS
    if verdict.action is Action.REFUSE:
        lines = _REFUSALS
    elif verdict.action is Action.IGNORE:
        lines = _SPAM
    elif verdict.category == "bad_advice":
        lines = _ASK_SOMEBODY_WHO_KNOWS
    elif verdict.category == "agrees_unsafe" and verdict.detector == "in_context":  # sure of what was said
        lines = _DISAGREEMENTS
    return _choose(lines[_language(conversation)], conversation)


def crisis_response(conversation: Conversation, verdict: SafetyVerdict = ALLOW) -> str:
    """Warm words and where help is, by the kind of danger (the verdict's category) and the language of the person.

    Never a block: the conversation goes on. Who wrote in a third language reads help in it, and in English.
    """
    kind = verdict.category if verdict.category in OPENINGS else "selfharm"
    language = _language(conversation)
    line = f"{_choose(OPENINGS[kind][language], conversation)} {RESOURCES[kind][language]}"
    own = ELSEWHERE["selfharm" if kind == "selfharm" else "emergency"].get(_written_in(verdict), "")
    return f"{own}\n\n{line}" if own else line


def _written_in(verdict: SafetyVerdict) -> str:
    """The language of the crisis rule that matched, where it is neither English nor Korean: "crisis:selfharm:es"."""
    kinds = (span.kind.split(":") for span in verdict.spans)
    return next((kind[2] for kind in kinds if kind[0] == "crisis" and len(kind) == 3), "")


def pointer(conversation: Conversation, verdict: SafetyVerdict, language: str) -> str:
    """Where help is, in one sentence, for after the line that a language is not spoken; else an empty text.

    Nobody reads such a message, and rules hear only a part of what people in need say. So it is said once in a
    conversation, and again wherever a message has words of pain or fear.
    """
    line = POINTERS.get(language, POINTERS["en"])
    known = any(line in turn.text for turn in conversation.turns if turn.role is Role.BOT)
    return line if not known or "distress" in verdict.scores else ""


def fallback(conversation: Conversation) -> str:
    """A safe line for when no reply could be made or none was allowed."""
    return _choose(_FALLBACKS[_language(conversation)], conversation)
