"""From prices to a plan: water poured along the segments that cost least with all they draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.routing import kernels
from tapas_opt.routing.interior import Inner, inwards
from tapas_opt.routing.problem import RoutingClasses, RoutingPlan, RoutingProblem
from tapas_opt.routing.program import Program, program_of
from tapas_opt.routing.segments import segments_of
from tapas_opt.routing.spread import spread

__all__ = ["Pouring"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CLOSE = 1e-4
"""A plan this near to the bound, as a fraction, is good enough."""

NEAR = 1e-3
"""Columns whose cost is this near to their bound, as a fraction, are worth being made a plan of."""


class Pouring:
    """The cheapest of a few ways to pour, and a bound."""

    def __init__(self, problem: RoutingProblem, classes: RoutingClasses) -> None:
        self._problem, self._classes = problem, classes
        self._segments = segments_of(problem, classes)

    def run(self) -> tuple[RoutingPlan, float]:
        """Without prices first, which is best where no domain is short; then what the linear program comes to."""
        s = self._segments
        by_cost = _order(s.cost, s.work)
        used, cost = self._poured(by_cost, by_cost, np.zeros(s.work.shape), np.zeros(len(s.peak_price)))
        bound = self._without_domains(by_cost)
        if cost - bound <= CLOSE * cost:
            return self._plan(used), bound
        program = program_of(self._problem, s)
        for inner in inwards(program):
            bound = max(bound, inner.bound)
            if abs(inner.cost - bound) > NEAR * bound:
                continue
            other, its_cost = self._followed(program, inner)
            if its_cost < cost:
                used, cost = other, its_cost
            if cost - bound <= CLOSE * cost:
                break
        return self._plan(used), bound

    def _followed(self, program: Program, inner: Inner) -> tuple[FloatArray, float]:
        """What the columns use, as far as there is room, and what else there is room for."""
        s = self._segments
        used, _, peak = program.split(inner.columns)
        dear = program.split(program.cost + program.priced(inner.price))[0]
        order = _order(dear, s.work)
        paying = order[dear.ravel()[order] <= 0.0]
        return self._poured(paying, order, self._within(np.where(s.most > 0, used, 0.0)), peak)

    def _within(self, used: FloatArray) -> FloatArray:
        """As much of what is used as keeps all limits and serves nobody twice."""
        s = self._segments
        over = self._load(used) / np.maximum(s.limit_room, 1e-9)
        used = used / np.maximum(1.0, over[s.place].max(axis=1, initial=0.0))[:, None]
        served = np.bincount(s.endpoint, (used * s.work).sum(axis=1), len(s.demand))
        return np.asarray(used * np.minimum(1.0, s.demand / np.maximum(served, 1e-9))[s.endpoint, None])

    def _poured(
        self, paying: IntArray, order: IntArray, start: FloatArray, peak: FloatArray
    ) -> tuple[FloatArray, float]:
        """``[c, b]`` what is used and its cost: what pays while peaks are so high, or then all up to the limits."""
        s = self._segments
        used = start.copy()
        demand = (s.demand - np.bincount(s.endpoint, (used * s.work).sum(axis=1), len(s.demand))).clip(0.0)
        free = s.free_room + np.where(s.family == NONE, 0.0, s.step * np.append(peak, 0.0)[s.family])
        begin = np.minimum(s.limit_room, free)
        room = begin - self._load(start)
        kernels.poured(paying, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, room, demand, used)
        first, its_cost = used.copy(), self._cost(used, demand)
        room[:-1] += s.limit_room[:-1] - begin[:-1]
        kernels.poured(order, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, room, demand, used)
        cost = self._cost(used, demand)
        return (used, cost) if cost < its_cost else (first, its_cost)

    def _without_domains(self, by_cost: IntArray) -> float:
        """A bound: the cost if domains had no limits. Then the cheapest segments are best, if serving always pays."""
        s, p = self._segments, self._problem
        room, demand, used = np.full(len(s.limit_room), np.inf), s.demand.copy(), np.zeros(s.work.shape)
        kernels.poured(by_cost, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, room, demand, used)
        lost = p.prices.unserved_tokens_per_s * p.class_tokens_per_s
        worth = (lost / np.maximum(1e-9, p.class_work)).min(where=p.class_work > 0, initial=np.inf)
        dearest = (s.cost / np.where(s.work > 0, s.work, 1.0)).max(where=used > 0, initial=0.0)
        return float((used * s.cost).sum() + unserved_frac(p, demand) @ lost) if dearest <= worth else 0.0

    def _load(self, used: FloatArray) -> FloatArray:
        """``[domain]`` what is drawn there."""
        s = self._segments
        watts, air = (used * s.power).sum(axis=1), (used * s.airflow).sum(axis=1)
        drawn = s.per_watt * watts[:, None] + s.per_cfm * air[:, None]
        return np.bincount(s.place.ravel(), drawn.ravel(), len(s.limit_room)).astype(np.float64)

    def _cost(self, used: FloatArray, left: FloatArray) -> float:
        s, p = self._segments, self._problem
        priced = s.family != NONE
        above = ((self._load(used) - s.free_room)[priced] / s.step[priced]).clip(0.0)
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


def _order(cost: FloatArray, work: FloatArray) -> IntArray:
    """Numbers of segments, cheapest a token first; ties keep an instance's own order."""
    each = np.maximum.accumulate(cost / np.where(work > 0, work, 1.0), axis=1)  # equal slopes differ in a bit
    return np.argsort(each.ravel(), kind="stable")


def unserved_frac(problem: RoutingProblem, left: FloatArray) -> FloatArray:
    """``[class]`` how ``left[endpoint]`` falls on the classes: most work a token first, since that frees most."""
    lost = np.zeros(len(problem.classes))
    left, works = left.clip(0.0), problem.class_work
    for q in np.argsort(-problem.class_work_permille, kind="stable"):
        work, e = float(works[q]), problem.class_endpoint[q]
        if work > 0.0 and left[e] > 0.0:
            lost[q] = min(1.0, left[e] / work)
            left[e] -= lost[q] * work
    return lost
