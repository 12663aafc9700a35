"""Prices on demand, on limits and on nearness to them: with them every segment says for itself whether it pays.

For prices of at least 0 of a token/s of work at each endpoint, of a unit below each limit, and of a unit below where a
peak begins to cost,

    L = Σ_{c,b} most · min(0, cost + watt·power + cfm·airflow − token·work)
        + Σ_q min(token·work_q, unserved_q) − Σ_d limit_price·room − Σ_d peak_price·free
        − Σ_f highest_f · max(0, Σ_{d∈f} step·peak_price − price_f)

is a lower bound on the cost of every plan (Lagrangian duality): the last term is what a family's peak can save at most.
Softened (Nesterov 2005) it is climbed as in :mod:`tapas_opt.reconfiguration.pricing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.ascent import climb
from tapas_opt.routing import kernels
from tapas_opt.routing.problem import RoutingClasses, RoutingProblem, peak_step, present_permille

__all__ = ["Prices", "Segments", "climbed", "segments_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SOFTNESSES = ((5.0, 30), (1.5, 60), (0.5, 80), (0.15, 100), (0.05, 100), (0.05, 100), (0.015, 100), (0.003, 60))
"""Softness of each climb in typical costs of a token/s, and its steps; not serving it costs some two dozen of these."""


@dataclass(frozen=True, slots=True)
class Segments:
    """A routing problem as the kernels read it; see :mod:`tapas_opt.routing.kernels`.

    Attributes
    ----------
    limit_room, free_room
        ``[domain]`` what may be drawn up to the limit, and up to where a peak begins to cost (endless where never). The
        last domain stands for absent places.
    step, family
        ``[domain]`` what a thousandth of its limit is, and the number of its priced family; -1 for none.
    peak_price, highest
        ``[priced family]`` price of a thousandth, and how many thousandths a peak can rise at most.
    demand
        ``[endpoint]`` tokens/s of work.
    """

    cost: FloatArray
    work: FloatArray
    power: FloatArray
    airflow: FloatArray
    most: FloatArray
    endpoint: IntArray
    place: IntArray
    per_watt: FloatArray
    per_cfm: FloatArray
    limit_room: FloatArray
    free_room: FloatArray
    step: FloatArray
    family: IntArray
    peak_price: FloatArray
    highest: FloatArray
    demand: FloatArray

    @property
    def drawing(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Places and the parts of the draw that fall there."""
        return self.place, self.per_watt, self.per_cfm


def segments_of(problem: RoutingProblem, classes: RoutingClasses) -> Segments:
    """Tabulate the segments of classes of instances, and the domains that they draw on."""
    first, size = classes.instances.first, classes.instances.size
    is_open = problem.open_instances[first][:, None]
    place, per_watt, per_cfm = _places(classes, problem.instance_server[first])
    families = classes.budgets.families
    priced = [f for f in families if problem.prices.peak_permille.get(f.constraint, 0) > 0]
    number = {f.constraint: n for n, f in enumerate(priced)}
    free = [
        (peak_step(f) * present_permille(f) - f.base if f.constraint in number else np.full(f.base.shape, np.inf))[:, 0]
        for f in families
    ]
    return Segments(
        cost=problem.segment_cost[first].astype(np.float64),
        work=problem.segment_work[first],
        power=problem.power_w[first].astype(np.float64),
        airflow=problem.airflow_cfm[first].astype(np.float64),
        most=np.where(is_open, size[:, None] * problem.cool_frac[first], 0.0),
        endpoint=problem.instance_endpoint[first],
        place=place,
        per_watt=per_watt,
        per_cfm=per_cfm,
        limit_room=np.concatenate([*(f.room[:, 0] for f in families), [np.inf]]).astype(np.float64),
        free_room=np.concatenate([*free, [np.inf]]).astype(np.float64),
        step=np.concatenate([*(peak_step(f)[:, 0] for f in families), [1]]).astype(np.float64),
        family=np.concatenate([*(np.full(len(f.domains), number.get(f.constraint, NONE)) for f in families), [NONE]]),
        peak_price=np.array([problem.prices.peak_permille[f.constraint] for f in priced], dtype=np.float64),
        highest=np.array([float((f.limit / peak_step(f)).max(initial=0.0)) - present_permille(f) for f in priced]),
        demand=_sums(problem.class_endpoint, problem.class_work, len(problem.endpoints)),
    )


