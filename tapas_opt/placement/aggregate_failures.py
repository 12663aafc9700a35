"""What failures ask of a site as a few places: their pairs added up, place by place and over all rooms.

Of a rank of failures (:mod:`tapas_opt.placement.places`), the counted pairs d of a place, and a slot t:

    Σ_d Σ share · draw · x − Σ_j relief[j,t] − shortfall ≤ Σ_d (tolerated[d,t] − base[d,t])
    relief[j,t] ≤ Σ_{g,d} share[g,d] · available[g,j,t] + Σ_d Σ share · type_relief[j,t] · x
    Σ_{places, j} price[j] · relief[j,t] − failure_cost ≤ Σ_{rooms that have the rank} present_cost

with one `failure_cost` for all rooms, as what the worst failures of the rooms cost together is no less than what
those of one rank do; or one for each, where rooms are apart. The relief here is Σ_{g,d} share[g,d] · relief[g] of a
plan, and its cost no more than the plan's, as no server's shares on all counted pairs of a failure exceed its draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import MipModel
from tapas_opt.placement.places import NOWHERE, Counted, Kinds, place_of_domain
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.placement.survival.problem import Secured

__all__ = ["Failures", "PairSum", "add_failures", "dearer", "failures_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairSum:
    """Counted pairs of a place and a rank of failures, added up.

    Attributes
    ----------
    cause
        Number of part and rank (and room, where rooms are apart).
    kinds
        Kinds of servers that draw on these pairs.
    draw, relief
        ``[vm kind, one of kinds, slot]`` and ``[vm kind, one of kinds, tier, slot]`` of one VM.
    room, available
        ``[slot]``, and ``[tier, slot]``.
    stated
        ``[slot]`` where all of these pairs have rows.
    price, shortfall_price
        ``[tier]`` of a unit.
    """

    cause: int
    kinds: IntArray
    draw: FloatArray
    relief: FloatArray
    room: FloatArray
    available: FloatArray
    stated: BoolArray
    price: IntArray
    shortfall_price: int


@dataclass(frozen=True, slots=True)
class Failures:
    """All of them.

    Attributes
    ----------
    present
        ``[cause]`` what the worst failures cost already in the rooms that have the cause.
    bill
        ``[cause]`` which column pays for it: one for each room where rooms are apart, else the same.
    """

    sums: tuple[PairSum, ...]
    present: FloatArray
    bill: IntArray


def failures_of(problem: PlacementProblem, kinds: Kinds, *, rooms_apart: bool) -> Failures:
    """Add up the pairs of all failures."""
    if problem.survival is None:
        return Failures((), np.zeros(0), np.zeros(0, dtype=np.int64))
    sums: list[PairSum] = []
    present: list[int] = []
    room: list[int] = []
    for part, counts in zip(problem.survival.parts, kinds.counted, strict=True):
        of_scenario = counts.rank + rooms_apart * len(part.scenarios) * part.scenario_room
        for cause in np.unique(of_scenario).tolist():
            scenarios = of_scenario == cause
            rooms = np.unique(part.scenario_room[scenarios])
            sums += _sums(problem, part, counts, scenarios, kinds, len(present))
            present.append(int(problem.survival.present_cost[rooms].sum()))
            room.append(int(rooms[0]) if rooms_apart else 0)
    bill = np.unique(np.array(room, dtype=np.int64), return_inverse=True)[1].astype(np.int64)
    return Failures(tuple(sums), np.array(present, dtype=np.float64), bill)


def _sums(
    problem: PlacementProblem, part: Secured, counts: Counted, scenarios: BoolArray, kinds: Kinds, cause: int
) -> list[PairSum]:
    """Of each place, and of what reaches over several."""
    member, share = part.family.member[part.kind[kinds.free]], part.family.share_permille[part.kind[kinds.free]]
    chosen = counts.pairs & scenarios[part.scenario]
    member = np.where(np.append(chosen, False)[member], member, NONE)
    touched = np.flatnonzero((member != NONE).any(axis=1))
    of_pair = place_of_domain(member[touched], kinds.place[touched], len(chosen))
    sums = []
    for number in np.unique(of_pair[of_pair != NOWHERE]).tolist():
        pairs = of_pair == number
        on = np.where(np.append(pairs, False)[member[touched]], share[touched], 0).sum(axis=1)
        count = kinds.servers.count
        least, most = np.full(count, PERMILLE), np.zeros(count, dtype=np.int64)
        np.minimum.at(least, kinds.servers.of[touched], on)
        np.maximum.at(most, kinds.servers.of[touched], on)
        whole = np.bincount(kinds.servers.of[touched], minlength=count) == kinds.servers.size
        sums.append(_sum(problem, part, pairs, kinds, (np.where(whole, least, 0), most), cause))
    return sums


def _sum(
    problem: PlacementProblem, part: Secured, pairs: BoolArray, kinds: Kinds, on: tuple[IntArray, IntArray], cause: int
) -> PairSum:
    """``on`` are the least and the largest share ``[server kind]`` of a kind's servers on the pairs, in thousandths."""
    least, most = on
    some = np.flatnonzero(most)
    at = np.ix_(kinds.type, problem.server_hardware[kinds.first[some]])
    draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)[at]
    relieved = np.where(np.append(pairs, False)[part.group_pair], part.group_share_permille, 0).sum(axis=1)
    return PairSum(
        cause=cause,
        kinds=some,
        draw=draw * least[some, None] / PERMILLE,
        relief=part.type_relief[at] * most[some, None, None] / PERMILLE,
        room=(part.tolerated - part.family.base)[pairs].sum(axis=0).astype(np.float64),
        available=np.tensordot(relieved, part.available, axes=1) / PERMILLE,
        stated=np.asarray(part.family.needs_row[pairs].all(axis=0)),
        price=part.relief_price,
        shortfall_price=part.shortfall_price,
    )


