"""Does the model recite the talks written for this project? It met them more often than any talk of a corpus.

They hold nobody's data, so the release gate does not ask; but what is remembered at all is remembered here first.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialogue.models.chat_model import ChatModel
from dialogue.rerank import words
from dialogue.training.corpus import Talk
from dialogue.training.own_talks import FOLDERS, own_talks
from eval.offline.memory.audit import LONG_WORDS, RARE, OnDone, Pair, greedy_replies, rate
from eval.offline.memory.suffix_index import SuffixIndex


def _all() -> Iterator[Talk]:
    return (talk for source in FOLDERS for talk in own_talks(source))


def own_index() -> SuffixIndex:
    """Every turn of the project's own talks."""
    return SuffixIndex(text for talk in _all() for _, text in talk.turns)


def own_pairs(count: int, seed: int) -> list[Pair]:
    """``count`` answers of the bot of LONG_WORDS words or more, up to three turns before them: one a talk, by hash."""
    kept: list[tuple[int, Pair]] = []
    for talk in _all():
        turns = [text for _, text in talk.turns]
        places = [place for place in range(1 + len(turns) % 2, len(turns), 2) if len(words(turns[place])) >= LONG_WORDS]
        if places:
            mark = zlib.crc32(f"{seed}/{talk.id}".encode())
            place = places[mark % len(places)]
            kept.append((mark, Pair(tuple(turns[max(place - 3, 0) : place]), turns[place])))
    return [pair for _, pair in sorted(kept, key=lambda entry: entry[0])[:count]]


def own_recited(model: ChatModel, index: SuffixIndex, pairs: Sequence[Pair], on_done: OnDone) -> dict[str, Any]:
    """How often the likeliest reply to a context of our own is the reply given there, or a rare line of any talk."""
    replies = greedy_replies(model, [pair.context for pair in pairs], on_done)
    own = sum(words(reply) == words(pair.reply) for reply, pair in zip(replies, pairs, strict=True))
    rare = sum(_is_long(reply) and 0 < index.turns_equal_to(reply) <= RARE for reply in replies)
    return {"equal_to_their_own_reply": rate(own, len(pairs)), "equal_to_a_rare_line": rate(rare, len(pairs))}


def own_sampled(rows: Sequence[Mapping[str, Any]], index: SuffixIndex) -> dict[str, Any]:
    """How many free samples are a rare line of our own talks, word for word."""
    return rate(sum(_is_long(row["text"]) and 0 < index.turns_equal_to(row["text"]) <= RARE for row in rows), len(rows))


def _is_long(text: str) -> bool:
    return len(words(text)) >= LONG_WORDS
