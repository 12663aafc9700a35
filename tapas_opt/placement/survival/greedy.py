"""Survival on the greedy path: what relief a plan counts on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.problem import Secured
from tapas_opt.placement.survival.relief import cheapest_relief

__all__ = ["declaring", "relief_of", "with_relief"]

IntArray = NDArray[np.int64]


def with_relief(problem: PlacementProblem, plan: PlacementPlan) -> PlacementPlan:
    """The plan with the relief and the shortfall that it needs, chosen cheapest first."""
    if problem.survival is None:
        return plan
    return declaring(problem, plan, [relief_of(problem, plan, part) for part in problem.survival.parts])


def relief_of(problem: PlacementProblem, plan: PlacementPlan, part: Secured) -> tuple[IntArray, IntArray]:
    """Cheapest relief ``[group, tier, slot]`` and shortfall ``[pair]`` of what a plan places, one part's."""
    return cheapest_relief(part, *_placed(problem, plan, part))


def declaring(
    problem: PlacementProblem, plan: PlacementPlan, amounts: Sequence[tuple[IntArray, IntArray]]
) -> PlacementPlan:
    """The plan that declares relief ``[group, tier, slot]`` and shortfall ``[pair]`` of each part."""
    if problem.survival is None:
        return plan
    slots = problem.budgets.slots
    relief: dict[tuple[str, str, str], int] = {}
    shortfall: dict[str, int] = {}
    for part, (given, missing) in zip(problem.survival.parts, amounts, strict=True):
        at = np.unravel_index(np.flatnonzero(given), given.shape)
        for group, tier, slot, amount in zip(*(number.tolist() for number in (*at, given[at])), strict=True):
            relief[part.groups[group], part.tiers[tier], slots[slot]] = amount
        shortfall |= {part.family.domains[d]: int(missing[d]) for d in np.flatnonzero(missing).tolist()}
    return replace(plan, relief=relief, shortfall=shortfall)


def _placed(problem: PlacementProblem, plan: PlacementPlan, part: Secured) -> tuple[IntArray, IntArray]:
    """``[pair, slot]`` thousandths drawn, and ``[group, tier, slot]`` relief that can be given, by placed VMs."""
    vm = {name: v for v, name in enumerate(problem.vms)}
    server = {name: s for s, name in enumerate(problem.servers)}
    kind_of_vm = problem.vm_type[[vm[name] for name in plan.server_of]]
    on = np.array([server[name] for name in plan.server_of.values()], dtype=np.int64)
    draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    hardware, kind = problem.server_hardware[on], part.kind[on]
    drawn = np.zeros_like(part.family.base)
    for pair, share in zip(part.family.member[kind].T, part.family.share_permille[kind].T, strict=True):
        there = pair != NONE
        np.add.at(drawn, pair[there], draw[kind_of_vm, hardware][there] * share[there, None])
    given = np.zeros_like(part.available)
    for group in part.group_of_kind[kind].T:
        there = group != NONE
        np.add.at(given, group[there], part.type_relief[kind_of_vm, hardware][there])
    return drawn, given
