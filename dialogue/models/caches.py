"""What a decoder remembers while it searches: keys and values of the contexts, and of each row's own prefix.

A context's keys and values are held once for a conversation, however many hypotheses (rows) it has. A row's own prefix
is right-aligned, so rows at different steps of their replies write to the same column; a reorder copies only the cells
in which a row and its new parent differ. Knows tensors only; the networks are next door.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROWTH = 32
"""Columns added at a time to a prefix cache (tokens)."""


class ContextCache:
    """Keys and values of B contexts: ``values`` (L, 2, B, H, S, D), of whose columns ``lengths`` (B,) are real."""

    def __init__(self, values: Tensor, lengths: Tensor) -> None:
        self.values, self.lengths = values, lengths
        columns = torch.arange(values.shape[4])
        self.hidden = columns[None, :] >= lengths[:, None]  # (B, S): padding
        self.ragged = bool(self.hidden.any())

    def __len__(self) -> int:
        return self.values.shape[2]

    def keep(self, conversations: Tensor) -> ContextCache:
        """Only these conversations (indices), without columns that are padding for all of them."""
        lengths = self.lengths[conversations]
        kept = self.values[:, :, :, :, : int(lengths.max())].index_select(2, conversations)
        return ContextCache(kept, lengths)

    def beside(self, other: ContextCache) -> ContextCache:
        """The conversations of both, padded to the longer context."""
        columns = max(self.values.shape[4], other.values.shape[4])
        padded = [F.pad(part.values, (0, 0, 0, columns - part.values.shape[4])) for part in (self, other)]
        return ContextCache(torch.cat(padded, dim=2), torch.cat((self.lengths, other.lengths)))


class PrefixCache:
    """Keys and values of what N rows have said: (L, 2, N, H, T, D), of which columns ``first`` to ``column`` live."""

    def __init__(self, layers: int, rows: int, heads: int, head_dim: int) -> None:
        self._values = torch.empty(layers, 2, rows, heads, GROWTH, head_dim)
        self._writer = torch.empty(rows, GROWTH, dtype=torch.int64)  # who wrote a cell: equals hold the same
        self.begin = torch.zeros(rows, dtype=torch.int64)  # first column of each row
        self.first = self.column = 0
        self.ragged = False

    def __len__(self) -> int:
        return self._values.shape[2]

    def open_column(self) -> None:
        """Make room for one more token in every row."""
        if self.column == self._values.shape[4]:
            self._resize(len(self), self._values.shape[4] - self.first + GROWTH)
        self._writer[:, self.column] = torch.arange(len(self))
        self.column += 1

    def write(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, D) newest key and value -> all live keys and values of the layer, (N, H, t, D) each."""
        part = self._values[layer]
        part[0, :, :, self.column - 1] = key
        part[1, :, :, self.column - 1] = value
        live = part[:, :, :, self.first : self.column]
        return live[0], live[1]

    def hidden(self) -> Tensor:
        """(N, t): the live columns that are not a row's own."""
        return torch.arange(self.first, self.column)[None, :] < self.begin[:, None]

    def reorder(self, rows: Tensor) -> None:
        """Row m goes on from old row ``rows[m]`` (M,)."""
        if len(rows) == len(self):
            self._copy_differences(rows)
        else:
            self._select(rows)
        self.begin = self.begin[rows]
        self._settle()

    def _copy_differences(self, rows: Tensor) -> None:
        if self.column == self.first:
            return
        live = self._writer[:, self.first : self.column]
        wanted = live.index_select(0, rows)
        differs = wanted != live
        differs |= (self.begin.index_select(0, rows) != self.begin)[:, None]
        changed = differs.any(1).nonzero().squeeze(1)
        if not len(changed):
            return
        start = self.first + int(differs.any(0).nonzero()[0, 0])
        self._writer[:, self.first : self.column] = wanted
        cells = self._values[:, :, :, :, start : self.column]
        cells.index_copy_(2, changed, cells.index_select(2, rows[changed]))

    def _select(self, rows: Tensor) -> None:
        old, writer, span = self._values, self._writer, slice(self.first, self.column)
        self._resize(len(rows), old.shape[4], copy=False)
        self._values[:, :, :, :, span] = old[:, :, :, :, span].index_select(2, rows)
        self._writer[:, span] = writer[:, span].index_select(0, rows)

    def _settle(self) -> None:
        """Forget the columns that no row needs any more."""
        low, high = (int(x) for x in self.begin.aminmax())
        self.first, self.ragged = low, low != high

    def _resize(self, rows: int, columns: int, *, copy: bool = True) -> None:
        """New memory; with ``copy`` the live columns move to its front."""
        old, writer, span = self._values, self._writer, slice(self.first, self.column)
        layers, _, _, heads, _, head_dim = old.shape
        self._values = torch.empty(layers, 2, rows, heads, columns, head_dim)
        self._writer = torch.empty(rows, columns, dtype=torch.int64)
        if copy:
            live = self.column - self.first
            self._values[:, :, :, :, :live] = old[:, :, :, :, span]
            self._writer[:, :live] = writer[:, span]
            self.begin = self.begin - self.first
            self.first, self.column = 0, live

    def beside(self, other: PrefixCache) -> PrefixCache:
        """The rows of both, right-aligned."""
        layers, _, _, heads, _, head_dim = self._values.shape
        joined = PrefixCache(layers, 0, heads, head_dim)
        joined.column = max(part.column - part.first for part in (self, other))
        joined._resize(len(self) + len(other), joined.column + GROWTH, copy=False)
        joined._values[:, :, :, :, : joined.column] = 0.0  # hidden cells are read, at weight zero: they must be finite
        joined._writer[:, : joined.column] = -1
        begins, row, offset = [], 0, 0
        for part in (self, other):
            shift = joined.column - part.column
            here, there = (
                slice(joined.column - (part.column - part.first), joined.column),
                slice(part.first, part.column),
            )
            joined._values[:, :, row : row + len(part), :, here] = part._values[:, :, :, :, there]
            joined._writer[row : row + len(part), here] = part._writer[:, there] + offset
            begins.append(part.begin + shift)
            row += len(part)
            offset = int(part._writer[:, there].max()) + 1 if part.column > part.first else 0
        joined.begin = torch.cat(begins)
        joined._settle()
        return joined


