"""The memory of a program that should remember nothing afterwards: tests, evaluation, ``CHINWAG_DATABASE_URL=memory:``.

Holds itself to the same contract tests as the SQL store.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.exchange import Exchange, Export, Feedback, Forgotten, Reply
from bot.history.export import exported
from bot.history.keeping import check_settings, identifier, kept, storable
from bot.history.locks import LocalLocks
from bot.history.people import Pseudonyms
from bot.history.store import AlreadyAnswered, Given, Record, Scope, Stored
from dialogue.errors import UserError
from dialogue.turns import ConversationKey, PersonKey, Turn


@dataclass(frozen=True, slots=True)
class _Entry:
    key: ConversationKey
    episode: int
    person: str
    record: Record

    @property
    def turn_ids(self) -> tuple[int, int]:
        return self.record.heard_id, self.record.reply.turn_id


@dataclass(slots=True)
class _Place:
    episode: int = 0
    persona: str | None = None
    touched: datetime | None = None


@dataclass(slots=True)
class _Shelves:
    """Everything the store holds; exchanges in the order they were stored."""

    entries: list[_Entry] = field(default_factory=list)
    places: dict[ConversationKey, _Place] = field(default_factory=dict)
    deliveries: dict[tuple[ConversationKey, str], int] = field(default_factory=dict)
    ratings: dict[tuple[int, str, str], Given] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)


class MemoryStore:
    """A HistoryStore in this process only."""

    def __init__(self, *, person_key: bytes | None = None) -> None:
        self._pseudonyms = Pseudonyms(person_key or secrets.token_bytes(32))
        self._shelves = _Shelves()
        self._ids = itertools.count(1)
        self._guard = threading.RLock()
        self._locks = LocalLocks()

    def load(self, key: ConversationKey, *, last: int) -> Stored:
        """See HistoryStore."""
        with self._guard:
            place = self._shelves.places.get(_clean(key), _Place())
            turns = [turn for entry in self._episode(_clean(key), place.episode) for turn in _turns(entry)]
            return Stored(tuple(turns[-last:] if last > 0 else ()), place.persona)

    def set_persona(self, key: ConversationKey, name: str | None) -> None:
        """See HistoryStore."""
        with self._guard:
            self._place(key).persona = None if name is None else storable(name)

    def reset(self, key: ConversationKey) -> None:
        """See HistoryStore."""
        with self._guard:
            self._place(key).episode += 1

    def answered(self, key: ConversationKey, message_id: str) -> Reply | None:
        """See HistoryStore."""
        clean, wanted = _clean(key), identifier(message_id)
        with self._guard:
            found = (e.record.reply for e in self._shelves.entries if e.key == clean and e.record.message_id == wanted)
            return next(found, None)

    def append(self, key: ConversationKey, exchange: Exchange) -> list[int]:
        """See HistoryStore."""
        exchange = kept(exchange)
        with self._guard:
            first = None if exchange.message_id is None else self.answered(key, exchange.message_id)
            if first is not None:
                raise AlreadyAnswered(first)
            place, person = self._place(key), self._known(exchange.person)
            place.touched = exchange.said.said_at
            record = self._recorded(exchange)
            self._shelves.entries.append(_Entry(_clean(key), place.episode, person, record))
            return [record.heard_id, record.reply.turn_id]

    def why(self, key: ConversationKey) -> Record | None:
        """See HistoryStore."""
        with self._guard:
            place = self._shelves.places.get(_clean(key), _Place())
            return next((entry.record for entry in reversed(self._episode(_clean(key), place.episode))), None)

    def record(self, turn_id: int) -> Record | None:
        """See HistoryStore."""
        with self._guard:
            entry = self._entry_of(turn_id)
            return entry.record if entry else None

    def transcript(self, turn_id: int) -> tuple[Turn, ...]:
        """See HistoryStore."""
        with self._guard:
            entry = self._entry_of(turn_id)
            if entry is None:
                return ()
            episode = self._episode(entry.key, entry.episode)
            pairs = [pair for e in episode for pair in zip(e.turn_ids, _turns(e), strict=True)]
            return tuple(turn for number, turn in pairs if number <= turn_id)

    def sent(self, key: ConversationKey, turn_id: int, message_ids: tuple[str, ...]) -> None:
        """See HistoryStore."""
        with self._guard:
            self._must_exist(turn_id)
            self._shelves.deliveries |= {(_clean(key), identifier(message_id)): turn_id for message_id in message_ids}

    def turn_sent_as(self, key: ConversationKey, message_id: str) -> int | None:
        """See HistoryStore."""
        with self._guard:
            return self._shelves.deliveries.get((_clean(key), identifier(message_id)))

    def feedback(self, feedback: Feedback) -> None:
        """See HistoryStore."""
        with self._guard:
            self._must_exist(feedback.turn_id)
            rater, label = self._known(feedback.person), storable(feedback.label)
            given = Given(feedback.turn_id, rater, label, feedback.value, storable(feedback.form), feedback.given_at)
            self._shelves.ratings[(feedback.turn_id, rater, label)] = given

    def withdraw(self, turn_id: int, person: PersonKey, label: str) -> bool:
        """See HistoryStore."""
        with self._guard:
            key = (turn_id, self._pseudonyms.of(person), storable(label))
            return self._shelves.ratings.pop(key, None) is not None

    def ratings(self, *, form: str | None = None) -> tuple[Given, ...]:
        """See HistoryStore."""
        with self._guard:
            every = sorted(self._shelves.ratings.values(), key=lambda given: (given.turn_id, given.label, given.rater))
            return tuple(given for given in every if form is None or given.form == form)

    def forget(self, person: PersonKey) -> Forgotten:
        """See HistoryStore."""
        who = self._pseudonyms.of(person)
        with self._guard:
            counts = self._remove(lambda entry: entry.person == who)
            counts["ratings"] += self._drop_ratings(lambda given: given.rater == who)
            counts["settings"] = len(self._shelves.settings.pop(_scope(person, self._pseudonyms), {}))
            counts["people"] = int(who in self._shelves.people)
            self._shelves.people.discard(who)
            return Forgotten(dict(counts))

    def export(self, person: PersonKey) -> Export:
        """See HistoryStore."""
        who = self._pseudonyms.of(person)
        with self._guard:
            said = [(entry.key, entry.record) for entry in self._shelves.entries if entry.person == who]
            given = [given for given in self.ratings() if given.rater == who]
            return exported(person.door, said, given, self.settings(person))

    def purge(self, older_than: datetime) -> Forgotten:
        """See HistoryStore."""
        with self._guard:
            counts = self._remove(lambda entry: entry.record.reply.turn.said_at < older_than)
            busy = {entry.person for entry in self._shelves.entries}
            busy |= {given.rater for given in self._shelves.ratings.values()}
            counts["people"] = len(self._shelves.people - busy)
            self._shelves.people &= busy
            return Forgotten(dict(counts))

    def erase(self, door: str, place_prefix: str) -> Forgotten:
        """See HistoryStore."""
        with self._guard:
            gone = {key for key in self._shelves.places if key.door == door and key.place.startswith(place_prefix)}
            counts = self._remove(lambda entry: entry.key in gone)
            left = gone & self._shelves.places.keys()
            for key in left:
                del self._shelves.places[key]
            counts["conversations"] += len(left)
            return Forgotten(dict(counts))

    def settings(self, scope: Scope) -> Mapping[str, Any]:
        """See HistoryStore."""
        with self._guard:
            return deepcopy(self._shelves.settings.get(_scope(scope, self._pseudonyms), {}))

    def put_settings(self, scope: Scope, changes: Mapping[str, Any]) -> None:
        """See HistoryStore."""
        check_settings(scope, changes)
        with self._guard:
            values = self._shelves.settings.setdefault(_scope(scope, self._pseudonyms), {})
            values |= deepcopy(dict(changes))
            for name in [name for name, value in values.items() if value is None]:
                del values[name]

    def clear_settings(self, scope: Scope) -> None:
        """See HistoryStore."""
        check_settings(scope, {})
        with self._guard:
            self._shelves.settings.pop(_scope(scope, self._pseudonyms), None)

    def lock(self, key: ConversationKey, *, timeout_s: float) -> AbstractContextManager[None]:
        """See HistoryStore."""
        return self._locks.hold(key, timeout_s)

    def close(self) -> None:
        """See HistoryStore."""

    def _episode(self, key: ConversationKey, episode: int) -> list[_Entry]:
        return [entry for entry in self._shelves.entries if entry.key == key and entry.episode == episode]

    def _place(self, key: ConversationKey) -> _Place:
        return self._shelves.places.setdefault(_clean(key), _Place())

    def _known(self, person: PersonKey) -> str:
        who = self._pseudonyms.of(person)
        self._shelves.people.add(who)
        return who

    def _recorded(self, exchange: Exchange) -> Record:
        heard_id, said_id = next(self._ids), next(self._ids)
        reply = Reply(
            exchange.said,
            said_id,
            exchange.source,
            exchange.candidates,
            exchange.verdict_in,
            exchange.verdict_out,
            exchange.seconds,
        )
        return Record(exchange.heard, heard_id, reply, exchange.model, exchange.persona, exchange.message_id)

    def _entry_of(self, turn_id: int) -> _Entry | None:
        return next((entry for entry in self._shelves.entries if turn_id in entry.turn_ids), None)

    def _must_exist(self, turn_id: int) -> None:
        if self._entry_of(turn_id) is None:
            raise UserError(f"There is no stored turn number {turn_id}; it may have been deleted.")

    def _remove(self, gone: Callable[[_Entry], bool]) -> Counter[str]:
        """Remove exchanges with all that hangs on them, and conversations that are empty afterwards."""
        shelves, leaving = self._shelves, [entry for entry in self._shelves.entries if gone(entry)]
        turn_ids = {turn_id for entry in leaving for turn_id in entry.turn_ids}
        shelves.entries = [entry for entry in shelves.entries if not gone(entry)]
        emptied = {entry.key for entry in leaving} - {entry.key for entry in shelves.entries}
        for key in emptied:
            del shelves.places[key]
        delivered = [pair for pair, turn_id in shelves.deliveries.items() if turn_id in turn_ids]
        for pair in delivered:
            del shelves.deliveries[pair]
        return Counter(
            turns=len(turn_ids),
            verdicts=len(turn_ids),
            candidates=sum(len(entry.record.reply.candidates) for entry in leaving),
            ratings=self._drop_ratings(lambda given: given.turn_id in turn_ids),
            conversations=len(emptied),
        )

    def _drop_ratings(self, gone: Callable[[Given], bool]) -> int:
        leaving = [name for name, given in self._shelves.ratings.items() if gone(given)]
        for name in leaving:
            del self._shelves.ratings[name]
        return len(leaving)


def _turns(entry: _Entry) -> tuple[Turn, Turn]:
    return entry.record.heard, entry.record.reply.turn


def _clean(key: ConversationKey) -> ConversationKey:
    return ConversationKey(identifier(key.door), identifier(key.place))


def _scope(scope: Scope, pseudonyms: Pseudonyms) -> str:
    return f"person:{pseudonyms.of(scope)}" if isinstance(scope, PersonKey) else identifier(scope)
