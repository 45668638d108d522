"""What the Discord door itself says, in the languages a server can choose. The bot's replies come from the engine."""

from __future__ import annotations

from dialogue.errors import ChinwagError, DeadlineExceeded, Overloaded, UserError

LANGUAGES = ("en", "ko")

_WORDS: dict[str, dict[str, str]] = {
    "busy": {
        "en": "I'm still answering others here. Give me a moment and say it again, please.",
        "ko": "지금 다른 분들께 답하는 중이에요. 잠시 후에 다시 말해 주세요.",
    },
    "slow_down": {
        "en": "One thing at a time, please: I'm not that fast.",
        "ko": "조금만 천천히 부탁해요. 제가 그렇게 빠르지는 않아요.",
    },
    "enough_here": {
        "en": "This channel has had its messages for this minute. Say it again in a moment, please.",
        "ko": "이 채널에서 이번 분에 답할 수 있는 만큼 답했어요. 잠시 후에 다시 말해 주세요.",
    },
    "failed": {
        "en": "Something went wrong on my side. Nothing that was stored is lost; please try again.",
        "ko": "제 쪽에서 문제가 생겼어요. 저장된 것은 그대로예요. 다시 시도해 주세요.",
    },
    "leaving": {
        "en": "I'm restarting; say that again in a minute, please.",
        "ko": "지금 다시 시작하는 중이에요. 1분 뒤에 다시 말해 주세요.",
    },
    "closed": {"en": "I don't talk in this channel.", "ko": "이 채널에서는 대화하지 않아요."},
    "not_for_you": {
        "en": "On this server I talk to certain roles only.",
        "ko": "이 서버에서는 정해진 역할과만 대화해요.",
    },
    "reset": {
        "en": "A fresh start: I no longer think of what was said here before.",
        "ko": "새로 시작할게요. 앞의 이야기는 더 이상 떠올리지 않아요.",
    },
    "nothing_yet": {"en": "I have not said anything here yet.", "ko": "아직 여기서 말한 것이 없어요."},
    "forgotten": {"en": "Deleted: {what}.", "ko": "삭제했어요: {what}."},
    "exported": {"en": "Everything I have stored about you.", "ko": "저장된 당신의 기록 전부예요."},
    "persona": {"en": "You are now talking to {who}.", "ko": "이제 {who}와(과) 이야기해요."},
    "noted": {"en": "Thank you, noted.", "ko": "고마워요, 기록했어요."},
    "ratings_off": {"en": "Ratings are switched off on this server.", "ko": "이 서버에서는 평가가 꺼져 있어요."},
    "consent": {
        "en": "May I store your ratings, under a code instead of your name, to measure how well I talk? "
        "/forget deletes them at any time.",
        "ko": "제가 얼마나 잘 말하는지 재기 위해 평가를 이름 대신 부호로 저장해도 될까요? "
        "/forget 으로 언제든 지울 수 있어요.",
    },
    "consent_yes": {"en": "Yes, store my ratings", "ko": "네, 저장하세요"},
    "managers_only": {
        "en": "Only those who may manage the server can change this.",
        "ko": "서버 관리자만 바꿀 수 있어요.",
    },
    "open_needs_intent": {
        "en": "Discord shows me mentions only: open channels work once whoever runs me switches the message content "
        "intent on (CHINWAG_DISCORD_MESSAGE_CONTENT).",
        "ko": "지금은 멘션만 볼 수 있어요. 열린 채널은 저를 운영하는 사람이 메시지 내용 인텐트를 켜야 "
        "작동해요 (CHINWAG_DISCORD_MESSAGE_CONTENT).",
    },
    "servers_only": {"en": "This works on a server only.", "ko": "서버에서만 쓸 수 있어요."},
    "good": {"en": "👍", "ko": "👍"},
    "bad": {"en": "👎", "ko": "👎"},
    "sensible": {"en": "Sensible?", "ko": "말이 되나요?"},
    "specific": {"en": "Specific?", "ko": "구체적인가요?"},
    "privacy": {
        "en": "I store only what is said to me (mentions, replies to me, my threads, /chat, direct messages, channels "
        "opened for me) and what I answered, under a code instead of your name{days}. Nobody trains on it. "
        "/export gives you all of it, /forget deletes it, and when I leave a server its conversations are deleted.",
        "ko": "저에게 한 말(멘션, 답장, 제 스레드, /chat, DM, 저에게 열린 채널)과 "
        "제 대답만 이름 대신 부호로 저장해요{days}. "
        "학습에는 쓰지 않아요. /export 로 전부 받고 /forget 으로 지울 수 있으며, 제가 서버를 떠나면 대화도 지워져요.",
    },
    "days": {"en": ", for {n} days", "ko": " ({n}일 동안)"},
    "help": {
        "en": "Mention me, reply to me, write me directly, or use /chat. I'm a chatbot: what I say may be wrong.\n"
        "/chat talk · /reset begin anew · /persona who I am · /why how my last reply came about · /rate rate it · "
        "/export and /forget what is stored about you · /privacy what that is · "
        "/settings for those who manage the server",
        "ko": "저를 멘션하거나 답장하거나 DM을 보내거나 /chat 을 쓰세요. 저는 챗봇이라 틀린 말을 할 수 있어요.\n"
        "/chat 대화 · /reset 새로 시작 · /persona 저는 누구 · /why 마지막 답의 이유 · /rate 평가 · "
        "/export, /forget 저장된 것 · /privacy 안내 · /settings 서버 관리자용",
    },
}


def word(name: str, language: str = "en", **values: object) -> str:
    """A sentence of the door in a language; English where there is no other."""
    forms = _WORDS[name]
    return forms.get(language, forms["en"]).format(**values)


def sentence_for(error: ChinwagError, language: str) -> str:
    """What a person is told: never a traceback, never a detail of the machine, which only the log gets."""
    if isinstance(error, Overloaded | DeadlineExceeded):
        return word("busy", language)
    return str(error) if isinstance(error, UserError) else word("failed", language)
