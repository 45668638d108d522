"""Score rules: what a reply may not say next. Each looks at one row's own tokens and context, never at its neighbours.

A rule never changes what it is given. Bans name token ids and are applied together, in one copy of the scores
(:class:`Rules`); the few rules that move scores instead return new ones. Nothing here knows the model or the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dialogue.decoding.config import DecodingConfig
from dialogue.errors import UserError

NOTHING = -1
"""The id that stands for "no token" wherever a rectangle of ids has room left."""


@dataclass(frozen=True, slots=True)
class Said:
    """What N live rows have said so far, and what was said to them.

    ``tokens`` (N, L): the start token, then the reply, then ``NOTHING``. ``lengths`` (N,): reply tokens so far.
    ``contexts`` (N, S): the ids whose n-grams may be blocked, then ``NOTHING``. ``shortest`` and ``longest`` are the
    extremes of ``lengths``, known without asking the device.
    """

    tokens: Tensor
    lengths: Tensor
    contexts: Tensor
    shortest: int
    longest: int

    def suffix(self, width: int) -> tuple[Tensor, Tensor]:
        """The last ``width`` tokens of each row, start included: (N, width) ids and (N,) whether there are enough."""
        at = self.lengths[:, None] + torch.arange(1 - width, 1, device=self.lengths.device)
        return self.tokens.gather(1, at.clamp(min=0)), self.lengths + 1 >= width


class Ban(Protocol):
    """A rule that forbids tokens."""

    def banned(self, said: Said) -> Tensor | None:
        """(N, M) ids that each row must not say next, ``NOTHING`` where there is none; None when no row has any."""
        ...


class Warp(Protocol):
    """A rule that moves scores."""

    def __call__(self, said: Said, scores: Tensor) -> Tensor:
        """(N, V) scores in, (N, V) scores out; the input stays as it was."""
        ...


def _check_ngram(n: int, what: str) -> None:
    if n < 1:
        raise UserError(f"{what} must be at least 1 token, not {n}; leave the rule out to switch it off.")


def _following(windows: Tensor, suffix: Tensor, valid: Tensor) -> Tensor:
    """Last tokens of the (N, W, n) windows that begin with the (N, n - 1) suffix: (N, W) ids or NOTHING."""
    match = (windows[..., :-1] == suffix[:, None, :]).all(dim=-1) & valid[:, None]
    return torch.where(match, windows[..., -1], NOTHING)


class MinLength:
    """No end of sequence before the reply has ``min_length`` tokens, the end included."""

    def __init__(self, min_length: int, eos_id: int) -> None:
        if min_length < 1:
            raise UserError(f"min_length must be at least 1 token, not {min_length}; leave the rule out instead.")
        self.min_length, self.eos_id = min_length, eos_id

    def banned(self, said: Said) -> Tensor | None:
        """EOS, for rows that are too short: (N, 1)."""
        if said.shortest + 1 >= self.min_length:
            return None
        return torch.where(said.lengths + 1 < self.min_length, self.eos_id, NOTHING)[:, None]


class NoRepeatNGram:
    """No n-gram twice in one reply (Paulus et al. 2017, section 2.5); the start token counts as its first token."""

    def __init__(self, n: int) -> None:
        _check_ngram(n, "no_repeat_ngram")
        self.n = n

    def banned(self, said: Said) -> Tensor | None:
        """Tokens that would complete an n-gram the row already has: (N, longest + 2 - n)."""
        if said.longest + 1 < self.n:
            return None
        windows = said.tokens[:, : said.longest + 1].unfold(1, self.n, 1)
        return _following(windows, *said.suffix(self.n - 1))


class NoRepeatContextNGram:
    """No n-gram of the context in the reply (Roller et al. 2020, section 4: "subsequence blocking" on the context)."""

    def __init__(self, n: int) -> None:
        _check_ngram(n, "no_repeat_context_ngram")
        self.n = n

    def banned(self, said: Said) -> Tensor | None:
        """Tokens that would complete an n-gram of the row's own context: (N, S + 1 - n)."""
        if said.longest + 2 < self.n or said.contexts.shape[1] < self.n:
            return None
        return _following(said.contexts.unfold(1, self.n, 1), *said.suffix(self.n - 1))


