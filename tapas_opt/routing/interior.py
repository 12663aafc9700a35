"""A linear program through its interior: predictor and corrector (Mehrotra 1992), columns bounded on both sides.

Newton's equations are reduced to one unknown for each row, and one for each priced family: were its peak eliminated as
well, it would couple all domains of the family. Endpoints and families couple rooms and come last, so that what other
rows have to do with is near them (:mod:`tapas_opt.routing.skyline_kernels`): the work is linear in the number of rooms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.routing import kernels, skyline_kernels
from tapas_opt.routing.program import Program

__all__ = ["Inner", "inwards"]

FloatArray = NDArray[np.float64]

STEPS = 80
"""Most steps; two dozen are usual."""

SHORT_FRAC = 0.995
"""Part of the way to where the first number would be 0 that a step goes at most."""

LEAST_STEP = 1e-6
"""A step so short leads nowhere."""

ENOUGH = 1e-7
"""The way ends where what is left of it, as a fraction of the bound, is less."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A point on the way.

    Attributes
    ----------
    columns, price
        ``[column]`` and ``[row]``, all above 0.
    cost, bound
        What the columns cost, which break rows by what the way is still short of, and the bound of the prices.
    """

    columns: FloatArray
    price: FloatArray
    cost: float
    bound: float


def inwards(program: Program) -> Iterator[Inner]:
    """Points ever nearer to the optimum."""
    way = _Way(program)
    for _ in range(STEPS):
        if not way.step():
            return
        x, price = way.columns, way.price
        inner = Inner(x, price, float((program.cost * x).sum()), program.bound(price))
        yield inner
        if way.left <= ENOUGH * inner.bound:
            return


class _Way:
    """Columns, what is left of them and of rows, and beside each its dual: their products fall evenly to 0.

    ``primal`` is columns, most − columns, right − sums; ``dual`` the reduced cost above 0, the one below, prices.
    """

    def __init__(self, program: Program) -> None:
        self._p = p = program
        self._n = n = len(p.cost)
        self._equations = _Equations(p)
        price = _first_prices(p)
        reduced = p.cost + p.priced(price)
        typical = max(float(np.abs(reduced).mean()), 1e-9)
        self._dual = np.concatenate([np.maximum(reduced, 0) + typical, np.maximum(-reduced, 0) + typical, price])
        half = p.most / 2
        mean = float((half * (self._dual[:n] + self._dual[n : 2 * n])).mean()) / 2
        self._primal = np.concatenate([half, half, np.maximum(p.right - p.sums(half), mean / price)])

    @property
    def columns(self) -> FloatArray:
        return self._primal[: self._n].copy()

    @property
    def price(self) -> FloatArray:
        return self._dual[2 * self._n :].copy()

    @property
    def left(self) -> float:
        """By how much cost and bound differ once rows are kept."""
        return float((self._primal * self._dual).sum())

    def step(self) -> bool:
        """One step; whether it led anywhere."""
        primal, dual, n = self._primal, self._dual, self._n
        ratio = dual / primal
        if not self._equations.factor(1.0 / (ratio[:n] + ratio[n : 2 * n]), 1.0 / ratio[2 * n :]):
            return False
        straight = self._change(ratio, -dual)
        by_primal, by_dual = (_length(*pair) for pair in zip((primal, dual), straight, strict=True))
        there = float(((primal + by_primal * straight[0]) * (dual + by_dual * straight[1])).sum())
        aim = self.left / len(dual) * min(1.0, there / self.left) ** 3
        bent = self._change(ratio, (aim - straight[0] * straight[1]) / primal - dual)
        by_primal, by_dual = (_length(*pair, SHORT_FRAC) for pair in zip((primal, dual), bent, strict=True))
        self._primal, self._dual = primal + by_primal * bent[0], dual + by_dual * bent[1]
        return bool(max(by_primal, by_dual) > LEAST_STEP)

    def _change(self, ratio: FloatArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of primal and dual: rows and reduced costs come right, and dual + ratio · primal changes as wanted."""
        p, n = self._p, self._n
        weight = 1.0 / (ratio[:n] + ratio[n : 2 * n])
        alone = weight * (wanted[:n] - wanted[n : 2 * n])
        in_rows = wanted[2 * n :] / ratio[2 * n :]
        missing = p.right - p.sums(self._primal[:n]) - self._primal[2 * n :]
        price = self._equations.solve(alone, in_rows - missing)
        columns = alone - weight * p.priced(price)
        primal = np.concatenate([columns, -columns, in_rows - price / ratio[2 * n :]])
        return primal, wanted - ratio * primal


class _Equations:
    """(A · weight · Aᵀ + slack) · price = right, with a column for each family beside it; A by row and column."""

    def __init__(self, program: Program) -> None:
        self._p = p = program
        self._rows, families = len(p.right), len(p.split(p.cost)[2])
        first = np.arange(self._rows + families)
        kernels.reached(p.demanded, p.row, first)
        np.minimum.at(first, self._rows + p.peak_family, p.peak_row)
        ends = np.cumsum(np.arange(len(first)) - first + 1)
        self._sky = first, np.concatenate([[0], ends[:-1]])
        self._entries, self._diagonal, self._at = np.zeros(ends[-1]), np.zeros(len(first)), ends - 1
        self._peak_weight = np.zeros(families)

    def factor(self, weight: FloatArray, slack: FloatArray) -> bool:
        """Take other weights; whether they can be told from none."""
        p, entries, (first, begin) = self._p, self._entries, self._sky
        used, unserved, self._peak_weight = p.split(weight)
        kernels.matrix(used, *p.numbers, first, begin, entries)
        entries[self._at[: self._rows]] += slack
        np.add.at(entries, self._at[p.class_row], p.class_work**2 * unserved)
        entries[self._at[self._rows :]] = -1.0 / self._peak_weight
        family = self._rows + p.peak_family
        entries[begin[family] + p.peak_row - first[family]] = p.peak_step
        return skyline_kernels.factored(first, begin, entries, self._diagonal)

    def solve(self, columns: FloatArray, right: FloatArray) -> FloatArray:
        """``[row]`` prices, for A · columns + right."""
        p, families = self._p, len(self._peak_weight)
        others = columns.copy()
        others[len(columns) - families :] = 0.0
        peak = columns[len(columns) - families :]
        unknown = np.concatenate([p.sums(others) + right, -peak / self._peak_weight])
        skyline_kernels.solved(*self._sky, self._entries, self._diagonal, unknown)
        return unknown[: self._rows]


def _first_prices(p: Program) -> FloatArray:
    """About what a watt, and a token/s, costs on average; above 0."""
    total = max(1e-9, float(p.split(p.cost)[0].sum()))
    price = np.full(len(p.right), total / max(1.0, float(p.power.sum())))
    price[p.class_row] = total / max(1.0, float(p.work.sum()))
    return price


def _length(at: FloatArray, change: FloatArray, part: float = 1.0) -> float:
    """How far to go until the first number would be 0, or a part of that; at most 1."""
    falling = change < 0
    return min(1.0, part * float((at[falling] / -change[falling]).min(initial=np.inf)))
