"""Why requests are not served: what is full, and how much of it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import TOLERANCE, loads
from tapas_opt.domain.result import Constraint, Rejection
from tapas_opt.domain.topology import NONE
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem

__all__ = ["why_unserved"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

Missing = tuple[Constraint, str, FloatArray, BoolArray]
"""A constraint and its unit; ``[instance]`` what it lacks to take some work, and where it has nothing left now."""


def why_unserved(
    problem: RoutingProblem, plan: RoutingPlan, work: Sequence[float], draw: Mapping[str, IntArray]
) -> Iterator[Rejection]:
    """For each class with demand that nobody serves, every constraint that has nothing left at one of its instances.

    The shortfall is what that instance would need to take all that is lost, on top of what it has: the least of those
    where the constraint is full. ``peak_utilisation`` means that an instance has room, at a price that the plan does
    not pay; ``endpoint_demand`` that there is no instance.

    Parameters
    ----------
    work
        ``[instance]`` tokens/s that it gets, of the mix that goodput was measured at.
    draw
        ``[server, slot]`` by unit, what that adds.
    """
    room = {f.constraint: f.limit - loads(f, draw[f.unit]) for f in problem.budgets.families}
    for q, name in enumerate(problem.classes):
        demand = int(problem.class_tokens_per_s[q])
        lost = plan.unserved_frac.get(name, 0.0) * demand
        if lost <= TOLERANCE * max(1, demand):
            continue
        here = np.flatnonzero(problem.instance_endpoint == problem.class_endpoint[q])
        if len(here) == 0:
            yield Rejection(name, Constraint.ENDPOINT_DEMAND, lost, "tokens/s")
            continue
        more = lost * int(problem.class_work_permille[q]) / 1000
        missing = list(_missing(problem, here, np.asarray(work)[here], more, room))
        if not np.logical_or.reduce([full for _, _, _, full in missing]).all():
            yield Rejection(name, Constraint.PEAK_UTILISATION, lost, "tokens/s")
        for constraint, unit, lacks, full in missing:
            if full.any():
                yield Rejection(name, constraint, float(lacks[full].min()), unit)


def _missing(
    problem: RoutingProblem, here: IntArray, work: FloatArray, more: float, room: Mapping[Constraint, FloatArray]
) -> Iterator[Missing]:
    """What each constraint lacks at each instance of ``here``, were it to take ``more`` work."""
    goodput = problem.instance_goodput[here].astype(np.float64)
    full = work >= goodput * (1 - TOLERANCE)
    yield Constraint.INSTANCE_GOODPUT, "tokens/s", work + more - goodput, full
    headroom = problem.gpu_headroom_w[here].astype(np.float64)
    drawn, wanted = (_at(problem, here, problem.gpu_power_w, load) for load in (work, work + more))
    full = drawn >= headroom - TOLERANCE * np.maximum(1, np.abs(headroom))
    yield Constraint.GPU_TEMPERATURE_LIMIT, "W", wanted - headroom, full
    for family in problem.budgets.families:
        table = family.counted(problem.power_w, problem.airflow_cfm)
        added = _at(problem, here, table, work + more) - _at(problem, here, table, work)
        server = problem.instance_server[here]
        lacks, full = np.full(len(here), -np.inf), np.zeros(len(here), dtype=bool)
        for member, share in zip(family.member[server].T, family.share_permille[server].T, strict=True):
            left = np.where(member == NONE, np.inf, room[family.constraint][member, 0])
            lacks = np.maximum(lacks, added * share / 1000 - left)
            full |= left <= TOLERANCE * np.maximum(1, family.limit[member, 0])
        yield family.constraint, family.unit, lacks, full


def _at(problem: RoutingProblem, here: IntArray, table: IntArray, work: FloatArray) -> FloatArray:
    """``[instance]`` what a load costs of a table ``[instance, segment]``; beyond goodput as steeply as at its end."""
    width = problem.segment_work[here]
    before = np.cumsum(width, axis=1) - width
    used = (work[:, None] - before).clip(0.0)
    used[:, :-1] = np.minimum(used[:, :-1], width[:, :-1])
    return np.asarray((used * table[here] / np.where(width > 0, width, np.inf)).sum(axis=1))
