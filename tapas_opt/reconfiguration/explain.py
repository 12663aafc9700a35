"""Why a reconfiguration plan is as it is: what excludes better choices, and what binds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.check import binding_budgets, loads
from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.result import Binding, Constraint, Rejection
from tapas_opt.reconfiguration.judge import Judge
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem

__all__ = ["best_choice", "binding", "shares_of", "why_not", "worth"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def why_not(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Rejection, ...]:
    """What keeps instances from a choice that would serve more, where demand is not met, or serve it better.

    For each such instance every constraint that excludes its best choice while all others stay as planned, with
    what is missing. An instance that only prices keep from it is not named.
    """
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    power, airflow = judge.server_draw(chosen)
    load = {f.constraint: loads(f, f.counted(power, airflow)) for f in problem.budgets.families}
    short = judge.short(judge.served(chosen))
    loss = problem.quality_loss_permille()
    changes = judge.changes(chosen)
    rejections: list[Rejection] = []
    best_of: dict[tuple[int, ...], int] = {}
    for i, c in enumerate(chosen):
        like = tuple(int(of[i]) for of in (problem.instance_hardware, problem.instance_endpoint, problem.current))
        if like not in best_of:
            best_of[like] = best_choice(judge, loss, i)
        best = best_of[like]
        wanted = (
            short[problem.instance_endpoint[i]] > 0
            or loss[problem.instance_endpoint[i], best] < loss[problem.instance_endpoint[i], c]
        )
        if wanted and worth(judge, loss, i, best) > worth(judge, loss, i, c):
            rejections += _excluded_by(judge, plan, chosen, load, changes, i, best)
    return tuple(rejections)


def binding(problem: ReconfigurationProblem, plan: ReconfigurationPlan) -> tuple[Binding, ...]:
    """Constraints with little room left: budgets, and a change budget that is used up."""
    judge = Judge(problem)
    chosen = judge.choices_of(plan)
    found = list(binding_budgets(problem.budgets, *judge.server_draw(chosen)))
    if problem.change_budget is not None:
        left = problem.change_budget - judge.changes(chosen)
        if left <= 0:
            found.append(Binding(Constraint.CHANGE_BUDGET, "site", float(left), "changes"))
    return tuple(found)


def shares_of(family: BudgetFamily, server: int) -> dict[int, int]:
    """Thousandths of a server's draw by domain; both of its feeds may come from one."""
    shares: dict[int, int] = {}
    for d, share in zip(family.member[server].tolist(), family.share_permille[server].tolist(), strict=True):
        if d >= 0:
            shares[d] = shares.get(d, 0) + share
    return shares


def best_choice(judge: Judge, loss: IntArray, i: int) -> int:
    """The choice worth most, were there no limits."""
    return max(range(len(judge.problem.choices.names)), key=lambda c: worth(judge, loss, i, c))


def worth(judge: Judge, loss: IntArray, i: int, c: int) -> int:
    """Goodput weighted by quality, of what the instance's hardware and endpoint admit."""
    if not judge.accepted(i, c):
        return -1
    goodput = judge.number(judge.problem.choices.goodput_tokens_per_s, i, c)
    return goodput * (1000 - int(loss[judge.problem.instance_endpoint[i], c]))


def _excluded_by(
    judge: Judge,
    plan: ReconfigurationPlan,
    chosen: list[int],
    load: dict[Constraint, FloatArray],
    changes: int,
    i: int,
    c: int,
) -> Iterator[Rejection]:
    problem, name = judge.problem, judge.problem.instances[i]
    hot, late = judge.heat_excess_w(i, c), judge.late_s(i, c)
    if hot > 0:
        yield Rejection(name, Constraint.GPU_TEMPERATURE_LIMIT, float(hot), "W")
    if late > 0:
        yield Rejection(name, Constraint.RELIEF_IN_TIME, late, "s")
    if judge.reloads(i, c) and not judge.may_reload():
        yield Rejection(name, Constraint.RELOAD_LIMIT, 1.0, "reloads")
    spends = judge.counts_as_change(i, c) and not judge.counts_as_change(i, chosen[i])
    if problem.change_budget is not None and spends and changes >= problem.change_budget:
        yield Rejection(name, Constraint.CHANGE_BUDGET, float(changes + 1 - problem.change_budget), "changes")
    server = int(problem.instance_server[i])
    for family in problem.budgets.families:
        table = family.counted(problem.choices.power_w, problem.choices.airflow_cfm)
        more = judge.draw(table, i, c) - judge.draw(table, i, chosen[i])
        for d, share in shares_of(family, server).items():
            if more > 0:
                allowed = family.limit[d] + plan.excess.get((family.constraint, family.domains[d]), 0.0)
                over = float((load[family.constraint][d] + more * share / 1000 - allowed).max())
                if over > 0:
                    yield Rejection(name, family.constraint, over, family.unit)
