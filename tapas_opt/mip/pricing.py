"""Prices on the rows that couple independent blocks: a true lower bound, and which columns can matter.

A *block* is a row ``Σ x = size`` over integer columns that stand in no other block: an instance's choices, a VM's
servers, an item's knapsacks. With a price on every other row the blocks fall apart, each takes its cheapest column,
and for any prices ``y`` of the right sign

    L(y) = Σ_b size_b · min_{j∈b} (c_j − Σ_r a_rj·y_r) + Σ_j∉b min over [lower, upper] + Σ_r y_r · (lower_r or upper_r)

is a lower bound on the cost (Lagrangian duality; Geoffrion 1974). L is concave and has corners. The minimum is
therefore softened to −τ·log Σ exp(−rc/τ), which is smooth (Nesterov 2005), climbed by L-BFGS-B, and τ lowered step by
step; the bound itself is always taken without softening.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.mip.model import BoolArray, FloatArray, IntArray, MipArrays

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Blocks", "blocks_of", "climbed"]

MOST_WHOLE = 1e15
"""Whole numbers up to here are exact as floats."""

ROUNDING = 1e-6
"""Bounds are wrong by less than this, relatively: they come from sums of many numbers, and from solvers."""

ROWS_BESIDE = 8
"""Neighbours are looked for along so many rows."""


@dataclass(frozen=True)
class Blocks:
    """A model seen as blocks and coupling rows.

    Attributes
    ----------
    column
        ``[n]`` the columns of all blocks, block by block.
    start, size
        ``[block]`` where each begins in ``column``, and how many units it hands out.
    loose
        Columns that stand in no block.
    row
        Numbers of the coupling rows: those with a limit that are no blocks.
    """

    arrays: MipArrays
    column: IntArray
    start: IntArray
    size: FloatArray
    loose: IntArray
    row: IntArray

    @cached_property
    def whole(self) -> csr_array:
        """``[row, column]``, blocks included."""
        from scipy.sparse import csr_array  # noqa: PLC0415  slow to import, and only a solve needs it

        a = self.arrays
        return csr_array((a.value, a.index, a.start), shape=(a.rows_count, a.columns_count))

    @cached_property
    def whole_by_column(self) -> csr_array:
        """``[column, row]``, blocks included."""
        return self.whole.T.tocsr()

    @cached_property
    def matrix(self) -> csr_array:
        """``[coupling row, column]``."""
        return self.whole[self.row]

    @cached_property
    def by_column(self) -> csr_array:
        """``[column, coupling row]``."""
        return self.matrix.T.tocsr()

    @cached_property
    def price_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest price of each coupling row: of a row without a lower end none is positive."""
        lower, upper = self.arrays.row_lower[self.row], self.arrays.row_upper[self.row]
        return np.where(np.isfinite(upper), -np.inf, 0.0), np.where(np.isfinite(lower), np.inf, 0.0)

    @cached_property
    def width(self) -> IntArray:
        """``[block]`` how many columns it has."""
        return np.diff(self.start, append=len(self.column))

    @property
    def bounded(self) -> bool:
        """Whether every loose column has finite bounds, so that any prices give a bound."""
        a = self.arrays
        return bool(np.isfinite(a.upper[self.loose]).all() and np.isfinite(a.lower[self.loose]).all())

    @cached_property
    def is_loose(self) -> BoolArray:
        """``[column]`` whether it stands in no block."""
        mark = np.zeros(self.arrays.columns_count, dtype=bool)
        mark[self.loose] = True
        return mark

    @cached_property
    def block_of(self) -> IntArray:
        """``[column]`` the block that it stands in; -1 for loose ones."""
        block = np.full(self.arrays.columns_count, -1, dtype=np.int64)
        block[self.column] = np.repeat(np.arange(len(self.size)), self.width)
        return block

    def entries_of(self, row: int) -> tuple[IntArray, FloatArray]:
        """Columns and coefficients of a coupling row."""
        matrix = self.matrix
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        return matrix.indices[entries], matrix.data[entries]

    def admissible(self, price: FloatArray) -> FloatArray:
        """Prices clipped to the signs that their rows allow."""
        return np.clip(price, *self.price_bounds)

    def reduced_costs(self, price: FloatArray) -> FloatArray:
        """``[column]`` c − Aᵀ·y."""
        return np.asarray(self.arrays.cost - self.by_column @ price)

    def least(self, reduced: FloatArray) -> FloatArray:
        """``[block]`` the least reduced cost in each block."""
        return np.minimum.reduceat(reduced[self.column], self.start)

    def bound(self, price: FloatArray) -> float:
        """L(y): no solution costs less."""
        reduced = self.reduced_costs(price)
        return float(self.size @ self.least(reduced)) + self._loose_cost(reduced) + self._limits_at(price)

    def softened(self, price: FloatArray, softness: float) -> tuple[float, FloatArray]:
        """L with soft minima, and its gradient ``[coupling row]``: the limits less the activity of the soft choice."""
        reduced = self.reduced_costs(price)
        rc = reduced[self.column]
        least = self.least(reduced)
        weight = np.exp((np.repeat(least, self.width) - rc) / softness)
        total = np.add.reduceat(weight, self.start)
        chosen = np.zeros(self.arrays.columns_count)
        chosen[self.column] = weight * np.repeat(self.size / total, self.width)
        chosen[self.loose] = self._loose_at(reduced)
        value = float(self.size @ (least - softness * np.log(total))) + self._loose_cost(reduced)
        return value + self._limits_at(price), self._limits(price) - self.matrix @ chosen

    def above_least(self, price: FloatArray) -> FloatArray:
        """``[column]`` reduced cost above the least of its block; 0 for loose columns."""
        reduced = self.reduced_costs(price)
        above = np.zeros(self.arrays.columns_count)
        above[self.column] = reduced[self.column] - np.repeat(self.least(reduced), self.width)
        return above

    @cached_property
    def typical_cost(self) -> float:
        """Median over blocks of what the second cheapest column costs more than the cheapest; the scale of prices."""
        cost = self.arrays.cost[self.column]
        least = np.repeat(np.minimum.reduceat(cost, self.start), self.width)
        more = np.where(cost > least, cost - least, np.inf)
        second = np.minimum.reduceat(more, self.start)
        second = second[np.isfinite(second)]
        return float(np.median(second)) if second.size else 1.0

    @cached_property
    def lightest(self) -> BoolArray:
        """``[column]`` the columns of each block that take least of the coupling rows, so that parts are feasible."""
        weight = np.asarray(abs(self.by_column).sum(axis=1))[self.column]
        least = np.repeat(np.minimum.reduceat(weight, self.start), self.width)
        mark = np.zeros(self.arrays.columns_count, dtype=bool)
        mark[self.column[weight <= least]] = True
        return mark

    @cached_property
    def cost_step(self) -> float:
        """Every solution's cost is a multiple of it; 0 where that is not known."""
        a = self.arrays
        priced = a.cost != 0
        cost = np.abs(a.cost[priced])
        if not a.integer[priced].all() or (cost != np.rint(cost)).any() or cost.sum() > MOST_WHOLE:
            return 0.0
        return float(np.gcd.reduce(cost.astype(np.int64))) if cost.size else 0.0

    def whole_bound(self, bound: float) -> float:
        """A lower bound raised to the next cost that a solution can have."""
        if self.cost_step == 0 or not np.isfinite(bound):
            return bound
        steps = bound / self.cost_step
        return max(bound, float(np.ceil(steps - ROUNDING * max(1.0, abs(steps)))) * self.cost_step)

    def sums(self, values: FloatArray) -> FloatArray:
        """``[block]`` sum of the values of its columns."""
        return np.add.reduceat(values[self.column], self.start)

    def with_any(self, chosen: BoolArray) -> BoolArray:
        """``[block]`` which have one of the chosen columns."""
        return np.logical_or.reduceat(chosen[self.column], self.start)

    def columns_of(self, freed: BoolArray, near: BoolArray) -> BoolArray:
        """``[column]`` loose ones, and the near ones of freed blocks."""
        free = self.is_loose.copy()
        free[self.column] = np.repeat(freed, self.width) & near[self.column]
        return free

    def held_by(self, row: IntArray, values: FloatArray) -> BoolArray:
        """``[block]`` which take a column with an entry in one of the coupling rows, given by their place in `row`."""
        reached = np.zeros(self.arrays.columns_count, dtype=bool)
        reached[self.matrix[row].indices] = True
        return self.with_any(reached & (values > 0))

    def wasted(self, price: FloatArray, values: FloatArray) -> FloatArray:
        """``[coupling row]`` what the room that a solution leaves in it costs at the prices."""
        unused = np.abs(self._limits(price) - self.matrix @ values)
        return np.where(price == 0, 0.0, np.abs(price) * unused)

    def beside(self, some: IntArray, values: FloatArray, random: np.random.Generator) -> IntArray:
        """Blocks that share one of a few rows with the columns that some blocks take."""
        mark = np.zeros(len(self.size), dtype=bool)
        mark[some] = True
        taken = self.column[np.repeat(mark, self.width) & (values[self.column] > 0)]
        rows = np.unique(self.by_column[taken].indices)
        rows = random.permutation(rows)[:ROWS_BESIDE]
        reached = np.zeros(self.arrays.columns_count, dtype=bool)
        reached[self.matrix[rows].indices] = True
        return np.flatnonzero(self.with_any(reached))

    def _loose_at(self, reduced: FloatArray) -> FloatArray:
        a = self.arrays
        return np.where(reduced[self.loose] < 0, a.upper[self.loose], a.lower[self.loose])

    def _loose_cost(self, reduced: FloatArray) -> float:
        return float(reduced[self.loose] @ self._loose_at(reduced))

    def _limits(self, price: FloatArray) -> FloatArray:
        lower, upper = self.arrays.row_lower[self.row], self.arrays.row_upper[self.row]
        at = np.where(price > 0, lower, np.where(price < 0, upper, np.where(np.isfinite(upper), upper, lower)))
        return np.asarray(at)

    def _limits_at(self, price: FloatArray) -> float:
        priced = price != 0
        return float(price[priced] @ self._limits(price)[priced])


