"""Models of alike units, by patterns: column generation (Gilmore and Gomory 1961), a true bound, and diving.

The master is a linear program: how often each pattern occurs, so that the blocks hand out what they must. Its prices
ask for patterns that are worth more than they cost. Greedy ones are looked for first, many at once; where there are
none, a search (:mod:`tapas_opt.mip.filling`) or else HiGHS finds the best, and how much it could be worth at most gives
a bound (Farley 1990). From the linear program
a solution is dived for: patterns are fixed, most used ones first, and what is left is asked for new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.mip import highs
from tapas_opt.mip.alike import Alike
from tapas_opt.mip.filling import Filling
from tapas_opt.mip.growing import GrowingProgram
from tapas_opt.mip.limits import Limits
from tapas_opt.mip.model import BoolArray, FloatArray, IntArray, MipArrays

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Patterns"]

TRIES = 64
"""Greedy patterns made at once."""

WORTH = 1e-6
"""A pattern worth less than this beyond its cost is worth nothing."""

FEW = 8
"""So few greedy patterns are not worth a solve of the master by themselves."""

DIVE_ROUNDS = 3
"""In a dive the master asks so often for new patterns before the next are fixed."""

FIXED_FRAC = 0.7
"""Used at least so much beyond whole, a pattern is fixed once more in a dive; the most used one is in any case."""

EXACT_S, EXACT_GAP_FRAC = 5.0, 0.1
"""Most that one exact search for a pattern may take, and how far from the best a worthy one may be."""

CHOICE_S = 2.0
"""Most that HiGHS may take to choose among all patterns."""


class Patterns:
    """All patterns found so far, and what is made of them.

    Parameters
    ----------
    solution
        Values of the whole; its fullest unit says how loose columns stand in one that is used.

    Attributes
    ----------
    closed
        Whether nothing is left to ask for: no pattern is worth anything, or the bound cannot rise further.
    """

    def __init__(self, alike: Alike, solution: FloatArray, seed: int, limits: Limits) -> None:
        self._alike, self._seed, self._limits = alike, seed, limits
        self._random = np.random.default_rng(seed)
        self._take = np.flatnonzero(alike.taking)
        self._block = alike.block[self._take]
        self._values = np.zeros((0, alike.unit.columns_count))
        self._seen: set[bytes] = set()
        self._program = GrowingProgram(len(alike.size))
        used = solution[alike.column]
        self._loose = np.where(alike.taking, 0.0, used[np.argmax(used[:, self._take].sum(axis=1))])
        self.add(used)
        self.add(self._singles())
        self._least_cost = self._cheapest_of_any()
        self._filling = Filling(alike, self._loose, self._least_cost)
        self.closed = False

    def add(self, values: FloatArray) -> int:
        """Keep patterns ``[pattern, column of the unit]`` that are new and take anything; how many those are."""
        fresh = []
        for pattern in np.rint(values):
            key = pattern.tobytes()
            if pattern[self._take].any() and key not in self._seen:
                self._seen.add(key)
                fresh.append(pattern)
        if fresh:
            self._values = np.vstack([self._values, fresh])
            taken = self._taken(np.array(fresh)).T.tocsr()
            self._program.add(np.array(fresh) @ self._alike.unit.cost, taken.indptr, taken.indices, taken.data)
        return len(fresh)

    def bound(self, whole_bound: Callable[[float], float], most_s: float) -> float:
        """Ask for new patterns, greedy ones first, until none is worth anything; a lower bound on any solution's cost.

        Parameters
        ----------
        whole_bound
            Raises a bound to the next cost that a solution can have.
        most_s
            Give up after so many seconds; it may be gone on with.
        """
        bound, until_s = -np.inf, self._limits.left_s() - most_s
        while not self.closed and (self._limits.left_s() > until_s or (self._limits.nodes and bound == -np.inf)):
            solved = self._master(self._alike.size)
            if solved is None:
                break
            _, price, objective = solved
            if self._fresh(price, self._alike.size):
                continue
            patterns, least = self._exact(price)
            bound = max(bound, self._bound_at(price, least))
            fresh = self.add(patterns)
            self.closed = fresh == 0 or whole_bound(bound) >= objective - WORTH
        return bound

    def generate(self, most_s: float) -> None:
        """Ask for new greedy patterns until there are none, or so many seconds have passed."""
        until_s = self._limits.left_s() - most_s
        while self._limits.nodes or self._limits.left_s() > until_s:
            solved = self._master(self._alike.size)
            if solved is None or not self._fresh(solved[1], self._alike.size):
                return

    def _fresh(self, price: FloatArray, left: FloatArray) -> int:
        """How many patterns came in: greedy ones, and where those are few, the best."""
        fresh = self.add(self._greedy(price, left))
        if fresh < FEW and self._filling.possible:
            fresh += self.add(self._filling.search(price, left, WORTH)[0])
        return fresh

    def dive(self) -> FloatArray | None:
        """A solution near the master's, ``[unit in use, column of the unit]``; None if it needs too many units."""
        left = self._alike.size.copy()
        chosen: list[FloatArray] = []
        while left.any() and len(chosen) <= len(self._alike.column):
            usage = self._asked(left)
            if usage is None:
                return None
            fixed = len(chosen)
            for pattern in self._to_fix(usage):
                taken = self._values[pattern, self._take]
                if len(chosen) == fixed or (taken <= left[self._block]).all():
                    chosen.append(self._trimmed(self._values[pattern], left))
                    np.subtract.at(left, self._block, chosen[-1][self._take])
        if left.any() or len(chosen) > len(self._alike.column):
            return None
        self.add(np.array(chosen))
        return np.array(chosen)

    def chosen(self) -> FloatArray | None:
        """The best choice among the patterns so far that HiGHS finds in time, as `dive` gives it."""
        found = highs.solve(self._choice(), seed=self._seed, **self._limits.within(CHOICE_S))
        if found.values is None or found.values.sum() > len(self._alike.column) + 0.5:
            return None
        left, kept = self._alike.size.copy(), []
        for unit in np.repeat(self._values, np.rint(found.values).astype(np.int64), axis=0):
            kept.append(self._trimmed(unit, left))
            np.subtract.at(left, self._block, kept[-1][self._take])
        return np.array(kept)

    def _asked(self, left: FloatArray) -> FloatArray | None:
        """``[pattern]`` how often the master uses each for what is left, after new ones were asked for."""
        for _ in range(DIVE_ROUNDS):
            if self._limits.left_s() <= 0:
                return None
            solved = self._master(left)
            if solved is None:
                return None
            usage, price, _ = solved
            if not self._fresh(price, left):
                return usage
        solved = self._master(left)
        return None if solved is None else solved[0]

    def _to_fix(self, usage: FloatArray) -> list[int]:
        """Patterns to fix now, as often as whole usage says, most used ones first and one at least."""
        order = np.argsort(-usage * self._random.uniform(0.9, 1.1, len(usage)), kind="stable")
        times = np.floor(usage + 1.0 - FIXED_FRAC).astype(np.int64)
        times[order[0]] = max(1, times[order[0]])
        return list(np.repeat(order, times[order]))

    def _trimmed(self, pattern: FloatArray, left: FloatArray) -> FloatArray:
        kept = pattern.copy()
        kept[self._take] = np.minimum(pattern[self._take], left[self._block])
        return kept

    def _master(self, size: FloatArray) -> tuple[FloatArray, FloatArray, float] | None:
        """Usage of each pattern, price of a unit of each block, and cost; None if there is no time for it."""
        fitting = self._values[:, self._take] <= size[self._block]
        fits: BoolArray = np.full(len(fitting), self._alike.monotone) | fitting.all(axis=1)
        self._program.limit(size, self._most(size), np.where(fits, np.inf, 0.0))
        found = self._program.solve(None if self._limits.nodes else self._limits.left_s())
        if found is None:
            return None
        usage, price, objective = found
        return usage, np.maximum(0.0, price) if self._alike.monotone else price, objective

    def _most(self, size: FloatArray) -> FloatArray:
        """``[block]`` most that may be handed out: where units may trim, more than there is."""
        return np.full(len(size), np.inf) if self._alike.monotone else size

    def _choice(self) -> MipArrays:
        """How often each pattern occurs, so that blocks hand out their sizes."""
        taken, size = self._taken(self._values), self._alike.size
        return MipArrays(
            cost=self._values @ self._alike.unit.cost,
            lower=np.zeros(len(self._values)),
            upper=np.full(len(self._values), float(len(self._alike.column))),
            integer=np.ones(len(self._values), dtype=bool),
            row_lower=size,
            row_upper=self._most(size),
            start=taken.indptr.astype(np.int64),
            index=taken.indices.astype(np.int64),
            value=taken.data,
            column_blocks=(),
            row_blocks=(),
        )

    def _taken(self, values: FloatArray) -> csr_array:
        """``[block, pattern]``."""
        from scipy.sparse import csr_array  # noqa: PLC0415  slow to import, and only a solve needs it

        pattern, place = np.nonzero(values[:, self._take])
        entries = (values[pattern, self._take[place]], (self._block[place], pattern))
        return csr_array(entries, shape=(len(self._alike.size), len(values)))

    def _greedy(self, price: FloatArray, size: FloatArray) -> FloatArray:
        """Patterns worth more than they cost: columns are filled in, in random orders that prefer worth for room."""
        unit, tries = self._alike.unit, np.arange(TRIES)
        matrix = _dense(unit)
        activity = np.tile(matrix @ self._loose, (TRIES, 1))
        values = np.tile(self._loose, (TRIES, 1))
        for place in self._orders(matrix, price):
            column = self._take[place]
            entries = matrix[:, column].T
            room = np.minimum(unit.upper[column], size[self._block[place]])
            for _ in range(int(min(room.max(), 64))):
                after = activity + entries
                fits = (values[tries, column] < room) & ((after <= unit.row_upper) & (after >= unit.row_lower)).all(
                    axis=1
                )
                if not fits.any():
                    break
                activity[fits] = after[fits]
                values[tries[fits], column[fits]] += 1.0
        worth = values[:, self._take] @ price[self._block] - values @ unit.cost
        return values[worth > WORTH]

    def _orders(self, matrix: FloatArray, price: FloatArray) -> IntArray:
        """``[step, try]`` in which order each try looks at the columns that are worth anything."""
        worth = price[self._block]
        places = np.flatnonzero(worth > 0)
        weights = self._random.dirichlet(np.ones(max(1, len(matrix))), TRIES)
        scale = np.maximum(1e-9, np.abs(matrix[:, self._take]).max(axis=1, initial=0.0))
        room = weights @ np.maximum(0.0, matrix[:, self._take[places]] / scale[:, None]) if len(matrix) else 1.0
        score = worth[places] / (room + 1e-3) * self._random.uniform(0.6, 1.4, (TRIES, len(places)))
        return places[np.argsort(-score, axis=1)].T

    def _exact(self, price: FloatArray) -> tuple[FloatArray, float]:
        """Patterns that cost less than they are worth, if there are any, and a lower bound on cost less worth."""
        if self._filling.possible:
            patterns, most = self._filling.search(price, self._alike.size, WORTH)
            if np.isfinite(most):
                return patterns, min(0.0, -most)
            if len(patterns):
                return patterns, -np.inf
        cost = self._alike.unit.cost.copy()
        cost[self._take] -= price[self._block]
        priced = replace(self._alike.unit, cost=cost)
        found = highs.solve(priced, seed=self._seed, gap_frac=EXACT_GAP_FRAC, **self._limits.within(EXACT_S))
        worthy = found.values is not None and found.objective is not None and found.objective < -WORTH
        return np.array([found.values] if worthy else []).reshape(-1, len(cost)), min(0.0, found.bound)

    def _bound_at(self, price: FloatArray, least: float) -> float:
        """Lower bound at the prices, or at prices scaled so that no pattern is worth more than it costs."""
        if least == -np.inf:
            return -np.inf
        total = float(price @ self._alike.size)
        scale = self._least_cost / (self._least_cost - least) if self._least_cost > 0 else 0.0
        return max(total + len(self._alike.column) * least, scale * total)

    def _singles(self) -> FloatArray:
        """A pattern for each column that may be taken alone."""
        values = np.tile(self._loose, (len(self._take), 1))
        values[np.arange(len(self._take)), self._take] = 1.0
        return values[[self._alike.unit.worst_violation(single) <= 0 for single in values]]

    def _cheapest_of_any(self) -> float:
        """Least cost of a unit that takes anything."""
        unit = self._alike.unit
        some = replace(
            unit,
            row_lower=np.append(unit.row_lower, 1.0),
            row_upper=np.append(unit.row_upper, np.inf),
            start=np.append(unit.start, len(unit.value) + len(self._take)),
            index=np.append(unit.index, self._take),
            value=np.append(unit.value, np.ones(len(self._take))),
        )
        return max(0.0, highs.solve(some, seed=self._seed, **self._limits.within(EXACT_S)).bound)


def _dense(unit: MipArrays) -> FloatArray:
    matrix = np.zeros((unit.rows_count, unit.columns_count))
    matrix[unit.row_of_entry, unit.index] = unit.value
    return matrix