class BlockedSequences:
    """Token sequences that must not appear in a reply; a sequence of one token is never said at all."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        if not sequences or any(len(s) == 0 or min(s) < 0 for s in sequences):
            raise UserError("A blocked phrase must have at least one token; remove the empty one.")
        widths = sorted({len(s) for s in sequences})
        self._by_width = [torch.tensor(sorted({tuple(s) for s in sequences if len(s) == w})) for w in widths]

    def banned(self, said: Said) -> Tensor | None:
        """Last tokens of the P sequences whose other tokens the row has just said: (N, P)."""
        device = said.tokens.device
        return torch.cat([self._last(said, group.to(device)) for group in self._by_width], dim=1)

    def _last(self, said: Said, group: Tensor) -> Tensor:
        windows = group[None].expand(said.tokens.shape[0], -1, -1)
        width = group.shape[1] - 1
        if width > said.longest:
            return windows[:, :0, 0]
        suffix, _ = said.suffix(width)
        return _following(windows, suffix, said.lengths >= width)  # the start token is no part of a phrase


class RepetitionPenalty:
    """Tokens already said get less likely: log-probability times ``penalty`` (Keskar et al. 2019, section 4.1).

    It works on log-probabilities, as transformers' beam search does (its other searches penalise logits).
    A score above 0 would be divided instead; the start token counts as said.
    """

    def __init__(self, penalty: float) -> None:
        if not penalty > 0:
            raise UserError(f"repetition_penalty must be above 0, not {penalty}; 1 switches it off.")
        self.penalty = penalty

    def __call__(self, said: Said, scores: Tensor) -> Tensor:
        """(N, V) scores in, (N, V) scores out."""
        ids = said.tokens[:, : said.longest + 1]
        ids = torch.where(ids == NOTHING, said.tokens[:, :1], ids)
        old = scores.gather(1, ids)
        return scores.scatter(1, ids, torch.where(old < 0, old * self.penalty, old / self.penalty))


class Forced:
    """One token is certain at one place: score 0 for it, minus infinity for the rest, whatever other rules say."""

    def __init__(self, token_id: int, at: int) -> None:
        if token_id < 0 or at < 0:
            raise UserError(f"A forced token needs an id and a place of at least 0, not {token_id} and {at}.")
        self.token_id, self.at = token_id, at

    def __call__(self, said: Said, scores: Tensor) -> Tensor:
        """(N, V) scores in, (N, V) scores out; rows at another place keep theirs."""
        if not said.shortest <= self.at <= said.longest:
            return scores
        only = torch.full_like(scores[:1], -torch.inf)
        only[:, self.token_id] = 0.0
        return torch.where((said.lengths == self.at)[:, None], only, scores)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of one configuration, in the order they apply: penalties, bans together, forced tokens."""

    penalties: tuple[Warp, ...] = ()
    bans: tuple[Ban, ...] = ()
    forced: tuple[Warp, ...] = ()

    def __call__(self, said: Said, log_probs: Tensor, *, reuse: bool = False) -> Tensor:
        """(N, V) log-probabilities in, (N, V) scores out.

        The input stays as it was; with ``reuse`` its banned places may be at minus infinity afterwards.
        """
        scores = log_probs
        for penalty in self.penalties:
            scores = penalty(said, scores)
        banned = [ids for ban in self.bans if (ids := ban.banned(said)) is not None]
        if banned:
            mine = scores is not log_probs or (reuse and not self.forced)  # a forced token's own score is still wanted
            scores = _without(scores if mine else scores.clone(), banned)
        for forced in self.forced:
            scores = forced(said, scores)
        return scores


def _without(scores: Tensor, banned: Sequence[Tensor]) -> Tensor:
    """The (N, V) scores with the banned ids at minus infinity, in place."""
    ids = torch.cat(tuple(banned), dim=1)
    row, place = ((ids >= 0) & (ids < scores.shape[1])).nonzero(as_tuple=True)
    scores[row, ids[row, place]] = -torch.inf
    return scores


def rules_for(config: DecodingConfig, eos_id: int, banned: Sequence[Sequence[int]] = ()) -> Rules:
    """The rules that a configuration asks for; ``banned`` are its blocked phrases as token ids."""
    bans: list[Ban] = []
    if config.no_repeat_ngram:
        bans.append(NoRepeatNGram(config.no_repeat_ngram))
    if config.no_repeat_context_ngram:
        bans.append(NoRepeatContextNGram(config.no_repeat_context_ngram))
    if banned:
        bans.append(BlockedSequences(banned))
    if config.min_length > 1:
        bans.append(MinLength(config.min_length, eos_id))
    forced: list[Warp] = []
    if config.forced_first_id is not None:
        forced.append(Forced(config.forced_first_id, 0))
    if config.forced_last_id is not None:
        forced.append(Forced(config.forced_last_id, config.max_length - 1))
    penalties = (RepetitionPenalty(config.repetition_penalty),) if config.repetition_penalty != 1.0 else ()
    return Rules(penalties, tuple(bans), tuple(forced))
