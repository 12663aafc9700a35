"""Judge what a plan says of failures, server by server: shares nothing with formulation and greedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import TOLERANCE, add_up
from tapas_opt.domain.result import Constraint, Violation
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.problem import Secured, Survival

__all__ = ["FailureCost", "ReliefLeft", "failure_costs", "survival_terms", "survival_violations"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Placed = list[tuple[int, int]]
"""Numbers of VM and server."""


@dataclass(frozen=True, slots=True)
class FailureCost:
    """What a failure would cost under a plan, in its worst slot.

    Attributes
    ----------
    failure, room, slot
        Such as ``ups:U2``.
    cost
        Of all relief, that of running VMs included, in cost units per hour.
    relief, shortfall, unit
        How much is relieved then, in W or CFM, and how much stays above the limits in spite of that, over its domains.
    """

    failure: str
    room: str
    slot: str
    cost: float
    relief: float
    shortfall: float
    unit: str


def survival_violations(problem: PlacementProblem, plan: PlacementPlan, placed: Placed) -> Iterator[Violation]:
    """Pairs that stay above their limits, relief that nobody can give, and names that mean nothing."""
    parts = () if problem.survival is None else problem.survival.parts
    yield from _strangers(problem, plan, parts)
    for part in parts:
        declared = _declared(problem, plan, part)
        yield from _relief_available(problem, part, placed, declared)
        yield from _failure_secure(problem, plan, part, placed, declared)


def survival_terms(problem: PlacementProblem, plan: PlacementPlan) -> dict[str, float]:
    """``failure_shortfall`` and ``worst_failure``: what the plan adds to the worst failure of each room."""
    survival = problem.survival
    if survival is None:
        return {}
    short = sum(
        part.shortfall_price * plan.shortfall.get(pair, 0) for part in survival.parts for pair in part.family.domains
    )
    worst: Counter[str] = Counter()
    for found in _costs(problem, plan, survival):
        worst[found.room] = max(worst[found.room], int(found.cost))
    rises = [worst[room] - int(cost) for room, cost in zip(survival.rooms, survival.present_cost, strict=True)]
    return {"failure_shortfall": float(short), "worst_failure": float(sum(rise for rise in rises if rise > 0))}


def failure_costs(problem: PlacementProblem, plan: PlacementPlan) -> tuple[FailureCost, ...]:
    """Each failure that the batch could matter to, in its dearest slot, dearest first."""
    if problem.survival is None:
        return ()
    found = _costs(problem, plan, problem.survival)
    return tuple(sorted(found, key=lambda cost: (-cost.shortfall, -cost.cost, cost.failure)))


class ReliefLeft:
    """What is left after every failure with everything relieved, given what is placed; what is alike is asked once."""

    def __init__(self, problem: PlacementProblem, placed: Placed) -> None:
        self._problem = problem
        parts = () if problem.survival is None else problem.survival.parts
        self._spare = [(part, _spare(problem, part, placed)) for part in parts]
        self._known: dict[tuple[int, int, int, int], float] = {}

    def missing(self, v: int, s: int) -> tuple[float, str]:
        """By how much one more VM on a server would leave the worst pair above its limit, and in which unit."""
        found = [(self._missing(p, v, s), part.family.unit) for p, (part, _) in enumerate(self._spare)]
        return max(found, default=(0.0, "W"))

    def _missing(self, p: int, v: int, s: int) -> float:
        part, spare = self._spare[p]
        kind, hardware = int(self._problem.vm_type[v]), int(self._problem.server_hardware[s])
        key = (p, kind, hardware, int(part.kind[s]))
        if key not in self._known:
            draw = part.family.counted(self._problem.type_power_w, self._problem.type_airflow_cfm)[kind, hardware]
            left = draw - part.type_relief[kind, hardware].sum(axis=0)
            over = [float((left * share / 1000 - spare[pair]).max()) for pair, share in part.at_kind(key[-1])]
            self._known[key] = max([0.0, *over])
        return self._known[key]


def _strangers(problem: PlacementProblem, plan: PlacementPlan, parts: tuple[Secured, ...]) -> Iterator[Violation]:
    """Names that the problem does not know, and shortfalls below nothing."""
    groups = {(group, tier) for part in parts for group in part.groups for tier in part.tiers}
    pairs = {pair for part in parts for pair in part.family.domains}
    slots = set(problem.budgets.slots)
    for name, amount in plan.relief.items():
        if name[:2] not in groups or name[2] not in slots:
            yield Violation(Constraint.RELIEF_AVAILABLE, " ".join(name), float(amount), "unknown")
    for pair, amount in plan.shortfall.items():
        if pair not in pairs or not amount >= 0:
            yield Violation(Constraint.FAILURE_SECURE, pair, float(abs(amount)), "unknown")


def _relief_available(
    problem: PlacementProblem, part: Secured, placed: Placed, declared: IntArray
) -> Iterator[Violation]:
    """No group gives more than its running VMs and those placed there can, nor less than nothing."""
    available = _available(problem, part, placed)
    for group, tier, slot in np.argwhere((declared > available) | ~(declared >= 0)).tolist():
        excess = max(declared[group, tier, slot] - available[group, tier, slot], -declared[group, tier, slot])
        where = f"{part.groups[group]} {part.tiers[tier]} in {problem.budgets.slots[slot]}"
        yield Violation(Constraint.RELIEF_AVAILABLE, where, float(excess), part.family.unit)


def _failure_secure(
    problem: PlacementProblem, plan: PlacementPlan, part: Secured, placed: Placed, declared: IntArray
) -> Iterator[Violation]:
    """After every failure each domain is within what it carries, or was not before, or the plan owns up to it."""
    over = _load(problem, part, placed) - _relieved(part, declared.sum(axis=1)) - _tolerated(part)
    owned = np.array([plan.shortfall.get(pair, 0) for pair in part.family.domains], dtype=np.float64)
    excess = np.where(part.family.needs_row, over - owned[:, None], -np.inf)
    for d in np.flatnonzero(~(excess <= 0.0).all(axis=1)).tolist():
        worst = int(excess[d].argmax())
        if not excess[d, worst] <= TOLERANCE * max(1.0, abs(float(part.family.limit[d, worst]))):
            where = f"{part.family.domains[d]} in {problem.budgets.slots[worst]}"
            yield Violation(Constraint.FAILURE_SECURE, where, float(excess[d, worst]), part.family.unit)


def _spare(problem: PlacementProblem, part: Secured, placed: Placed) -> FloatArray:
    """``[pair, slot]`` what is left with everything relieved; infinite where no limit is stated."""
    everything = _available(problem, part, placed).sum(axis=1)
    spare = _tolerated(part) + _relieved(part, everything) - _load(problem, part, placed)
    return np.where(part.family.needs_row, spare, np.inf)


def _of_placed(problem: PlacementProblem, part: Secured, placed: Placed) -> tuple[IntArray, IntArray, IntArray]:
    """``[vm placed]`` type, hardware and kind of server."""
    vms, servers = np.array(placed, dtype=np.int64).reshape(-1, 2).T
    return problem.vm_type[vms], problem.server_hardware[servers], part.kind[servers]


def _available(problem: PlacementProblem, part: Secured, placed: Placed) -> IntArray:
    """``[group, tier, slot]`` what running VMs and those placed can give."""
    of, hardware, kind = _of_placed(problem, part, placed)
    available = part.available.copy()
    for group in part.group_of_kind[kind].T:
        inside = np.flatnonzero(group >= 0)
        add_up(available, group[inside], part.type_relief[of[inside], hardware[inside]])
    return available


def _load(problem: PlacementProblem, part: Secured, placed: Placed) -> FloatArray:
    """``[pair, slot]`` base plus what placed VMs draw; shares are summed in thousandths."""
    of, hardware, kind = _of_placed(problem, part, placed)
    draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    thousandths = np.zeros_like(part.family.base)
    for pair, share in zip(part.family.member[kind].T, part.family.share_permille[kind].T, strict=True):
        inside = np.flatnonzero(pair >= 0)
        add_up(thousandths, pair[inside], share[inside, None] * draw[of[inside], hardware[inside]])
    return np.asarray(part.family.base + thousandths / 1000)


def _relieved(part: Secured, relief: IntArray) -> FloatArray:
    """``[pair, slot]`` what relief ``[group, slot]`` takes off each pair."""
    thousandths = np.zeros_like(part.family.base)
    gives = np.flatnonzero(relief.any(axis=1))
    for pair, share in zip(part.group_pair[gives].T, part.group_share_permille[gives].T, strict=True):
        inside = np.flatnonzero(pair >= 0)
        add_up(thousandths, pair[inside], share[inside, None] * relief[gives[inside]])
    return np.asarray(thousandths / 1000)


def _tolerated(part: Secured) -> FloatArray:
    """``[pair, slot]`` the limit; or what running VMs draw with everything relieved, if that is more."""
    left = np.ceil(part.family.base - _relieved(part, part.available.sum(axis=1)))
    return np.asarray(np.maximum(part.family.limit, left))


def _declared(problem: PlacementProblem, plan: PlacementPlan, part: Secured) -> IntArray:
    """``[group, tier, slot]`` relief that the plan counts on."""
    groups, tiers, slots = (
        {name: i for i, name in enumerate(names)} for names in (part.groups, part.tiers, problem.budgets.slots)
    )
    declared = np.zeros(part.available.shape, dtype=np.int64)
    for (group, tier, slot), amount in plan.relief.items():
        if tier in tiers and group in groups and slot in slots:
            declared[groups[group], tiers[tier], slots[slot]] = amount
    return declared


def _costs(problem: PlacementProblem, plan: PlacementPlan, survival: Survival) -> Iterator[FailureCost]:
    """Every failure in the dearest slot that is stated; of slots alike the one with most shortfall."""
    for part in survival.parts:
        declared, short = _declared(problem, plan, part), _present_shortfall(part)
        for i, failure in enumerate(part.scenarios):
            groups, pairs = np.flatnonzero(part.group_scenario == i), np.flatnonzero(part.scenario == i)
            slots = np.flatnonzero(part.family.needs_row[pairs].any(axis=0))
            relief, missing = declared[groups].sum(axis=0), short[pairs].sum(axis=0)
            cost = part.relief_price @ relief
            if len(slots):
                t = int(max(slots, key=lambda t: (cost[t], missing[t])))
                owned = sum(plan.shortfall.get(part.family.domains[d], 0) for d in pairs)
                yield FailureCost(
                    failure=failure,
                    room=survival.rooms[part.scenario_room[i]],
                    slot=problem.budgets.slots[t],
                    cost=float(cost[t]),
                    relief=float(relief[:, t].sum()),
                    shortfall=float(missing[t] + owned),
                    unit=part.family.unit,
                )


def _present_shortfall(part: Secured) -> FloatArray:
    """``[pair, slot]`` what running VMs alone leave above the limit, however much they are relieved."""
    return np.asarray(_tolerated(part) - part.family.limit)
