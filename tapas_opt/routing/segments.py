"""A routing problem as the kernels read it: what segments cost, carry and draw, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.routing.problem import RoutingClasses, RoutingProblem, peak_step, present_permille

__all__ = ["Segments", "segments_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segments:
    """A routing problem as the kernels read it; see :mod:`tapas_opt.routing.kernels`.

    Attributes
    ----------
    most
        ``[c, b]`` how many members' worth may be used; 0 where it draws on a domain that is full.
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
    place, per_watt, per_cfm = _places(classes, problem.instance_server[first])
    families = classes.budgets.families
    priced = [f for f in families if problem.prices.peak_permille.get(f.constraint, 0) > 0]
    number = {f.constraint: n for n, f in enumerate(priced)}
    free = [
        (peak_step(f) * present_permille(f) - f.base if f.constraint in number else np.full(f.base.shape, np.inf))[:, 0]
        for f in families
    ]
    limit_room = np.concatenate([*(f.room[:, 0] for f in families), [np.inf]]).astype(np.float64)
    power, airflow = problem.power_w[first].astype(np.float64), problem.airflow_cfm[first].astype(np.float64)
    full = (limit_room <= 0)[place]
    barred = _any(full & (per_watt > 0)) & (power > 0) | _any(full & (per_cfm > 0)) & (airflow > 0)
    is_open = problem.open_instances[first][:, None] & ~barred
    return Segments(
        cost=problem.segment_cost[first].astype(np.float64),
        work=problem.segment_work[first],
        power=power,
        airflow=airflow,
        most=np.where(is_open, size[:, None] * problem.cool_frac[first], 0.0),
        endpoint=problem.instance_endpoint[first],
        place=place,
        per_watt=per_watt,
        per_cfm=per_cfm,
        limit_room=limit_room,
        free_room=np.concatenate([*free, [np.inf]]).astype(np.float64),
        step=np.concatenate([*(peak_step(f)[:, 0] for f in families), [1]]).astype(np.float64),
        family=np.concatenate([*(np.full(len(f.domains), number.get(f.constraint, NONE)) for f in families), [NONE]]),
        peak_price=np.array([problem.prices.peak_permille[f.constraint] for f in priced], dtype=np.float64),
        highest=np.array([float((f.limit / peak_step(f)).max(initial=0.0)) - present_permille(f) for f in priced]),
        demand=_sums(problem.class_endpoint, problem.class_work, len(problem.endpoints)),
    )


def _any(places: BoolArray) -> BoolArray:
    """``[c, 1]`` whether any place of a class is such."""
    return np.asarray(places.any(axis=1))[:, None]


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
