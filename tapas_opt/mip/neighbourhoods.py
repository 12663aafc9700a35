"""Which blocks to free next: several ways to choose them, and more often those that lately bettered most.

A way is a *width*, up to which columns of freed blocks are near, and where to look: at the blocks whose columns cost
most above their least at the prices (these are the gap), at the rows whose room lies idle though it has a price (the
rest of it), or at all blocks over the columns that are in doubt most (the core; Balas and Zemel 1980). Ways learn the
size of their parts by themselves (adaptive large neighbourhood search; Ropke and Pisinger 2006).

Where all is whole there is a core of very few columns as well, one after the other, each drawn anew. It is for CP-SAT,
which closes thirty columns under ten full rows in a third of the time that HiGHS needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from tapas_opt.mip.integers import is_whole
from tapas_opt.mip.model import BoolArray, FloatArray, IntArray
from tapas_opt.mip.pricing import Blocks

__all__ = ["Core", "Look", "Neighbourhoods", "Way"]

WIDTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Typical costs above its block's least up to which a column is near."""

COLUMNS, LEAST_COLUMNS = 150.0, 60.0
"""Parts start with so many columns; fewer when they take too long, more when they are done at once and find nothing."""

SMALLER, LARGER = 0.7, 1.5

FEW_COLUMNS, LEAST_FEW = 30.0, 15.0
FEW_SMALLER, FEW_LARGER = 0.87, 1.15
"""The same for the core of few columns: five more take several times as long."""

FEW_MOST_LOOSE = 1_000
"""Loose columns are in every part: with more than so many none has few columns."""

FEW_PATIENCE = 12
"""Cores of few columns follow one another until so many in turn better nothing; then they are a way like any other."""

SHUFFLED, FEW_SHUFFLED = 0.5, 1.0
"""How much, as a share, the doubt of a column is shuffled, so that each core is another one."""

CORE_WIDTH, WIDER = 3.0, 2.0
"""Columns of a block, on average, in the first core, and how many times as many in the next."""

EXPLORED_FRAC = 0.25
"""Share of the time for all ways but the one that lately bettered most: those not tried yet, then any at random."""

FORGOTTEN_FRAC = 0.3
"""Of what is known of a way, when it is used again."""


class Look(Enum):
    """Where a way looks."""

    GAP = "blocks that cost most above their least"
    ROWS = "rows with idle room"
    CORE = "columns in doubt, of all blocks"
    FEW = "very few columns in doubt, of all blocks, for CP-SAT"


@dataclass(slots=True)
class Way:
    """One way to choose neighbourhoods, and how it did.

    Attributes
    ----------
    columns
        How many columns its next part has, about.
    worth
        What it lately bettered, per second; infinite until it was tried.
    spent_s
        Time that its parts took.
    idle
        How many of them, the last ones, bettered nothing.
    """

    look: Look
    width: float
    columns: float = COLUMNS
    worth: float = np.inf
    spent_s: float = 0.0
    idle: int = 0

    def learn(self, bettered: float, took_s: float, closed: bool, quick: bool) -> None:
        """Take note of a part: by how much it bettered the best, whether it was closed, and whether quickly."""
        self.spent_s += took_s
        self.idle = 0 if bettered > 0 else self.idle + 1
        gained = bettered / max(1e-3, took_s)
        kept = gained if np.isinf(self.worth) else self.worth
        self.worth = (1 - FORGOTTEN_FRAC) * kept + FORGOTTEN_FRAC * gained
        few = self.look is Look.FEW
        if not closed:
            smaller = FEW_SMALLER if few else SMALLER
            self.columns = max(LEAST_FEW if few else LEAST_COLUMNS, smaller * self.columns)
        elif quick and bettered <= 0:
            self.columns *= FEW_LARGER if few else LARGER


class Core:
    """All blocks, over the columns that are most in doubt; more of them each time, until the gap rules out the rest.

    A column that costs more above its block's least than the gap is in no better solution, so that a bound without
    such columns is a bound with them (reduced-cost fixing).
    """

    def __init__(self, blocks: Blocks, price: FloatArray) -> None:
        self._blocks, self._bound, self._width = blocks, blocks.bound(price), CORE_WIDTH
        self._above = blocks.above_least(price)

    def drawn(self, best: FloatArray, objective: float, most: int) -> tuple[BoolArray, bool] | None:
        """``[column]`` which to free, and whether every better solution is among them; None if they are too many."""
        above = self._above[self._blocks.column]
        count, gap = int(self._width * len(self._blocks.size)), objective - self._bound
        limit = gap if count >= len(above) else min(gap, float(np.partition(above, count)[count]))
        kept = (self._above <= limit) | (best > 0)
        if kept.sum() > most:
            return None
        self._width *= WIDER
        return kept, limit >= gap


