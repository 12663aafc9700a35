"""Survival as columns and rows (docs/formulation.md, "Placement")."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_draw, matched
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, MipModel
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.problem import Secured

__all__ = ["SurvivalColumns", "add_survival", "declared", "set_declared", "survival_columns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SurvivalColumns:
    """Per part ``relief[group, tier, slot]`` and ``shortfall[pair]``, and ``failure_cost[room]``."""

    relief: tuple[IntArray, ...]
    shortfall: tuple[IntArray, ...]
    failure_cost: IntArray


def survival_columns(
    model: MipModel, problem: PlacementProblem, classes: PlacementClasses, eligible: BoolArray
) -> SurvivalColumns | None:
    """The columns, where the problem asks for survival; ``eligible`` is ``[VM class, server class]``."""
    survival = problem.survival
    if survival is None:
        return None
    slots, reliefs, shortfalls, most = classes.budgets.slots, [], [], []
    for part in survival.parts:
        upper = np.where(part.stated_groups[:, None], part.available + _given(problem, classes, part, eligible), 0)
        most.append(upper)
        reliefs.append(
            model.columns("relief", part.groups, part.tiers, slots, where=upper > 0, upper=upper, integer=True)
        )
        shortfalls.append(
            model.columns(
                "shortfall",
                part.family.domains,
                upper=_most_shortfall(problem, part),
                cost=part.shortfall_price,
                integer=True,
            )
        )
    highest = np.maximum(0, survival.costs(tuple(most)) - survival.present_cost)
    cost = model.columns(
        "failure_cost", survival.rooms, where=survival.watched_rooms, upper=highest, cost=1.0, integer=True
    )
    return SurvivalColumns(tuple(reliefs), tuple(shortfalls), cost)


def add_survival(
    model: MipModel,
    x: SurvivalColumns | None,
    problem: PlacementProblem,
    classes: PlacementClasses,
    draw: Draw,
    assign: IntArray,
) -> None:
    """The three constraints of survival; ``assign`` is ``[VM class, server class]``, the columns of ``draw``."""
    if x is None or problem.survival is None:
        return
    kind = problem.vm_type[classes.vms.first[np.nonzero(assign != ABSENT)[0]]]
    for part, relief, shortfall in zip(problem.survival.parts, x.relief, x.shortfall, strict=True):
        _failure_secure(model, part, relief, shortfall, classes, draw)
        _relief_available(model, problem, part, relief, classes.budgets.slots, draw, kind)
        _worst_failure(model, problem, part, relief, x.failure_cost, classes.budgets.slots)


def declared(
    problem: PlacementProblem, x: SurvivalColumns | None, values: FloatArray, slots: tuple[str, ...]
) -> dict[str, Any]:
    """What a solution counts on, as fields of a plan: ``relief`` and ``shortfall``."""
    relief: dict[tuple[str, str, str], int] = {}
    shortfall: dict[str, int] = {}
    if x is None or problem.survival is None:
        return {}
    for part, columns, short in zip(problem.survival.parts, x.relief, x.shortfall, strict=True):
        given = np.where(columns == ABSENT, 0, np.rint(values[columns])).astype(np.int64)
        for group, tier, slot in np.argwhere(given > 0).tolist():
            relief[part.groups[group], part.tiers[tier], slots[slot]] = int(given[group, tier, slot])
        missing = np.rint(values[short]).astype(np.int64)
        shortfall |= {part.family.domains[d]: int(missing[d]) for d in np.flatnonzero(missing > 0).tolist()}
    return {"relief": relief, "shortfall": shortfall}


def set_declared(
    problem: PlacementProblem,
    x: SurvivalColumns | None,
    plan: PlacementPlan,
    slots: tuple[str, ...],
    values: FloatArray,
) -> None:
    """Write what a plan declares, and what its worst failures cost, into column values."""
    if x is None or problem.survival is None:
        return
    amounts = []
    slot_number = {name: t for t, name in enumerate(slots)}
    for part, columns, short in zip(problem.survival.parts, x.relief, x.shortfall, strict=True):
        tier_number = {name: j for j, name in enumerate(part.tiers)}
        group_number = {name: g for g, name in enumerate(part.groups)}
        amount = np.zeros(columns.shape, dtype=np.int64)
        for (group, tier, slot), watts in plan.relief.items():
            if group in group_number:
                amount[group_number[group], tier_number[tier], slot_number[slot]] = watts
        amount[columns == ABSENT] = 0  # what no stated row asks for costs nothing here
        amounts.append(amount)
        values[columns[columns != ABSENT]] = amount[columns != ABSENT]
        missing = [plan.shortfall.get(pair, 0) for pair in part.family.domains]
        values[short] = np.minimum(missing, _most_shortfall(problem, part))
    cost = np.maximum(0, problem.survival.costs(tuple(amounts)) - problem.survival.present_cost)
    there = x.failure_cost != ABSENT
    values[x.failure_cost[there]] = cost[there]


def _given(problem: PlacementProblem, classes: PlacementClasses, part: Secured, eligible: BoolArray) -> IntArray:
    """``[group, tier, slot]`` the most that VMs of the batch could give: Σ_w size[w] · max_{k∈g} type_relief."""
    total = np.zeros_like(part.available)
    hardware, kind = problem.server_hardware[classes.servers.first], part.kind[classes.servers.first]
    for w, size in enumerate(classes.vms.size.tolist()):
        relief = part.type_relief[problem.vm_type[classes.vms.first[w]]]
        most = np.zeros_like(total)
        at = np.flatnonzero(eligible[w])
        looks = np.unique(np.column_stack([kind[at], hardware[at]]), axis=0)
        for groups in part.group_of_kind[looks[:, 0]].T:
            on = groups != NONE
            np.maximum.at(most, groups[on], relief[looks[on, 1]])
        total += size * most
    return total


def _most_shortfall(problem: PlacementProblem, part: Secured) -> IntArray:
    """``[pair]`` more than any plan could be short of: all of the batch on one pair, with nothing relieved."""
    by_unit = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    in_all = by_unit[problem.vm_type].max(axis=1, initial=0).sum(axis=0)
    largest = np.zeros(len(part.family.domains), dtype=np.int64)
    member, share = part.family.member, part.family.share_permille
    np.maximum.at(largest, member[member != NONE], share[member != NONE])
    over = part.family.base - part.tolerated - (-(largest[:, None] * in_all) // PERMILLE)
    over = np.where(part.family.needs_row, over, 0)
    return np.asarray(np.maximum(0, over.max(axis=1, initial=0)))


def _failure_secure(
    model: MipModel, part: Secured, relief: IntArray, shortfall: IntArray, classes: PlacementClasses, draw: Draw
) -> None:
    """Σ share · draw · assign − Σ_{g,j} share · relief[g,j,t] − shortfall[d] ≤ tolerated[d,t] − base[d,t]   ∀ d, t.

    Here d is a pair of domain and failure.
    """
    family, slots = part.family, classes.budgets.slots
    rows = model.rows(
        Constraint.FAILURE_SECURE,
        family.domains,
        slots,
        where=family.needs_row,
        upper=part.tolerated - family.base,
    )
    add_draw(model, rows, family, replace(draw, server=part.kind[draw.server]))
    for pair, share in zip(part.group_pair.T, part.group_share_permille.T, strict=True):
        on = pair != NONE
        model.add(rows[pair[on], None], relief[on], -share[on, None, None] / PERMILLE)
    model.add(rows, shortfall[:, None], -1.0)


def _relief_available(
    model: MipModel,
    problem: PlacementProblem,
    part: Secured,
    relief: IntArray,
    slots: tuple[str, ...],
    draw: Draw,
    kind: IntArray,
) -> None:
    """relief[g,j,t] − Σ_{w,k∈g} type_relief[w,k,j,t] · assign[w,k] ≤ available[g,j,t]   ∀ group, tier, slot.

    Stated where a VM of the batch can give; elsewhere what is available is the column's bound.
    """
    by_look = part.type_relief.reshape(-1, *relief.shape[1:])
    look = kind * part.type_relief.shape[1] + problem.server_hardware[draw.server]
    giving = np.zeros(relief.shape, dtype=bool)
    for groups in part.group_of_kind[part.kind[draw.server]].T:
        group, of_look = np.unique(np.stack([groups, look])[:, groups != NONE], axis=1)
        np.logical_or.at(giving, group, by_look[of_look] > 0)
    rows = model.rows(
        Constraint.RELIEF_AVAILABLE,
        part.groups,
        part.tiers,
        slots,
        where=giving & (relief != ABSENT),
        upper=part.available,
    )
    model.add(rows, relief, 1.0)
    group, tier, slot = np.nonzero(rows != ABSENT)
    for groups in part.group_of_kind[part.kind[draw.server]].T:
        on = np.flatnonzero(groups != NONE)
        item, entry = matched(groups[on], group, len(part.groups))
        at = group[entry], tier[entry], slot[entry]
        model.add(rows[at], draw.column[on[item]], -by_look[look[on[item]], at[1], at[2]])


def _worst_failure(
    model: MipModel,
    problem: PlacementProblem,
    part: Secured,
    relief: IntArray,
    failure_cost: IntArray,
    slots: tuple[str, ...],
) -> None:
    """Σ_{g,j} price[j] · relief[g,j,t] − failure_cost[room] ≤ present_cost[room]   ∀ failure, slot that is stated."""
    if problem.survival is None:
        return
    present = problem.survival.present_cost[part.scenario_room]
    rows = model.rows(Constraint.WORST_FAILURE, part.scenarios, slots, where=part.stated, upper=present[:, None])
    model.add(rows[part.group_scenario, None], relief, part.relief_price[:, None])
    model.add(rows, failure_cost[part.scenario_room, None], -1.0)
