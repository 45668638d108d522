"""How likely given replies are: teacher forcing through the same protocol that searches use (encode, then read).

Replies to one context share the reading of what they have in common: they are the paths of a prefix tree, of which a
row is a node. A model that can (TreeSeq2Seq) reads all nodes at once, any other level by level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

from dialogue.decoding.protocol import DecoderState, JudgingSeq2Seq, Seq2Seq, TreeSeq2Seq
from dialogue.decoding.tables import rectangle

if TYPE_CHECKING:
    from dialogue.models.chat_model import ChatModel

Ids = tuple[int, ...]

CPU = torch.device("cpu")
MOST_NODES = 256
"""Places of the grid (contexts, nodes of the largest tree) that is read together, unless one reply alone has more.

Attention holds a score for every place and every node that it might look at, and the caches room for every place.
"""


@dataclass(slots=True)
class Forced:
    """A given reply's token log-probabilities (nats), and how many of its tokens were the model's first choice."""

    log_probs: list[float] = field(default_factory=list)
    right: int = 0

    @property
    def mean(self) -> float:
        """Nats per token; minus infinity for an empty reply."""
        return sum(self.log_probs) / len(self.log_probs) if self.log_probs else -torch.inf


@dataclass(slots=True)
class _Forest:
    """Prefix trees, one a context. A node is a token said after another node, whose number is lower (-1: nothing).

    ``asked`` are (reply, node, token): how likely is the token after the node? In the order of a reply's tokens.
    ``sizes`` are the nodes of each tree.
    """

    start_id: int
    contexts: dict[Ids, int] = field(default_factory=dict)
    nodes: dict[tuple[int, int, int], int] = field(default_factory=dict)  # (context, above, token) -> number
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)

    def has_room(self, context: Ids, reply: Ids) -> bool:
        """Whether one more reply may be read together with the others; a first one always may."""
        root = self.contexts.get(context, len(self.contexts))
        widest = max(*self.sizes.values(), self.sizes.get(root, 0) + len(reply), 0)
        return not self.nodes or max(len(self.contexts), root + 1) * widest <= MOST_NODES

    def add(self, number: int, context: Ids, reply: Ids) -> None:
        """Ask for a reply."""
        root, above, before = self.contexts.setdefault(context, len(self.contexts)), -1, len(self.nodes)
        for said, token in zip((self.start_id, *reply), reply, strict=False):
            above = self.nodes.setdefault((root, above, said), len(self.nodes))
            self.asked.append((number, above, token))
        self.sizes[root] = self.sizes.get(root, 0) + len(self.nodes) - before


@torch.inference_mode()
def teacher_force(
    model: Seq2Seq,
    contexts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    *,
    start_id: int,
    pad_id: int,
    device: torch.device | str = "cpu",
) -> list[Forced]:
    """Every reply token by token after the context beside it; no score rules apply.

    Equal contexts are encoded once (once a piece, where their replies are more than ``MOST_NODES``).
    """
    if len(contexts) != len(replies):
        raise ValueError(f"{len(contexts)} contexts for {len(replies)} replies; give one context for each reply")
    found, device = [Forced() for _ in replies], torch.device(device)
    for forest in _forests([(tuple(c), tuple(r)) for c, r in zip(contexts, replies, strict=True)], start_id):
        state = _encoded(model, forest, pad_id, device)
        if isinstance(model, TreeSeq2Seq):
            log_probs, first = _at_once(model, forest, state, device)
        else:
            log_probs, first = _by_levels(model, forest, state, device)
        for (number, _, _), value, right in zip(forest.asked, log_probs.tolist(), first.tolist(), strict=True):
            found[number].log_probs.append(value)
            found[number].right += right
    return found


def score(
    model: Seq2Seq,
    contexts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    *,
    start_id: int,
    pad_id: int,
    device: torch.device | str = "cpu",
) -> list[list[float]]:
    """Log-probability (nats) of every token of every reply: as long a list as the reply is."""
    forced = teacher_force(model, contexts, replies, start_id=start_id, pad_id=pad_id, device=device)
    return [each.log_probs for each in forced]


def mean_log_prob(model: ChatModel, context: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
    """Mean log-probability per token (nats) of each reply after one context; minus infinity for an empty reply."""
    contexts = [context] * len(replies)
    forced = teacher_force(model.seq2seq, contexts, replies, start_id=model.start_id, pad_id=model.pad_id)
    return [each.mean for each in forced]


@torch.inference_mode()
def judge(model: ChatModel, context: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
    """How good the model's own judge finds each whole reply to one context: higher is better, minus infinity for an
    empty one. Raises ValueError where it has none.
    """
    network, found = model.seq2seq, [-torch.inf] * len(replies)
    if not has_judge(network):
        raise ValueError(f"the model {model.name} has no judge of replies")
    one_more = [(tuple(context), _past_its_end(tuple(reply), model)) for reply in replies]
    for forest in _forests(one_more, model.start_id):
        tokens, above, state = _planted(network, forest, _encoded(network, forest, model.pad_id, CPU), CPU)
        ends = {number: node for number, node, _ in forest.asked}  # the last one asked of is that of the reply's end
        scores = network.judge_trees(tokens, above, state, torch.tensor(list(ends.values())))
        for number, value in zip(ends, scores.tolist(), strict=True):
            found[number] = value
    return found


def has_judge(network: Seq2Seq) -> TypeGuard[JudgingSeq2Seq]:
    """Whether a network's weights came with a judge of replies."""
    return isinstance(network, JudgingSeq2Seq) and network.judges


