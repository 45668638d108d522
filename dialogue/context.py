"""What of a long conversation the model gets to read: the persona whole, then the newest turns that fit.

Works on token ids only; how a checkpoint family writes turns and personas is dialogue/models/formats.py.
"""

from __future__ import annotations

from collections.abc import Sequence


def fit(head: Sequence[int], turns: Sequence[Sequence[int]], budget: int) -> list[int]:
    """At most ``budget`` ids: ``head`` (the persona), then as many of the newest ``turns`` as fit, oldest first.

    Long talk never pushes the head out. A newest turn that is too long by itself keeps its end, because that is where
    the question usually stands; a head longer than the budget leaves half of it to the newest turn.
    """
    newest = len(turns[-1]) if turns else 0
    room_for_head = max(budget - newest, budget - budget // 2)
    kept_head = list(head[:room_for_head])
    room = budget - len(kept_head)
    kept: list[Sequence[int]] = []
    for turn in reversed(turns):
        if len(turn) > room:
            break
        kept.append(turn)
        room -= len(turn)
    if turns and not kept and room > 0:
        kept.append(turns[-1][-room:])
    return kept_head + [token for turn in reversed(kept) for token in turn]
