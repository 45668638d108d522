"""What a decoder remembers while it searches: keys and values of the contexts, and of what the hypotheses have said.

A conversation has a slot, in memory laid out beforehand. Its context is held there once, however many hypotheses (rows)
it has. What its rows have said lies in cells of the slot that they share: a row is the set of cells that it sees. So
following the survivors of a beam search moves no keys or values at all; cells that nobody sees are written anew; rows
that leave free their slot, and newcomers take it. Knows tensors only; the networks are next door.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROWTH = 64
"""Cells added at a time (tokens)."""

ALONE_AFTER = 4
"""Tokens after which rows that never went two ways get cells of their own: samples share nothing but the context."""


class RowGroups:
    """Which of B groups each of N rows belongs to, and the way between rows and a (B, K) grid of them.

    Attention over what a group shares is one product for all its rows. Where every group has the same number of rows,
    side by side, the grid is a view; else the rows are gathered and the empty places computed in vain.
    """

    def __init__(self, group: Tensor, groups: int) -> None:
        self.group, self.groups = group, groups
        counts = torch.bincount(group, minlength=groups)
        self.width = int(counts.max())
        rows = torch.arange(len(group))
        self.even = len(rows) == groups * self.width and bool((group == rows // self.width).all())
        order = torch.argsort(group, stable=True)
        starts = torch.cumsum(counts, 0) - counts
        self.place = torch.empty_like(rows)  # (N,) number of each row within its group
        self.place[order] = rows - starts[group[order]]
        self._cell = group * self.width + self.place  # (N,) where each row stands in the flattened grid
        self._source = torch.zeros(groups * self.width, dtype=torch.int64)
        self._source[self._cell] = rows  # (B * K,) the row at each place

    def spread(self, x: Tensor) -> Tensor:
        """(N, …) -> (B, K, …)."""
        grid = x if self.even else x.index_select(0, self._source)
        return grid.reshape(self.groups, self.width, *x.shape[1:])

    def collect(self, x: Tensor) -> Tensor:
        """(B, K, …) -> (N, …)."""
        flat = x.flatten(0, 1)
        return flat if self.even else flat.index_select(0, self._cell)


class ContextCache:
    """Keys and values of contexts: ``values`` (L, 2, slots, H, S, D), of whose columns ``lengths`` (slots,) are real.

    The first ``slots`` slots and ``columns`` columns are in use; ``bias`` (slots, 1, 1, columns) is minus infinity at
    padding and 0 elsewhere, None where there is no padding.
    """

    def __init__(self, values: Tensor, lengths: Tensor) -> None:
        self._values, self._lengths = values, lengths
        self.use(torch.arange(len(lengths)))

    def use(self, living: Tensor) -> None:
        """Only these slots are looked at, and those between them."""
        self.slots, self.columns = int(living[-1]) + 1, int(self._lengths[living].max())
        hidden = torch.arange(self.columns) >= self._lengths[: self.slots, None]
        padded = bool(hidden[living].any())
        self.bias = _bias(hidden)[:, None, None] if padded else None

    def layer(self, i: int) -> tuple[Tensor, Tensor]:
        """(slots, H, columns, D) keys and values."""
        both = self._values[i, :, : self.slots, :, : self.columns]
        return both[0], both[1]

    def keep(self, living: Tensor) -> None:
        """Move these slots together and free the others."""
        self._values, self._lengths = self._values.index_select(2, living), self._lengths[living]
        self.use(torch.arange(len(living)))

    def take(self, slots: Tensor, other: ContextCache, theirs: Tensor) -> None:
        """Copy the slots ``theirs`` of another cache into these ones (making room where there is none)."""
        room = max(int(slots.max()) + 1 - len(self._lengths), 0)
        wider = max(other.columns - self._values.shape[4], 0)
        if room or wider:
            self._values = F.pad(self._values, (0, 0, 0, wider, 0, 0, 0, room))
            self._lengths = F.pad(self._lengths, (0, room))
        self._values[:, :, slots, :, : other.columns] = other._values[:, :, theirs, :, : other.columns]
        self._lengths[slots] = other._lengths[theirs]


class PrefixCache:
    """Keys and values of what N rows have said, in the cells of G pools: (L, 2, G, H, cells, D).

    A pool is a conversation's, and its rows share what they have in common; or a single row's, for rows that have
    nothing in common (``alone``). ``groups`` says which pool a row's cells lie in.
    """

    def __init__(self, layers: int, rows: int, heads: int, head_dim: int) -> None:
        self._values = torch.zeros(layers, 2, rows, heads, GROWTH, head_dim)  # hidden cells are read: never NaN
        self._sees = torch.zeros(rows, GROWTH, dtype=torch.bool)
        self.groups = RowGroups(torch.arange(rows), rows)
        self.alone = self.branched = False
        self._new = torch.zeros(0, dtype=torch.int64)
        self.extent, self.bias = 0, None  # type: tuple[int, Tensor | None]

    def open(self) -> None:
        """Choose a cell for one more token of every row, the first free ones, and note who sees what."""
        if not (self.alone or self.branched) and self.groups.width > 1 and int(self._sees.sum(1).max()) >= ALONE_AFTER:
            self._part()
        groups = self.groups
        used = torch.zeros(groups.groups, self._sees.shape[1], dtype=torch.int32)
        used.index_add_(0, groups.group, self._sees.int())
        if self.extent + groups.width > used.shape[1] and int((used > 0).sum(1).max()) + groups.width > used.shape[1]:
            more = max(GROWTH, groups.width)
            self._widen(used.shape[1] + more)
            used = F.pad(used, (0, more))
        free = (used > 0).byte().argsort(dim=1, stable=True)
        self._new = free[groups.group, groups.place]
        self._sees.scatter_(1, self._new[:, None], True)
        self._look()

    def plant(self, above: Tensor) -> Tensor:
        """A cell for every row of a cache that is empty yet: trees of tokens that are read in one pass.

        Row n sees its own cell and what row ``above[n]`` < n sees, if that is not -1 -> (N,) how many those are.
        """
        self.branched, self._new = True, self.groups.place
        self._widen(max(self.groups.width, self._sees.shape[1]))
        self._sees.scatter_(1, self._new[:, None], True)
        for row, parent in enumerate(above.tolist()):
            if parent >= 0:
                self._sees[row] |= self._sees[parent]
        self._look()
        return self._sees.sum(1) - 1

    def _look(self) -> None:
        """Note how far the cells in use go, and who must not look where."""
        self.extent = int(self._sees.any(0).nonzero()[-1]) + 1
        hidden = self.groups.spread(~self._sees[:, : self.extent])
        self.bias = _bias(hidden)[:, None] if bool(hidden.any()) else None

    def write(self, layer: int, both: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2, H, D) newest keys and values -> the layer's keys and values, (G, H, extent, D) each.

        ``bias`` (G, 1, K, extent) says what each row sees of them; None: everything.
        """
        cells = self._values[layer]
        cells[:, self.groups.group, :, self._new] = both
        live = cells[:, : self.groups.groups, :, : self.extent]
        return live[0], live[1]

    def follow(self, rows: Tensor, slots: RowGroups) -> None:
        """Row m goes on from old row ``rows[m]`` (M,); ``slots`` are the conversations of the new rows."""
        pool = self.groups.group.index_select(0, rows)
        twice = not self.branched and bool((torch.bincount(rows) > 1).any())
        long = twice and int(self._sees.sum(1)[rows].max()) > 1
        self._sees = self._sees.index_select(0, rows)
        if not self.alone:
            self.branched |= long
            self.groups = slots
        elif twice:
            self._own(pool)
            if long:
                self._share(slots)
        elif 2 * len(rows) <= self.groups.groups:
            self._own(pool)
        elif len(rows) != self.groups.groups or not torch.equal(pool, self.groups.group):
            self.groups = RowGroups(pool, self.groups.groups)

    def keep(self, living: Tensor, slots: RowGroups) -> None:
        """Move the pools of these conversations together, as their contexts are."""
        if not self.alone:
            self._values, self.groups = self._values.index_select(2, living), slots

    def join(self, other: PrefixCache, targets: Tensor, theirs: Tensor, slots: RowGroups) -> None:
        """Take another cache's rows after these; its conversations ``theirs`` have the slots ``targets`` here.

        ``slots`` are the conversations of all rows, here and (the last ones) there.
        """
        if self.alone and other.branched:
            self._share(RowGroups(slots.group[: len(self._sees)], slots.groups))
        if self.alone:
            other._part()
            theirs = other.groups.group
            targets = free_places(self.groups.group, len(theirs))
            pool = torch.cat((self.groups.group, targets))
            self.groups = RowGroups(pool, int(pool.max()) + 1)
        else:
            theirs = targets if other.alone else theirs  # shared out by the slots here
            other._share(RowGroups(slots.group[len(self._sees) :], slots.groups))
            self.groups = slots
        self._copy(other, targets, theirs)
        self.branched |= other.branched

    def _copy(self, other: PrefixCache, targets: Tensor, theirs: Tensor) -> None:
        size = other.extent
        self._widen(max(size, self._sees.shape[1]), max(int(targets.max()) + 1, self._values.shape[2]))
        self._values[:, :, targets, :, :size] = other._values[:, :, theirs, :, :size]
        sees = F.pad(other._sees[:, :size], (0, self._sees.shape[1] - size))
        self._sees = torch.cat((self._sees, sees))
        self.extent = max(self.extent, size)

    def _widen(self, cells: int, pools: int = 0) -> None:
        more, rows = cells - self._sees.shape[1], max(pools - self._values.shape[2], 0)
        if more or rows:
            self._values = F.pad(self._values, (0, 0, 0, more, 0, 0, 0, rows))
            self._sees = F.pad(self._sees, (0, more))

    def _own(self, pool: Tensor) -> None:
        """A pool for each row, with what is in ``pool`` now."""
        self._values = self._values.index_select(2, pool)
        self.groups = RowGroups(torch.arange(len(pool)), len(pool))

    def _part(self) -> None:
        """Give each row its cells alone."""
        if self.alone:
            return
        self.alone, counts = True, self._sees.sum(1)
        size = int(counts.max()) if len(counts) else 0
        order = (~self._sees).byte().argsort(dim=1, stable=True)[:, :size]  # (N, T) a row's cells, first to last
        old, rows = self._values, len(counts)
        self._values = old.new_zeros(*old.shape[:2], rows, old.shape[3], size + GROWTH, old.shape[5])
        cells = old[:, :, self.groups.group[:, None], :, order]  # (N, T, L, 2, H, D)
        self._values[:, :, :, :, :size] = cells.permute(2, 3, 0, 4, 1, 5)
        self._sees = torch.arange(size + GROWTH) < counts[:, None]
        self.groups, self.extent = RowGroups(torch.arange(rows), rows), size

    def _share(self, slots: RowGroups) -> None:
        """Put the cells of a conversation's rows side by side in one pool for each of the conversations."""
        if not self.alone:
            return
        self.alone, self.branched, size = False, True, self.extent
        old, places = self._values, slots.place[:, None] * size + torch.arange(size)  # (N, T)
        cells = slots.width * size
        self._values = old.new_zeros(*old.shape[:2], slots.groups, old.shape[3], cells + GROWTH, old.shape[5])
        rows = old[:, :, self.groups.group, :, :size].permute(2, 4, 0, 1, 3, 5)
        self._values[:, :, slots.group[:, None], :, places] = rows
        sees = torch.zeros(len(places), cells + GROWTH, dtype=torch.bool)
        self._sees = sees.scatter_(1, places, self._sees[:, :size])
        self.groups, self.extent = slots, cells


