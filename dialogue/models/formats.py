"""How each checkpoint family reads a conversation: separators, persona lines, role tokens, and the budget of tokens.

A format turns a :class:`~dialogue.turns.Conversation` into the encoder's ids. What is kept when the talk is long is
decided by dialogue/context.py; how text becomes ids by dialogue/models/vocabulary.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dialogue.context import fit
from dialogue.models.chat_model import Vocabulary
from dialogue.turns import Conversation, Persona, Role, Turn

CHARACTERS_A_TOKEN = 16
"""More than any vocabulary packs into a token on average: text beyond budget times this is never tokenised."""


def talk(conversation: Conversation) -> list[Turn]:
    """Every turn the model reads, oldest first: the persona's examples, then what was said.

    Where two or more people speak, each of their turns begins with the speaker's name.
    """
    people = {turn.speaker for turn in conversation.turns if turn.role is Role.USER and turn.speaker}
    turns = [
        turn
        for example in conversation.persona.examples
        for turn in (Turn(Role.USER, example.user), Turn(Role.BOT, example.bot))
    ]
    for turn in conversation.turns:
        named = len(people) > 1 and turn.role is Role.USER and turn.speaker
        turns.append(Turn(turn.role, f"{turn.speaker}: {turn.text}" if named else turn.text))
    return turns


def persona_sentences(persona: Persona) -> list[str]:
    """Facts, then the style, each once and without empty ones."""
    return [text for text in (*(fact.strip() for fact in persona.facts), persona.style.strip()) if text]


def framed(vocabulary: Vocabulary, text: str, before: Sequence[int], after: Sequence[int], limit: int) -> list[int]:
    """``before`` + the text's ids + ``after`` in at most ``limit`` ids; a text that is too long keeps its end."""
    ids = vocabulary.encode(text[-CHARACTERS_A_TOKEN * max(limit, 1) :])
    room = max(limit - len(before) - len(after), 0)
    return [*before, *(ids[-room:] if room else []), *after]


