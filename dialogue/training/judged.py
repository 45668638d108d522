"""Judged replies: the file that holds them, and tensors of some talks with all their replies.

A file is JSON Lines: ``{"context": [text, …], "replies": [{"text": text, "grade": 0, 1 or 2}, …], "persona": name, or
list of facts, or null}``; the last text of the context is what was said to the bot; a grade is 0 for a reply that makes
no sense, 1 for a sensible one, 2 for one that is specific as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.formats import TurnsFormat
from dialogue.models.vocabulary import TokenizerVocabulary
from dialogue.persona_cards import load_persona
from dialogue.training.examples import END, START, padded
from dialogue.training.export import MAX_CONTEXT
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

KEY = ConversationKey("training", "judged")
GRADES = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class JudgedTalk:
    """A talk (token ids) and the replies to it (token ids without start and end), each with its grade."""

    context: list[int]
    replies: tuple[list[int], ...]
    grades: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its tokens, to sort by."""
        return len(self.context) + sum(map(len, self.replies))


@dataclass(frozen=True, slots=True)
class JudgedTalks:
    """The talks of a file and its SHA-256; ``reference``: for each talk its replies' (R,) log-probabilities in nats
    under the weights that a run began with, once they are known.
    """

    all: tuple[JudgedTalk, ...]
    sha256: str
    reference: tuple[Tensor, ...] = ()

    @property
    def reply_count(self) -> int:
        """How many replies were judged."""
        return sum(len(talk.replies) for talk in self.all)


@dataclass(frozen=True, slots=True)
class Replies:
    """Padded tensors of G talks and the R replies to them; a talk's replies are the paths of one prefix tree, so that
    a beginning that they share is read once.

    (G, S) ``input_ids`` and ``attention_mask``; (G, T) ``decoder_ids``, the nodes of a talk's tree, ``depth``, and
    (G, T, T) ``seen``: whether a node sees another, which is itself or above it; (M, 3) ``asked``: reply, node and
    the token that the reply says next; (R,) ``talk``: which one a reply belongs to, ``ends``: the node of its end, and
    ``grades``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    decoder_ids: Tensor
    depth: Tensor
    seen: Tensor
    asked: Tensor
    talk: Tensor
    ends: Tensor
    grades: Tensor

    def to(self, device: torch.device) -> Replies:
        """The same on another device."""
        parts = (getattr(self, name) for name in self.__slots__)
        return Replies(*(part.to(device, non_blocking=True) for part in parts))

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return int(self.attention_mask.sum() + self.nodes.sum())

    @property
    def nodes(self) -> Tensor:
        """(G,) how many nodes each talk's tree has."""
        return self.seen.diagonal(dim1=1, dim2=2).sum(1)

    @property
    def targets(self) -> int:
        """How many tokens of replies are learnt from."""
        return len(self.asked)

    def pairs(self, vague: float) -> tuple[Tensor, Tensor, Tensor]:
        """(P,) better replies, the worse ones beside them, and what each pair counts: 1 for all of a talk.

        A pair of sensible replies counts ``vague`` times one with a reply that makes no sense.
        """
        same = self.talk[:, None] == self.talk[None, :]
        better, worse = (same & (self.grades[:, None] > self.grades[None, :])).nonzero().unbind(1)
        weights = torch.where(self.grades[worse] > 0, vague, 1.0)
        total = torch.zeros(len(self.input_ids), device=weights.device).index_add(0, self.talk[better], weights)
        return better, worse, weights / total[self.talk[better]].clamp(min=1e-9)


@dataclass(slots=True)
class _Tree:
    """The prefix tree of a talk's replies: (token, node above or -1) of each node, the end of each reply, and which
    token follows which node.
    """

    nodes: dict[tuple[int, int], int] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, number: int, reply: Sequence[int]) -> None:
        """Add a reply, between its start and its end."""
        node = self.nodes.setdefault((START, -1), len(self.nodes))
        for token in (*reply, END):
            self.asked.append((number, node, token))
            node = self.nodes.setdefault((token, node), len(self.nodes))
        self.ends.append(node)

    def seen(self) -> tuple[Tensor, list[int]]:
        """(T, T) whether a node sees another, and the depth of each."""
        seen, depth = torch.eye(len(self.nodes), dtype=torch.bool), list[int]()
        for node, (_, above) in enumerate(self.nodes):
            depth.append(0 if above < 0 else depth[above] + 1)
            if above >= 0:
                seen[node] |= seen[above]
        return seen, depth


def side_by_side(talks: Sequence[JudgedTalk]) -> Replies:
    """Some talks and all their replies as tensors."""
    trees, talk_of = [_Tree() for _ in talks], [at for at, talk in enumerate(talks) for _ in talk.replies]
    for number, (at, reply) in enumerate(zip(talk_of, (r for talk in talks for r in talk.replies), strict=True)):
        trees[at].add(number, reply)
    seen, depth = zip(*(tree.seen() for tree in trees), strict=True)
    longest = max(map(len, seen))
    return Replies(
        input_ids=padded([talk.context for talk in talks], END),
        attention_mask=padded([[1] * len(talk.context) for talk in talks], 0).bool(),
        decoder_ids=padded([[token for token, _ in tree.nodes] for tree in trees], END),
        depth=padded(depth, 0),
        seen=torch.stack([F.pad(one, (0, longest - len(one), 0, longest - len(one))) for one in seen]),
        asked=torch.tensor([each for tree in trees for each in tree.asked]),
        talk=torch.tensor(talk_of),
        ends=torch.tensor([end for tree in trees for end in tree.ends]),
        grades=torch.tensor([grade for talk in talks for grade in talk.grades]),
    )


def read_judged(path: Path, tokenizer: Tokenizer) -> JudgedTalks:
    """The talks of a file of which one reply is better than another. Raises UserError with file and line."""
    encoding = TurnsFormat(TokenizerVocabulary(tokenizer))
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    talks: list[JudgedTalk] = []
    for number, line in enumerate(lines, start=1):
        try:
            talks += [_judged(json.loads(line), encoding)] if line.strip() else []
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number} is no talk with judged replies ({error}).") from error
    told = tuple(talk for talk in talks if len(set(talk.grades)) > 1)
    if not told:
        raise UserError(f"{path} holds no talk with a better and a worse reply.")
    return JudgedTalks(told, hashlib.sha256(data).hexdigest())


def _judged(row: Mapping[str, Any], encoding: TurnsFormat) -> JudgedTalk:
    texts, said = row["context"], [reply["text"] for reply in row["replies"]]
    if not isinstance(texts, list) or not texts:
        raise ValueError("the context must be a list of texts")
    if not all(isinstance(text, str) and text.strip() for text in (*texts, *said)):
        raise ValueError("context and replies must be texts")
    grades = tuple(reply["grade"] for reply in row["replies"])
    if not all(type(grade) is int and grade in GRADES for grade in grades):
        raise ValueError("a grade is 0, 1 or 2")
    roles = [Role.USER if (len(texts) - place) % 2 else Role.BOT for place in range(len(texts))]
    turns = tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True))
    context = encoding.encode(Conversation(KEY, _persona(row.get("persona")), turns), MAX_CONTEXT)
    return JudgedTalk(context, tuple(encoding.vocabulary.encode(text.strip()) for text in said), grades)


def _persona(named: str | list[str] | None) -> Persona:
    return load_persona(named) if isinstance(named, str) else Persona("", tuple(named or ()))
