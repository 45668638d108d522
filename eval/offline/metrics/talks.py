"""What goes wrong over a whole talk: loops, repeated turns, a speaker who contradicts themselves."""

from __future__ import annotations

from collections.abc import Sequence

from dialogue.rerank import MIN_WORDS, common_subsequence, words
from eval.offline.metrics.clash import contradicts

LOOPED = 0.8


def plain(text: str) -> str:
    """A turn as its words in lower case."""
    return " ".join(words(text))


def repeated_turns(turns: Sequence[str]) -> float:
    """The share of turns that say exactly what an earlier turn of the talk said, letters only."""
    said = [plain(turn) for turn in turns]
    again = sum(turn in said[:place] for place, turn in enumerate(said))
    return again / len(said) if said else 0.0


def overlap_with_earlier(turns: Sequence[str], earlier: Sequence[str]) -> float:
    """The greatest share of the last turn's words that one earlier turn has in the same order, in [0, 1].

    Adiwardana et al. 2020, section 5.2, the measure of their cross-turn repetition rule.
    """
    own = words(turns[-1]) if turns else []
    longest = max((common_subsequence(own, words(turn)) for turn in earlier), default=0)
    return longest / max(len(own), MIN_WORDS)


def loops(turns: Sequence[str]) -> bool:
    """Whether the talk runs in a circle: in its second half, most turns nearly repeat a turn before them."""
    half = len(turns) // 2
    late = range(max(half, 1), len(turns))
    near = [overlap_with_earlier([turns[place]], turns[:place]) >= LOOPED for place in late]
    return len(near) >= 2 and sum(near) * 2 > len(near)


def own_contradictions(turns: Sequence[str], facts: Sequence[str] = ()) -> float:
    """The share of a speaker's turns that deny, by the rules of clash.py, a fact of theirs or an earlier turn."""
    against = [contradicts(turn, [*facts, *turns[:place]]) for place, turn in enumerate(turns)]
    return sum(against) / len(against) if against else 0.0
