"""Which language a message is written in, told only when it is plain, and an honest line in that language.

Scripts decide where they can; languages in Latin letters need two different function words that English does not have.
A short or mixed message is taken for the bot's own language: a wrong "I don't speak that" is worse than a clumsy reply.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_SCRIPTS = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "CYRILLIC": "ru", "GREEK": "el", "ARABIC": "ar",
    "HEBREW": "he", "THAI": "th", "DEVANAGARI": "hi",
}  # fmt: skip

_FUNCTION_WORDS = {
    "es": "que el los las una por con está estás cómo qué pero muy gracias hola eres tienes tengo quiero dónde hoy",
    "fr": "je tu il elle nous vous est les des une pas que qui avec pour bonjour merci suis êtes c'est j'ai ça où très",
    "de": "ich du er wir ihr und ist nicht das ein eine mit für auf hallo danke wie geht bist dir mir heute auch sehr",
    "it": "che il gli una con per non sono sei ciao grazie come stai perché questo anche molto oggi della hai",
    "pt": "que o os uma com não você olá obrigado obrigada como está muito hoje também por eu tudo bem",
    "nl": "ik je het een en niet met van voor hallo dank hoe gaat jij dat wat ook heel vandaag ben",
}
_ENGLISH_WORDS = """
    the a an and is are was were i you he she it we they my your do does did what how who why where when not no yes to
    of in on at for with that this but have has can will would like me so if or be been there their them his her our
    just about
"""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_WORDS = {code: frozenset(words.split()) - _ENGLISH for code, words in _FUNCTION_WORDS.items()}

SORRY = {
    "en": "I'm sorry, I only speak English so far.",
    "ko": "미안해요, 저는 아직 한국어를 잘하지 못해요. 영어로 이야기해 주시겠어요?",
    "ja": "ごめんなさい、まだ英語しか話せません。英語で話していただけますか？",
    "zh": "对不起，我目前只会说英语。可以用英语和我聊吗？",
    "ru": "Простите, я пока говорю только по-английски. Можем поговорить по-английски?",
    "el": "Συγγνώμη, προς το παρόν μιλάω μόνο αγγλικά. Μπορούμε να μιλήσουμε στα αγγλικά;",
    "ar": "عذرًا، لا أتحدث حتى الآن إلا الإنجليزية. هل يمكننا التحدث بالإنجليزية؟",
    "he": "סליחה, בינתיים אני מדבר רק אנגלית. אפשר לדבר באנגלית?",
    "th": "ขอโทษนะ ตอนนี้ฉันพูดได้แค่ภาษาอังกฤษ คุยเป็นภาษาอังกฤษได้ไหม",
    "hi": "माफ़ कीजिए, मैं अभी केवल अंग्रेज़ी बोलता हूँ। क्या हम अंग्रेज़ी में बात कर सकते हैं?",
    "es": "Lo siento, por ahora solo hablo inglés. ¿Podemos hablar en inglés?",
    "fr": "Désolé, je ne parle que l'anglais pour l'instant. On peut parler en anglais ?",
    "de": "Es tut mir leid, ich spreche bisher nur Englisch. Können wir Englisch reden?",
    "it": "Mi dispiace, per ora parlo solo inglese. Possiamo parlare in inglese?",
    "pt": "Desculpe, por enquanto só falo inglês. Podemos falar em inglês?",
    "nl": "Sorry, ik spreek voorlopig alleen Engels. Kunnen we Engels praten?",
}


def detect_language(text: str) -> str | None:
    """The ISO 639-1 code of a text whose language is plain to see, else ``None``."""
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return None
    scripts = Counter(_script_language(char) for char in letters)
    if (scripts["ja"] or scripts["ko"]) and scripts["zh"]:
        scripts["ja" if scripts["ja"] else "ko"] += scripts.pop("zh")
    code, count = scripts.most_common(1)[0]
    if code != "latin":
        return code if count > len(letters) / 2 else None
    return _latin_language(text)


def _script_language(char: str) -> str:
    script = unicodedata.name(char, "").split(" ")[0]
    return _SCRIPTS.get(script, "latin")


def _latin_language(text: str) -> str | None:
    """Needs two different foreign function words and more of them than English ones."""
    words = set(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.lower()))
    english = len(words & _ENGLISH)
    code, found = max(((code, len(words & own)) for code, own in _WORDS.items()), key=lambda pair: pair[1])
    if found >= 2 and found > english:
        return code
    return "en" if english >= 2 else None
