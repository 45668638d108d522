"""What a chat model makes of a given reply: how likely after its context, how likely alone, and how much the one gains.

Mutual information after Li et al. 2016, per token, of the whole reply (which
also pays for saying more), and between the two (over the root of the length). Nothing
here was fitted to any label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dialogue.decoding.scoring import Forced
from dialogue.models.chat_model import ChatModel
from dialogue.turns import Persona
from eval.offline.likelihood import Question, force_all
from eval.offline.metrics import perplexity
from eval.offline.ratings import Exchange

NOBODY = Persona("nobody")
READ_TURNS = 4
"""Turns of the context that a likelihood is taken after: more cost much and say little about one reply."""


def model_scores(model: ChatModel, exchanges: Sequence[Exchange]) -> list[dict[str, float]]:
    """Every score of every exchange, in order; log-probabilities in nats, per token unless named otherwise."""
    given = force_all(model, [Question(each.context[-READ_TURNS:], each.reply, NOBODY) for each in exchanges])
    alone = force_all(model, [Question((), each.reply, NOBODY) for each in exchanges])
    return [_scores(each.reply, *found) for each, *found in zip(exchanges, given, alone, strict=True)]


def _scores(reply: str, given: Forced, alone: Forced) -> dict[str, float]:
    nats, words, size = -sum(given.log_probs), max(len(reply.split()), 1), max(len(reply.encode("utf-8")), 1)
    return {
        "mean_log_prob": given.mean,
        "log_prob_per_word": -nats / words,
        "bits_per_byte": perplexity.bits_per_byte(nats, size),
        "token_accuracy": given.right / len(given.log_probs),
        "worst_token": min(given.log_probs),
        "log_prob_alone": alone.mean,
        "nats_alone": -sum(alone.log_probs),
        "pmi": given.mean - alone.mean,
        "pmi_whole": sum(given.log_probs) - sum(alone.log_probs),
        "pmi_root": (sum(given.log_probs) - sum(alone.log_probs)) / math.sqrt(len(alone.log_probs)),
    }