def blocks_of(arrays: MipArrays) -> Blocks:
    """Find the blocks of a model: equalities over integer columns with coefficients of 1, which share no column."""
    row_of = arrays.row_of_entry
    plain = (arrays.row_lower == arrays.row_upper) & np.isfinite(arrays.row_lower)
    odd = (arrays.value != 1.0) | ~arrays.integer[arrays.index] | (arrays.lower[arrays.index] != 0.0)
    plain[row_of[odd]] = False
    plain &= np.diff(arrays.start) > 0
    block = np.full(arrays.columns_count, -1, dtype=np.int64)
    taken = _disjoint(arrays, plain)
    entries = np.isin(row_of, taken)
    block[arrays.index[entries]] = row_of[entries]
    inside = np.flatnonzero(block >= 0)
    inside = inside[np.argsort(block[inside], kind="stable")]
    rows, start = np.unique(block[inside], return_index=True)
    limited = np.isfinite(arrays.row_lower) | np.isfinite(arrays.row_upper)
    coupling = np.setdiff1d(np.flatnonzero(limited), rows)
    return Blocks(arrays, inside, start, arrays.row_lower[rows], np.flatnonzero(block < 0), coupling)


def _disjoint(arrays: MipArrays, plain: BoolArray) -> IntArray:
    """Rows among the plain ones that share no column: all where none does, else the first of each that clash."""
    rows = np.flatnonzero(plain)
    members = [arrays.index[arrays.start[r] : arrays.start[r + 1]] for r in rows]
    seen = np.zeros(arrays.columns_count, dtype=bool)
    kept = []
    for r, columns in zip(rows, members, strict=True):
        if not seen[columns].any():
            seen[columns] = True
            kept.append(r)
    return np.array(kept, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Climb:
    """Prices, and the bound that they give."""

    price: FloatArray
    bound: float


def climbed(blocks: Blocks, softness: tuple[float, ...], steps: int, until: float) -> Climb:
    """Climb L at each softness in turn; the best prices seen.

    Parameters
    ----------
    softness
        Values of τ in cost units, falling.
    steps
        Most L-BFGS-B steps at each.
    until
        ``time.perf_counter()`` at which to stop.
    """
    from scipy.optimize import minimize  # noqa: PLC0415  slow to import, and only a solve needs it

    scale = _scale(blocks)
    low, high = blocks.price_bounds
    box = np.column_stack([low / scale, high / scale])
    price = np.zeros(len(blocks.row))
    best = Climb(price, blocks.bound(price))
    unit = 1.0 / max(1.0, abs(float(np.median(np.abs(blocks.arrays.cost)))) * len(blocks.size))

    def falling(scaled: FloatArray, tau: float) -> tuple[float, FloatArray]:
        if time.perf_counter() > until:
            raise TimeoutError
        value, gradient = blocks.softened(scaled * scale, tau)
        return -value * unit, -gradient * scale * unit

    try:
        for tau in softness:
            found = minimize(
                falling,
                price / scale,
                args=(tau,),
                jac=True,
                method="L-BFGS-B",
                bounds=box,
                options={"maxiter": steps, "maxcor": 20, "maxfun": 2 * steps},
            )
            price = found.x * scale
            bound = blocks.bound(price)
            best = max(best, Climb(price, bound), key=lambda climb: climb.bound)
    except TimeoutError:
        pass
    return best


def _scale(blocks: Blocks) -> FloatArray:
    """``[coupling row]`` a typical price: typical cost over typical coefficient."""
    cost = np.abs(blocks.arrays.cost)
    typical = float(np.median(cost[cost > 0])) if (cost > 0).any() else 1.0
    size = abs(blocks.matrix)
    mean = size.sum(axis=1) / np.maximum(1, np.diff(blocks.matrix.indptr))
    return np.asarray(typical / np.maximum(1e-12, mean))