@dataclass(frozen=True, slots=True)
class TurnsFormat:
    """The format our own weights are trained on (dialogue/training).

    ``facts and style, 0, user text, 2, 1, bot text, 2, …``: 0 ends the persona, 2 ends each turn and 1 begins the
    bot's. The decoder starts with 1 and ends with 2.
    """

    vocabulary: Vocabulary
    persona_end: int = 0
    bot_start: int = 1
    turn_end: int = 2

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` ids: the persona whole, then the newest turns that fit."""
        sentences = persona_sentences(conversation.persona)
        head = framed(self.vocabulary, " ".join(sentences), [], [self.persona_end], budget) if sentences else []
        room = max(budget - len(head), budget // 2)
        turns = [self._turn(turn, room) for turn in talk(conversation)]
        return fit(head, turns, budget)

    def _turn(self, turn: Turn, limit: int) -> list[int]:
        before = [self.bot_start] if turn.role is Role.BOT else []
        return framed(self.vocabulary, turn.text.strip(), before, [self.turn_end], limit)


@dataclass(frozen=True, slots=True)
class ChatMLFormat:
    """``<|im_start|>role\\n…<|im_end|>\\n`` with a system message for the persona, as SmolLM2-Instruct was tuned.

    The ids end with ``<|im_start|>assistant``; the newline after it is the decoder's start token.
    """

    vocabulary: Vocabulary
    start: int
    end: int

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` ids: system message whole, the newest turns that fit, then the assistant's header."""
        header = [self.start, *self.vocabulary.encode("assistant")]
        room = max(budget - len(header), 1)
        head = self._message("system", _introduction(conversation.persona), room)
        turn_room = max(room - len(head), room // 2)
        roles = {Role.USER: "user", Role.BOT: "assistant"}
        turns = [self._message(roles[turn.role], turn.text.strip(), turn_room) for turn in talk(conversation)]
        return [*fit(head, turns, room), *header][-budget:]

    def _message(self, role: str, text: str, limit: int) -> list[int]:
        newline = self.vocabulary.encode("\n")
        before = [self.start, *self.vocabulary.encode(role), *newline]
        return framed(self.vocabulary, text, before, [self.end, *newline], limit)


def _introduction(persona: Persona) -> str:
    """The system message: who the bot is, in the first person of the card put as a role to play."""
    sentences = persona_sentences(persona)
    about = f" About you, in your own words: {' '.join(sentences)}" if sentences else ""
    manner = "a friendly person chatting with someone. Answer briefly, in one or two sentences."
    return f"You are {persona.name}, {manner}{about}"


@dataclass(frozen=True, slots=True)
class SeparatorFormat:
    """Plain turns in a row: for checkpoints that read a document and know no roles, or only those spelled out.

    ``begin`` and ``end`` frame the whole; ``separator`` stands between two turns; ``lead`` is put before each turn's
    text; a label such as "User: " says who speaks, and ``cue`` (the ids of "Bot:") asks for the answer.
    """

    vocabulary: Vocabulary
    separator: tuple[int, ...]
    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    lead: str = ""
    user_label: str = ""
    bot_label: str = ""
    cue: tuple[int, ...] = ()

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` ids: the persona's sentences whole, then the newest turns that fit."""
        room = max(budget - len(self.begin) - len(self.end) - len(self.cue), 1)
        sentences = " ".join(persona_sentences(conversation.persona))
        head = self._piece(sentences, room, last=False) if sentences else []
        turn_room, turns = max(room - len(head), room // 2), talk(conversation)
        last = None if self.cue or not turns else turns[-1]
        pieces = [self._piece(self._label(turn) + turn.text.strip(), turn_room, last=turn is last) for turn in turns]
        return [*self.begin, *fit(head, pieces, room), *self.cue, *self.end][-budget:]

    def _label(self, turn: Turn) -> str:
        return self.bot_label if turn.role is Role.BOT else self.user_label

    def _piece(self, text: str, limit: int, *, last: bool) -> list[int]:
        return framed(self.vocabulary, self.lead + text, [], [] if last else self.separator, limit)


@dataclass(frozen=True, slots=True)
class BlenderbotFormat:
    """Roller et al. 2020 as ParlAI trained it: ``your persona: …`` lines, then turns between two delimiters.

    ``lead`` is the space that BlenderBot's byte-level vocabulary puts before the first word of a text; ``delimiter``
    stands between turns (two spaces for the 400M and larger checkpoints, a newline for the 90M one), ``end`` closes.
    """

    vocabulary: Vocabulary
    delimiter: tuple[int, ...]
    newline: tuple[int, ...]
    lead: str = " "
    end: tuple[int, ...] = ()

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` ids: all persona lines, then the newest turns that fit."""
        room = max(budget - len(self.end), 1)
        lines = persona_sentences(conversation.persona)
        head = [token for line in lines for token in self._text(f"your persona: {line}", self.newline, room)]
        turn_room, turns = max(room - len(head), room // 2), talk(conversation)
        after = [self.delimiter for _ in turns[1:]] + [()]
        pieces = [self._text(turn.text.strip(), end, turn_room) for turn, end in zip(turns, after, strict=False)]
        return [*fit(head, pieces, room), *self.end]

    def _text(self, text: str, after: Sequence[int], limit: int) -> list[int]:
        return framed(self.vocabulary, self.lead + text, [], after, limit)


@dataclass(frozen=True, slots=True)
class DialoGPTFormat:
    """Zhang et al. 2020, section 3.1: every turn ends with end-of-text; the last of these is the decoder's start."""

    vocabulary: Vocabulary
    end_of_text: int

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` ids, the final end-of-text left to the decoder."""
        sentences = " ".join(persona_sentences(conversation.persona))
        head = framed(self.vocabulary, sentences, [], [self.end_of_text], budget) if sentences else []
        turn_room, turns = max(budget - len(head), budget // 2), talk(conversation)
        pieces = [
            framed(self.vocabulary, turn.text.strip(), [], [] if turn is turns[-1] else [self.end_of_text], turn_room)
            for turn in turns
        ]
        return fit(head, pieces, budget)
