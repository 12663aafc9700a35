"""Of routing plans that cost nearly the same, the one that asks alike instances for as much.

A plan's costs are straight between breakpoints, so who of several alike takes how much there is all the same to it. To
users it is not: how late answers come bends upwards all along.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import alike
from tapas_opt.domain.result import CheckReport, Result, Status
from tapas_opt.routing.check import binding, check
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem
from tapas_opt.routing.spread import spread

__all__ = ["evenly"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

WORTH_FRAC = 0.01
"""Evenness is worth this part of what a plan costs, requests that it refuses apart."""

SAME_FRAC = 1e-6
"""Costs that differ by no more than this part are the same."""


def evenly(problem: RoutingProblem, result: Result[RoutingPlan]) -> Result[RoutingPlan]:
    """The result with work spread evenly among alike instances, if the checker finds nothing wrong with that.

    Alike are instances of an endpoint with the same goodput and curves, wherever they are; who has a hot GPU takes what
    its ceiling allows, and the others as much each of what is left. That costs no more latency and energy, since curves
    are convex; but domains may have no room for it, and nearness to a limit has a price. Where that is more than
    :data:`WORTH_FRAC`, it goes only so far towards it as it may cost: on the way, costs are convex.
    """
    work, most = _work(problem, result.plan), (problem.cool_frac * problem.segment_work).sum(axis=1)
    curves = (problem.latency_cost, problem.power_w, problem.airflow_cfm, problem.gpu_power_w)
    kinds = alike(problem.instance_endpoint, problem.instance_goodput, problem.open_instances, *curves)
    further = _levelled(work, most, kinds.of) - work
    if np.allclose(further, 0.0, atol=1e-6 * max(1.0, work.max(initial=0.0))):
        return result
    same = SAME_FRAC * result.objective
    worth = WORTH_FRAC * (result.objective - result.checked.terms["unserved"])
    plan, checked = _judged(problem, result, work + further)
    if checked.ok and checked.objective > result.objective + worth + same:
        plan, checked = _judged(problem, result, work + further * worth / (checked.objective - result.objective))
    if not checked.ok or checked.objective > result.objective + worth + same:
        return result
    status = result.status if checked.objective <= result.objective + same else Status.FEASIBLE
    trace = tuple(replace(one, objective=max(one.objective, checked.objective)) for one in result.trace)
    return replace(result, plan=plan, status=status, checked=checked, binding=binding(problem, plan), trace=trace)


def _judged(problem: RoutingProblem, result: Result[RoutingPlan], work: FloatArray) -> tuple[RoutingPlan, CheckReport]:
    """The plan that gives instances this work, and refuses what the result does."""
    plan = spread(problem, work, np.array([result.plan.unserved_frac.get(name, 0.0) for name in problem.classes]))
    return plan, check(problem, plan)


def _levelled(work: FloatArray, most: FloatArray, kind: IntArray) -> FloatArray:
    """``[instance]`` the work of each kind at one level for all of it, but for those that can take less than that."""
    total, full = np.bincount(kind, work), np.zeros(len(work), dtype=bool)
    while True:
        left = total - np.bincount(kind, np.where(full, most, 0.0))
        level = (left / np.maximum(1, np.bincount(kind, ~full)))[kind]
        more = ~full & (level > most)
        if not more.any():
            return np.where(full, most, level)
        full |= more


def _work(problem: RoutingProblem, plan: RoutingPlan) -> FloatArray:
    """``[instance]`` tokens/s that the plan gives each."""
    number = {name: i for i, name in enumerate(problem.instances)}
    work = np.zeros(len(number))
    for name, demand in zip(problem.classes, problem.class_work.tolist(), strict=True):
        shares = plan.shares.get(name, {})
        work[[number[instance] for instance in shares]] += demand * np.array(list(shares.values()))
    return work
