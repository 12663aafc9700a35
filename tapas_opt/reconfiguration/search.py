"""Greedy's search: from prices to a plan, and from the plan to better prices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration import search_kernels as kernels
from tapas_opt.reconfiguration.kernels import COUNTS
from tapas_opt.reconfiguration.loads import with_whole_loads
from tapas_opt.reconfiguration.pricing import Prices, Pricing
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationPlan
from tapas_opt.reconfiguration.tables import State, Tables

__all__ = ["Search"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SOFTNESSES = ((1.0, 12), (0.2, 20), (0.04, 20), (0.01, 30), (0.01, 30))
"""Softness of each climb in typical costs, and its steps."""

NEAR = 20.0
"""Options that cost so many softnesses more than the cheapest are left out of the next climb."""

CLOSE = 0.001
"""A plan this near to the bound, as a fraction, is good enough."""

FAR = 0.01
"""A plan that is further from the bound is compared with others that start from the present."""

TOKEN_FRACS = (1.0, 0.1)
"""What a token is worth in these others, in parts of its price."""

ROUNDS = 8
"""Serving and buying back stop after so many passes, or when a pass changes nothing."""


class Search:
    """The best plan and prices so far; excess outweighs cost."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.pricing = Pricing(tables)
        self.prices = self.pricing.chosen(self.pricing.flat(0.0))[1]
        self.best = tables.started()
        self.rank = self._rank(self.best)

    def run(self) -> tuple[ReconfigurationPlan, float]:
        """Round the prices of each climb until one is close; if none is, start from the present as well."""
        t = self.tables
        for softness, steps in SOFTNESSES:
            self._round(self.pricing.climbed(self.prices, softness * self.pricing.typical_cost, steps))
            if self._gap_frac() <= CLOSE:
                break
            self.pricing.narrow(self.prices, NEAR * softness * self.pricing.typical_cost)
        if CLOSE < self._gap_frac() < np.inf:
            self.prices = with_whole_loads(t, self.pricing, self.prices, self._loading())
        if self._gap_frac() > FAR:
            for prices in self._guesses():
                self._offer(self._put_right(t.started(), prices)[0])
        if self.rank[0] > 0:
            self._offer(self._put_right(t.started(), self.prices, most_relief=True)[0])
        choice = t.choice[t.kind, self.best.at]
        bound = self.pricing.bound_within(self.prices, self.best) if t.problem.aim is Aim.COST else 0.0
        return t.problem.plan(choice), bound

    def _round(self, prices: Prices) -> None:
        """Offer what instances choose at some prices, put right; keep the prices if they bound better."""
        at, prices = self.pricing.chosen(prices)
        state, token, permille = self._put_right(self._within_changes(at, prices), prices)
        self._offer(state)
        higher = [self.pricing.raised(prices, more_token, permille) for more_token in (np.zeros_like(token), token)]
        self.prices = max(self.prices, prices, *higher, key=lambda each: each.bound)

    def _loading(self) -> list[int]:
        """Endpoints whose instances load weights in the best plan."""
        t = self.tables
        loading = np.unique(t.endpoint[t.loads[t.kind, self.best.at]])
        return [int(e) for e in loading]

    def _guesses(self) -> Iterator[Prices]:
        yield self.prices
        for frac in TOKEN_FRACS:
            yield self.pricing.flat(frac * self.tables.problem.prices.unserved_token_per_s)

    def _offer(self, state: State) -> None:
        rank = self._rank(state)
        if rank < self.rank:
            self.best, self.rank = state, rank

    def _rank(self, state: State) -> tuple[int, int]:
        over = int(np.maximum(0, state.drawn - self.tables.room).sum())
        return over, self.tables.cost(state)

    def _gap_frac(self) -> float:
        over, cost = self.rank
        if over > 0:
            return np.inf
        return (cost - self.prices.bound) / cost if cost > 0 else 0.0

    def _within_changes(self, at: IntArray, prices: Prices) -> State:
        """Undo the changes beyond the change budget that are worth least."""
        t = self.tables
        state = t.state(at)
        undone = max(0, -int(state.changes_left[0]))
        if undone:
            changed = np.flatnonzero(t.option[t.kind, COUNTS, at])
            rate, kind = self.pricing.rates(prices)[changed], t.kind[changed]
            present = t.present[kind]
            lost = t.option[kind, :, present] - t.option[kind, :, at[changed]]
            worth = (rate * lost).sum(axis=1)
            back = np.argsort(worth, kind="stable")[:undone]
            at[changed[back]] = present[back]
            state = t.state(at)
        return state

    def _put_right(
        self, state: State, prices: Prices, *, most_relief: bool = False
    ) -> tuple[State, FloatArray, FloatArray]:
        """Relieve what is overloaded, serve what is not served, and buy back what pays.

        With the state, by how much higher prices of a token ``[endpoint]`` and of a thousandth ``[domain]`` would have
        paid for the dearest steps.
        """
        t, rate = self.tables, self.pricing.rates(prices)
        site = (t.width, t.option, t.place, t.room)
        plan = (state.at, state.drawn, state.slack, state.changes_left)
        token, permille = np.zeros(len(t.of_endpoint)), np.zeros(len(t.room))
        unserved = t.problem.prices.unserved_token_per_s
        kernels.repaired(t.kind, t.endpoint, *site, t.instance_of, t.first_of, rate, *plan, most_relief, permille)
        for _ in range(ROUNDS):
            steps = 0
            for e in np.flatnonzero(state.slack < 0).tolist():
                taken, more = kernels.served(t.kind, *site, rate, t.of_endpoint[e], e, unserved, *plan)
                steps, token[e] = steps + taken, max(token[e], more)
            if steps == 0:
                break
        token[state.slack < 0] = unserved
        for _ in range(ROUNDS):
            if kernels.bought_back(t.kind, t.endpoint, *site, rate, unserved, *plan) == 0:
                break
        return state, token, permille