def _past_its_end(reply: Ids, model: ChatModel) -> Ids:
    """A reply, its end (also where the search was cut off before it) and one token more; an empty one stays empty."""
    end = () if reply and reply[-1] == model.eos_id else (model.eos_id,)
    return (*reply, *end, model.pad_id) if reply else ()


def _encoded(model: Seq2Seq, forest: _Forest, pad_id: int, device: torch.device) -> DecoderState:
    """The state of a forest's contexts, which have said nothing."""
    lengths = torch.tensor([len(context) for context in forest.contexts], device=device)
    ids = rectangle(list(forest.contexts), device, pad_id)
    return model.encode(ids, (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long())


def _forests(pairs: Sequence[tuple[Ids, Ids]], start_id: int) -> Iterator[_Forest]:
    """The (context, reply) pairs in pieces of at most ``MOST_NODES``; those that share a beginning side by side."""
    forest = _Forest(start_id)
    for i in sorted((i for i, (_, reply) in enumerate(pairs) if reply), key=lambda i: (len(pairs[i][0]), *pairs[i])):
        if not forest.has_room(*pairs[i]):
            yield forest
            forest = _Forest(start_id)
        forest.add(i, *pairs[i])
    if forest.nodes:
        yield forest


def _at_once(model: TreeSeq2Seq, forest: _Forest, state: DecoderState, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is asked, (M,) log-probabilities and (M,) whether the token was the likeliest, in one pass."""
    tokens, above, state = _planted(model, forest, state, device)
    asked = torch.tensor([(node, token) for _, node, token in forest.asked], device=device)
    return model.read_trees(tokens, above, state, asked)


def _planted(
    model: Seq2Seq, forest: _Forest, state: DecoderState, device: torch.device
) -> tuple[Tensor, Tensor, DecoderState]:
    """(N,) tokens of the nodes, (N,) the nodes above them, and the contexts' state with a row for each node."""
    roots, above, tokens = torch.tensor(list(forest.nodes), device=device).unbind(1)
    return tokens, above, model.reorder(state, roots)


def _by_levels(model: Seq2Seq, forest: _Forest, state: DecoderState, device: torch.device) -> tuple[Tensor, Tensor]:
    """The same a step at a time: a row is a node of the level, and goes on from the row above it."""
    depths: list[int] = []
    for _, above, _ in forest.nodes:
        depths.append(0 if above < 0 else depths[above] + 1)
    log_probs, first = torch.empty(len(forest.asked), device=device), torch.empty(len(forest.asked), dtype=torch.bool)
    places: dict[int, int] = {}
    nodes = list(forest.nodes)
    for depth in range(max(depths) + 1):
        level = [node for node, its in enumerate(depths) if its == depth]
        rows = [places[nodes[node][1]] if depth else nodes[node][0] for node in level]
        places = {node: row for row, node in enumerate(level)}
        state = model.reorder(state, torch.tensor(rows, device=device))
        found, state = model.step(torch.tensor([nodes[node][2] for node in level], device=device), state)
        mine = [i for i, (_, node, _) in enumerate(forest.asked) if node in places]
        rows, wanted = [places[forest.asked[i][1]] for i in mine], [forest.asked[i][2] for i in mine]
        log_probs[mine] = found[rows, wanted].float()
        first[mine] = found.argmax(-1)[rows].cpu() == torch.tensor(wanted)
    return log_probs, first
