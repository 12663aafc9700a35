"""A horizon's plan in milliseconds: the plan for the worst slot, begun early enough, and as late as pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.reconfiguration import greedy as single
from tapas_opt.reconfiguration.horizon.paths import HorizonClasses, horizon_classes
from tapas_opt.reconfiguration.horizon.problem import HorizonPlan, HorizonProblem
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationProblem

__all__ = ["greedy"]

IntArray = NDArray[np.int64]


def greedy(problem: HorizonProblem) -> HorizonPlan:
    """Excess first, then cost, of a few plans: for all slots at once or for the first alone, begun now or later."""
    if not problem.now.instances:
        return problem.present()
    classes = horizon_classes(problem)
    worst, first = problem.demand_tokens_per_s.max(axis=1), problem.demand_tokens_per_s[:, 0]
    targets = [_single(problem, demand) for demand in (worst, first)]
    plans = [_timed(classes, target, begins) for target in targets for begins in range(len(problem.slots))]
    plans.append(_timed(classes, problem.now.current, 0))
    return min((problem.plan(*plan) for plan in plans), key=lambda plan: _worth(classes, plan))


def _single(problem: HorizonProblem, demand: IntArray) -> IntArray:
    """``[instance]`` choices that fit all slots at once, for one demand."""
    stated: ReconfigurationProblem = replace(problem.now, demand_tokens_per_s=demand, change_budget=None)
    return stated.chosen(single.greedy(stated))


def _timed(classes: HorizonClasses, choice: IntArray, begins: int) -> tuple[IntArray, IntArray]:
    """Put changes into slots from ``begins`` on, as budgets of changes and reloads allow; the rest stays as it is.

    Whoever may not stay changes in the first slot: to what it was to become, or parks where too many would reload.
    """
    problem, of = classes.problem, classes.instances.of
    now, slots = problem.now, len(problem.slots)
    choice, slot = choice.copy(), np.full(len(choice), slots)
    changes_left = np.full(slots, np.inf if now.change_budget is None else now.change_budget)
    reloads_left = np.full(slots, np.inf if now.reload_limit is None else now.reload_limit)
    stays = classes.options.kept[classes.options.kinds.of, now.current]
    for i in sorted(range(len(choice)), key=lambda i: (bool(stays[i]), _saves(now, i, int(choice[i])))):
        c, n = int(choice[i]), of[i]
        reload = bool(now.reload[now.current[i], c])
        counts = bool(classes.options.counts_as_change[classes.kind[n], c])
        if c == now.current[i] and stays[i]:
            continue
        for t in range(begins if stays[i] else 0, slots):
            lasts = slice(t, t + (problem.reload_slots if reload else 0))
            if classes.path[n, c, t] and changes_left[t] >= counts and (reloads_left[lasts] >= 1).all():
                slot[i], changes_left[t] = t, changes_left[t] - counts
                reloads_left[lasts] -= 1
                break
        else:
            choice[i] = now.current[i] if stays[i] else now.choices.parked
            slot[i] = slots if stays[i] else 0
    return choice, slot


def _saves(now: ReconfigurationProblem, i: int, c: int) -> int:
    """Watts that it would draw more: relief goes first."""
    row = now.instance_hardware[i]
    return int(now.choices.power_w[row, c] - now.choices.power_w[row, now.current[i]])


def _worth(classes: HorizonClasses, plan: HorizonPlan) -> tuple[float, float]:
    """Excess, and cost."""
    problem = classes.problem
    choice, slot = problem.chosen(plan)
    of = classes.instances.of
    excess = float(sum(max(0.0, a - problem.now.allowed_excess.get(k, 0)) for k, a in plan.excess.items()))
    if problem.aim is Aim.EXCESS:
        return float(sum(plan.excess.values())), 0.0
    served = classes.over_slots(classes.options.goodput_tokens_per_s, of, choice, slot, loading=False)
    left = problem.demand_tokens_per_s.astype(np.int64).copy()
    np.subtract.at(left, problem.now.instance_endpoint, served)
    unserved = problem.now.prices.unserved_token_per_s * int(np.maximum(0, left).sum())
    return excess, float(classes.cost(of, choice, slot).sum() + unserved)
