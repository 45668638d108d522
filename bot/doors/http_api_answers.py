"""From a request to words: stateless (the client sends the whole talk) or kept (the server remembers it).

Speaks in values; OpenAI's JSON is made in http_api_chat.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_schemas import Message, Sampling
from bot.doors.http_api_service import DOOR, Service
from bot.exchange import IncomingMessage, Reply, Source
from bot.responder import Answer, Stopwatch
from bot.tidy import tidy
from bot.wishes import Wishes
from dialogue.candidates import Candidate
from dialogue.decoding.config import DecodingConfig
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from safety.verdict import Action

OnTokens = Callable[[int], None]
_SYSTEM = ("system", "developer")
_MAX_SYSTEM_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Choice:
    """One text to offer; ``finish`` is OpenAI's reason: "stop", "length" or "content_filter"."""

    text: str
    finish: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is offered, and how it came about."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    source: Source
    seconds: dict[str, float] = field(default_factory=dict)
    turn_id: int | None = None


def conversation_of(service: Service, messages: Sequence[Message], persona: str | None) -> Conversation:
    """The client's messages as a conversation that ends with a person. ApiError 400 where that is impossible."""
    limit = service.engine.habits.max_message_chars
    card = load_persona(persona or service.engine.habits.persona)
    told = "\n".join(message.text for message in messages if message.role in _SYSTEM).strip()
    turns = [turn for message in messages if (turn := _turn(message, limit)) is not None]
    while turns and turns[-1].role is Role.BOT:  # a front end's "continue": answer what was asked before it
        turns.pop()
    if not turns:
        raise ApiError(400, "There is no message of a user to answer.", code="invalid_value", param="messages")
    key = ConversationKey(DOOR, "stateless")
    return Conversation(key, _instructed(card, told), tuple(turns[-service.engine.habits.history_turns :]))


def _turn(message: Message, limit: int) -> Turn | None:
    """A message as a turn; system messages, tool results and empty messages are none."""
    if message.role not in ("user", "assistant") or not message.text.strip():
        return None
    role = Role.USER if message.role == "user" else Role.BOT
    return Turn(role, tidy(message.text, limit), message.name)


def _instructed(card: Persona, told: str) -> Persona:
    """The client's own system message takes the place of the card."""
    if not told:
        return card
    facts = tuple(line.strip() for line in tidy(told[:_MAX_SYSTEM_CHARS], _MAX_SYSTEM_CHARS).splitlines())
    return Persona(card.name, tuple(fact for fact in facts if fact), language=card.language)


def decoding(service: Service, request: Sampling, preset: str | None, reply_tokens: int | None) -> DecodingConfig:
    """The preset's decoding with what the request may change of it."""
    seed = None if request.seed is None else request.seed & 0x7FFFFFFF
    config = service.engine.responder.decoding(preset or service.engine.habits.preset, seed)
    return Wishes(reply_tokens, request.temperature, request.top_p, request.n).granted(config)


async def answer_once(
    service: Service, conversation: Conversation, config: DecodingConfig, request: Sampling, on_tokens: OnTokens
) -> Outcome:
    """Answer a conversation that nobody keeps."""
    watch = Stopwatch()
    answer = await service.engine.responder.respond(
        conversation, config, deadline=service.deadline(), watch=watch, refuse_late=True, on_step=on_tokens
    )
    service.metrics.observe(DOOR, answer, watch.seconds)
    texts = _texts(service, answer, conversation, request.n or 1)
    choices = tuple(_choice(service, text, candidate, request.stops, answer) for text, candidate in texts)
    return Outcome(choices, prompt_tokens(service, conversation), answer.source, dict(watch.seconds))


async def answer_kept(service: Service, message: IncomingMessage, request: Sampling, on_tokens: OnTokens) -> Outcome:
    """Answer within a conversation that the server keeps; leaving early cancels the reply."""
    async for event in service.engine.events(message):
        if event.reply is not None:
            service.metrics.observe(DOOR, event.reply, event.reply.seconds)
            said = next((c for c in event.reply.candidates if c.dropped_by is None), None)
            choice = _choice(service, event.reply.turn.text, said, request.stops, event.reply)
            heard = len(service.engine.responder.model.vocabulary.encode(message.text))
            return Outcome((choice,), heard, event.reply.source, dict(event.reply.seconds), event.reply.turn_id)
        on_tokens(event.tokens)
    raise AssertionError("events always end with the reply or an error")


def prompt_tokens(service: Service, conversation: Conversation) -> int:
    """Tokens of the messages' texts, at most what the model reads."""
    model = service.engine.responder.model
    return min(model.max_context, sum(len(model.vocabulary.encode(turn.text)) for turn in conversation.turns))


def _texts(service: Service, answer: Answer, conversation: Conversation, n: int) -> list[tuple[str, Candidate | None]]:
    """``n`` texts: the answer, other candidates that safety allows; if these are too few, the answer again."""
    said = next((c for c in answer.candidates if c.dropped_by is None), None)
    texts: list[tuple[str, Candidate | None]] = [(answer.text, said)]
    others = [c for c in answer.candidates if c.dropped_by is None and c is not said]
    for candidate in others if answer.source is Source.MODEL and n > 1 else []:
        verdict = service.engine.responder.safety.say(Turn(Role.BOT, candidate.text), conversation)
        if verdict.allows and len(texts) < n:
            masked = verdict.action is Action.MASK
            texts.append(
                (service.engine.responder.safety.mask(candidate.text) if masked else candidate.text, candidate)
            )
    return [*texts, *[texts[0]] * (n - len(texts))]


def _choice(
    service: Service, text: str, candidate: Candidate | None, stops: Sequence[str], answer: Answer | Reply
) -> Choice:
    cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    finished = cut < len(text) or candidate is None or candidate.hypothesis.finished
    finish = "content_filter" if answer.source is Source.DEFLECTION else "stop" if finished else "length"
    said = text[:cut].rstrip() if cut < len(text) else text
    whole = candidate is not None and cut == len(text) and answer.source is Source.MODEL
    counted = len(candidate.hypothesis.token_ids) if whole and candidate else 0
    # none where words are counted that no search chose, and where a stored answer is given again
    return Choice(said, finish, counted or len(service.engine.responder.model.vocabulary.encode(said)))