@dataclass(slots=True)
class SearchState:
    """N rows in the middle of a search, each of a conversation's slot; ``positions`` (N,) are of the tokens to come."""

    context: ContextCache
    groups: RowGroups
    prefix: PrefixCache
    positions: Tensor

    @classmethod
    def start(cls, context: ContextCache, prefix: PrefixCache, positions: Tensor) -> SearchState:
        """One row a conversation, nothing said yet."""
        return cls(context, prefix.groups, prefix, positions)

    def reorder(self, rows: Tensor) -> SearchState:
        """Row m continues old row ``rows[m]`` (M,); slots that no row needs any more are free."""
        slot = self.groups.group.index_select(0, rows)
        self.positions = self.positions.index_select(0, rows)
        if len(slot) == len(self.groups.group) and torch.equal(slot, self.groups.group):
            self.prefix.follow(rows, self.groups)
            return self
        living, dense = torch.unique(slot, return_inverse=True)
        top = int(living[-1]) + 1
        self.groups = RowGroups(slot, top)
        self.prefix.follow(rows, self.groups)
        if 2 * len(living) <= top:
            self.groups = RowGroups(dense, len(living))
            self.context.keep(living)
            self.prefix.keep(living, self.groups)
        else:
            self.context.use(living)
        return self

    def beside(self, other: SearchState) -> SearchState:
        """The rows of both, each at its own step; conversations of ``other`` take slots that are free here."""
        mine, theirs = torch.unique(self.groups.group), torch.unique(other.groups.group)
        targets = free_places(mine, len(theirs))
        self.context.take(targets, other.context, theirs)
        self.context.use(torch.cat((mine, targets)).sort().values)
        place = torch.zeros(other.groups.groups, dtype=torch.int64)
        place[theirs] = targets
        slot = torch.cat((self.groups.group, place[other.groups.group]))
        self.groups = RowGroups(slot, int(slot.max()) + 1)
        self.prefix.join(other.prefix, targets, theirs, self.groups)
        self.positions = torch.cat((self.positions, other.positions))
        return self


def free_places(taken: Tensor, count: int) -> Tensor:
    """The first ``count`` numbers that are not among ``taken``."""
    free = torch.ones(int(taken.max()) + 1 + count, dtype=torch.bool)
    free[taken] = False
    return free.nonzero().flatten()[:count]


def _bias(hidden: Tensor) -> Tensor:
    """Minus infinity where ``hidden`` is true, 0 elsewhere: added to scores."""
    return torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
