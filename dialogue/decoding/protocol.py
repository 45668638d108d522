"""What a search needs of a model: three methods over an opaque state. A search never sees more of it than this."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

DecoderState = Any
"""Caches and masks of N rows; only the model that made it looks inside."""


class Seq2Seq(Protocol):
    """An encoder–decoder (or a decoder-only model that plays one), one token at a time.

    N rows are B conversations x K live hypotheses, row ``b * K + k``. All methods run under inference mode and may
    reuse the state's memory: a state must not be used again once it was given to :meth:`step` or :meth:`reorder`.
    """

    vocab_size: int

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> DecoderState:
        """(B, S) ids and (B, S) mask, right-padded, at least one real token a row -> the state of B rows."""
        ...

    def step(self, last_ids: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(N,) newest ids -> (N, V) float32 log-probabilities of the next token, and the state after them.

        The tensor of log-probabilities is the caller's, who may write into it.
        """
        ...

    def reorder(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]; M may differ from N."""
        ...


@runtime_checkable
class JoinableSeq2Seq(Seq2Seq, Protocol):
    """A model whose rows may be at different steps of their replies: what continuous batching needs."""

    def join(self, first: DecoderState, second: DecoderState) -> DecoderState:
        """One state with the rows of ``first`` and then those of ``second``."""
        ...


@runtime_checkable
class TreeSeq2Seq(Seq2Seq, Protocol):
    """A model that reads all nodes of prefix trees in one pass: what scores many given replies quickly."""

    def read_trees(self, tokens: Tensor, above: Tensor, state: DecoderState, asked: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) tokens, each said after row ``above[n]`` < n of its own conversation or as its first (-1).

        ``state`` has N rows that have said nothing; it is used up. ``asked`` (M, 2) are pairs (row, next token) ->
        their (M,) float32 log-probabilities, and (M,) whether the token is the likeliest one there.
        """
        ...


@runtime_checkable
class JudgingSeq2Seq(Seq2Seq, Protocol):
    """A model that can say how good a whole reply is, where its weights came with a judge."""

    @property
    def judges(self) -> bool:
        """Whether these weights did."""
        ...

    def judge_trees(self, tokens: Tensor, above: Tensor, state: DecoderState, ends: Tensor) -> Tensor:
        """Trees as in TreeSeq2Seq.read_trees; ``ends`` (M,) are the rows of whole replies' ends -> (M,) scores.

        Higher is better; scores of one conversation's replies can be compared.
        """
        ...