class RowGroups:
    """Which conversation each of N rows belongs to, and the way between rows and a (B, K) grid of them.

    Attention over a context is one product for all rows of its conversation. Where every conversation has the same
    number of rows, side by side, the grid is a view; else the rows are gathered and the empty places computed in vain.
    """

    def __init__(self, conversation: Tensor, conversations: int) -> None:
        self.conversation = conversation
        counts = torch.bincount(conversation, minlength=conversations)
        self.conversations, self.width = conversations, int(counts.max())
        rows = torch.arange(len(conversation))
        self.even = bool((conversation == rows // self.width).all()) and len(rows) == conversations * self.width
        order = torch.argsort(conversation, stable=True)
        starts = torch.cumsum(counts, 0) - counts
        place = torch.empty_like(rows)
        place[order] = rows - starts[conversation[order]]
        self.place = conversation * self.width + place  # (N,) where each row stands in the flattened grid
        self.source = torch.zeros(conversations * self.width, dtype=torch.int64)
        self.source[self.place] = rows  # (B * K,) the row at each place

    def spread(self, x: Tensor) -> Tensor:
        """(N, …) -> (B, K, …)."""
        grid = x if self.even else x.index_select(0, self.source)
        return grid.reshape(self.conversations, self.width, *x.shape[1:])

    def collect(self, x: Tensor) -> Tensor:
        """(B, K, …) -> (N, …)."""
        flat = x.flatten(0, 1)
        return flat if self.even else flat.index_select(0, self.place)


@dataclass(slots=True)
class SearchState:
    """N rows of B conversations in the middle of a search; ``positions`` (N,) are those of the tokens to come."""

    context: ContextCache
    groups: RowGroups
    prefix: PrefixCache
    positions: Tensor

    @classmethod
    def start(cls, context: ContextCache, prefix: PrefixCache, positions: Tensor) -> SearchState:
        """One row a conversation, nothing said yet."""
        return cls(context, RowGroups(torch.arange(len(context)), len(context)), prefix, positions)

    def reorder(self, rows: Tensor) -> SearchState:
        """Row m continues old row ``rows[m]`` (M,); contexts that no row needs any more are freed."""
        conversation = self.groups.conversation[rows]
        self.prefix.reorder(rows)
        self.positions = self.positions[rows]
        if not torch.equal(conversation, self.groups.conversation):
            living, conversation = torch.unique(conversation, return_inverse=True)
            if len(living) < len(self.context):
                self.context = self.context.keep(living)
            self.groups = RowGroups(conversation, len(living))
        return self

    def beside(self, other: SearchState) -> SearchState:
        """The rows of both, each at its own step."""
        conversation = torch.cat((self.groups.conversation, other.groups.conversation + len(self.context)))
        return SearchState(
            self.context.beside(other.context),
            RowGroups(conversation, len(self.context) + len(other.context)),
            self.prefix.beside(other.prefix),
            torch.cat((self.positions, other.positions)),
        )
