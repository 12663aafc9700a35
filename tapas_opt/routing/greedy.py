"""The routing plan in milliseconds: water poured along the cheapest segments, within budgets and headroom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.routing.problem import (
    RoutingClasses,
    RoutingPlan,
    RoutingProblem,
    peak_step,
    present_permille,
    routing_classes,
)
from tapas_opt.routing.spread import spread

__all__ = ["greedy"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def greedy(problem: RoutingProblem) -> RoutingPlan:
    """A feasible plan, good but not proven so.

    Segments are filled in order of cost for their width, first as far as no domain comes near a limit, then as far as
    the limits. What is left goes unserved, first of the classes that ask for most work a token. Feasible because
    segments are convex: what stops a segment stops the later ones of its instance too.
    """
    classes = routing_classes(problem)
    pouring = _Pouring(problem, classes)
    pouring.fill(_room(problem, classes, comfortable=True))
    pouring.fill(_room(problem, classes, comfortable=False))
    work = np.array(pouring.work) / classes.instances.size
    return spread(problem, work[classes.instances.of], _unserved_frac(problem, pouring.demand))


@dataclass(slots=True)
class _Segment:
    """A segment of a class of instances, and how many members' worth of it is used."""

    instances: int
    width: float
    gpu_power_w: int
    power_w: int
    airflow_cfm: int
    used: float = 0.0


class _Pouring:
    """What is poured so far.

    Attributes
    ----------
    demand
        ``[endpoint]`` tokens/s left to serve.
    work
        ``[instances]`` tokens/s that each class of instances got.
    """

    def __init__(self, problem: RoutingProblem, classes: RoutingClasses) -> None:
        first = classes.instances.first
        self.demand: list[float] = np.bincount(
            problem.class_endpoint, problem.class_work, minlength=len(problem.endpoints)
        ).tolist()
        self.work = [0.0] * len(first)
        self._endpoint: list[int] = problem.instance_endpoint[first].tolist()
        self._size: list[int] = classes.instances.size.tolist()
        self._gpu_left: list[int | float] = (classes.instances.size * problem.gpu_headroom_w[first]).tolist()
        self._segments = _by_cost(problem, first)
        self._draws = _draws(classes, problem.instance_server[first])
        self._poured: dict[int, float] = {}

    def fill(self, room: list[float]) -> None:
        """Fill segments in order of cost while there is demand and ``room[domain]`` beyond what is poured already."""
        for domain, drawn in self._poured.items():
            room[domain] -= drawn
        for segment in self._segments:
            if self.demand[self._endpoint[segment.instances]] > 0.0:
                self._pour(segment, room)

    def _pour(self, segment: _Segment, room: list[float]) -> None:
        c = segment.instances
        amount = min(self._size[c] - segment.used, self.demand[self._endpoint[c]] / segment.width)
        if segment.gpu_power_w > 0:
            amount = min(amount, self._gpu_left[c] / segment.gpu_power_w)
        draws = [
            (domain, share * (segment.power_w if is_power else segment.airflow_cfm))
            for domain, share, is_power in self._draws[c]
        ]
        for domain, draw in draws:
            if draw > 0.0:
                amount = min(amount, room[domain] / draw)
        if amount <= 0.0:
            return
        for domain, draw in draws:
            room[domain] -= amount * draw
            self._poured[domain] = self._poured.get(domain, 0.0) + amount * draw
        segment.used += amount
        self.work[c] += amount * segment.width
        self.demand[self._endpoint[c]] -= amount * segment.width
        self._gpu_left[c] -= amount * segment.gpu_power_w


def _by_cost(problem: RoutingProblem, first: IntArray) -> list[_Segment]:
    """Segments of open instances, cheapest for their width first; ties keep an instance's own order."""
    width = problem.segment_work[first]
    cost = problem.segment_cost[first] / np.where(width > 0, width, 1.0)
    cost = np.maximum.accumulate(cost, axis=1)  # equal slopes may differ in the last bit
    is_open = np.broadcast_to(problem.open_instances[first][:, None], width.shape)
    c, b = np.nonzero(is_open)
    order = np.argsort(cost[is_open], kind="stable")
    c, b = c[order], b[order]
    i = first[c]
    columns = (c, width[c, b], problem.gpu_power_w[i, b], problem.power_w[i, b], problem.airflow_cfm[i, b])
    return [_Segment(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _draws(classes: RoutingClasses, server: IntArray) -> list[list[tuple[int, float, bool]]]:
    """For each class of instances: domains (numbered through all families), shares, and whether they count power."""
    draws: list[list[tuple[int, float, bool]]] = [[] for _ in server]
    start = 0
    for family in classes.budgets.families:
        c, place = np.nonzero(family.member[server] >= 0)
        domain = family.member[server[c], place] + start
        share = family.share_permille[server[c], place] / 1000
        for at, d, part in zip(c.tolist(), domain.tolist(), share.tolist(), strict=True):
            draws[at].append((d, part, family.unit == "W"))
        start += len(family.domains)
    return draws


def _room(problem: RoutingProblem, classes: RoutingClasses, *, comfortable: bool) -> list[float]:
    """What each domain may still draw: up to its limit, or only as far as that has no price."""
    room = [np.zeros(0)]
    for family in classes.budgets.families:
        allowed = family.limit
        if comfortable and family.constraint in problem.prices.peak_permille:
            allowed = np.minimum(allowed, peak_step(family) * present_permille(family))
        room.append((allowed - family.base)[:, 0].astype(np.float64))
    joined: list[float] = np.concatenate(room).tolist()
    return joined


def _unserved_frac(problem: RoutingProblem, left: list[float]) -> FloatArray:
    """``[class]`` how ``left[endpoint]`` falls on the classes: most work a token first, since that frees most."""
    lost = np.zeros(len(problem.classes))
    left = list(left)
    for q in np.argsort(-problem.class_work_permille, kind="stable"):
        work, e = float(problem.class_work[q]), problem.class_endpoint[q]
        if work > 0.0 and left[e] > 0.0:
            lost[q] = min(1.0, left[e] / work)
            left[e] -= lost[q] * work
    return lost
