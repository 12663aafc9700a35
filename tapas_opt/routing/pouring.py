"""From prices to a plan: water poured along the segments that cost least with all they draw."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.routing import kernels
from tapas_opt.routing.pricing import Prices, climbed, segments_of
from tapas_opt.routing.problem import RoutingClasses, RoutingPlan, RoutingProblem
from tapas_opt.routing.spread import spread

__all__ = ["Pouring"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PEAKS = (0.9, 1.0, 1.1)
"""Peaks up to which is poured first, in parts of what the prices lead to."""

NEARLY = 0.98
"""A token/s is worth serving or not, all the same, where its price is this near to the price of not serving it."""

CLOSE = 0.001
"""A plan this near to the bound, as a fraction, is good enough."""


class Pouring:
    """The cheapest of a few ways to pour, and a bound."""

    def __init__(self, problem: RoutingProblem, classes: RoutingClasses) -> None:
        self._problem, self._classes = problem, classes
        self._segments = segments_of(problem, classes)

    def run(self) -> tuple[RoutingPlan, float]:
        """Without prices first, which is best where no domain is short; then in the order of ever better prices."""
        s = self._segments
        flat = Prices(np.zeros(len(s.demand)), np.zeros(len(s.limit_room)), np.zeros(len(s.peak_price)), 0.0)
        used, cost = self._poured(flat, 0.0)
        bound = self._without_domains(flat)
        if cost - bound <= CLOSE * cost:
            return self._plan(used), bound
        for prices in climbed(self._problem, s):
            bound = max(bound, prices.bound)
            for part, paying in product(PEAKS, (True, False)):
                if cost - bound <= CLOSE * cost:
                    return self._plan(used), bound
                other, its_cost = self._poured(prices, part, paying=paying)
                if its_cost < cost:
                    used, cost = other, its_cost
        return self._plan(used), bound

    def _poured(self, prices: Prices, part: float, *, paying: bool = False) -> tuple[FloatArray, float]:
        """``[c, b]`` what is used if a part of the prices' peaks is free at first, then everything up to the limits.

        Where only ``paying`` segments are used, none that costs more than serving nobody is.
        """
        s = self._segments
        order = self._order(prices, paying=paying)
        used, demand = np.zeros(s.work.shape), s.demand.astype(np.float64)
        peak = np.where(s.family == NONE, 0.0, s.step * np.append(part * prices.peak, 0.0)[s.family])
        begin = np.minimum(s.limit_room, s.free_room + peak)
        room = begin.copy()
        for _ in range(2):
            kernels.poured(order, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, room, demand, used)
            room[:-1] += s.limit_room[:-1] - begin[:-1]
        return used, self._cost(used, demand)

    def _without_domains(self, flat: Prices) -> float:
        """A bound: the cost if domains had no limits. Then the cheapest segments are best, if serving always pays."""
        s, p = self._segments, self._problem
        room, demand, used = np.full(len(s.limit_room), np.inf), s.demand.copy(), np.zeros(s.work.shape)
        order = self._order(flat, paying=False)
        kernels.poured(order, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, room, demand, used)
        lost = p.prices.unserved_tokens_per_s * p.class_tokens_per_s
        worth = (lost / np.maximum(1e-9, p.class_work)).min(where=p.class_work > 0, initial=np.inf)
        dearest = (s.cost / np.where(s.work > 0, s.work, 1.0)).max(where=used > 0, initial=0.0)
        return float((used * s.cost).sum() + unserved_frac(p, demand) @ lost) if dearest <= worth else 0.0

    def _order(self, prices: Prices, *, paying: bool) -> IntArray:
        """Numbers of segments, cheapest a token first; ties keep an instance's own order."""
        s = self._segments
        dear = np.empty(s.cost.shape)
        kernels.priced(s.cost, s.power, s.airflow, *s.drawing, prices.domain, dear)
        each = np.maximum.accumulate(dear / np.where(s.work > 0, s.work, 1.0), axis=1)  # equal slopes differ in a bit
        order = np.argsort(each.ravel(), kind="stable")
        if paying:
            worth = np.repeat(self._worth(prices)[s.endpoint], s.work.shape[1])
            order = order[each.ravel()[order] <= worth[order]]
        return order

    def _worth(self, prices: Prices) -> FloatArray:
        """``[endpoint]`` what a token/s is worth where leaving some unserved is as good; endless elsewhere."""
        p = self._problem
        lost = p.prices.unserved_tokens_per_s * p.class_tokens_per_s / np.maximum(1e-9, p.class_work)
        least = np.full(len(prices.token), np.inf)
        np.minimum.at(least, p.class_endpoint, np.where(p.class_work > 0, lost, np.inf))
        return np.where(prices.token >= NEARLY * least, prices.token / NEARLY, np.inf)

    def _cost(self, used: FloatArray, left: FloatArray) -> float:
        s, p = self._segments, self._problem
        watts, air = (used * s.power).sum(axis=1), (used * s.airflow).sum(axis=1)
        drawn = s.per_watt * watts[:, None] + s.per_cfm * air[:, None]
        load = np.bincount(s.place.ravel(), weights=drawn.ravel(), minlength=len(s.limit_room))
        priced = s.family != NONE
        above = ((load - s.free_room)[priced] / s.step[priced]).clip(0.0)
        peak = np.zeros(len(s.peak_price))
        np.maximum.at(peak, s.family[priced], above)
        lost = unserved_frac(p, left) @ (p.prices.unserved_tokens_per_s * p.class_tokens_per_s)
        return float((used * s.cost).sum() + s.peak_price @ peak + lost)

    def _plan(self, used: FloatArray) -> RoutingPlan:
        s, of = self._segments, self._classes.instances
        work = (used * s.work).sum(axis=1)
        left = s.demand - np.bincount(s.endpoint, weights=work, minlength=len(s.demand))
        each = (work / of.size)[of.of]
        return spread(self._problem, each, unserved_frac(self._problem, np.where(left > 1e-9 * s.demand, left, 0.0)))


def unserved_frac(problem: RoutingProblem, left: FloatArray) -> FloatArray:
    """``[class]`` how ``left[endpoint]`` falls on the classes: most work a token first, since that frees most."""
    lost = np.zeros(len(problem.classes))
    left = left.clip(0.0)
    for q in np.argsort(-problem.class_work_permille, kind="stable"):
        work, e = float(problem.class_work[q]), problem.class_endpoint[q]
        if work > 0.0 and left[e] > 0.0:
            lost[q] = min(1.0, left[e] / work)
            left[e] -= lost[q] * work
    return lost