class Neighbourhoods:
    """Draws blocks and columns around the best solution, at the prices of the relaxation."""

    def __init__(self, blocks: Blocks, price: FloatArray, random: np.random.Generator) -> None:
        self._blocks, self._price, self._random = blocks, price, random
        self._above = blocks.above_least(price)
        self._ways = [Way(Look.CORE, np.inf), *(Way(look, w) for w in WIDTHS for look in (Look.GAP, Look.ROWS))]
        if len(blocks.loose) <= FEW_MOST_LOOSE and is_whole(blocks.arrays):
            self._ways.insert(0, Way(Look.FEW, np.inf, FEW_COLUMNS))

    @property
    def count(self) -> int:
        """How many ways there are."""
        return len(self._ways)

    def drawn(self, best: FloatArray) -> tuple[BoolArray, Way]:
        """``[column]`` which to free, and the way that says so."""
        way = self._way()
        return self._blocks.columns_of(*self._drawn(way, best)), way

    def _way(self) -> Way:
        first = self._ways[0]
        if first.look is Look.FEW and first.idle < FEW_PATIENCE:
            return first
        tried = [way for way in self._ways if np.isfinite(way.worth)]
        best = max(tried, key=lambda way: way.worth, default=None)
        if best is not None and best.worth > 0:
            spent_s = sum(way.spent_s for way in tried)
            if spent_s - best.spent_s > EXPLORED_FRAC * spent_s:
                return best
        untried = [way for way in self._ways if np.isinf(way.worth)]
        return untried[0] if untried else self._ways[int(self._random.integers(len(self._ways)))]

    def _drawn(self, way: Way, best: FloatArray) -> tuple[BoolArray, BoolArray]:
        """``[block]`` which to free, and ``[column]`` which are near."""
        if way.look in (Look.CORE, Look.FEW):
            return self._core(way, best)
        near = (self._above <= self._blocks.typical_cost * way.width) | (best > 0)
        columns = self._blocks.sums(near.astype(np.float64))
        return (self._by_gap if way.look is Look.GAP else self._by_row)(way, best, columns), near

    def _core(self, way: Way, best: FloatArray) -> tuple[BoolArray, BoolArray]:
        """All blocks, over the columns least above their block's least, in an order that is shuffled."""
        blocks, few = self._blocks, way.look is Look.FEW
        shuffled = FEW_SHUFFLED if few else SHUFFLED
        doubt = self._above * self._random.uniform(1 - shuffled, 1 + shuffled, len(best))
        doubt[blocks.is_loose] = np.inf
        if few:
            doubt[best > 0] = 0.0
        most = len(blocks.size) + int(way.columns)
        limit = np.inf if most >= len(blocks.column) else np.partition(doubt, most)[most]
        near = (doubt <= limit) | (best > 0)
        return blocks.sums(near.astype(np.float64)) > 1, near

    def _by_gap(self, way: Way, best: FloatArray, columns: FloatArray) -> BoolArray:
        """A third of the columns for the blocks that cause the gap, two thirds beside them."""
        blocks = self._blocks
        caused = blocks.sums(self._above * best) * self._random.uniform(0.5, 1.5, len(blocks.size))
        order = np.argsort(-caused, kind="stable")
        worst = _first(order, columns, way.columns / 3)
        beside = self._random.permutation(np.setdiff1d(blocks.beside(worst, best, self._random), worst))
        freed = np.zeros(len(blocks.size), dtype=bool)
        freed[worst] = True
        freed[_first(beside, columns, way.columns * 2 / 3)] = True
        return freed

    def _by_row(self, way: Way, best: FloatArray, columns: FloatArray) -> BoolArray:
        """All that stand in a row with idle room, then in others, until there are columns enough."""
        blocks = self._blocks
        wasted = blocks.wasted(self._price, best)
        keys = self._random.uniform(0.0, 1.0, len(wasted)) * (wasted + wasted.mean())
        freed, room = np.zeros(len(blocks.size), dtype=bool), way.columns
        for row in np.argsort(-keys, kind="stable"):
            inside = self._random.permutation(np.flatnonzero(blocks.held_by(row[None], best) & ~freed))
            fitting = _first(inside, columns, room)
            freed[fitting] = True
            room -= columns[fitting].sum()
            if room <= 0:
                break
        return freed


def _first(order: IntArray, columns: FloatArray, most: float) -> IntArray:
    """The first blocks of an order, one at least, until their columns come to ``most``."""
    return order[: 1 + int(np.searchsorted(np.cumsum(columns[order]), most))]
