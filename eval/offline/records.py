"""What is known of an item once the model has answered and scored it; read from and written to JSON Lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eval.offline.items import Item


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A given reply under the model: ``nats`` of its tokens and its end, ``right`` tokens guessed, its sizes.

    ``alone`` are the nats of the same reply without the context; nan where it was not asked for.
    """

    nats: float
    tokens: int
    right: int
    words: int
    size: int
    alone: float = float("nan")

    @property
    def mean_log_prob(self) -> float:
        """log p(reply | context) per token, in nats."""
        return -self.nats / self.tokens

    @property
    def pmi(self) -> float:
        """log p(reply | context) - log p(reply) per token (Li et al. 2016, eq. 9 with lambda 1)."""
        return (self.alone - self.nats) / self.tokens

    def as_dict(self) -> dict[str, float | int | None]:
        """JSON-ready."""
        raw = asdict(self)
        return raw | {"alone": None if self.alone != self.alone else self.alone}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Likelihood:
        """The reverse of :meth:`as_dict`."""
        return cls(**{**raw, "alone": float("nan") if raw["alone"] is None else raw["alone"]})


@dataclass(frozen=True, slots=True)
class Scored:
    """An item, the engine's reply to it, and the likelihood of its human answers; None and () where not computed."""

    item: Item
    facts: tuple[str, ...] = ()
    reply: str | None = None
    reply_source: str = ""
    seconds: float = 0.0
    candidates: int = 0
    stopped: int = 0
    references: tuple[Likelihood, ...] = ()
    negatives: tuple[Likelihood, ...] = ()


def scored(
    item: Item, facts: Sequence[str], reply: Mapping[str, Any] | None, likelihood: Mapping[str, Any] | None
) -> Scored:
    """From a line of ``replies.jsonl`` (bot/batch.py) and one of ``likelihood.jsonl``; either may be missing."""
    found = Scored(item, tuple(facts))
    values: dict[str, Any] = {}
    if reply is not None:
        dropped = [str(candidate["dropped_by"] or "") for candidate in reply["candidates"]]
        values |= {
            "reply": reply["reply"],
            "reply_source": reply["source"],
            "seconds": sum(reply["seconds"].values()),
            "candidates": len(dropped),
            "stopped": sum(reason.startswith("safety:") for reason in dropped),
        }
    if likelihood is not None:
        for name in ("references", "negatives"):
            values[name] = tuple(Likelihood.from_dict(each) for each in likelihood[name])
    return replace(found, **values)