def add_failures(model: MipModel, failures: Failures, assign: IntArray, slots: IntArray, names: list[str]) -> IntArray:
    """State the rows over some slots; returns the columns of what the worst failures cost."""
    bills = [str(n) for n in range(int(failures.bill.max(initial=-1)) + 1)]
    cost = model.columns("failure_cost", bills, cost=1.0)
    causes = [str(cause) for cause in range(len(failures.present))]
    worst = model.rows(Constraint.WORST_FAILURE, causes, names, upper=failures.present[:, None])
    model.add(worst, cost[failures.bill, None], -1.0)
    for each in failures.sums:
        stated, tiers = each.stated[slots], [str(j) for j in range(len(each.price))]
        rows = model.rows(Constraint.FAILURE_SECURE, names, where=stated, upper=each.room[slots])
        model.add(rows, assign[:, each.kinds, None], each.draw[:, :, slots])
        relief = model.columns("relief", tiers, names, where=stated)
        model.add(rows, relief, -1.0)
        model.add(rows, model.columns("shortfall", [""], cost=each.shortfall_price), -1.0)
        given = model.rows(Constraint.RELIEF_AVAILABLE, tiers, names, where=stated, upper=each.available[:, slots])
        model.add(given, relief, 1.0)
        model.add(given, assign[:, each.kinds, None, None], -each.relief[:, :, :, slots])
        model.add(worst[each.cause], relief, each.price[:, None])
    return cost


def dearer(failures: Failures, placed: FloatArray, failure_cost: FloatArray, in_all: float, slots: int) -> FloatArray:
    """``[slot]`` by which part of the objective the worst failures cost more there than was paid for.

    Parameters
    ----------
    placed
        ``[vm kind, server kind]`` VMs.
    failure_cost, in_all
        ``[bill]`` what was paid for them, and what was paid in all.
    slots
        How many there are.
    """
    cost = np.zeros((len(failures.present), slots))
    for each in failures.sums:
        need = np.einsum("wk,wkt->t", placed[:, each.kinds], each.draw) - each.room
        given = each.available + np.einsum("wk,wkjt->jt", placed[:, each.kinds], each.relief)
        for price, most in zip([*each.price.tolist(), each.shortfall_price], [*given, np.inf], strict=True):
            taken = np.clip(need, 0.0, most)
            cost[each.cause] += np.where(each.stated, price * taken, 0.0)
            need = need - taken
    over = cost - (failures.present + failure_cost[failures.bill])[:, None]
    return np.asarray(over.max(axis=0, initial=0.0) / in_all)