def _sums(of: IntArray, amount: FloatArray, count: int) -> FloatArray:
    """``[n]`` sum of the amounts that are of each."""
    return np.bincount(of, weights=amount, minlength=count).astype(np.float64)


def _places(classes: RoutingClasses, server: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Domains numbered through all families, and which parts of a class's watts and CFM fall there."""
    families = classes.budgets.families
    last = sum(len(f.domains) for f in families)
    none = np.zeros((len(server), 1))
    place, watts, cfm, begin = [none.astype(np.int64) + last], [none], [none], 0
    for f in families:
        member, share = f.member[server], f.share_permille[server] / PERMILLE
        place.append(np.where(member == NONE, last, member + begin))
        watts.append(np.where((member != NONE) & (f.unit == "W"), share, 0.0))
        cfm.append(np.where((member != NONE) & (f.unit != "W"), share, 0.0))
        begin += len(f.domains)
    joined = [np.hstack(parts) for parts in (place, watts, cfm)]
    used = np.asarray((joined[0] < last).any(axis=0))
    per_watt, per_cfm = (np.ascontiguousarray(part[:, used], dtype=np.float64) for part in joined[1:])
    return np.ascontiguousarray(joined[0][:, used], dtype=np.int64), per_watt, per_cfm


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a token/s ``[endpoint]`` and of a unit ``[domain]``, limit and peak together, and their bound.

    ``peak`` is ``[priced family]`` by how many thousandths the peak rises when all choose by these prices.
    """

    token: FloatArray
    domain: FloatArray
    peak: FloatArray
    bound: float


class _Climb:
    """The function L over one vector: tokens, then limits, then peaks, of the domains where they are finite."""

    def __init__(self, problem: RoutingProblem, segments: Segments) -> None:
        self._s = s = segments
        drawn_on = np.zeros(len(s.limit_room), dtype=bool)
        drawn_on[s.place] = True
        self._limited = np.flatnonzero(drawn_on & np.isfinite(s.limit_room))
        self._peaked = np.flatnonzero(drawn_on & np.isfinite(s.free_room) & (s.family != NONE))
        self._ends = np.cumsum([len(s.demand), len(self._limited)])
        self._class_endpoint, self._class_work = problem.class_endpoint, problem.class_work
        self._lost = (problem.prices.unserved_tokens_per_s * problem.class_tokens_per_s).astype(np.float64)
        total = float((s.cost * s.most).sum())
        self.typical = total / max(1.0, float((s.work * s.most).sum()))
        watt = total / max(1.0, float((s.power * s.most).sum()))
        cfm = total / max(1.0, float((s.airflow * s.most).sum()))
        is_air = np.zeros(len(s.limit_room), dtype=bool)
        is_air[s.place[s.per_cfm > 0]] = True
        unit = np.where(is_air, cfm, watt)
        scale = np.concatenate([np.full(len(s.demand), self.typical), unit[self._limited], unit[self._peaked]])
        self.scale = np.where(scale > 0, scale, 1.0)
        per_work = self._lost / np.maximum(1e-9, self._class_work)
        dearest = float(per_work.max(initial=0.0, where=self._class_work > 0)) + self.typical
        share = dearest * float((s.work / np.maximum(1.0, s.power)).max(initial=1.0)) * 10
        peaks = s.peak_price[s.family[self._peaked]] / s.step[self._peaked]
        self.high = np.concatenate([np.full(len(s.demand), dearest), np.full(len(self._limited), share), 2 * peaks])

    def prices(self, point: FloatArray) -> Prices:
        """What a point means, with its bound and the peaks that the instances' answer makes."""
        s, token, domain = self._s, point[: self._ends[0]], self._domain(point)
        value, _, load = self._at(point, 0.0)
        above = np.where(s.family == NONE, 0.0, (load - np.where(s.family == NONE, 0.0, s.free_room)) / s.step)
        peak = np.zeros(len(s.peak_price))
        np.maximum.at(peak, s.family[s.family != NONE], above[s.family != NONE])
        return Prices(token, domain, peak, value)

    def soft(self, scaled: FloatArray, softness: float) -> tuple[float, FloatArray]:
        """L with softened corners, and its gradient, in scaled prices."""
        value, slope, _ = self._at(scaled * self.scale, softness)
        return value, slope * self.scale

    def _domain(self, point: FloatArray) -> FloatArray:
        domain = np.zeros(len(self._s.limit_room))
        domain[self._limited] += point[self._ends[0] : self._ends[1]]
        domain[self._peaked] += point[self._ends[1] :]
        return domain

    def _at(self, point: FloatArray, softness: float) -> tuple[float, FloatArray, FloatArray]:
        s, token, peaks = self._s, point[: self._ends[0]], point[self._ends[1] :]
        limits = point[self._ends[0] : self._ends[1]]
        dear, served, load = np.empty(s.cost.shape), np.empty(len(s.demand)), np.empty(len(s.limit_room))
        kernels.priced(s.cost, s.power, s.airflow, *s.drawing, self._domain(point), dear)
        value = kernels.answered(
            dear, s.work, s.power, s.airflow, s.most, s.endpoint, *s.drawing, token, softness, served, load
        )
        asked = token[self._class_endpoint] * self._class_work
        over, lost = _hinge(asked - self._lost, softness * self._class_work)
        paid = _sums(self._class_endpoint, self._class_work * (1.0 - lost), len(token))
        family, step = s.family[self._peaked], s.step[self._peaked]
        worth = _sums(family, step * peaks, len(s.peak_price))
        beyond, rising = _hinge(worth - s.peak_price, softness / max(self.typical, 1e-12) * s.peak_price * PEAK_SOFT)
        rises = (s.highest * rising)[family] * step
        value += float(asked.sum() - over.sum() - s.highest @ beyond)
        value -= float(limits @ s.limit_room[self._limited] + peaks @ s.free_room[self._peaked])
        slope = [paid - served, (load - s.limit_room)[self._limited], (load - s.free_room)[self._peaked] - rises]
        return value, np.concatenate(slope), load


PEAK_SOFT = 0.1
"""Softness of a peak's price, in parts of it, at a softness of one typical cost."""


def _hinge(x: FloatArray, soft: FloatArray) -> tuple[FloatArray, FloatArray]:
    """max(0, x) and its slope, softened to s·log(1 + exp(x/s)) where s is above 0."""
    sharp = soft <= 0
    ratio = (x / np.where(sharp, 1.0, soft)).clip(-500.0, 500.0)
    value = np.where(sharp, np.maximum(0.0, x), np.maximum(0.0, x) + soft * np.log1p(np.exp(-np.abs(ratio))))
    return value, np.where(sharp, (x > 0).astype(np.float64), 1.0 / (1.0 + np.exp(-ratio)))


def climbed(problem: RoutingProblem, segments: Segments) -> Iterator[Prices]:
    """The prices of a few climbs, each less soft than the one before."""
    function = _Climb(problem, segments)
    point = np.zeros(len(function.scale))
    for softness, steps in SOFTNESSES:
        value = partial(function.soft, softness=softness * function.typical)
        point = climb(value, point, function.high / function.scale, first_step=1.0, steps=steps).point
        yield function.prices(point * function.scale)
