"""Lower what a placement costs, its worst failures included: VMs change places, move, come in and drop out.

Where failures are to be survived, the dearest of them counts, and it is dearest because of what happens to be beside
one another: a question of balance, which exchanging VMs answers well and branching does not. Changes are drawn at
random and taken if they cost less, or, rarely, a little more (Metropolis et al. 1953). All limits are asked of every
change: budgets, GPUs, failures with everything relieved, groups, and servers that are kept back. Relief is priced pair
by pair, cheapest first: exact where no group lies on several pairs, as with air, and an estimate elsewhere; the checker
says what a plan costs.

A VM that has no server is felt to cost more the larger it is: leaving out the large ones would save the most relief,
but what is left of the site takes small ones only.

VMs to which servers are promised stay where they are; members of a group that has to be together stay in its place, and
those of one that is placed as a whole are neither taken in nor dropped.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.check import check
from tapas_opt.placement.naming import named
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.placement.trading_kernels import trade
from tapas_opt.placement.trading_numbers import booked, terms_of

__all__ = ["class_of_plan", "plan_of_classes", "traded"]

IntArray = NDArray[np.int64]

LEAST_TRIES, TRIES_OF_VM, MOST_TRIES = 20_000, 10, 80_000
"""Changes tried in a turn: so many for each VM of the batch, but no fewer and no more."""

TURNS, IDLE_TURNS = 60, 5
"""Turns at most, and turns in a row that may gain less than is worth telling."""

WORTH_FRAC = 1e-4
HEAT_FRAC = 0.02
"""Of what a VM costs on average: ten times as warm finds plans no better."""


def traded(
    problem: PlacementProblem,
    classes: PlacementClasses,
    plan: PlacementPlan,
    *,
    seed: int = 0,
    until: float = math.inf,
    enough: float = -math.inf,
) -> PlacementPlan:
    """The best plan that trading leads to from one that keeps all limits, or that one itself. One seed, one plan.

    ``until`` is a `time.perf_counter`: no turn begins that would not end by then if it took as long as the last one,
    and none once the plan costs no more than ``enough``.
    """
    survival = problem.survival
    if survival is None or not survival.parts or not plan.server_of:
        return plan
    terms, empty = terms_of(problem, classes, survival)
    cost, idle = check(problem, plan).objective, 0
    heat = HEAT_FRAC * cost / len(problem.vms)
    tries = min(MOST_TRIES, max(LEAST_TRIES, TRIES_OF_VM * len(problem.vms)))
    began, took_s = time.perf_counter(), 0.0
    for turn in range(TURNS):
        if not len(terms.mobile) or heat <= 0 or idle == IDLE_TURNS or began + took_s > until or cost <= enough:
            break
        book = booked(terms, empty, class_of_plan(problem, classes, plan))
        class_of, _ = trade(terms, book, tries, heat, seed + turn)
        better = plan_of_classes(problem, classes, class_of)
        report = check(problem, better)
        gained = cost - report.objective if report.ok else 0.0
        idle = 0 if gained > WORTH_FRAC * cost else idle + 1
        if gained > 0:
            plan, cost = better, report.objective
        now = time.perf_counter()
        began, took_s = now, now - began
    return plan


def class_of_plan(problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan) -> IntArray:
    """``[vm]`` server class, the one after the last for those that have none."""
    number = {name: s for s, name in enumerate(problem.servers)}
    on = [number[plan.server_of[vm]] if vm in plan.server_of else NONE for vm in problem.vms]
    return np.append(classes.servers.of, len(classes.servers.first))[np.array(on, dtype=np.int64)]


def plan_of_classes(problem: PlacementProblem, classes: PlacementClasses, class_of: IntArray) -> PlacementPlan:
    """The way back from :func:`class_of_plan`, with the relief that the plan needs."""
    placed = [(v, k) for v, k in enumerate(class_of.tolist()) if k < classes.servers.count]
    return with_relief(problem, named(problem, classes, placed))
